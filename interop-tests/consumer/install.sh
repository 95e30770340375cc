#!/bin/sh
# SPDX-License-Identifier: MIT
# install.sh SOURCE SCRATCH shared|static CC: builds the library as a distribution would and installs it
# to SCRATCH/KIND. The libraries' folder is relative to the prefix for shared, absolute for static.
set -eu
source=$1 prefix=$2/$3 kind=$3 cc=$4
case $kind in
shared) shared=ON libdir=lib configured=$2/elsewhere ;;
static) shared=OFF libdir=$2/static-libraries configured=$prefix ;;
*) echo "shared or static, not '$kind'" && exit 2 ;;
esac

rm -rf "$prefix" "$2/build-$kind"
[ "$kind" = shared ] || rm -rf "$libdir"
cmake -S "$source" -B "$2/build-$kind" -DCMAKE_C_COMPILER="$cc" -DBUILD_SHARED_LIBS="$shared" \
	-DSTILE_TESTS=OFF -DSTILE_DEMOS=OFF -DSTILE_WERROR=ON -DSTILE_VULKAN=ON -DSTILE_EGL=ON -DSTILE_DRM=ON -DSTILE_GBM=ON \
	-DCMAKE_INSTALL_PREFIX="$configured" -DCMAKE_INSTALL_LIBDIR="$libdir"
cmake --build "$2/build-$kind" -j 2
# The shared one to another prefix than was configured: what is installed has to name the real one.
cmake --install "$2/build-$kind" --prefix "$prefix"
