/* SPDX-License-Identifier: MIT */
/* What is done with fences: listening, looking, sending them through a descriptor. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stile/stile.h>

#include "interop-tests/bench/fence.h"

static uint64_t context;

/* ---- Callbacks, looking --------------------------------------------------------------------- */

enum { CALLBACKS = 64 };

static size_t called;

static void note_call(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	(void)callback;
	called++;
}

/* n callbacks, many to a fence. */
static int64_t run_callbacks(void *data, size_t n) {
	static struct stile_callback callbacks[CALLBACKS];
	struct stile_fence *fence = data;
	size_t expected = called + n;
	int64_t began = bench_now();
	while (n > 0) {
		size_t count = n < CALLBACKS ? n : CALLBACKS;
		fence_make(fence, context, 1);
		for (size_t i = 0; i < count; i++) {
			if (stile_fence_add_callback(fence, &callbacks[i], note_call) < 0) {
				abort();
			}
		}
		stile_fence_signal(fence);
		stile_fence_unref(fence);
		n -= count;
	}
	int64_t ended = bench_now();
	if (called != expected) {
		abort();
	}
	return ended - began;
}

static int64_t run_is_signaled(void *data, size_t n) {
	struct stile_fence *fence = data;
	size_t signaled = 0;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		signaled += stile_fence_is_signaled(fence);
	}
	int64_t ended = bench_now();
	if (signaled != n) {
		abort();
	}
	return ended - began;
}

/* What a call into the library costs that does next to nothing. */
static int64_t run_getter(void *data, size_t n) {
	const struct stile_fence *fence = data;
	uint64_t sum = 0;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		sum += stile_fence_get_seqno(fence);
	}
	int64_t ended = bench_now();
	if (sum != n) {
		abort();
	}
	return ended - began;
}

static void measure_small(void) {
	struct stile_fence with_callbacks, signalled;
	fence_make(&signalled, context, 1);
	stile_fence_signal(&signalled);
	struct bench_way ways[] = {
		{ .run = run_callbacks, .data = &with_callbacks },
		{ .run = run_is_signaled, .data = &signalled },
		{ .run = run_getter, .data = &signalled },
	};
	bench_measure(ways, 3);
	fence_report_way(
		"callback added and run", &ways[0], "value <= 40 ns", ways[0].median <= 40);
	fence_report_way(
		"is_signaled of a signalled one", &ways[1], "value <= 2 ns", ways[1].median <= 2);
	fence_report((struct bench_row){
		.name = "is_signaled against a getter",
		.value = ways[1].median,
		.unit = "ns",
		.baseline_name = "get_seqno",
		.baseline = ways[2].median,
		.ratio = ways[1].median / ways[2].median,
	});
	stile_fence_unref(&signalled);
}

/* ---- The software sync file ----------------------------------------------------------------- */

static int64_t run_sync_file(void *data, size_t n) {
	struct stile_device *device = data;
	struct stile_fence fence, *imported;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		int fd;
		fence_make(&fence, context, i);
		if (stile_fence_export_fd(&fence, STILE_FD_SOFTWARE_SYNC_FILE, 0, NULL, &fd) < 0) {
			abort();
		}
		stile_fence_signal(&fence);
		if (stile_fence_import_fd(device, STILE_FD_SOFTWARE_SYNC_FILE, 0, fd, &imported) <
				0 ||
			!stile_fence_is_signaled(imported)) {
			abort();
		}
		stile_fence_unref(imported);
		close(fd);
		stile_fence_unref(&fence);
	}
	return bench_now() - began;
}

/* As many bytes as a record of Stile's has. */
enum { RECORD_BYTES = 96 };

static void send_and_peek(const int ends[2], int holder) {
	char record[RECORD_BYTES] = { 1 };
	if (send(ends[0], record, sizeof(record), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		abort();
	}
	close(ends[0]);
	if (recv(holder, record, sizeof(record), MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC) !=
		sizeof(record)) {
		abort();
	}
}

static int64_t run_socket(void *data, size_t n) {
	(void)data;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		int ends[2];
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
			abort();
		}
		send_and_peek(ends, ends[1]);
		close(ends[1]);
	}
	return bench_now() - began;
}

/* With a holder who keeps a descriptor of its own, and none who can write for the producer. */
static int64_t run_careful_socket(void *data, size_t n) {
	(void)data;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		int ends[2], holder;
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0 ||
			shutdown(ends[1], SHUT_WR) < 0 || (holder = dup(ends[1])) < 0) {
			abort();
		}
		send_and_peek(ends, holder);
		close(holder);
		close(ends[1]);
	}
	return bench_now() - began;
}

static int measure_sync_file(void) {
	struct stile_device *device;
	int ret = stile_device_open("swgpu", NULL, &device);
	if (ret < 0) {
		return ret;
	}
	struct bench_way ways[] = {
		{ .run = run_sync_file, .data = device },
		{ .run = run_socket },
		{ .run = run_careful_socket },
	};
	bench_measure(ways, 3);
	fence_report((struct bench_row){
		.name = "sync file, sent and looked at",
		.value = ways[0].median,
		.unit = "ns",
		.baseline_name = "socketpair, send, peek",
		.baseline = ways[1].median,
		.ratio = ways[0].median / ways[1].median,
		.goal = "value <= 1.3 x baseline",
		.met = ways[0].median <= 1.3 * ways[1].median,
	});
	fence_report((struct bench_row){
		.name = "sync file, against careful sockets",
		.value = ways[0].median,
		.unit = "ns",
		.baseline_name = "and shutdown, dup, close",
		.baseline = ways[2].median,
		.ratio = ways[0].median / ways[2].median,
	});
	fence_report_way("sync file", &ways[0], NULL, true);
	stile_device_destroy(device);
	return 0;
}

int fence_bench_core(void) {
	context = stile_fence_context_alloc(1);
	measure_small();
	return measure_sync_file();
}
