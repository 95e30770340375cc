# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: MIT
# Sourced by the scripts here: Debian's packages, as files, and where what is made of them is kept. Nothing is
# installed, and no root is needed.

vm_cache=$(realpath -m "${STILE_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/stile}/vm")
readonly vm_cache

say() { printf 'stile: %s\n' "$*" >&2; }

# Say why, and stop with status $2 (1 if not given).
die() {
	say "$1"
	exit "${2:-1}"
}

# need_programs PROGRAM...: stop unless all are there. Debian's static busybox is enough for the guest.
need_programs() {
	local p missing=()
	for p in "$@"; do
		command -v "$p" >/dev/null || missing+=("$p")
	done
	[ ${#missing[@]} = 0 ] || die "missing programs: ${missing[*]} (./run vm-test installs what it needs)" 3
}

# The newest kernel package of the series $1 (6.12), for real machines: "-cloud" ones have no DRM.
newest_kernel() {
	apt-cache search --names-only "^linux-image-${1//./\\.}\\.[0-9].*-amd64\$" | cut -d ' ' -f 1 |
		sed -E '/-(cloud|rt|dbg|unsigned)/d' | sort -V | tail -n 1
}

# The version of package $1 that apt would install.
candidate() { apt-cache policy "$1" | sed -n 's/^ *Candidate: //p'; }

# download DIR PACKAGE[=VERSION]...: their .deb files, in DIR.
download() {
	local dir=$1
	shift
	mkdir -p "$dir"
	if ! (cd "$dir" && apt-get download -q "$@") >"$dir/log" 2>&1; then
		grep '^E:' "$dir/log" >&2
		die "cannot download $*; does apt-get update help?"
	fi
}

# unpack INTO PACKAGE[=VERSION]...: what is in these packages. The .deb files do not stay.
unpack() {
	local into=$1 deb
	shift
	download "$into.debs" "$@"
	mkdir -p "$into"
	for deb in "$into.debs"/*.deb; do
		dpkg-deb -x "$deb" "$into"
	done
	rm -rf "$into.debs"
}

# A short name for what standard input says.
hash_of() { sha256sum | cut -c 1-12; }
