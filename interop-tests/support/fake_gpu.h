/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_FAKE_GPU_H
#define SUPPORT_FAKE_GPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What fake_vulkan.h and fake_egl.h have in common: a device that does nothing but wait and signal, in the
 * order in which it was told to, as strictly as the specifications say; a ledger of its objects; and calls
 * that fail. SYNC_FD descriptors are fake_sync_file.h's. Whatever the application must not do is a complaint,
 * which fails the test at its end.
 */

void fake_gpu_begin(void);
/** Fails the test if there was a complaint, or an object is left. */
void fake_gpu_end(void);

/** How many objects there are. */
int fake_gpu_objects(void);
/** Does it get to that? Threads may just be at it: waits a minute at most. */
bool fake_gpu_gets_to_objects(int count);

/** Wait until a call of the driver's holds up who made it, and a moment longer. */
void fake_gpu_await_blocked(void);

/* ---- Calls that fail ----------------------------------------------------------------------- */

/**
 * Let a call fail with a code of its API: the n-th of this name by any thread, or, if `call` is NULL, the n-th of
 * all calls by this thread. A code that says the device is lost makes it so.
 */
void fake_gpu_fail(const char *call, unsigned n, int code);
/** Nothing fails any more. The call that did; NULL: none. */
const char *fake_gpu_failed(void);

/**
 * From now on, what cannot import a descriptor closes it all the same, as some drivers do, and somebody else has been
 * given its number before the driver's call is over.
 */
void fake_gpu_close_failed_imports(void);
/** The number that somebody else was given last, to be closed; -1: none. */
int fake_gpu_take_reused_fd(void);

/* ---- For the fakes ------------------------------------------------------------------------- */

bool fake_gpu_fails(const char *call, int *code);
/** What this thread calls until it is called again is the test's own: it does not fail, nor count. */
void fake_gpu_exempt(bool exempt);
/** The driver will not import a descriptor. */
void fake_gpu_import_failed(int fd);
/*
 * Also what the fake itself cannot do: an assertion that fails in a call of the driver's would leave locks behind, the
 * fakes' and the library's.
 */
void fake_gpu_complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/** An object is made (1) or destroyed (-1). */
void fake_gpu_count(int change);

/** Around all that follows. */
void fake_gpu_lock(void);
void fake_gpu_unlock(void);
/** A call of the driver's holds up who made it, or does so no more. */
void fake_gpu_set_blocked(bool blocked);
/** Sleep until something may have changed. False: the deadline (CLOCK_MONOTONIC) is over. */
bool fake_gpu_sleep(int64_t deadline_ns);

enum { FAKE_LEAVES = 16 };

/** What semaphores, fences and syncs are: a counter. A binary one is signalled so often, and waited for so often. */
struct fake_payload {
	unsigned refs;
	unsigned users;     /* of operations that are going on */
	uint64_t value;     /* reached */
	uint64_t submitted; /* promised, by the host or to a queue */
	uint64_t signals;   /* binary: submitted */
	uint64_t waits;     /* binary: submitted */
	size_t leaf_count;
	struct fake_leaf {
		uint64_t value;
		size_t leaf; /* fake_sync_file_signal() */
	} leaves[FAKE_LEAVES];
};

/** NULL: no memory (failing.h). */
struct fake_payload *fake_payload_create(void);
struct fake_payload *fake_payload_ref(struct fake_payload *payload);
void fake_payload_unref(struct fake_payload *payload);
void fake_payload_set(struct fake_payload *payload, uint64_t value);
/** A sync_file that ends when the value is reached; -1: it is. */
int fake_payload_get_sync_file(struct fake_payload *payload, uint64_t value);

/** Descriptors that stand for payloads themselves; -1: there is none left (failing.h). */
int fake_payload_export(struct fake_payload *payload);
/** A new reference; NULL: it is none. */
struct fake_payload *fake_payload_import(int fd);

/** -2: over. Any other one is closed when it is. */
enum { FAKE_FD_NONE = -1, FAKE_FD_OVER = -2 };
bool fake_fd_is_over(int fd);

struct fake_op {
	struct fake_payload *payload; /* NULL: it is `fd` */
	uint64_t value;
	int fd;
};

enum { FAKE_OPS = 4 };

struct fake_batch {
	struct fake_op waits[FAKE_OPS];
	struct fake_op signals[FAKE_OPS];
	size_t wait_count;
	size_t signal_count;
};

/** Executes batches, one after the other. */
struct fake_queue;
struct fake_queue *fake_queue_create(void);
void fake_queue_destroy(struct fake_queue *queue);
/** References are taken, descriptors taken over. */
void fake_queue_submit(struct fake_queue *queue, const struct fake_batch *batch);
/** The device is lost: what it has is never done. */
void fake_queue_abandon(struct fake_queue *queue);
bool fake_queue_is_idle(const struct fake_queue *queue);
/** Does anything in it wait for what nobody has submitted? */
bool fake_queue_is_held(const struct fake_queue *queue);

#endif
