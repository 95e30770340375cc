#!/bin/sh
# SPDX-License-Identifier: MIT
# formats.sh SOURCE [--write]: is the table in docs/formats.md what src/format_table.inc says? With --write it becomes that.
set -eu
cd "$1"
page=docs/formats.md

# What is between the first line of the table and the first empty one.
make_table() {
	echo '| format | planes | bits | with alpha | VkFormat | R G B A in it | GL internal format, format, type |'
	echo '|---|---|---|---|---|---|---|'
	awk '
		function plane(text,    n, p) {
			n = split(text, p, /[ ,]+/)
			if (n != 4) { exit 1 }
			return p[1] (p[2] > 1 ? "/" p[2] : "") (p[3] * p[4] > 1 ? " at " p[3] " x " p[4] : "")
		}
		/^(RGB|YUV)\(/ {
			is_yuv = /^YUV/
			sub(/^...\(/, "")
			sub(/\)$/, "")
			planes = ""
			if (is_yuv) {
				match($0, /\(.*\)/)
				inner = substr($0, RSTART + 1, RLENGTH - 2)
				sub(/\(.*\)/, "PLANES")
				count = split(inner, parts, /[{}]/)
				for (i = 2; i <= count; i += 2) {
					gsub(/^ +| +$/, "", parts[i])
					planes = planes (planes == "" ? "" : ", ") plane(parts[i])
				}
			}
			split($0, f, /, */)
			order = is_yuv ? f[9] : f[8]
			vk = is_yuv ? f[8] : f[7]
			gsub(/./, "& ", order)
			sub(/ $/, "", order)
			printf "| %s | %s | %s%s | %s | %s | %s | %s |\n", f[1], is_yuv ? planes : f[4], f[5],
				f[6] == "true" ? " float" : "", f[3] == "INVALID" ? "" : f[3],
				vk == "UNDEFINED" ? "" : vk, vk == "UNDEFINED" ? "" : order,
				is_yuv || f[9] == "NONE" ? "" : f[9] ", " f[10] ", " f[11]
			rows++
		}
		END { exit rows == 0 }' src/format_table.inc
}

table=$(mktemp)
trap 'rm -f "$table" "$table.page"' EXIT
make_table >"$table"
awk -v table="$table" '
	/^\| format \|/ {
		while ((getline line < table) > 0) { print line }
		inside = 1
	}
	inside && $0 == "" { inside = 0 }
	!inside { print }' $page >"$table.page"
if [ "${2:-}" = --write ]; then
	cp "$table.page" $page
elif ! diff -u $page "$table.page"; then
	echo "$page is not what src/format_table.inc says: interop-tests/consumer/formats.sh . --write"
	exit 1
fi
