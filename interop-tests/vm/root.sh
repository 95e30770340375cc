#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# root.sh trixie: have a root folder for the guest with Debian 13's newest Mesa, that of its backports, and print where
# it is. It has what our programs need when they run, and a shell; packages are unpacked, nothing of theirs is run.
# Made once and kept, by the versions in it. Lists of packages are looked at again after a day. One at a time makes one.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
# shellcheck source-path=SCRIPTDIR source=packages.sh
. "$here/packages.sh"
readonly packages="base-files bash coreutils dash grep libc-bin sed
	libsubunit0 libstdc++6 libpixman-1-0 libpng16-16t64 liburcu8t64
	libdrm2 libgbm1 libegl1 libegl-mesa0 libgles2 libgl1-mesa-dri libvulkan1 mesa-vulkan-drivers
	libglfw3 libwayland-egl1 weston vulkan-validationlayers"
# Of weston the headless backend runs. What its others link, for remote desktops, would be as much again as all the rest.
readonly left_out="libfreerdp3-3 libfreerdp-server3-3 libwinpr3-3 libneatvnc0 libpipewire-0.3-0t64 libgstreamer1.0-0
	libgstreamer-plugins-base1.0-0"
readonly suite=${1:-}
[ "$suite" = trixie ] || die "usage: root.sh trixie" 2
need_programs apt-get dpkg-deb flock
readonly state=$vm_cache/apt-$suite

# The mirror that this machine takes Debian itself from.
mirror() {
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 'Component: main' |
		sort -u | head -n 1
}

# An apt that knows nothing but the suite, and takes from its backports what they have.
configure_apt() {
	local uri
	uri=$(mirror)
	[ -n "$uri" ] || die "no mirror of Debian in the apt sources; does apt-get update help?"
	mkdir -p "$state"/{lists,archives}/partial
	printf 'Types: deb\nURIs: %s\nSuites: %s %s-backports\nComponents: main\nSigned-By: %s\n' "$uri" "$suite" \
		"$suite" /usr/share/keyrings/debian-archive-keyring.gpg >"$state/debian.sources"
	printf 'Package: *\nPin: release n=%s-backports\nPin-Priority: 500\n' "$suite" >"$state/preferences"
	cat >"$state/apt.conf" <<TEXT
Dir::State "$state";
Dir::State::status "$state/status";
Dir::Cache "$state";
Dir::Etc::sourcelist "$state/debian.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "$state/preferences";
Dir::Etc::preferencesparts "/dev/null";
APT::Architectures { "amd64"; };
APT::Install-Recommends "false";
APT::Get::Assume-Yes "true";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
Debug::NoLocking "true";
quiet "1";
TEXT
}

# What apt takes for installed.
leave_out() {
	# shellcheck disable=SC2086
	printf 'Package: %s\nStatus: install ok installed\nArchitecture: amd64\nVersion: 9999\nDescription: left out\n\n' \
		$left_out >"$state/status"
}

# apt COMMAND...: with that configuration, which stands for all of the machine's.
apt() { APT_CONFIG=$state/apt.conf apt-get "$@"; }

update() {
	local log=$state/update.log
	if [ -n "$(find "$state/updated" -mmin -1440 2>/dev/null)" ]; then
		return
	fi
	say "looking for the newest packages of $suite"
	configure_apt
	if apt update -o APT::Update::Error-Mode=any >"$log" 2>&1; then
		touch "$state/updated"
	elif [ ! -e "$state/updated" ]; then
		tail -n 5 "$log" >&2
		die "no package lists of $suite"
	fi
}

make_root() {
	local deb into=$1
	apt clean
	# shellcheck disable=SC2086
	apt install --download-only $packages >"$state/download.log" 2>&1 ||
		{ tail -n 5 "$state/download.log" >&2 && die "cannot download the packages of $suite"; }
	for deb in "$state"/archives/*.deb; do
		dpkg-deb -x "$deb" "$into"
	done
	apt clean
	rm -rf "$into/usr/share/doc" "$into/usr/share/locale" "$into/usr/share/man"
}

mkdir -p "$state"
exec 9>"$state/lock"
flock 9
leave_out
update
# shellcheck disable=SC2086
versions=$(apt install --simulate $packages | sed -n 's/^Inst //p' | sort)
[ -n "$versions" ] || die "the packages of $suite do not fit together"
folder=$vm_cache/root-$suite-$(hash_of <<<"$versions")
if [ ! -d "$folder" ]; then
	say "making a root of $suite with Mesa $(sed -n 's/^mesa-vulkan-drivers (\([^ ]*\).*/\1/p' <<<"$versions")"
	scratch=$(mktemp -d "$vm_cache/making.XXXXXX")
	trap 'rm -rf "$scratch"' EXIT
	mkdir -m 755 "$scratch/root"
	make_root "$scratch/root"
	mv -T "$scratch/root" "$folder" 2>/dev/null || [ -d "$folder" ] || die "cannot write $folder"
fi
echo "$folder"
