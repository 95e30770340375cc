/* SPDX-License-Identifier: MIT */
#ifndef STILE_BUFFER_H
#define STILE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include <stile/macros.h>
#include <stile/report.h>

STILE_BEGIN_DECLS

struct stile_cancel;
struct stile_device;
struct stile_fence;
struct stile_resv;

/**
 * Memory that can be shared by descriptor: where the bytes are, nothing about
 * what they mean.
 *
 * Importing a descriptor of memory that the device knows already gives the
 * same object: pointers compare equal if and only if it is the same memory.
 *
 * Who is using it is in its reservation, stile_buffer_get_resv(), for the
 * users in this process. Between processes, fences travel with the memory.
 *
 * Reference counted: stile_buffer_ref(), stile_buffer_unref().
 * Thread-safety: internal.
 */
struct stile_buffer;

/** How the caller means to touch memory. */
enum stile_usage {
	STILE_USAGE_READ = 1u << 0,
	STILE_USAGE_WRITE = 1u << 1,
};

/** How to make a buffer. */
struct stile_buffer_info {
	size_t size;      /**< sizeof(struct stile_buffer_info) */
	uint64_t bytes;   /**< at least 1; rounded up to whole pages */
	const char *name; /**< for debugging tools; borrowed; may be NULL */
	/**
	 * The reservation to use, perhaps with other buffers; borrowed, outlives
	 * the buffer. NULL: one of its own.
	 */
	struct stile_resv *resv;
};

/**
 * Allocate zeroed memory. May block for as long as the system takes to find
 * it.
 *
 * @param device    borrowed
 * @param info      borrowed
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  info->size or info->bytes is impossible
 * @retval -E2BIG   info is newer than the library and uses fields it does not
 *                  know
 * @retval -ERANGE  more bytes than a file can have
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_create(struct stile_device *device,
	const struct stile_buffer_info *info, struct stile_buffer **out);

/**
 * Take memory over from a descriptor. Never blocks.
 *
 * @param device    borrowed
 * @param fd        borrowed, never closed; duplicated where needed
 * @param usage     STILE_USAGE_* that the descriptor has to allow
 * @param report    why not, for people; may be NULL
 * @param[out] out  new reference, the caller's, the device's one object for
 *                  this memory; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EBADF   fd is not an open descriptor
 * @retval -EINVAL  not a descriptor of memory that this backend takes, no or
 *                  unknown usage, or report->size is impossible
 * @retval -EACCES  the descriptor does not allow the usage: it is read-only, or
 *                  the memory is sealed against writing
 * @retval -EPERM   the memory could be made smaller by others: it lacks
 *                  F_SEAL_SHRINK
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_import_fd(
	struct stile_device *device, int fd, uint32_t usage,
	struct stile_report *report, struct stile_buffer **out);

/**
 * Make a descriptor of the memory, for another process or API. Never blocks.
 *
 * @param buffer   borrowed
 * @param usage    STILE_USAGE_* that the descriptor has to allow
 * @param[out] fd  new descriptor, CLOEXEC, the caller's; -1 on failure
 *
 * @retval 0        *fd is valid
 * @retval -EINVAL  no or unknown usage
 * @retval -EACCES  the usage writes, and the buffer came from a read-only
 *                  descriptor, or its memory is sealed against writing
 * @retval -EMFILE  the process has no descriptor left
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_export_fd(
	struct stile_buffer *buffer, uint32_t usage, int *fd);

/** Take a reference. Returns buffer. Never blocks. @since 0.1 */
STILE_API struct stile_buffer *stile_buffer_ref(struct stile_buffer *buffer);

/**
 * Drop a reference. Mappings and descriptors that were given out stay valid.
 *
 * @param buffer  the reference to give up; NULL is ignored
 * @since 0.1
 */
STILE_API void stile_buffer_unref(struct stile_buffer *buffer);

/** The size of the memory in bytes. @since 0.1 */
STILE_API uint64_t stile_buffer_get_bytes(const struct stile_buffer *buffer);

/**
 * Who is using the memory, in this process.
 *
 * @param buffer  borrowed
 * @return borrowed, valid as long as the buffer
 * @since 0.1
 */
STILE_API struct stile_resv *stile_buffer_get_resv(
	const struct stile_buffer *buffer);

/**
 * Have what a use of the memory has to wait for, as one fence: from implicit
 * to explicit synchronisation. For a sync file, export that one
 * (stile_fence_export_fd()). Fences that are added later do not change it. May
 * block for memory.
 *
 * @param buffer    borrowed
 * @param usage     STILE_USAGE_* that is meant: who reads waits for those who
 *                  write, who writes for all
 * @param[out] out  new reference, the caller's, one that is done if there is
 *                  nothing to wait for; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  no or unknown usage
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_export_fence(
	struct stile_buffer *buffer, uint32_t usage, struct stile_fence **out);

/**
 * Say that a fence's work uses the memory: from explicit to implicit
 * synchronisation. What arrays and chains are made of is added. Blocks while
 * others have the reservation locked; may block for memory.
 *
 * @param buffer  borrowed, its reservation *not* locked by the caller
 * @param usage   STILE_USAGE_* of the work
 * @param fence   borrowed; references are kept
 *
 * @retval 0        added
 * @retval -EINVAL  no or unknown usage
 * @retval -EDEADLK misuse: the caller has the reservation locked
 * @retval -ENOMEM  out of memory; nothing was added
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_import_fence(
	struct stile_buffer *buffer, uint32_t usage, struct stile_fence *fence);

/**
 * Have a descriptor to poll: POLLIN, it may be read; POLLOUT, it may be
 * written. See stile_resv_get_poll_fd().
 *
 * @param buffer   borrowed, its reservation *not* locked by the caller
 * @param[out] fd  new descriptor, CLOEXEC, the caller's; -1 on failure
 *
 * @retval 0        *fd is valid
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_get_poll_fd(
	struct stile_buffer *buffer, int *fd);

/**
 * Begin to touch the memory with the CPU: waits until work that this has to
 * wait for is done. Others may use the memory meanwhile: that is no lock. How
 * the last write went: stile_resv_get_error().
 *
 * @param buffer       borrowed
 * @param usage        STILE_USAGE_* that is meant
 * @param deadline_ns  absolute CLOCK_MONOTONIC time; 0 polls, INT64_MAX waits
 *                     for ever
 * @param cancel       may end the wait; borrowed; may be NULL
 *
 * @retval 0        go on; stile_buffer_end_cpu_access() ends it
 * @retval -ETIME   work is still going on
 * @retval -EINTR   cancelled before
 * @retval -EINVAL  no or unknown usage, or the deadline is negative
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_begin_cpu_access(
	struct stile_buffer *buffer, uint32_t usage, int64_t deadline_ns,
	struct stile_cancel *cancel);

/**
 * End what one stile_buffer_begin_cpu_access() began. Never blocks.
 *
 * @param buffer  borrowed
 * @param usage   the same
 *
 * @retval 0        ended
 * @retval -EINVAL  no or unknown usage
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_end_cpu_access(
	struct stile_buffer *buffer, uint32_t usage);

/**
 * Map the whole memory for the CPU. The caller sees to it that earlier work
 * on it is done (stile_buffer_begin_cpu_access()). May block for page tables only.
 *
 * @param buffer        borrowed
 * @param usage         STILE_USAGE_*: how it will be touched
 * @param[out] address  stile_buffer_get_bytes() bytes, page-aligned; to be
 *                      given back by stile_buffer_munmap(); NULL on failure
 *
 * @retval 0        *address is valid
 * @retval -EINVAL  no or unknown usage
 * @retval -EACCES  the usage writes, and the buffer came from a read-only
 *                  descriptor, or its memory is sealed against writing
 * @retval -ENOMEM  no room in the address space
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_mmap(
	struct stile_buffer *buffer, uint32_t usage, void **address);

/**
 * Undo one stile_buffer_mmap().
 *
 * @param buffer   the same buffer; borrowed
 * @param address  what it gave
 * @since 0.1
 */
STILE_API void stile_buffer_munmap(struct stile_buffer *buffer, void *address);

STILE_END_DECLS

#endif
