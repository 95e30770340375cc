/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_TWIN_H
#define KERNEL_TWIN_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <check.h>

/*
 * The same objects twice: the kernel's, by nothing but its system calls (twin_kernel_world.c), and
 * the library's own, by nothing but its functions (twin_stile_world.c). A test is written once, and
 * runs in every world that is here and has what it needs: what passes in two of them is the same in
 * both. Where they differ, twin_either() says so in the test, and docs/kernel-differences.md why.
 *
 *     START_TEST(something_is_so) {
 *             twin_begin(_i);
 *             struct twin_fence *fence = ops->fence_create();
 *             ...
 *     }
 *     twin_add(tcase, something_is_so, TWIN_BUFFERS);
 *
 * Whatever was made in a world is given up when the test ends, but for plain descriptors and
 * mappings.
 */

/** What a world has. */
enum {
	TWIN_FAILS = 1u << 0,     /* fences that end with -ENOENT */
	TWIN_ORDERED = 1u << 1,   /* several fences of one context */
	TWIN_DEADLINES = 1u << 2, /* deadlines */
	TWIN_TELLS = 1u << 7,     /* fences that say which deadline they were told of */
	TWIN_BUFFERS = 1u << 3,
	TWIN_PARTS = 1u << 4,  /* of which a part can be mapped */
	TWIN_MEMFDS = 1u << 5, /* buffers of a memfd's pages */
	TWIN_TIMELINES = 1u << 6,
};

/** As DMA_BUF_SYNC_... and STILE_USAGE_... */
enum {
	TWIN_READ = 1,
	TWIN_WRITE = 2,
	TWIN_BOTH = TWIN_READ | TWIN_WRITE,
};

enum {
	TWIN_LEAVES = 64,
	TWIN_NAME_BYTES = 64,
	TWIN_HANG_MS = 60000, /* so long that a failure means that it hangs */
};

/** How a point stands. As enum stile_point_state. */
enum twin_state { TWIN_UNSUBMITTED = 1, TWIN_PENDING = 2, TWIN_DONE = 3 };

/** As enum stile_point_event. */
enum twin_event { TWIN_AVAILABLE = 1, TWIN_SIGNALED = 2 };

/** What a fence is made of. */
struct twin_info {
	size_t count;
	struct {
		int status;
		int64_t timestamp_ns; /* 0 while pending */
	} leaves[TWIN_LEAVES];
};

/** A fence of somebody's: a sync_file; and, if it was made here, the work that it stands for. */
struct twin_fence;
struct twin_buffer;
struct twin_timeline;

/** Those that give an int: 0 or -errno. Those that give an object never fail, or the test does. */
struct twin_ops {
	/** Begin a test. `fences` and `memory` are struct twin_world's. */
	void (*begin)(int fences, int memory);
	void (*end)(void);
	/** Have the calling of another thread, which is blocked in buffer_begin(), given up. */
	void (*interrupt)(pthread_t thread);

	/** A pending one of a context of its own. */
	struct twin_fence *(*fence_create)(void);
	/** The next one of the same context. TWIN_ORDERED. */
	struct twin_fence *(*fence_create_after)(struct twin_fence *fence);
	/** Its work is done, and what comes before it in its context. Once more does nothing. */
	void (*fence_signal)(struct twin_fence *fence);
	/** All work of its context that is pending is lost: -ENOENT. TWIN_FAILS. */
	void (*fence_fail)(struct twin_fence *fence);
	/** Have the fence no more, but its work goes on. */
	void (*fence_close)(struct twin_fence *fence);
	struct twin_fence *(*fence_merge)(struct twin_fence *a, struct twin_fence *b);
	/** Of the whole, without asking for its leaves, and without waiting. */
	int (*fence_get_status)(struct twin_fence *fence);
	void (*fence_get_info)(struct twin_fence *fence, struct twin_info *info);
	/** What poll() says of its descriptor, after waiting for so long. */
	int (*fence_poll)(struct twin_fence *fence, int events, int timeout_ms);
	int (*fence_get_fd)(struct twin_fence *fence, int *fd);
	/** Is the descriptor one of a fence? */
	int (*fence_adopt)(int fd);
	/** TWIN_DEADLINES. */
	int (*fence_set_deadline)(struct twin_fence *fence, int64_t deadline_ns);
	/** The earliest one that it was told; INT64_MAX: none. TWIN_TELLS. */
	int64_t (*fence_get_deadline)(struct twin_fence *fence);

	int (*buffer_create)(uint64_t bytes, struct twin_buffer **out);
	/** One of all pages of a memfd. TWIN_MEMFDS. */
	int (*buffer_adopt)(int memfd, uint64_t bytes, struct twin_buffer **out);
	void (*buffer_close)(struct twin_buffer *buffer);
	int (*buffer_get_fd)(struct twin_buffer *buffer, int *fd);
	int (*buffer_export)(struct twin_buffer *buffer, uint32_t usage, struct twin_fence **out);
	int (*buffer_import)(struct twin_buffer *buffer, uint32_t usage, struct twin_fence *fence);
	int (*buffer_poll)(struct twin_buffer *buffer, int events, int timeout_ms);
	/** Blocks. */
	int (*buffer_begin)(struct twin_buffer *buffer, uint32_t usage);
	int (*buffer_end)(struct twin_buffer *buffer, uint32_t usage);
	int (*buffer_set_name)(struct twin_buffer *buffer, const char *name);
	void (*buffer_get_name)(struct twin_buffer *buffer, char name[TWIN_NAME_BYTES]);
	int (*buffer_map)(struct twin_buffer *buffer, uint32_t usage, uint64_t offset,
		uint64_t bytes, void **address);
	void (*buffer_unmap)(struct twin_buffer *buffer, void *address, uint64_t bytes);

	struct twin_timeline *(*timeline_create)(void);
	void (*timeline_close)(struct twin_timeline *timeline);
	int (*timeline_submit)(
		struct twin_timeline *timeline, uint64_t value, struct twin_fence *fence);
	int (*timeline_transfer)(struct twin_timeline *to, uint64_t to_value,
		struct twin_timeline *from, uint64_t from_value);
	enum twin_state (*timeline_get_state)(struct twin_timeline *timeline, uint64_t value);
	int (*timeline_get_fence)(
		struct twin_timeline *timeline, uint64_t value, struct twin_fence **out);
	/** Until CLOCK_MONOTONIC; 0 polls. */
	int (*timeline_wait)(struct twin_timeline *timeline, uint64_t value, enum twin_event event,
		int64_t deadline_ns);
	int (*timeline_notify)(
		struct twin_timeline *timeline, uint64_t value, enum twin_event event, int eventfd);
};

/** A choice of what is behind the objects. */
struct twin_world {
	const char *name;
	const struct twin_ops *ops;
	bool is_kernel;
	int fences; /* for ops->begin() */
	int memory;
	/**
	 * Look at what is here: TWIN_...; 0 and the reason in *why if that is not enough to run at
	 * all.
	 */
	uint32_t (*probe)(int fences, int memory, const char **why);
};

/** The world of the test that is running. */
extern const struct twin_ops *ops;

/** Look which worlds there are, and print it. How many. */
size_t twin_find_worlds(void);
const struct twin_world *twin_get_world(size_t index);
uint32_t twin_get_abilities(size_t index);

/**
 * A test case that looks for leaks (ledger_tcase_create()) and ends the world that its tests began.
 */
TCase *twin_tcase_create(const char *name);
/** Run it once in each world that can do all this. */
void twin_add(TCase *tcase, const TTest *test, uint32_t can);

/** Begin a test in a world, by the number that Check hands over: _i. */
void twin_begin(int world);
/** What is expected of the kernel, or of the library: a difference on purpose. */
int twin_either(int kernel, int stile);

/** What poll() says of one descriptor. */
int twin_poll(int fd, int events, int timeout_ms);
bool twin_is_done(struct twin_fence *fence);
/** Wait for the end, long enough that a failure means that it hangs; its status. */
int twin_finish(struct twin_fence *fence);

extern const struct twin_world twin_kernel_worlds[];
extern const size_t twin_kernel_world_count;
extern const struct twin_world twin_stile_worlds[];
extern const size_t twin_stile_world_count;

#endif
