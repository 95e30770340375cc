#!/bin/sh
# SPDX-License-Identifier: MIT
# testing.sh SCRATCH SOURCE CC: is docs/testing-without-a-gpu.md true? Its program is forgotten_wait.c, letter for
# letter. Its commands, run one after another against the installed library alone, give what stands below them:
# the program passes, and fails where the wait is left out. docs/profiles.md lists the profiles that there are.
set -eu
source=$2 cc=$3
libdir=$1/shared/lib
work=$1/testing
here=$source/interop-tests/consumer
doc=$source/docs/testing-without-a-gpu.md
rm -rf "$work"
mkdir -p "$work"
cp "$here/forgotten_wait.c" "$here/watch.c" "$work"
cd "$work"
export PKG_CONFIG_PATH="$libdir/pkgconfig" LD_LIBRARY_PATH="$libdir"
unset STILE_SWGPU_PROFILE STILE_SWGPU_SEED STILE_SWGPU_FAULT

blocks() {
	awk -v kind="$1" '$0 == "```" kind { on = 1; next } $0 == "```" { on = 0 } on' "$doc"
}

blocks c >shown.c
diff forgotten_wait.c shown.c || { echo "$doc shows another program than forgotten_wait.c" && exit 1; }

# What the document calls cc is the compiler of this build, which is stricter.
cc() {
	"$cc" -std=c11 -Wall -Wextra -Wpedantic -Werror "$@"
}
blocks console >expected
while IFS= read -r line <&3; do
	case $line in
	'$ '*)
		printf '%s\n' "$line"
		eval "${line#??}" || true
		;;
	esac
done 3<expected >actual 2>&1 </dev/null
diff expected actual || { echo "$doc shows other output than its commands give" && exit 1; }

# Whatever the document says: one passes, the other fails, and not for lack of something.
./with-wait
status=0
./without-wait || status=$?
[ $status = 1 ] || { echo "without the wait, the test ends with $status, not 1" && exit 1; }
if ldd with-wait without-wait watch | grep -E 'lib(vulkan|EGL|GL|GLESv2|gbm)\.so'; then
	echo "a graphics library is behind it" && exit 1
fi

./watch profiles | while read -r name; do
	# shellcheck disable=SC2016
	grep -q "^| \`$name\` |" "$source/docs/profiles.md" || { echo "docs/profiles.md lacks $name" && exit 1; }
done
echo "checked: $(grep -c '^\$ ' expected) commands"
