/* SPDX-License-Identifier: MIT */
#ifndef STILE_UDMABUF_H
#define STILE_UDMABUF_H

#include <stddef.h>
#include <stdint.h>

#include <stile/buffer.h>
#include <stile/macros.h>
#include <stile/report.h>

STILE_BEGIN_DECLS

struct stile_device;

/*
 * The backend "udmabuf": pages of files in memory (memfd) made a dma-buf by
 * /dev/udmabuf, KERNEL_CONTRACT section 13. Its buffers are those of the backend
 * "dmabuf" in all other respects.
 *
 * What stile_device_open() gives allocates files of its own, which never leave:
 * who has the file of a dma-buf can punch holes into it and part the two.
 * Importing a descriptor of a memfd to such a device makes a dma-buf of all of
 * it, with the errors of stile_udmabuf_create(), and keeps the file open as long
 * as the buffer is there; parts, and several files as one buffer, are made here.
 *
 * stile_device_open() takes no options. It gives -ENODEV where there is no
 * /dev/udmabuf, and -EACCES to users who may not open it (as a rule the group
 * kvm may); the log says more. The memory of a buffer is allocated when it is
 * created: creating one, or an image, also gives -ERANGE for more than the
 * kernel's limit, -EMFILE and -ENFILE.
 */

/** A piece of a file in memory. */
struct stile_udmabuf_range {
	int memfd;       /**< borrowed; sealed by F_SEAL_SHRINK, not against
	                      writing, and it may be read and written */
	uint64_t offset; /**< bytes, whole pages */
	uint64_t bytes;  /**< whole pages, above 0 */
};

/** A buffer of pieces. */
struct stile_udmabuf_info {
	size_t size; /**< sizeof(struct stile_udmabuf_info) */
	const struct stile_udmabuf_range
		*ranges;    /**< in this order; borrowed */
	size_t range_count; /**< at least 1; the kernel takes 1,024 at most,
	                         unless it was told otherwise */
	const char *name;   /**< as stile_buffer_set_name(); may be NULL */
	/**
	 * The reservation to use; borrowed, outlives the buffer. NULL: one of its
	 * own. Two buffers of the same pages are two dma-bufs to the kernel, which
	 * does not know that they are one memory: who uses both, has them share one.
	 */
	struct stile_resv *resv;
};

/**
 * Make a dma-buf of pages of files in memory. The pages stay, whatever becomes
 * of the files; mappings of the files show the same bytes. May block for memory.
 *
 * @param device    of the backend "udmabuf"; borrowed
 * @param info      borrowed, its descriptors too
 * @param report    why not: `plane` is the number of the range; may be NULL
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EBADF   a range's memfd is not an open descriptor
 * @retval -EINVAL  the device is of another backend; no range, or more than
 *                  the kernel's limit, also of bytes where /sys does not tell
 *                  it; an offset or size that is not whole pages, or nothing;
 *                  not a file in memory; the name has more than 31 bytes; a size
 *                  field is impossible
 * @retval -EACCES  a descriptor cannot be read and written, or its file is sealed
 *                  against writing: the dma-buf could be written
 * @retval -EPERM   a file could be made smaller: it lacks F_SEAL_SHRINK
 * @retval -ERANGE  a range ends behind its file, or all together are more than
 *                  the kernel's limit (64 MiB, unless it was told otherwise)
 * @retval -E2BIG   info is newer than the library and uses fields it does not
 *                  know
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_udmabuf_create(struct stile_device *device,
	const struct stile_udmabuf_info *info, struct stile_report *report,
	struct stile_buffer **out);

STILE_END_DECLS

#endif
