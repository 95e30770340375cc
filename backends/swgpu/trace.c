/* SPDX-License-Identifier: MIT */
#include "backends/swgpu/trace.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "backends/swgpu/swgpu.h"
#include "src/os.h"

enum { LINE_BYTES = 512 };

struct trace {
	bool is_virtual;
	int64_t clock_ns; /* the virtual one; by atomic access */

	uint32_t lock;
	stile_swgpu_trace_fn fn; /* also read without the lock */
	void *user;
};

int trace_create(const struct profile *profile, struct trace **out) {
	*out = calloc(1, sizeof(**out));
	if (*out == NULL) {
		return -ENOMEM;
	}
	(*out)->is_virtual = profile->deterministic;
	return 0;
}

void trace_destroy(struct trace *trace) {
	free(trace);
}

bool trace_is_on(const struct trace *trace) {
	return __atomic_load_n(&trace->fn, __ATOMIC_RELAXED) != NULL;
}

void trace_set(struct trace *trace, stile_swgpu_trace_fn fn, void *user) {
	os_lock(&trace->lock);
	__atomic_store_n(&trace->fn, fn, __ATOMIC_RELAXED);
	trace->user = user;
	os_unlock(&trace->lock);
}

void trace_print(struct trace *trace, const char *fmt, ...) {
	if (!trace_is_on(trace)) {
		return;
	}
	char line[LINE_BYTES];
	int saved = errno;
	va_list args;
	/* With the lock: so that times do not fall from one line to the next. */
	os_lock(&trace->lock);
	int used = snprintf(line, sizeof(line), "%lld ", (long long)trace_get_clock(trace));
	va_start(args, fmt);
	vsnprintf(line + used, sizeof(line) - (size_t)used, fmt, args);
	va_end(args);
	if (trace->fn != NULL) {
		trace->fn(trace->user, line);
	}
	os_unlock(&trace->lock);
	errno = saved;
}

int64_t trace_get_clock(const struct trace *trace) {
	return trace->is_virtual ? __atomic_load_n(&trace->clock_ns, __ATOMIC_RELAXED)
				 : os_clock_ns();
}

void trace_advance(struct trace *trace, int64_t ns) {
	__atomic_store_n(&trace->clock_ns, trace_get_clock(trace) + ns, __ATOMIC_RELAXED);
}

/* ---- In public ----------------------------------------------------------------------------- */

int stile_swgpu_set_trace(struct stile_device *device, stile_swgpu_trace_fn fn, void *user) {
	struct swgpu *gpu = swgpu_get(device);
	if (gpu == NULL) {
		return -EINVAL;
	}
	trace_set(gpu->trace, fn, user);
	return 0;
}

int64_t stile_swgpu_get_clock(struct stile_device *device) {
	struct swgpu *gpu = swgpu_get(device);
	if (gpu == NULL || !gpu->profile.deterministic) {
		return -EINVAL;
	}
	return trace_get_clock(gpu->trace);
}
