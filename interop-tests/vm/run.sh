#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# run.sh --build DIR [--kernel stock|own|6.1] [--root trixie] [--accept] [--slow | TEST-REGEX...]: run the tests that meet
# a kernel in one boot, and compare what ran and what was skipped with expected/KERNEL[-ROOT].txt.
# run.sh [...] [--time instructions] --shell COMMAND [ARGUMENT...]: run that instead, here; under --root in the
# project's folder. --time as boot.sh's.
#
# Slow tests (stile_vm_test) run only if they are named, or with --slow, which runs no others. --accept writes down what
# was seen. 0 only if nothing failed and the list is right.
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
# shellcheck source-path=SCRIPTDIR source=packages.sh
. "$here/packages.sh"
readonly project=${here%/*/*} limit_s=900

kernel=stock root='' build='' time='' accept=0 slow=0 shell=() patterns=()
while [ $# -gt 0 ]; do
	case $1 in
	--build | --kernel | --root | --time)
		[ $# -gt 1 ] || die "$1 needs an argument" 2
		declare "${1#--}=$2"
		shift
		;;
	--accept | --slow) declare "${1#--}=1" ;;
	--shell)
		shell=("${@:2}")
		[ ${#shell[@]} != 0 ] || shell=(sh -c 'uname -a; ls /dev/dri')
		break
		;;
	-*) die "run.sh: no option '$1'" 2 ;;
	*) patterns+=("$1") ;;
	esac
	shift
done
[ "$slow" = 0 ] || [ ${#patterns[@]} = 0 ] || die "--slow and '${patterns[*]}' are two choices" 2
[ -z "$build" ] || build=$(realpath "$build")
readonly name=$kernel${root:+-$root}
readonly expected=$here/expected/$name.txt results=$project/build/results

boot=("$here/boot.sh" --limit "$limit_s")
folder=$("$here/kernel.sh" "$kernel")
boot+=(--kernel "$folder")
[ -z "$time" ] || boot+=(--time "$time")
if [ -n "$root" ]; then
	folder=$("$here/root.sh" "$root")
	boot+=(--root "$folder" --show "$project")
	case $build in '' | "$project"/*) ;; *) boot+=(--show "$build") ;; esac
	cd "$project"
fi
[ ${#shell[@]} = 0 ] || exec "${boot[@]}" -- "${shell[@]}"

[ -n "$build" ] || die "--build is missing" 2
[ -s "$build/vm-tests.txt" ] || die "$build has no vm-tests.txt: it was not configured with tests"
scratch=$(mktemp -d "$build/vm.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

# chosen LIST: those of its lines that are about tests which are to run. A name ends at a space or a bar.
chosen() {
	local pattern='' names
	names=$(sed -n 's/|STILE_TEST_SLOW=1.*//p' "$build/vm-tests.txt" | tr '\n' ' ')
	[ ${#patterns[@]} = 0 ] || pattern=$(printf '|(%s)' "${patterns[@]}")
	awk -F '[ |]' -v pattern="${pattern#|}" -v slow="$slow" -v names=" $names" \
		'pattern != "" ? $1 ~ pattern : (index(names, " " $1 " ") > 0) == slow' "$1"
}

# What became of each test, "NAME ok|skipped|FAILED SECONDS REASON": from what was printed, and for those that the
# guest did not get to, from that.
outcomes() {
	awk '/^(ok|skipped|FAILED) / { name = $2; what = $1; s = $3; $1 = $2 = $3 = $4 = ""; sub(/^ +/, "")
		print name, what, s, $0 }' "$scratch/output" | sort >"$scratch/seen"
	cut -d '|' -f 1 "$scratch/list" | sort | join -a 1 - "$scratch/seen" |
		awk '{ print NF == 1 ? $1 " FAILED 0 it did not end" : $0 }'
}

# As ctest writes it.
junit() {
	local test what seconds reason
	echo "<testsuite name=\"vm-$name\">"
	while read -r test what seconds reason; do
		printf '<testcase name="%s" classname="%s" time="%s"' "$test" "$test" "$seconds"
		case $what in
		ok) echo ' status="run"/>' ;;
		skipped) echo " status=\"notrun\"><skipped message=\"$reason\"/></testcase>" ;;
		*) echo " status=\"fail\"><failure message=\"$reason\"/></testcase>" ;;
		esac
	done < <(sed 's/&/\&amp;/g; s/</\&lt;/g; s/"/\&quot;/g' "$scratch/outcomes")
	echo "</testsuite>"
}

# How many ran: for each backend that tests name, and of the others.
count() {
	awk -F '|' -v outcomes="$scratch/outcomes" '
		BEGIN { while ((getline line <outcomes) > 0) { split(line, f, " "); what[f[1]] = f[2] } }
		{
			group = "no backend named"
			if (match($2, /STILE_TEST_BACKEND=[^ ]+/)) { group = substr($2, RSTART + 19, RLENGTH - 19) }
			groups[group]; n[group, what[$1]]++
		}
		END {
			for (g in groups) {
				printf "  %-20s %3d ran, %3d skipped, %3d failed\n", g, n[g, "ok"], n[g, "skipped"], n[g, "FAILED"]
			}
		}' "$scratch/list" | sort
}

# Those lines of the committed list that are about tests which were chosen: "NAME ok|skipped".
listed() { [ ! -e "$expected" ] || chosen "$expected"; }

write_expected() {
	awk '$2 != "FAILED" { print $1, $2 }' "$scratch/outcomes" >"$scratch/accepted"
	[ ! -e "$expected" ] || listed | grep -v -x -F -f - "$expected" >>"$scratch/accepted" || true
	sort "$scratch/accepted" >"$expected"
	say "written: interop-tests/vm/expected/${expected##*/}"
}

# What failed has been told; it is no news for the list.
compare() {
	sed -n 's/ FAILED .*//p' "$scratch/outcomes" >"$scratch/failed"
	listed | join -v 2 "$scratch/failed" - >"$scratch/before"
	sed -E '/ FAILED /d; s/^([^ ]+ [^ ]+).*/\1/' "$scratch/outcomes" >"$scratch/now"
	! diff "$scratch/before" "$scratch/now" >"$scratch/diff" || return 0
	say "not as interop-tests/vm/expected/${expected##*/} says (< the list, > seen):"
	grep '^[<>]' "$scratch/diff" >&2
	[ "$slow" = 0 ] || patterns=(--slow)
	say "if that is right: ./run vm-test --kernel $kernel${root:+ --root $root} --accept${patterns[*]:+ ${patterns[*]}}"
	return 1
}

chosen "$build/vm-tests.txt" >"$scratch/list"
[ -s "$scratch/list" ] || die "no test matches"
status=0
"${boot[@]}" -- /run/bin/busybox sh "$here/inside.sh" "$scratch/list" | tee "$scratch/output" || status=$?
outcomes >"$scratch/outcomes"
mkdir -p "$results"
junit >"$results/vm-$name.xml"
echo
echo "kernel $name:"
count
! grep ' FAILED ' "$scratch/outcomes" >&2 || status=1
if [ $accept = 1 ]; then
	write_expected
else
	compare || status=1
fi
exit $status
