#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What the demo says to input that it cannot use: exit status 2 and one sentence; and that it works.
# usage: test_demo.sh PATH-OF-STILE-DEMO PATH-OF-PICTURES
set -u
# A window would wait for somebody to close it.
unset DISPLAY WAYLAND_DISPLAY
demo=$1 pictures=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0

# $1: what is tried, $2: the exit status, $3: a pattern that stderr has to match; then arguments.
check() {
	local what=$1 status=$2 pattern=$3 rc=0 lines
	shift 3
	"$demo" "$@" >"$dir/out" 2>"$dir/err" || rc=$?
	lines=$(grep -cv '^usage:' "$dir/err")
	if [ "$rc" = "$status" ] && { [ "$status" = 0 ] ||
		{ grep -qE -e "$pattern" "$dir/err" && [ "$lines" = 1 ] && [ ! -s "$dir/out" ]; }; }; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'FAILED: %s: status %s instead of %s; stderr:\n' "$what" "$rc" "$status"
		cat "$dir/err"
	fi
}

out=(--output "$dir/results")
check 'the test card' 0 '' "${out[@]}"
check 'two processes' 0 '' "${out[@]}" --processes 2
[ -s "$dir/results/shared.png" ] || { echo 'FAILED: no shared.png'; failed=$((failed + 1)); }
check "Mesa's surfaceless platform" 0 '' "${out[@]}" --surfaceless
check 'the best memory that there is' 0 '' "${out[@]}" --memory best
check 'memory of another software GPU' 0 '' "${out[@]}" --memory swgpu --processes 2
check 'its own result as input' 0 '' "$dir/results/shared.png" "${out[@]}"

: >"$dir/empty.png"
head -c 3000 "$dir/results/shared.png" >"$dir/short.png"
printf 'not a picture\n' >"$dir/text.png"
check 'no file' 2 'No such file' "$dir/nowhere.png" "${out[@]}"
check 'a directory' 2 'is a directory' "$dir" "${out[@]}"
check 'not a PNG' 2 'not a PNG' "$dir/text.png" "${out[@]}"
check 'an empty file' 2 'not a PNG' "$dir/empty.png" "${out[@]}"
check 'a truncated PNG' 2 'damaged or cut short' "$dir/short.png" "${out[@]}"
check '0 x 0 pixels' 2 'not a PNG picture that can be read' "$pictures/zero.png" "${out[@]}"
check '100,000 x 100,000 pixels' 2 '100000 x 100000.*16384' "$pictures/huge.png" "${out[@]}"
check 'an unknown option' 2 '--wrong' --wrong
check 'three processes' 2 '1 or 2, not 3' --processes 3
check 'memory of nobody' 2 'No such device' "${out[@]}" --memory nobody
check 'two pictures' 2 'one picture' "$dir/a.png" "$dir/b.png"
check 'no place for the result' 2 'cannot make' --output "$dir/empty.png/x"

echo "demo: $passed passed, $failed failed"
[ "$failed" = 0 ]
