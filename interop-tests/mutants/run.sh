#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# run.sh [GROUP] [NAME...]: does a test notice each of the small wrong changes in GROUP/*.patch (all groups if none
# is given; only those named)? README.md says what a patch's header holds. Works on a copy of the sources.
#
# A line for each: its name, what became of it, which test and assertion, or why not. Caught is what builds and
# makes a named assertion fail, nothing else. The last line is "caught N of N"; 1 if that is not all. What only a
# booted kernel can tell comes last, so that it is not booted for each.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly root=${here%/*/*}
readonly limit_s=80
jobs=$(nproc 2>/dev/null || echo 2)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/stile-mutants.XXXXXX")
readonly scratch src=$scratch/src build=$scratch/build guest=$scratch/guest out=$scratch/out
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

program() { find "$build" -type f -name "test_$1"; }

# run_program NAME: runs a test until it ends, fails or takes too long: 124, or 137 if it has to be killed.
run_program() {
	local path
	path=$(program "$1")
	# In a shell that keeps quiet about a crash.
	(
		timeout -k 5 $limit_s "$path" >"$out" 2>&1 </dev/null
		exit $?
	) 2>/dev/null
}

# keep MUTANT KERNEL TEST...: what was built is to be run in the guest, as MUTANT.TEST.
keep() {
	local folder=$guest/$2 test
	mkdir -p "$folder"
	for test in "${@:3}"; do
		cp "$(program "$test")" "$folder/$1.$test"
		echo "$1.$test||timeout -k 5 $limit_s $folder/$1.$test" >>"$folder/vm-tests.txt"
	done
}

# boot KERNEL: runs all that was kept for it, some letters of the alphabet at a time: a boot has its limit, too.
boot() {
	local letters
	say "booting the kernel $1 for $(wc -l <"$guest/$1/vm-tests.txt") programs"
	for letters in a-f g-l m-r s-z; do
		# Most of them fail, as they should.
		"$src/interop-tests/vm/run.sh" --kernel "$1" --build "$guest/$1" "^[$letters]" >>"$guest/$1/log" 2>&1
	done
}

# recall NAME: as run_program does, of what $name's programs did in the guest: "FAILED NAME SECONDS s status 1", and
# what was printed, by four columns to the right.
recall() {
	awk -v name="$name.$1" '/^[a-zA-Z]+ / { on = $2 == name } on' "$guest/$kernel/log" >"$out"
	local ended
	read -r ended < <(head -n 1 "$out")
	sed -i -n 's/^    //p' "$out"
	case $ended in
	ok*) return 0 ;;
	*' more than '*) return 124 ;;
	*' signal '*) return $((128 + ${ended##* })) ;;
	*' status '*) return "${ended##* }" ;;
	skipped*) return 77 ;;
	*) return 1 ;;
	esac
}

# The first assertion that failed: "test_array.c:12 name_of_the_test: what is wrong".
failure() { grep -a -m 1 '^FAILED ' "$out" | cut -c 8-160 | grep .; }

# Which test was on when the program broke off.
last_test() { sed -n 's/^TEST //p' "$out" | tail -n 1; }

# judge RUN TEST...: what the tests, which RUN runs, say of a mutant. Sets `verdict` and `detail`.
judge() {
	local test status tests=("${@:2}")
	verdict=SURVIVED
	for test in "${tests[@]}"; do
		status=0
		"$1" "$test" || status=$?
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

# One mutant is in the sources. No verdict: it is for the guest.
try() {
	local tests
	read -r -a tests <<<"$(field Tests "$1")"
	kernel=$(field Guest "$1")
	if ! make_tests "${tests[@]}"; then
		verdict='DOES NOT BUILD' detail=$(grep -m 1 'error:' "$scratch/log")
	elif [ -n "$kernel" ]; then
		keep "$name" "$kernel" "${tests[@]}"
	else
		judge run_program "${tests[@]}"
	fi
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

# report PATCH: a line of what became of it.
declare -A counted=()
report() {
	excuse "$1"
	counted[$verdict]=$((${counted[$verdict]:-0} + 1))
	printf '%-48s %-10s %s\n' "$name" "$verdict" "$detail"
}

patches=()
choose "$@"
# Those of each kernel, and of none.
declare -A tests_of=()
for file in "${patches[@]}"; do
	kernel=$(field Guest "$file")
	tests_of[${kernel:-none}]+=" $(field Tests "$file")"
done
for kernel in "${!tests_of[@]}"; do
	tests_of[$kernel]=$(xargs -n 1 <<<"${tests_of[$kernel]}" | sort -u | xargs)
done
read -r -a all_tests <<<"${tests_of[*]}"

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
for kernel in "${!tests_of[@]}"; do
	for name in ${tests_of[$kernel]}; do
		if [ "$kernel" != none ]; then
			keep unchanged "$kernel" "$name"
		else
			run_program "$name" || die "the test $name fails as it is: $(failure || last_test)"
		fi
	done
done

# Lines may have moved, but not changed.
readonly apply=(patch -s -p1 -F0 --no-backup-if-mismatch -r -)
for file in "${patches[@]}"; do
	name=${file##*/} name=${name%.patch} verdict='' detail=''
	if "${apply[@]}" --dry-run <"$file" >"$scratch/log" 2>&1; then
		"${apply[@]}" <"$file"
		try "$file"
		"${apply[@]}" -R <"$file" || die "$name cannot be taken back"
	else
		verdict='DOES NOT APPLY' detail=$(head -n 1 "$scratch/log")
	fi
	[ -z "$verdict" ] || report "$file"
done

for kernel in "${!tests_of[@]}"; do
	[ "$kernel" != none ] || continue
	boot "$kernel"
	name=unchanged
	for test in ${tests_of[$kernel]}; do
		recall "$test" && continue
		tail -n 25 "$guest/$kernel/log" >&2
		die "the test $test fails as it is: $(failure || last_test)"
	done
	for file in "${patches[@]}"; do
		name=${file##*/} name=${name%.patch}
		if [ -e "$guest/$kernel/$name.$(field Tests "$file" | cut -d ' ' -f 1)" ]; then
			# shellcheck disable=SC2046
			judge recall $(field Tests "$file")
			report "$file"
		fi
	done
done

# What can only hang or crash, and says why, is no assertion: it counts apart.
timed_out=${counted[timed out]:-0} crashed=${counted[crashed]:-0}
[ $((timed_out + crashed)) = 0 ] || echo "apart, as explained: $timed_out timed out, $crashed crashed"
caught=${counted[caught]:-0} of=$((${#patches[@]} - timed_out - crashed))
echo "caught $caught of $of"
[ "$caught" = "$of" ]
