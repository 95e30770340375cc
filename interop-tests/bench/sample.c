/* SPDX-License-Identifier: MIT */
#include "interop-tests/bench/bench.h"

#include <stdlib.h>

enum { SAMPLES = 101, SAMPLE_NS = 1000000, WAYS = 4 };

/* How often a sample has to do it to take as long as a sample should. */
static size_t calibrate(const struct bench_way *way) {
	size_t n = 1;
	for (;;) {
		int64_t took_ns = way->run(way->data, n);
		if (took_ns >= SAMPLE_NS / 2) {
			size_t fit = (size_t)((double)n * SAMPLE_NS / (double)took_ns);
			return fit > 0 ? fit : 1;
		}
		n *= 2;
	}
}

void bench_measure(struct bench_way *ways, size_t count) {
	static double samples[WAYS][SAMPLES];
	size_t n[WAYS];
	if (count > WAYS) {
		abort();
	}
	for (size_t k = 0; k < count; k++) {
		n[k] = calibrate(&ways[k]);
	}
	for (size_t i = 0; i < SAMPLES; i++) {
		for (size_t k = 0; k < count; k++) {
			int64_t took_ns = ways[k].run(ways[k].data, n[k]);
			samples[k][i] = (double)took_ns / (double)n[k];
		}
	}
	for (size_t k = 0; k < count; k++) {
		ways[k].median = bench_median(samples[k], SAMPLES);
		ways[k].p99 = bench_p99(samples[k], SAMPLES);
	}
}
