#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What stile-own-exporter tells, word for word; of the library's own message, that it is about addresses.
# usage: test_own_exporter.sh PATH-OF-STILE-OWN-EXPORTER
set -u -o pipefail
rc=0
told=$("$1" | sed 's/^\(GPU 1:  \).*address.*/\1REFUSED/') || rc=$?
expected='camera: a device would like frame 1, at an address of 32 bits
GPU 1:  REFUSED
camera: a device would like frame 1, at any address
GPU 2:  mapped; pieces for the CPU: 1, for the device: 4
CPU:    marks: 4
camera: frame 0 is back
camera: frame 1 is back'
if [ "$rc" != 0 ] || [ "$told" != "$expected" ]; then
	printf 'own-exporter: status %s, and it told:\n%s\nexpected:\n%s\n' "$rc" "$told" "$expected"
	exit 1
fi
