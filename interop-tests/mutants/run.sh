#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# run.sh [GROUP] [NAME...]: does a test notice each of the small wrong changes in GROUP/*.patch (all groups if none
# is given; only those named)? README.md says what a patch's header holds. Works on a copy of the sources.
#
# A line for each: its name, what became of it, which test and assertion, or why not. Caught is what builds and
# makes a named assertion fail, nothing else. The last line is "caught N of N"; 1 if that is not all.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly root=${here%/*/*}
readonly limit_s=80
jobs=$(nproc 2>/dev/null || echo 2)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/stile-mutants.XXXXXX")
readonly scratch src=$scratch/src build=$scratch/build out=$scratch/out
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM

# Every run of a test makes the same random choices.
export CK_FORK=no STILE_TEST_SEED=${STILE_TEST_SEED:-1}

say() { printf 'stile: %s\n' "$*" >&2; }

die() {
	say "$1"
	exit 1
}

# field NAME PATCH: what a patch's header says after "NAME: ".
field() { sed -n -e '/^--- /q' -e "s/^$1: //p" "$2"; }

choose() {
	local group=${1:-} name file
	shift $(($# > 0))
	[ -z "$group" ] || [ -d "$here/$group" ] || die "no group '$group'; there are: $(cd "$here" && echo */)"
	if [ $# = 0 ]; then
		patches=("$here/${group:-*}"/*.patch)
		# Without quotes, as a pattern.
		[ -n "$group" ] || patches=("$here"/*/*.patch)
	fi
	for name in "$@"; do
		patches+=("$here/$group/${name%.patch}.patch")
	done
	for file in "${patches[@]}"; do
		[ -f "$file" ] || die "no such mutant: $file"
		for name in Wrong Rule Tests; do
			[ -n "$(field $name "$file")" ] || die "$file: no line '$name: '"
		done
	done
}

# make_tests NAME...: the programs of these tests.
make_tests() { cmake --build "$build" --target "${@/#/test_}" -j "$jobs" >"$scratch/log" 2>&1; }

# run_program NAME: runs a test until it ends, fails or takes too long: 124, or 137 if it has to be killed.
run_program() {
	local path
	path=$(find "$build" -type f -name "test_$1")
	# In a shell that keeps quiet about a crash.
	(
		timeout -k 5 $limit_s "$path" >"$out" 2>&1 </dev/null
		exit $?
	) 2>/dev/null
}

# The first assertion that failed: "test_array.c:12 name_of_the_test: what is wrong".
failure() { grep -a -m 1 '^FAILED ' "$out" | cut -c 8-160 | grep .; }

# Which test was on when the program broke off.
last_test() { sed -n 's/^TEST //p' "$out" | tail -n 1; }

# One mutant is in the sources. Sets `verdict` and `detail`.
judge() {
	local patch=$1 test status tests
	read -r -a tests <<<"$(field Tests "$patch")"
	if ! make_tests "${tests[@]}"; then
		verdict='DOES NOT BUILD' detail=$(grep -m 1 'error:' "$scratch/log")
		return
	fi
	verdict=SURVIVED detail=${tests[*]}
	for test in "${tests[@]}"; do
		status=0
		run_program "$test" || status=$?
		if detail=$(failure); then
			verdict=caught
			return
		elif [ $status = 124 ] || [ $status = 137 ]; then
			verdict='TIMED OUT' detail="$test, in $(last_test)"
			return
		elif [ $status != 0 ]; then
			verdict=CRASHED detail="$test ($status), in $(last_test)"
			return
		fi
		detail=${tests[*]}
	done
}

# A time-out or a crash may be all that can be seen, if the header says why.
excuse() {
	local why=''
	case $verdict in
	'TIMED OUT') why=$(field Time-out "$1") ;;
	CRASHED) why=$(field Crash "$1") ;;
	esac
	[ -n "$why" ] || return 0
	verdict=${verdict,,}
	detail+="; explained: $why"
}

patches=()
choose "$@"
read -r -a all_tests <<<"$(for file in "${patches[@]}"; do field Tests "$file"; done | tr ' ' '\n' | sort -u | tr '\n' ' ')"

say "copying the sources, building ${#all_tests[@]} tests"
mkdir "$src"
tar -C "$root" --exclude=./build --exclude=./.git -cf - . | tar -C "$src" -xf - || die "cannot copy the sources"
# A wrong change may leave a variable or a function that nobody uses.
configure() {
	local wraps=-Wl,--wrap=tcase_fn_start,--wrap=_ck_assert_failed first=$scratch/first.o
	{
		gcc -std=c11 -D_GNU_SOURCE -c -o "$first" "$here/first.c" &&
			cmake --preset dev -B "$build" -DCMAKE_EXE_LINKER_FLAGS="$wraps $first" -DSTILE_WERROR=OFF \
				-DSTILE_DEMOS=OFF -DSTILE_VULKAN=OFF -DSTILE_EGL=OFF
	} >"$scratch/log" 2>&1
}
cd "$src" || exit 1
if ! configure || ! make_tests "${all_tests[@]}"; then
	tail -n 25 "$scratch/log" >&2
	die "the sources do not build"
fi
for name in "${all_tests[@]}"; do
	run_program "$name" || die "the test $name fails as it is: $(failure || last_test)"
done

# Lines may have moved, but not changed.
readonly apply=(patch -s -p1 -F0 --no-backup-if-mismatch -r -)
declare -A counted=()
for file in "${patches[@]}"; do
	name=${file##*/} name=${name%.patch}
	if "${apply[@]}" --dry-run <"$file" >"$scratch/log" 2>&1; then
		"${apply[@]}" <"$file"
		judge "$file"
		excuse "$file"
		"${apply[@]}" -R <"$file" || die "$name cannot be taken back"
	else
		verdict='DOES NOT APPLY' detail=$(head -n 1 "$scratch/log")
	fi
	counted[$verdict]=$((${counted[$verdict]:-0} + 1))
	printf '%-48s %-10s %s\n' "$name" "$verdict" "$detail"
done

# What can only hang or crash, and says why, is no assertion: it counts apart.
timed_out=${counted[timed out]:-0} crashed=${counted[crashed]:-0}
[ $((timed_out + crashed)) = 0 ] || echo "apart, as explained: $timed_out timed out, $crashed crashed"
caught=${counted[caught]:-0} of=$((${#patches[@]} - timed_out - crashed))
echo "caught $caught of $of"
[ "$caught" = "$of" ]
