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

/** The same for the one that 99 of 100 do not exceed. */
double bench_p99(double *samples, size_t n);

/* sample.c: what is too short to be timed once. */

/** One way to do something. */
struct bench_way {
	int64_t (*run)(void *data, size_t n); /* do it n times: ns that took */
	void *data;
	/* Filled in: ns for once. */
	double median, p99;
};

/** Measure several ways in turns, so that what else the machine does falls on all of them alike. */
void bench_measure(struct bench_way *ways, size_t count);

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
int bench_fence(void);
/** What bench_fence() has run under trace_count(): signals, for which nobody or somebody waits. */
int bench_fence_traced_alone(void);
int bench_fence_traced_awaited(void);
int bench_fence_traced_seqno_alone(void);
int bench_fence_traced_seqno_awaited(void);
/** The other process of a part of bench_fence(). */
int bench_fence_other_process(void);
int bench_resv(void);
/** What bench_resv() has run under trace_count(): queries, while another thread adds. */
int bench_resv_traced_query(void);
int bench_buffer(void);
int bench_kernel(void);
/** What bench_kernel() has run under trace_count(): an access that nobody, that somebody outside is in. */
int bench_kernel_traced_alone(void);
int bench_kernel_traced_pending(void);
int bench_interop(void);
/** The other process of a part of bench_interop(). */
int bench_interop_ring_consumer(void);

/* What the parts of the group "resv" share, beside fence.h. */

/** Print a row of the group; strings that are left out are empty. */
void resv_report(struct bench_row row);
/** One that is measured in ns and compared with nothing. */
void resv_report_ns(const char *name, double ns, const char *goal, bool met);

/* The parts. 0, or -errno if it cannot run here. */
int resv_bench_access(void);
int resv_bench_fences(void);
int resv_bench_lock(void);

#endif
