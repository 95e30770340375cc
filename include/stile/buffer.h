/* SPDX-License-Identifier: MIT */
#ifndef STILE_BUFFER_H
#define STILE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/carrier.h>
#include <stile/macros.h>
#include <stile/report.h>

STILE_BEGIN_DECLS

struct stile_attachment;
struct stile_cancel;
struct stile_device;
struct stile_fence;
struct stile_resv;

/**
 * Memory that can be shared: where the bytes are, nothing about what they
 * mean. KERNEL_CONTRACT's dma-buf (sections 9 to 12): an exporter owns the
 * storage, others attach devices (<stile/attachment.h>), map it for the CPU,
 * or take a descriptor of it. Own memory becomes one by <stile/exporter.h>.
 *
 * Storage that the library allocates is there from the first need on: when a
 * device maps it, a descriptor is made, the CPU maps it. Until then, and until
 * something holds it where it is, it may move.
 *
 * Importing a descriptor of memory that this process knows already gives the
 * same object, whatever the device: pointers compare equal if and only if it
 * is the same memory. Rights belong to whoever imported: an image or an
 * attachment has those that it was made with.
 *
 * Who is using it is in its reservation, stile_buffer_get_resv(), for the
 * users in this process. Between processes, fences travel with the memory.
 *
 * Reference counted: stile_buffer_ref(), stile_buffer_unref(). Mappings, vmaps
 * and poll descriptors that wait count as references; descriptors keep the
 * memory itself.
 * Thread-safety: internal.
 */
struct stile_buffer;

/** How the caller means to touch memory. */
enum stile_usage {
	STILE_USAGE_READ = 1u << 0,
	STILE_USAGE_WRITE = 1u << 1,
};

/** Bytes of a buffer's name, the NUL included (D-5). */
enum { STILE_BUFFER_NAME_BYTES = 32 };

/** Where stile_buffer_vmap() shows the memory. */
struct stile_map {
	void *address;
	bool is_io; /**< to be accessed by io accessors only */
};

/** How to make a buffer. */
struct stile_buffer_info {
	size_t size;      /**< sizeof(struct stile_buffer_info) */
	uint64_t bytes;   /**< at least 1; rounded up to whole pages */
	const char *name; /**< as stile_buffer_set_name(); may be NULL */
	/**
	 * The reservation to use, perhaps with other buffers; borrowed, outlives
	 * the buffer. NULL: one of its own.
	 */
	struct stile_resv *resv;
};

/**
 * Make a buffer of zeroed memory that the device's backend will allocate when
 * it is needed. May block for memory.
 *
 * @param device    borrowed
 * @param info      borrowed
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  info->size or info->bytes is impossible, or the name has
 *                  more than 31 bytes
 * @retval -E2BIG   info is newer than the library and uses fields it does not
 *                  know
 * @retval -ERANGE  more bytes than a file can have, or than the kernel takes for
 *                  one udmabuf
 * @retval -EMFILE  of dma-bufs, the process has no descriptor left
 * @retval -ENFILE  of dma-bufs, the system has no descriptor left
 * @retval -EIO     the device is lost
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_create(struct stile_device *device,
	const struct stile_buffer_info *info, struct stile_buffer **out);

/**
 * Take memory over from a descriptor. Never blocks, but for the end of an
 * earlier object of the same memory that is just going.
 *
 * @param device    whose backend takes the memory, if the process does not
 *                  know it; borrowed
 * @param fd        borrowed, never closed; duplicated where needed
 * @param usage     STILE_USAGE_* that the descriptor has to allow
 * @param report    why not, for people; may be NULL
 * @param[out] out  new reference, the caller's, the process's one object for
 *                  this memory; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EBADF   fd is not an open descriptor
 * @retval -EINVAL  not a descriptor of memory that this backend takes, no or
 *                  unknown usage, or report->size is impossible
 * @retval -EACCES  the descriptor does not allow the usage: it is read-only, or
 *                  the memory is sealed against writing; or the device does
 *                  not write to memory of others
 * @retval -EPERM   the memory could be made smaller by others: it lacks
 *                  F_SEAL_SHRINK
 * @retval -ERANGE  more bytes than the kernel takes for one udmabuf
 * @retval -EMFILE  the process has no descriptor left
 * @retval -EIO     the device is lost
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_import_fd(
	struct stile_device *device, int fd, uint32_t usage,
	struct stile_report *report, struct stile_buffer **out);

/**
 * The same for a buffer that is at hand: may this device use it so? Takes a
 * reference. Never blocks.
 *
 * @param device    borrowed
 * @param buffer    borrowed
 * @param usage     STILE_USAGE_* that it has to allow
 * @param report    why not, for people; may be NULL
 * @param[out] out  new reference on `buffer`, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  no or unknown usage, or report->size is impossible
 * @retval -EACCES  the memory does not allow the usage, or the device does not
 *                  write to memory of others
 * @retval -EIO     the device is lost
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_import(struct stile_device *device,
	struct stile_buffer *buffer, uint32_t usage,
	struct stile_report *report, struct stile_buffer **out);

/**
 * Make a descriptor of the memory, for another process or API: from now on the
 * storage stays where it is. The size is what lseek(fd, 0, SEEK_END) says. May
 * block for memory, and until moves of the storage are done.
 *
 * @param buffer   borrowed, its reservation *not* locked by the caller
 * @param usage    STILE_USAGE_* that the descriptor has to allow
 * @param[out] fd  new descriptor, CLOEXEC, the caller's; -1 on failure
 *
 * @retval 0        *fd is valid
 * @retval -EINVAL  no or unknown usage
 * @retval -EACCES  the usage writes, and the buffer came from a read-only
 *                  descriptor, or its memory is sealed against writing
 * @retval -EOPNOTSUPP  the exporter has no descriptors
 * @retval -EEXIST  misuse: the exporter gave the file of another buffer
 * @retval -EBUSY   the memory is where no descriptor shows it, and something
 *                  keeps it from being moved
 * @retval -EDEADLK misuse: the caller has the reservation locked
 * @retval -ETIME   moving it took longer than 10 s
 * @retval -ENOSPC  no memory of the kind that is needed
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @retval other    the exporter's
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_export_fd(
	struct stile_buffer *buffer, uint32_t usage, int *fd);

/**
 * Name the buffer, for debugging tools (D-5). Never blocks.
 *
 * @param buffer  borrowed
 * @param name    borrowed, at most 31 bytes; may be empty; NULL: no name
 *
 * @retval 0        named
 * @retval -EINVAL  it is longer; the name is as before
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_set_name(
	struct stile_buffer *buffer, const char *name);

/**
 * Have the name. Never blocks.
 *
 * @param buffer  borrowed
 * @param name    room for it; empty if there is none
 * @since 0.1
 */
STILE_API void stile_buffer_get_name(
	struct stile_buffer *buffer, char name[STILE_BUFFER_NAME_BYTES]);

/**
 * Walk over all buffers of the process (B-6). What is made meanwhile may be
 * missed.
 *
 * @param after  a reference, which is given up; NULL: begin
 * @return a new reference on the next one, the caller's; NULL at the end
 * @since 0.1
 */
STILE_API struct stile_buffer *stile_buffer_iter_next(
	struct stile_buffer *after);

/**
 * Write down all buffers of the process, with size, references, exporter,
 * name, fences and attached devices, and the sums (B-7). Blocks while others
 * have a reservation locked.
 *
 * @param[out] text  a new string, the caller's to free(); NULL on failure
 *
 * @retval 0        *text is valid
 * @retval -EDEADLK misuse: the caller has one of the reservations locked
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_describe_all(char **text);

/** Take a reference. Returns buffer. Never blocks. @since 0.1 */
STILE_API struct stile_buffer *stile_buffer_ref(struct stile_buffer *buffer);

/**
 * Drop a reference. The last one frees the memory; descriptors that were given
 * out keep theirs. Attachments that remain are a mistake, which is told; they
 * are undone.
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
 * @retval -EAGAIN  of a dma-buf, the system refused a thread
 * @retval -ECHILD  of a dma-buf, in a child made by fork
 * @retval -EMFILE  of a dma-buf, the process has no descriptor left
 * @retval -ENFILE  of a dma-buf, the system has no descriptor left
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
 * Of a dma-buf that others know, the kernel is told too, as far as it can have
 * the fence; else the fence stays in this process (STILE_USER_FENCES_HOLD).
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
 * The same, with a choice of what to do about a fence that the kernel cannot
 * have, and a report of what was done. Without others who know the memory,
 * there is nothing to choose.
 *
 * @param buffer       as above
 * @param usage        as above
 * @param fence        as above
 * @param user_fences  what to do; STILE_USER_FENCES_WAIT waits for 10 s at most
 * @param[out] path    STILE_PATH_KERNEL: the kernel knows; STILE_PATH_HELD: it
 *                     does not; STILE_PATH_CPU_WAIT: the fence has ended;
 *                     STILE_PATH_NONE: nobody is to be told. May be NULL
 *
 * @retval 0        added
 * @retval -EINVAL  no or unknown usage or choice, or path->size is impossible
 * @retval -EDEADLK misuse: the caller has the reservation locked
 * @retval -EOPNOTSUPP  the kernel cannot have the fence, and that was to be
 *                  refused; nothing was added
 * @retval -ETIME   the fence did not end; nothing was added
 * @retval -ENOMEM  out of memory; nothing was added
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_import_fence_as(
	struct stile_buffer *buffer, uint32_t usage, struct stile_fence *fence,
	enum stile_user_fences user_fences, struct stile_path *path);

/**
 * Have a descriptor to poll: POLLIN, it may be read; POLLOUT, it may be
 * written. See stile_resv_get_poll_fd(). Of a dma-buf it also tells of those
 * that the kernel knew as users when it was made, not of later ones.
 *
 * @param buffer   borrowed, its reservation *not* locked by the caller
 * @param[out] fd  new descriptor, CLOEXEC, the caller's; -1 on failure
 *
 * @retval 0        *fd is valid
 * @retval -EDEADLK misuse: of a dma-buf, the caller has the reservation locked
 * @retval -EAGAIN  of a dma-buf, the system refused a thread
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_get_poll_fd(
	struct stile_buffer *buffer, int *fd);

/**
 * Begin to touch the memory with the CPU (P-1): the exporter prepares it, then
 * this waits until work that has to be waited for is done, and what devices
 * hold back is written to memory. Others may use the memory meanwhile: that is
 * no lock. How the last write went: stile_resv_get_error().
 *
 * @param buffer       borrowed, its reservation *not* locked by the caller
 * @param usage        STILE_USAGE_* that is meant
 * @param deadline_ns  absolute CLOCK_MONOTONIC time; 0 polls, INT64_MAX waits
 *                     for ever
 * @param cancel       may end the wait; borrowed; may be NULL
 *
 * @retval 0        go on; stile_buffer_end_cpu_access() ends it
 * @retval -ETIME   work is still going on
 * @retval -EINTR   cancelled before
 * @retval -EINVAL  no or unknown usage, or the deadline is negative
 * @retval other    the exporter's, or of a dma-buf as stile_buffer_export_fence()
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_begin_cpu_access(
	struct stile_buffer *buffer, uint32_t usage, int64_t deadline_ns,
	struct stile_cancel *cancel);

/**
 * End what one stile_buffer_begin_cpu_access() began (P-2): devices will see
 * what was written. Never blocks for long.
 *
 * @param buffer  borrowed, its reservation *not* locked by the caller
 * @param usage   the same
 *
 * @retval 0        ended
 * @retval -EINVAL  no or unknown usage
 * @retval other    the exporter's
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_end_cpu_access(
	struct stile_buffer *buffer, uint32_t usage);

/**
 * The same for a part of the memory, which the exporter may widen.
 *
 * @param buffer       as above
 * @param usage        as above
 * @param offset       bytes from the start; need not be at a page
 * @param bytes        how many; 0: nothing is touched, but waits are the same
 * @param deadline_ns  as above
 * @param cancel       as above
 *
 * @retval 0        go on; stile_buffer_end_cpu_access_range() ends it
 * @retval -ERANGE  the part is not within the buffer
 * @retval other    as above
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_begin_cpu_access_range(
	struct stile_buffer *buffer, uint32_t usage, uint64_t offset,
	uint64_t bytes, int64_t deadline_ns, struct stile_cancel *cancel);

/**
 * End one.
 *
 * @param buffer  as above
 * @param usage   the same
 * @param offset  the same
 * @param bytes   the same
 *
 * @retval 0        ended
 * @retval -ERANGE  the part is not within the buffer
 * @retval other    as above
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_end_cpu_access_range(
	struct stile_buffer *buffer, uint32_t usage, uint64_t offset,
	uint64_t bytes);

/**
 * Map whole pages for the CPU (P-5): stile_buffer_begin_cpu_access() before and
 * stile_buffer_end_cpu_access() after each use. The storage stays where it is
 * meanwhile; the mapping keeps the buffer. May block for memory and page tables.
 *
 * @param buffer        borrowed, its reservation *not* locked by the caller
 * @param usage         STILE_USAGE_*: how it will be touched
 * @param offset        bytes, whole pages
 * @param bytes         whole pages, above 0; a last page that the buffer does
 *                      not fill cannot be mapped
 * @param[out] address  page-aligned; to be given back by
 *                      stile_buffer_munmap(); NULL on failure
 *
 * @retval 0        *address is valid
 * @retval -EINVAL  no or unknown usage, not whole pages, nothing, beyond the
 *                  end, or the exporter has no mappings
 * @retval -EOVERFLOW offset and bytes wrap
 * @retval -EACCES  the usage writes, and the buffer came from a read-only
 *                  descriptor, or its memory is sealed against writing
 * @retval -EDEADLK misuse: the caller has the reservation locked
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOSPC  no memory of the kind that is needed
 * @retval -ENOMEM  no memory, or no room in the address space
 * @retval other    the exporter's
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_mmap_range(
	struct stile_buffer *buffer, uint32_t usage, uint64_t offset,
	uint64_t bytes, void **address);

/**
 * stile_buffer_mmap_range() of all of it, the last page also if the buffer does
 * not fill it.
 *
 * @param buffer        as there
 * @param usage         as there
 * @param[out] address  as there
 *
 * @retval 0        *address is valid
 * @retval -EINVAL  no or unknown usage, or the exporter has no mappings
 * @retval other    as there
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_mmap(
	struct stile_buffer *buffer, uint32_t usage, void **address);

/**
 * Undo one stile_buffer_mmap() or stile_buffer_mmap_range().
 *
 * @param buffer   the same buffer; valid at least until this returns
 * @param address  what it gave; anything else is a mistake, which is told
 * @since 0.1
 */
STILE_API void stile_buffer_munmap(struct stile_buffer *buffer, void *address);

/**
 * Have all of the memory at one address (P-4), counted: each call gives the
 * same. Use still needs stile_buffer_begin_cpu_access(). The storage stays
 * where it is meanwhile; the vmap keeps the buffer. Memory that came by a
 * read-only descriptor can only be read. May block for memory.
 *
 * @param buffer    borrowed, its reservation locked by the caller
 * @param[out] map  the caller's, valid until stile_buffer_vunmap(); zeroed on
 *                  failure
 *
 * @retval 0        *map is valid
 * @retval -EINVAL  the exporter has none
 * @retval -EDEADLK misuse: the reservation is not locked
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOSPC  no memory of the kind that is needed
 * @retval -ENOMEM  out of memory
 * @retval other    the exporter's
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_vmap(
	struct stile_buffer *buffer, struct stile_map *map);

/**
 * Undo one stile_buffer_vmap().
 *
 * @param buffer  its reservation locked by the caller
 * @param map     what it gave; anything else, or one too many, is a mistake,
 *                which is told: nothing happens
 * @since 0.1
 */
STILE_API void stile_buffer_vunmap(
	struct stile_buffer *buffer, const struct stile_map *map);

/**
 * stile_buffer_vmap() with the reservation locked inside.
 *
 * @param buffer    borrowed, its reservation *not* locked by the caller
 * @param[out] map  as there
 *
 * @retval 0        *map is valid
 * @retval -EDEADLK misuse: the caller has the reservation locked
 * @retval other    as there
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_vmap_unlocked(
	struct stile_buffer *buffer, struct stile_map *map);

/** stile_buffer_vunmap() with the reservation locked inside. @since 0.1 */
STILE_API void stile_buffer_vunmap_unlocked(
	struct stile_buffer *buffer, const struct stile_map *map);

STILE_END_DECLS

#endif
