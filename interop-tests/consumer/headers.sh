#!/bin/sh
# SPDX-License-Identifier: MIT
# headers.sh SCRATCH SOURCE CC CXX: each installed header compiled alone, as C99 and as C++11, with
# nothing but what pkg-config says; every header of the source tree is among them.
set -eu
source=$2 cc=$3 cxx=$4
libdir=$1/shared/lib
export PKG_CONFIG_PATH="$libdir/pkgconfig"
rc=0

for module in stile stile-vulkan stile-egl stile-drm stile-gbm; do
	flags=$(pkg-config --cflags "$module")
	case " $flags" in *' -D'*) echo "$module.pc leaks a define: $flags" && rc=1 ;; esac
done

expected=$(cd "$source/include/stile" && echo ./*.h ./*.h.in | tr ' ' '\n' | sed 's/\.in$//' | sort)
installed=$(cd "$1/shared/include/stile" && echo ./*.h | tr ' ' '\n' | sort)
if [ "$expected" != "$installed" ]; then
	echo "installed headers are not those of include/stile; installed:" "$installed"
	rc=1
fi

for name in $installed; do
	name=${name#./}
	module=stile
	part=${name%.h} part=${part%%_*}
	[ ! -e "$libdir/pkgconfig/stile-$part.pc" ] || module=stile-$part
	# Other packages' headers are theirs: libdrm's is not C99, for one.
	flags=$(pkg-config --cflags "$module" | sed "s# -I# -isystem #g; s#-isystem $1/#-I$1/#g")
	warn='-Wall -Wextra -Wpedantic -Werror -fsyntax-only'
	# Twice: its guard has to hold.
	text="#include <stile/$name>
#include <stile/$name>
extern int unit_is_not_empty;"
	# shellcheck disable=SC2086
	echo "$text" | "$cc" -std=c99 $warn $flags -x c - || { echo "$name does not stand alone in C99" && rc=1; }
	# shellcheck disable=SC2086
	echo "$text" | "$cxx" -std=c++11 $warn $flags -x c++ - || { echo "$name does not stand alone in C++11" && rc=1; }
	echo "checked: $name with $flags"
done
exit $rc
