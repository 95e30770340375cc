#!/bin/sh
# SPDX-License-Identifier: MIT
# rules.sh SOURCE: does docs/kernel-mapping.md say of each rule of docs/kernel-contract.md about fences (F, A, C, U, S, W,
# L, X), reservations (M, R), buffers (B, T, P, D), what the kernel makes buffers of (V, H) and syncobjs (Y) which tests show it,
# or why it does not apply? Each test named has to exist.
#   | F-1 | what it is about | `name_of_a_test`, `another` |
#   | X-7 | what it is about | not here: the reason |
set -eu
cd "$1"
mapping=docs/kernel-mapping.md
bad=0
complain() {
	echo "$mapping: $1"
	bad=1
}

rules=$(grep -o -E '^\* \*\*[FACUSWLXMRBTPDVHY]-[0-9]+' docs/kernel-contract.md | sed 's/.*\*//')
[ "$(echo "$rules" | wc -l)" -ge 167 ] || complain "found only these rules in the contract: $rules"
tests=$(grep -rho --include='*.c' 'START_TEST([a-z0-9_]*)' interop-tests | sed 's/START_TEST(\(.*\))/\1/' | sort)

for rule in $rules; do
	row=$(grep "^| $rule |" "$mapping" || true)
	case $row in
	'') complain "$rule: no row" ;;
	*'
'*) complain "$rule: more than one row" ;;
	*'| not here: '*) ;;
	*)
		# shellcheck disable=SC2016
		names=$(echo "$row" | sed 's/^|[^|]*|[^|]*|//' | grep -o '`[a-z0-9_]*`' | tr -d '`') ||
			complain "$rule: neither a test nor \"not here: \""
		for name in $names; do
			echo "$tests" | grep -q -x -F "$name" || complain "$rule: there is no test $name"
		done
		;;
	esac
done
echo "$(echo "$rules" | wc -l) rules"
exit $bad
