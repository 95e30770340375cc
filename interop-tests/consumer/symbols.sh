#!/bin/sh
# SPDX-License-Identifier: MIT
# symbols.sh SCRATCH SOURCE: for each library, what the map lists, what its headers declare STILE_API and
# what the shared library exports are the same.
set -eu
source=$2
libdir=$1/shared/lib
rc=0

# Names that the headers given declare STILE_API.
declared() {
	awk '
		{ sub(/\/\/.*/, "") }
		/^#/ { next }
		/^STILE_API/ { inside = 1; text = "" }
		inside { text = text " " $0 }
		inside && /;/ {
			match(text, /stile_[a-z0-9_]+ *\(/)
			name = substr(text, RSTART, RLENGTH - 1)
			sub(/ +$/, "", name)
			print name
			inside = 0
		}' "$@" | LC_ALL=C sort
}

listed() { sed -n 's/^[[:space:]]*\(stile_[a-z0-9_]*\);.*/\1/p' "$1" | LC_ALL=C sort; }

# The map's version is a symbol, too; every exported one belongs to a version.
exported() {
	nm -D --defined-only "$1" | awk '
		$2 == "A" { next }
		$3 !~ /@@STILE_[0-9]+\.[0-9]+$/ { print $3 " (without a version)"; next }
		{ sub(/@@.*/, "", $3); print $3 }' | LC_ALL=C sort
}

compare() {
	if [ "$2" != "$4" ]; then
		echo "$1 and $3 differ (< only $1, > only $3):"
		a=$(mktemp) b=$(mktemp)
		echo "$2" >"$a"
		echo "$4" >"$b"
		diff "$a" "$b" | grep '^[<>]' || true
		rm -f "$a" "$b"
		rc=1
	fi
}

for library in "$libdir"/libstile*.so; do
	name=$(basename "$library" .so)
	name=${name#lib}
	part=${name#stile-}
	if [ "$name" = stile ]; then
		map=$source/src/stile.map
		headers=$(ls "$source"/include/stile/*.h "$source"/include/stile/*.h.in)
		for adapter in "$libdir"/libstile-*.so; do
			adapter=$(basename "$adapter" .so)
			headers=$(echo "$headers" | grep -v "/${adapter#libstile-}\(_[a-z]*\)\{0,1\}\.h$")
		done
	else
		map=$source/src/$part/$name.map
		headers=$(ls "$source/include/stile/$part.h" "$source/include/stile/${part}"_*.h 2>/dev/null || true)
	fi
	in_map=$(listed "$map")
	# shellcheck disable=SC2086
	in_headers=$(declared $headers)
	in_library=$(exported "$library")
	compare "$name.map" "$in_map" "headers" "$in_headers"
	compare "$name.map" "$in_map" "lib$name.so" "$in_library"
	[ -n "$in_map" ] || { echo "$name.map lists nothing" && rc=1; }
	echo "checked: lib$name.so, $(echo "$in_map" | wc -l) symbols"
done
exit $rc
