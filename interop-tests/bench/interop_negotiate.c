/* SPDX-License-Identifier: MIT */
/* What a negotiation costs, from the parties to the answer and back to nothing. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include <stile/buffer.h>
#include <stile/format.h>
#include <stile/negotiate.h>

#include "interop-tests/bench/fence.h"
#include "interop-tests/bench/interop.h"

enum { PARTIES = 4, FORMATS = 32, MODIFIERS = 16, ALLOCATION_ROUNDS = 100 };

struct table {
	struct stile_party parties[PARTIES];
	struct stile_party_format formats[PARTIES][FORMATS];
	struct stile_party_modifier modifiers[PARTIES][FORMATS][MODIFIERS];
	struct stile_want want;
	int expected;
};

/* Formats that Stile knows, and then others. */
static uint32_t get_fourcc(size_t index) {
	const struct stile_format *format = stile_format_get_nth(index);
	return format != NULL ? format->fourcc : 0x3f3f3f00u + (uint32_t)index;
}

/* Where the i-th of `count` is in a party's list. */
typedef size_t (*order_fn)(size_t party, size_t i, size_t count);

static size_t in_order(size_t party, size_t i, size_t count) {
	(void)party;
	(void)count;
	return i;
}

/* Any two parties have another order. */
static size_t mixed(size_t party, size_t i, size_t count) {
	return (i * (2 * party + 3) + 7 * party) % count;
}

/* `apart`: so far are the modifiers of one party from those of the one before. */
static void fill(struct table *table, order_fn order, size_t apart, int expected) {
	for (size_t p = 0; p < PARTIES; p++) {
		for (size_t f = 0; f < FORMATS; f++) {
			struct stile_party_modifier *modifiers = table->modifiers[p][f];
			for (size_t m = 0; m < MODIFIERS; m++) {
				modifiers[order(p, m, MODIFIERS)].modifier = m + p * apart;
			}
			table->formats[p][order(p, f, FORMATS)] = (struct stile_party_format){
				.fourcc = get_fourcc(f),
				.modifiers = modifiers,
				.modifier_count = MODIFIERS,
			};
		}
		table->parties[p] = (struct stile_party){
			.size = sizeof(table->parties[p]),
			.name = "somebody",
			.formats = table->formats[p],
			.format_count = FORMATS,
			.device = 0xe280,
			.memory = STILE_MEMORY_DMA_BUF,
			.allocates = STILE_MEMORY_DMA_BUF,
			.sync = STILE_SYNC_FILE | STILE_SYNC_CPU,
			.flags = p == PARTIES - 1 ? STILE_PARTY_OPTIONAL | STILE_PARTY_SCANOUT : 0,
		};
	}
	table->want = (struct stile_want){
		.size = sizeof(table->want),
		.width = 3840,
		.height = 2160,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.ladder = STILE_STEP_CPU_COPY,
	};
	table->expected = expected;
}

static int64_t run_negotiation(void *data, size_t n) {
	const struct table *table = data;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		struct stile_layout layout = { .size = sizeof(layout) };
		struct stile_report report = { .size = sizeof(report) };
		int ret = stile_negotiate(table->parties, PARTIES, &table->want, &layout, &report);
		if ((ret == 0) != (table->expected == 0)) {
			fprintf(stderr, "interop: %s\n", report.text);
			abort();
		}
		stile_layout_fini(&layout);
	}
	return bench_now() - began;
}

static void report_us(
	const char *name, const struct bench_way *way, const char *goal, double most) {
	struct bench_row row = {
		.value = way->median / 1000,
		.unit = "us",
		.goal = goal,
		.met = way->median <= most * 1000,
	};
	snprintf(row.name, sizeof(row.name), "%s", name);
	interop_report(row);
}

static void report_allocations(struct table *table) {
	uint64_t before = count_allocations();
	run_negotiation(table, ALLOCATION_ROUNDS);
	struct bench_row row = {
		.value = (double)(count_allocations() - before) / ALLOCATION_ROUNDS,
		.unit = "allocs",
		.goal = "value <= 5",
	};
	row.met = row.value <= 5;
	snprintf(row.name, sizeof(row.name), "negotiate 4 x 32 x 16, allocations");
	interop_report(row);
}

/*
 * In so small a program each answer of 200 KiB is the top of the heap, which the C library gives back to the kernel
 * and gets anew, page by page: half of what is to be measured. Programs that negotiate have larger heaps.
 */
static void keep_heap(void) {
	(void)mallopt(M_TRIM_THRESHOLD, 16 << 20);
}

int interop_bench_negotiate(void) {
	static struct table same, other_order, disjoint;
	fill(&same, in_order, 0, 0);
	fill(&other_order, mixed, 0, 0);
	/* None of the modifiers is LINEAR but the first party's first. */
	fill(&disjoint, mixed, MODIFIERS, -1);
	struct bench_way ways[] = {
		{ .run = run_negotiation, .data = &same },
		{ .run = run_negotiation, .data = &other_order },
		{ .run = run_negotiation, .data = &disjoint },
	};
	keep_heap();
	fence_pin(0);
	bench_measure(ways, sizeof(ways) / sizeof(ways[0]));
	fence_unpin();
	report_us("negotiate 4 x 32 x 16", &ways[0], "value <= 50 us", 50);
	report_us("negotiate 4 x 32 x 16, other order", &ways[1], "value <= 50 us", 50);
	report_us("negotiate 4 x 32 x 16, nothing fits", &ways[2], "value <= 50 us", 50);
	report_allocations(&other_order);
	return 0;
}
