#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# old_mesa.sh PROGRAM [ARGUMENT...]: runs it on the software drivers of a Mesa without dma-bufs, which is unpacked in
# the directory STILE_TEST_OLD_MESA. ./run test fetches one.
set -euo pipefail

readonly mesa=${STILE_TEST_OLD_MESA-}
if [ -z "$mesa" ]; then
	echo "skipped: STILE_TEST_OLD_MESA is not set; ./run test fetches a Mesa without dma-bufs, and sets it"
	exit 77
fi
driver=$(find "$mesa/usr/lib" -name libvulkan_lvp.so)
vulkan=$(find "$mesa/usr/share/vulkan/icd.d" -name 'lvp_icd.*.json')
readonly libraries=${driver%/*}
export LD_LIBRARY_PATH=$libraries LIBGL_DRIVERS_PATH=$libraries/dri
# The loader has two names for it, an older one and a newer one.
export VK_ICD_FILENAMES=$vulkan VK_DRIVER_FILES=$vulkan
export __EGL_VENDOR_LIBRARY_FILENAMES=$mesa/usr/share/glvnd/egl_vendor.d/50_mesa.json
# These drivers are unloaded with what they keep, which the leak checker takes for lost.
export ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0
exec "$@"
