#!/bin/sh
# SPDX-License-Identifier: MIT
# docs.sh SOURCE: is what each public declaration has to say there?
#   functions      a comment right before, with @since
#                  STILE_MUST_CHECK: @retval 0, at least one other @retval, and @param for each parameter
#                  other functions that give an int: @retval or @return
#   @retval        0, 1, negative, other or -Exxx; each -Exxx is explained in docs/errors.md
#   struct, enum, typedef
#                  a comment right before its definition; types that are declared only, and those with
#                  private fields or immutable ones, have a Thread-safety: line
#   struct x;      is a type with a comment somewhere
set -eu
cd "$1"
# shellcheck disable=SC2016
awk -v errors="$(cat docs/errors.md)" '
	function complain(what) {
		printf "%s:%d: %s\n", FILENAME, FNR, what
		bad = 1
	}
	function check_function(text,    name, list, n, i, p) {
		match(text, /stile_[a-z0-9_]+ *\(/)
		name = substr(text, RSTART, RLENGTH - 1)
		functions++
		if (comment == "") { complain(name ": no comment"); return }
		if (comment !~ /@since [0-9]+\.[0-9]+/) { complain(name ": no @since") }
		if (text ~ /STILE_MUST_CHECK/) {
			if (comment !~ /@retval 0 /) { complain(name ": no @retval 0") }
			if (gsub(/@retval/, "@retval", comment) < 2) { complain(name ": no failure is listed") }
			list = substr(text, RSTART + RLENGTH)
			sub(/\).*/, "", list)
			n = split(list, p, /,/)
			for (i = 1; i <= n; i++) {
				gsub(/\[[0-9]*\]| *$/, "", p[i])
				match(p[i], /[a-z0-9_]+$/)
				p[i] = substr(p[i], RSTART)
				if (p[i] == "void") { continue }
				if (comment !~ ("@param(\\[out\\])? +" p[i] " ")) { complain(name ": no @param " p[i]) }
			}
		} else if (text ~ /^STILE_API int / && comment !~ /@ret(val|urn)/) {
			complain(name ": nothing about what it gives")
		}
	}
	function check_type(name, complete) {
		if (comment == "") {
			if (complete) { complain(name ": no comment") } else { mentioned[name] = FILENAME ":" FNR }
			return
		}
		documented[name] = 1
		types++
		if ((!complete || comment ~ /private|[Ii]mmutable/) && comment !~ /Thread-safety: /) {
			complain(name ": no Thread-safety: line")
		}
	}

	/^\/\*\*/ { comment = ""; in_comment = 1 }
	in_comment {
		line = $0
		sub(/^[ \t]*\*+/, "", line)
		comment = comment " " line " "
		if (/@retval/) {
			code = $3
			if (code !~ /^(0|1|negative|other|-E[A-Z0-9]+)$/) { complain("@retval " code) }
			if (code ~ /^-E/ && index(errors, "`" code "`") == 0) { complain(code " is not in docs/errors.md") }
		}
		if (/\*\//) { in_comment = 0; fresh = 1 }
		next
	}
	/^STILE_API/ { text = ""; in_function = 1 }
	in_function {
		text = text " " $0
		if (/;/) { sub(/^ /, "", text); check_function(text); in_function = 0; comment = "" }
		next
	}
	/^struct stile_[a-z0-9_]+;/ { sub(/;/, "", $2); check_type("struct " $2, 0) }
	/^(struct|enum) stile_[a-z0-9_]+ \{/ { check_type($1 " " $2, 1) }
	/^typedef/ && comment == "" { complain("typedef without a comment") }
	{ comment = "" }

	END {
		for (name in mentioned) {
			if (!(name in documented)) { print mentioned[name] ": " name " is declared and nowhere described"; bad = 1 }
		}
		print "checked: " functions " functions, " types " types"
		exit bad || functions == 0 || types == 0
	}' include/stile/*.h include/stile/*.h.in
