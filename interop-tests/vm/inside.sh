#!/bin/sh
# SPDX-License-Identifier: MIT
# inside.sh LIST: runs the tests in LIST (lines of NAME|VARIABLES|COMMAND), three at a time, for several only wait. For
# busybox's shell, in the guest: a process that is started costs 25 ms there.
#
# A line for each as it ends: ok|skipped|FAILED NAME SECONDS REASON. What a failed one printed follows, indented.
set -u
readonly list="$1"
readonly limit_s=240
state=$(mktemp -d)
readonly state
export CK_FORK=no
# QEMU emulates vectors of 256 bits by twice the code: what llvmpipe draws with 128 takes two thirds of the time.
export LP_NATIVE_VECTOR_WIDTH=128
# What is used here comes out of memory; tests find what they would find otherwise.
readonly tests_path="$PATH"
PATH=/run/bin:$PATH

# Seconds since the guest started, with two decimals.
now() {
	read -r seconds _ </proc/uptime
	echo "$seconds"
}

# outcome STATUS: what an exit status says, and why.
outcome() {
	case $1 in
	0) echo "ok" ;;
	77) echo "skipped" ;;
	124 | 137 | 143) echo "FAILED more than $limit_s s" ;;
	1[3-9]?) echo "FAILED signal $(($1 - 128))" ;;
	*) echo "FAILED status $1" ;;
	esac
}

# run NAME VARIABLES COMMAND: one test, in a folder of its own.
run() {
	began=$(now)
	mkdir "$state/$1"
	(cd "$state/$1" && PATH=$tests_path && eval "$2 /run/bin/setsid /run/bin/timeout -k 5 $limit_s $3") </dev/null >"$state/$1.out" 2>&1
	what=$(outcome $?)
	# The last thing that a program which does not run says is why.
	[ "$what" != skipped ] || what="skipped $(tail -n 1 "$state/$1.out")"
	until mkdir "$state/printing" 2>/dev/null; do usleep 20000; done
	echo "${what%% *} $1 $began $(now) ${what#* }" | awk '{
		reason = ""; for (i = 5; i <= NF; i++) { reason = reason " " $i }
		printf "%-7s %-32s %6.2f s%s\n", $1, $2, $4 - $3, $1 == "ok" ? "" : reason }'
	case $what in FAILED*) awk '{ print "    " $0 }' "$state/$1.out" ;; esac
	rmdir "$state/printing"
	rm -rf "${state:?}/$1"
}

# Takes what nobody has taken yet.
worker() {
	while IFS='|' read -r name variables command; do
		mkdir "$state/$name.taken" 2>/dev/null && run "$name" "$variables" "$command"
	done <"$list"
}

worker &
worker &
worker
wait
