/* SPDX-License-Identifier: MIT */
/* stile-bench [GROUP...] [--json FILE] */
#include "interop-tests/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
	const char *name;
	int (*run)(void);
} groups[] = {
	{ "handoff", bench_handoff },
	{ "fence", bench_fence },
	{ "resv", bench_resv },
	{ "buffer", bench_buffer },
	{ "kernel", bench_kernel },
	{ "interop", bench_interop },
};

/* What groups have this program run for them, as another process. */
static const struct {
	const char *argument;
	int (*run)(void);
	bool traced;
} others[] = {
	{ "--handoff-traced", bench_handoff_traced, true },
	{ "--fence-traced-alone", bench_fence_traced_alone, true },
	{ "--fence-traced-awaited", bench_fence_traced_awaited, true },
	{ "--fence-traced-seqno-alone", bench_fence_traced_seqno_alone, true },
	{ "--fence-traced-seqno-awaited", bench_fence_traced_seqno_awaited, true },
	{ "--fence-other-process", bench_fence_other_process, false },
	{ "--resv-traced-query", bench_resv_traced_query, true },
	{ "--kernel-traced-alone", bench_kernel_traced_alone, true },
	{ "--kernel-traced-pending", bench_kernel_traced_pending, true },
	{ "--interop-ring-consumer", bench_interop_ring_consumer, false },
};

static struct bench_row rows[256];
static size_t row_count;

int64_t bench_now(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int compare(const void *left, const void *right) {
	double a = *(const double *)left, b = *(const double *)right;
	return a < b ? -1 : a > b;
}

double bench_median(double *samples, size_t n) {
	qsort(samples, n, sizeof(*samples), compare);
	return samples[n / 2];
}

double bench_p99(double *samples, size_t n) {
	qsort(samples, n, sizeof(*samples), compare);
	return samples[n - 1 - n / 100];
}

static void print_head(void) {
	printf("%-9s %-38s %12s %-8s %-26s %12s %8s  %s\n", "group", "name", "value", "unit",
		"baseline", "", "ratio", "goal");
}

void bench_report(const struct bench_row *row) {
	char baseline[16] = "", ratio[16] = "";
	if (row->baseline_name[0] != '\0') {
		snprintf(baseline, sizeof(baseline), "%.1f", row->baseline);
		snprintf(ratio, sizeof(ratio), "%.2f", row->ratio);
	}
	printf("%-9s %-38s %12.1f %-8s %-26s %12s %8s  %s%s\n", row->group, row->name, row->value,
		row->unit, row->baseline_name, baseline, ratio, row->goal,
		row->goal[0] == '\0' ? ""
			: row->met   ? " (met)"
				     : " (MISSED)");
	fflush(stdout);
	if (row_count < LENGTH(rows)) {
		rows[row_count++] = *row;
	}
}

static int write_json(const char *path) {
	FILE *file = fopen(path, "we");
	if (file == NULL) {
		perror(path);
		return -1;
	}
	/* No name has a character that JSON would have escaped. */
	fprintf(file, "[\n");
	for (size_t i = 0; i < row_count; i++) {
		const struct bench_row *row = &rows[i];
		fprintf(file,
			"  {\"group\": \"%s\", \"name\": \"%s\", \"value\": %.3f, \"unit\": \"%s\", "
			"\"baseline_name\": \"%s\", \"baseline\": %.3f, \"ratio\": %.4f, "
			"\"goal\": \"%s\", \"met\": %s}%s\n",
			row->group, row->name, row->value, row->unit, row->baseline_name,
			row->baseline, row->ratio, row->goal, row->met ? "true" : "false",
			i + 1 < row_count ? "," : "");
	}
	fprintf(file, "]\n");
	return fclose(file);
}

static bool wanted(const char *group, char **names, size_t count) {
	for (size_t i = 0; i < count; i++) {
		if (strcmp(names[i], group) == 0) {
			return true;
		}
	}
	return count == 0;
}

static int usage(const char *word) {
	fprintf(stderr,
		"stile-bench: cannot use '%s'\nusage: stile-bench [GROUP...] [--json FILE]\n"
		"groups:",
		word);
	for (size_t i = 0; i < LENGTH(groups); i++) {
		fprintf(stderr, " %s", groups[i].name);
	}
	fprintf(stderr, "\n");
	return 2;
}

static bool is_group(const char *name) {
	bool found = false;
	for (size_t i = 0; i < LENGTH(groups); i++) {
		found = found || strcmp(groups[i].name, name) == 0;
	}
	return found;
}

int main(int argc, char **argv) {
	for (size_t i = 0; argc == 2 && i < LENGTH(others); i++) {
		if (strcmp(argv[1], others[i].argument) == 0) {
			if (others[i].traced) {
				trace_me();
			}
			return others[i].run() < 0;
		}
	}
	const char *json = NULL;
	size_t count = 0;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0 && i + 1 < argc) {
			json = argv[++i];
		} else if (is_group(argv[i])) {
			argv[count++] = argv[i];
		} else {
			return usage(argv[i]);
		}
	}
	int failed = 0;
	print_head();
	for (size_t i = 0; i < LENGTH(groups); i++) {
		if (wanted(groups[i].name, argv, count)) {
			/* What cannot run here has said so; that is a failure if it was asked for. */
			failed |= groups[i].run() < 0 && count > 0;
		}
	}
	if (json != NULL && write_json(json) != 0) {
		failed = 1;
	}
	/* A missed goal is a number in the table, not a failure: machines are noisy. */
	return failed;
}
