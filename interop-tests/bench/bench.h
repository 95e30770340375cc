/* SPDX-License-Identifier: MIT */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vulkan/vulkan.h>

/** One line of the table and one object of the JSON file. Names stay from release to release. */
struct bench_row {
	const char *group;
	char name[64];
	double value;
	const char *unit;
	const char *baseline_name; /* "" if there is none: then baseline and ratio are 0 */
	double baseline;
	double ratio;     /* as the goal has it */
	const char *goal; /* "" if there is none */
	bool met;         /* true also where there is no goal */
};

/** Print a row, and keep it for the JSON file. */
void bench_report(const struct bench_row *row);

int64_t bench_now(void);

/** The median of n samples, which are sorted by this. */
double bench_median(double *samples, size_t n);

/* count.c: what happens on the way. */

/** Allocations made by the code of Stile's libraries, by all threads, since the program began. */
uint64_t count_allocations(void);

/** Objects created in drivers through the entry points below. */
uint64_t count_objects(void);
PFN_vkVoidFunction VKAPI_PTR count_instance_proc(VkInstance instance, const char *name);
void (*count_egl_proc(const char *name))(void);

/* trace.c: system calls. */

/** In the traced program: what lies between is counted. */
void trace_begin(void);
void trace_end(void);
/** In the traced program, first of all. */
void trace_me(void);
/** Run this program with `argument` and count: calls between begin and end, or -errno. */
int64_t trace_count(const char *argument);

/* The groups. Each returns 0, or -errno if it cannot run here, having said why. */
int bench_handoff(void);
/** What bench_handoff() has run under trace_count(). */
int bench_handoff_traced(void);

#endif
