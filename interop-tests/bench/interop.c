/* SPDX-License-Identifier: MIT */
/* What it costs to bring several APIs together. The parts are in interop_*.c. */
#include <stdio.h>
#include <string.h>

#include "interop-tests/bench/interop.h"

void interop_report(struct bench_row row) {
	row.group = "interop";
	row.baseline_name = row.baseline_name == NULL ? "" : row.baseline_name;
	row.met = row.goal == NULL || row.met;
	row.goal = row.goal == NULL ? "" : row.goal;
	bench_report(&row);
}

int bench_interop(void) {
	static int (*const parts[])(void) = {
		interop_bench_negotiate,
		interop_bench_import,
		interop_bench_handover,
		interop_bench_ring,
	};
	int ret = 0;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		int part = parts[i]();
		if (part < 0) {
			fprintf(stderr, "interop: some of it cannot be measured here: %s\n",
				strerror(-part));
			ret = part;
		}
	}
	return ret;
}
