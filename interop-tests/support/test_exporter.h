/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_TEST_EXPORTER_H
#define SUPPORT_TEST_EXPORTER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <stile/exporter.h>

/*
 * An exporter as an application may write one, over a file in memory. It notes each call of an op,
 * looks whether the reservation is locked as KERNEL_CONTRACT 9.1 says, and does as it is told: fail,
 * or run something of the test's.
 *
 *     struct test_exporter exporter;
 *     test_exporter_init(&exporter, 2 * page);
 *     exporter.ops.pin = NULL; ...            what this one does not have
 *     struct stile_buffer *buffer = test_exporter_export(&exporter);
 *     ...
 *     stile_buffer_unref(buffer);
 *     test_exporter_finish(&exporter);        everything was undone, everything locked right
 *
 * Ops may run on any thread; what the test changes or reads it does while no other thread uses the
 * buffer, but for count[].
 */

enum test_exporter_op {
	OP_ATTACH,
	OP_DETACH,
	OP_PIN,
	OP_UNPIN,
	OP_MAP,
	OP_UNMAP,
	OP_BEGIN,
	OP_END,
	OP_MMAP,
	OP_MUNMAP,
	OP_VMAP,
	OP_VUNMAP,
	OP_EXPORT_FD,
	OP_RELEASE,
	OPS,
};

/** What an op was called with; 0 and NULL for what it has not. */
struct test_exporter_call {
	struct stile_attachment *attachment;
	enum stile_direction direction;
	uint32_t usage;
	uint64_t offset;
	uint64_t bytes;
};

struct test_exporter {
	/* To be changed before it is exported. */
	struct stile_exporter_ops ops;
	struct stile_exporter_info info;

	/* To be changed at any time. */
	int fail[OPS]; /* -errno of ops that give one; 0: it works */
	/** In each op, after it was noted, before anything else; may be NULL. */
	void (*hook)(struct test_exporter *exporter, enum test_exporter_op op);
	const char *veto; /* what `attach` says when it fails; NULL: nothing */

	/* To look at. */
	struct stile_buffer *buffer; /* borrowed; NULL before and after its life */
	unsigned char *memory;       /* as the CPU sees it, from the start */
	int fd;                      /* the file; O_RDWR, sealed but for writing */
	unsigned count[OPS];         /* calls, by atomic access */
	unsigned worked[OPS];        /* those of them that did not fail, by atomic access */
	struct test_exporter_call last[OPS];

	/* Private. */
	uint64_t memory_bytes; /* whole pages */
	pthread_mutex_t lock;
	char calls[4096];
	char wrong[128];
	bool exported;
};

/** Memory of so many bytes, all ops there. The test fails where that does not work. */
void test_exporter_init(struct test_exporter *exporter, uint64_t bytes);

/** Export it, once: a reference, the caller's. The test fails where that does not work. */
struct stile_buffer *test_exporter_export(struct test_exporter *exporter);

/** How often an op was called. */
unsigned test_exporter_count(struct test_exporter *exporter, enum test_exporter_op op);

/**
 * The names of the ops that were called since the last time this was asked, with blanks between, in
 * that order; those that failed with a "!". Borrowed until it is asked again. One thread.
 */
const char *test_exporter_calls(struct test_exporter *exporter);

/**
 * Its storage moves, as far as anybody can see: locks, notifies all, adds the fence of usage KERNEL,
 * unlocks.
 *
 * @param fence  borrowed; NULL: the move is done at once
 */
void test_exporter_move(struct test_exporter *exporter, struct stile_fence *fence);

/**
 * Wait for the end of `release`, which may be on another thread if a fence held the last reference; long
 * enough that a failure means that it never comes.
 */
void test_exporter_await_release(struct test_exporter *exporter);

/** The test fails if an op was called with the reservation locked otherwise than it should be. */
void test_exporter_check_locks(struct test_exporter *exporter);

/**
 * Give the memory up, the buffer's life being over. The test fails if it is not, if it was released
 * other than once, or if something was not undone.
 */
void test_exporter_finish(struct test_exporter *exporter);

#endif
