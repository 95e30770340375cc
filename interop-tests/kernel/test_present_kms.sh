#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The demo that shows frames by KMS: what vkms writes back is the last frame.
# Wrong code: a commit that does not wait shows what was there before.
# usage: test_present_kms.sh PATH-OF-STILE-PRESENT-KMS PATH-OF-DEMO-PICTURE
set -u
demo=$1 compare=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail() {
	printf 'FAILED: %s\n' "$*"
	cat "$dir/out" "$dir/err"
	exit 1
}

# Others test what KMS does at the same time, and are DRM masters by turns.
for turn in {1..200}; do
	rc=0
	"$demo" --output "$dir" >"$dir/out" 2>"$dir/err" || rc=$?
	grep -q 'DRM master' "$dir/err" || break
	[ "$turn" -lt 200 ] || fail 'somebody else is DRM master all the time'
	sleep 0.2
done
if grep 'has a writeback connector' "$dir/err"; then
	exit 77
fi
[ "$rc" = 0 ] || fail "status $rc"
[ ! -s "$dir/err" ] || fail 'it complains'
cat "$dir/out"
grep -q '^swgpu to KMS ' "$dir/out" || fail 'it does not tell how fences crossed'
"$compare" present_kms "$dir/present_kms.png" || fail 'the screen shows something else'
