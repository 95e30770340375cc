#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A demo that shows frames: what it shows, what it tells, and what it says to options that it does not know.
# Wrong code: a frame that is sampled before it is drawn, or drawn over while it is sampled, is not that frame.
# usage: test_small_demo.sh DEMO DEMO-PICTURE NAME PATTERN
# DEMO, DEMO-PICTURE: paths of programs; NAME: of the PNG; PATTERN: what DEMO has to tell.
set -u
# A window would wait for somebody to close it.
unset DISPLAY WAYLAND_DISPLAY
demo=$1 compare=$2 name=$3 pattern=$4
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0

fail() {
	printf 'FAILED: %s\n' "$*"
	cat "$dir/out" "$dir/err"
	failed=1
}

# $1: what it has to say; then arguments that it cannot use.
refuses() {
	local rc=0 what=$1
	shift
	"$demo" "$@" >"$dir/out" 2>"$dir/err" || rc=$?
	[ "$rc" = 2 ] || fail "$*: status $rc"
	grep -q -e "$what" "$dir/err" || fail "$*: it does not say $what"
}

# Often, for what fences are to prevent is rare.
for turn in 1 2 3 4 5; do
	rm -f "$dir/$name.png"
	timeout 60 "$demo" --output "$dir" >"$dir/out" 2>"$dir/err" || fail "turn $turn: status $?"
	[ ! -s "$dir/err" ] || fail "turn $turn: it complains"
	grep -qE -e "$pattern" "$dir/out" || fail "turn $turn: it does not tell $pattern"
	"$compare" "$name" "$dir/$name.png" || fail "turn $turn: that is not what it has to show"
done
cat "$dir/out"

"$demo" --help >"$dir/out" 2>"$dir/err" || fail '--help is no error'
grep -q '^usage: ' "$dir/out" || fail '--help does not help'
for wrong in --wrong word; do
	refuses "cannot use $wrong" "$wrong"
done
: >"$dir/file"
refuses 'cannot make' --output "$dir/file/x"

[ "$failed" = 0 ]
