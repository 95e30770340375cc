#!/bin/sh
# SPDX-License-Identifier: MIT
# link.sh SCRATCH shared|static pkg-config|cmake CC CXX: builds the consumers against what install.sh
# installed, and runs them.
set -eu
kind=$2 how=$3 cc=$4 cxx=$5
here=$(cd "$(dirname "$0")" && pwd)
work=$1/$kind-$how
case $kind in
shared) libdir=$1/shared/lib static='' ;;
static) libdir=$1/static-libraries static=--static ;;
*) echo "shared or static, not '$kind'" && exit 2 ;;
esac
rm -rf "$work"
mkdir -p "$work"
programs='consumer-c consumer-cpp consumer-gbm'

case $how in
pkg-config)
	export PKG_CONFIG_PATH="$libdir/pkgconfig"
	# shellcheck disable=SC2086
	flags=$(pkg-config --cflags --libs $static stile stile-vulkan stile-egl stile-drm)
	echo "flags: $flags"
	warn='-Wall -Wextra -Wpedantic -Werror'
	# shellcheck disable=SC2086
	"$cc" -std=c11 $warn -o "$work/consumer-c" "$here/consumer.c" $flags
	# shellcheck disable=SC2086
	"$cxx" -std=c++11 $warn -o "$work/consumer-cpp" "$here/consumer.cpp" $flags
	# shellcheck disable=SC2046,SC2086
	"$cc" -std=c11 $warn -o "$work/consumer-gbm" "$here/consumer_gbm.c" $(pkg-config --cflags --libs $static stile-gbm)
	# The program in README.md is one, too.
	awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' "$here/../../README.md" >"$work/first.c"
	# shellcheck disable=SC2046,SC2086
	"$cc" -std=c11 $warn -o "$work/first" "$work/first.c" $(pkg-config --cflags --libs $static stile)
	programs="$programs first"
	;;
cmake)
	# Found by the prefix, or by its own folder where that is elsewhere.
	where=-DCMAKE_PREFIX_PATH="$1/$kind"
	[ "$kind" = shared ] || where=-Dstile_DIR="$libdir/cmake/stile"
	cmake -S "$here/project" -B "$work" "$where" -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx"
	cmake --build "$work"
	;;
*) echo "pkg-config or cmake, not '$how'" && exit 2 ;;
esac

export LD_LIBRARY_PATH="$libdir"
for program in $programs; do
	"$work/$program"
	# Is it the kind of library that was asked for, and is no graphics library behind it?
	needed=$(ldd "$work/$program")
	if [ "$kind" = static ] && echo "$needed" | grep libstile; then
		echo "$program is linked to a shared libstile" && exit 1
	fi
	if [ "$kind" = shared ] && ! echo "$needed" | grep -q -F "libstile.so.0 => $libdir/"; then
		echo "$program is not linked to $libdir/libstile.so.0" && exit 1
	fi
	[ "$program" != consumer-gbm ] || needed=$(echo "$needed" | grep -v 'libgbm\.so')
	if echo "$needed" | grep -E 'lib(vulkan|EGL|GL|GLESv2|gbm)\.so'; then
		echo "$program is linked to a graphics library" && exit 1
	fi
done
