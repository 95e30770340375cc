#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# test_refusals.sh STILE DEMO...: on drivers without dma-bufs, `stile info` and the demos say what is missing.
set -euo pipefail

readonly old_mesa=${BASH_SOURCE[0]%/*}/old_mesa.sh tool=$1
[ -n "${STILE_TEST_OLD_MESA-}" ] || exec "$old_mesa"
shift
output=$(mktemp -d)
trap 'rm -rf "$output"' EXIT
failures=0

# tells TEXT PATTERN: is it in the text?
tells() {
	if ! grep -q -E "$2" <<<"$1"; then
		printf 'not told: %s\n%s\n' "$2" "$1"
		failures=$((failures + 1))
	fi
}

# Lines are broken where they end.
info=$("$old_mesa" "$tool" info | tr -s ' \n' ' ')
tells "$info" 'Vulkan 0 .*driver llvmpipe, Mesa 2[0-4]\.'
tells "$info" 'no the device was created without VK_EXT_external_memory_dma_buf'
tells "$info" 'no the display has no EGL_EXT_image_dma_buf_import '
tells "$info" 'has external_memory_fd, external_memory_host, timeline semaphores'

for demo in "$@"; do
	status=0
	text=$("$old_mesa" "$demo" --output "$output" 2>&1) || status=$?
	# A signal is no answer.
	if [ $status = 0 ] || [ $status -gt 127 ]; then
		printf '%s ends with %d\n' "$demo" $status
		failures=$((failures + 1))
	fi
	tells "$text" 'imports dma-bufs; Mesa.s lavapipe does from version|has no EGL_EXT_image_dma_buf_import '
done
[ $failures = 0 ]
