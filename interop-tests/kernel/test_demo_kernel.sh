#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The demo on memory of the kernel: Vulkan has the dma-buf itself and gives a sync_file of its work; GLES has it, or
# is said to be refused it, and why.
# usage: test_demo_kernel.sh PATH-OF-STILE-DEMO
set -u
demo=$1
[ -c /dev/udmabuf ] || { echo "there is no /dev/udmabuf" && exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0

# On its surfaceless platform, where the machine has DRM nodes, Mesa takes a dma-buf from version 26 on.
mesa=0
for library in /usr/lib/*/libgallium-*.so; do
	[ ! -e "$library" ] || mesa=${library##*/libgallium-}
done
mesa=${mesa%%.*}

run() {
	local rc=0
	what="stile-demo $*"
	rm -f "$dir/shared.png"
	"$demo" --output "$dir" "$@" >"$dir/out" 2>"$dir/err" || rc=$?
	grep -E '^(from|swgpu|Vulkan|GLES)|Vulkan.s on' "$dir/out"
	if [ "$rc" != 0 ] || [ ! -s "$dir/shared.png" ]; then
		printf 'FAILED: %s: status %s\n' "$what" "$rc"
		cat "$dir/out" "$dir/err"
		failed=1
	fi
}

# $1: what has to be in what it told, a pattern.
has() {
	grep -qE -e "$1" "$dir/out" && return
	printf 'FAILED: %s does not tell: %s\n' "$what" "$1"
	failed=1
}

# Vulkan's hop, whatever becomes of the rest.
has_vulkan() {
	has '^swgpu +Vulkan +shared, not copied'
	has "Vulkan's on B .*a sync_file out of a VkSemaphore"
	has 'Vulkan has image A: .*: yes$'
	has 'Vulkan has image B: .*: yes$'
}

has_gles() {
	has '^Vulkan +GLES.* shared, not copied'
	has 'GLES +has image B: .*: yes$'
	has 'GLES +has image C: .*: yes$'
}

# GLES gets nothing, and the CPU reads what Vulkan drew.
has_refusal() {
	has '^Vulkan +GLES.* REFUSED: eglCreateImage of ABGR8888: EGL_BAD_ALLOC'
	has '^Vulkan +CPU +shared, not copied'
}

run --memory udmabuf --surfaceless
has_vulkan
if [ "$mesa" -ge 26 ]; then
	has_gles
else
	has_refusal
fi
run --memory dmabuf:heap=system --processes 2
has_vulkan
has_gles

[ "$failed" = 0 ]
