#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# kernel.sh stock|own|6.1: have a kernel to boot and print the folder that it is in: `vmlinuz`, and `modules/` with
# what has to be loaded, numbered in that order. Made once and kept, by its version and what it was made with.
#
#   stock  Debian's newest 6.12, as it is, and vkms built from the packaged source
#   own    the same source, small, with what Debian leaves out: kernel.config
#   6.1    Debian 12's own, as it is: no udmabuf, no heaps
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
# shellcheck source-path=SCRIPTDIR source=packages.sh
. "$here/packages.sh"
readonly modules="virtio_pci virtio_console 9pnet_virtio 9p overlay vgem vkms virtio_gpu udmabuf"

# The newest of those in the cache whose name begins so, where apt knows of none: its lists may be gone.
kept() { find "$vm_cache" -maxdepth 1 -name "$1-*" 2>/dev/null | sort -V | tail -n 1; }

# in_load_order TREE: the files of $modules, each behind those it needs.
in_load_order() {
	local name
	for name in $modules; do
		awk -F: -v name="$name" '
			{ m = $1; sub(/.*\//, "", m); sub(/\.ko.*/, "", m); gsub(/-/, "_", m) }
			m == name { n = split($2, needed, " "); while (n > 0) { print needed[n--] } print $1 }' "$1/modules.dep"
	done | awk '!seen[$0]++'
}

# modules_of TREE OUT: copy what is to be loaded.
modules_of() {
	local file n=100 to
	mkdir -p "$2"
	while read -r file; do
		n=$((n + 1)) to=${file##*/}
		to=$2/$n-${to%%.ko*}.ko
		case $file in
		*.xz) xz -dc "$1/$file" >"$to" ;;
		*.zst) zstd -qdc "$1/$file" >"$to" ;;
		*) cp "$1/$file" "$to" ;;
		esac
	done < <(in_load_order "$1")
}

# source_of VERSION INTO [PATTERN]: the packaged source of Linux 6.12, or what of it matches PATTERN.
source_of() {
	download "$2.debs" "linux-source-6.12=$1"
	mkdir -p "$2"
	dpkg-deb --fsys-tarfile "$2.debs"/*.deb | tar -xO ./usr/src/linux-source-6.12.tar.xz |
		xz -dc -T0 | tar -x -C "$2" --strip-components=1 ${3:+--wildcards "$3"}
	rm -rf "$2.debs"
}

# build_vkms RELEASE VERSION SCRATCH: Debian leaves it out; SCRATCH/vkms/vkms.ko is it.
build_vkms() {
	local tree=$3/headers/usr/src cc=gcc-12
	local kernel=$tree/linux-headers-$1
	unpack "$3/headers" "linux-headers-$1=$2" "linux-headers-${1%-amd64}-common=$2" "linux-kbuild-${1%-amd64}=$2"
	source_of "$2" "$3/source" '*/drivers/gpu/drm/vkms'
	mv "$3/source/drivers/gpu/drm/vkms" "$3/vkms"
	# The headers include each other where they would be installed; their vmlinux is of use with pahole only.
	sed -i "s|include /usr/src|include $tree|" "$kernel/Makefile"
	rm -f "$kernel/vmlinux"
	cc=$(sed -n 's/^CC *=.*)\(gcc-[0-9]*\)$/\1/p' "$kernel/.kernelvariables")
	command -v "${cc:-none}" >/dev/null || cc=gcc
	make -C "$kernel" "M=$3/vkms" CONFIG_DRM_VKMS=m "CC=$cc" -j "$(nproc)" modules >"$3/vkms.log" 2>&1 ||
		{ tail -n 20 "$3/vkms.log" >&2 && die "vkms does not build"; }
	strip --strip-debug "$3/vkms/vkms.ko"
}

# packaged PACKAGE SCRATCH: unpack a kernel package; SCRATCH/out is what is kept of it.
packaged() {
	local release=${1#linux-image-} version
	local tree=$2/image/lib/modules/$release
	version=$(candidate "$1")
	say "fetching $1 $version (110 MB)"
	unpack "$2/image" "$1=$version"
	if [ "$kind" = stock ]; then
		say "building the module vkms from linux-source-6.12 (150 MB, not kept)"
		build_vkms "$release" "$version" "$2"
		cp "$2/vkms/vkms.ko" "$tree/kernel/drivers/gpu/drm/"
	fi
	depmod -b "$2/image" "$release"
	modules_of "$tree" "$2/out/modules"
	mv "$2/image/boot/vmlinuz-$release" "$2/out/vmlinuz"
}

# own VERSION SCRATCH: build the small kernel.
own() {
	say "fetching linux-source-6.12 $1 (150 MB)"
	source_of "$1" "$2/source"
	say "building it with interop-tests/vm/kernel.config; that takes minutes, once"
	cd "$2/source"
	if ! {
		make tinyconfig && scripts/kconfig/merge_config.sh -m .config "$here/kernel.config" &&
			make olddefconfig && make -j "$(nproc)" bzImage
	} >"$2/log" 2>&1; then
		tail -n 30 "$2/log" >&2
		die "the kernel does not build"
	fi
	# What is off is not written down as that.
	grep '=[^n]' "$here/kernel.config" | grep -v -x -F -f .config | sed 's/^/stile: not taken: /' >&2 || true
	cp arch/x86/boot/bzImage "$2/out/vmlinuz"
	mkdir "$2/out/modules"
	cd /
}

kind=${1:-}
package='' key=''
case $kind in
stock) package=$(newest_kernel 6.12) ;;
6.1) package=$(newest_kernel 6.1) ;;
own) package=linux-source-6.12 ;;
*) die "usage: kernel.sh stock|own|6.1" 2 ;;
esac
[ "$(uname -m)" = x86_64 ] || die "the rig knows kernels for x86-64 only"
version=$(candidate "${package:-none}")
case $kind in
own) key=$kind-$version-$(grep '^CONFIG' "$here/kernel.config" | hash_of) ;;
*) key=$kind-$version-$(hash_of <<<"$modules") ;;
esac
folder=$vm_cache/$key
[ -n "$version" ] || folder=$(kept "$kind")
[ -n "$folder" ] || die "apt knows no kernel package for '$kind'; does apt-get update help?"

if [ ! -e "$folder/vmlinuz" ]; then
	need_programs apt-get dpkg-deb xz zstd depmod make gcc
	mkdir -p "$vm_cache"
	scratch=$(mktemp -d "$vm_cache/making.XXXXXX")
	trap 'rm -rf "$scratch"' EXIT
	mkdir "$scratch/out"
	if [ "$kind" = own ]; then
		own "$version" "$scratch"
	else
		packaged "$package" "$scratch"
	fi
	# All of it or nothing, also where somebody else makes the same.
	mv -T "$scratch/out" "$folder" 2>/dev/null || [ -e "$folder/vmlinuz" ] || die "cannot write $folder"
fi
echo "$folder"
