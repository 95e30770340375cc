/* SPDX-License-Identifier: MIT */
#ifndef STILE_DMABUF_H
#define STILE_DMABUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/device.h>
#include <stile/image.h>
#include <stile/macros.h>

STILE_BEGIN_DECLS

/*
 * The backend "dmabuf": the kernel's dma-bufs, which every driver takes. Its
 * memory comes from a dma-heap (KERNEL_CONTRACT section 14), or from an
 * allocator that somebody brings: stile_dmabuf_open().
 *
 * Options of stile_device_open(): "heap=NAME", one of /dev/dma_heap; without it
 * "system". It gives -ENODEV where there are no heaps, -ENOENT where there is
 * none of that name, -EACCES to users who may not open it; the log says more.
 *
 * The memory of a buffer is allocated when it is created: creating one, or an
 * image, may also give -EMFILE, -ENFILE, and what the allocator gives. A heap
 * of system memory gives -ENOMEM for more than the system has available: the
 * kernel itself would end processes to find it.
 *
 * A descriptor of a dma-buf, wherever it was allocated, may be imported to any
 * device of any backend. Who else uses the memory, in the kernel and in
 * other processes, is seen and told: <stile/access.h>. All descriptors of a
 * dma-buf allow the same, so stile_buffer_export_fd() for reading gives one that
 * may be written if the memory may. Accesses to memory of which no descriptor
 * was given out, and that came by none, cost no system call.
 */

/**
 * Where the memory of a device comes from: a table for whoever can allocate
 * dma-bufs, such as a DRM driver. The functions may be called from any thread,
 * also at the same time.
 */
struct stile_dmabuf_allocator {
	size_t size;      /**< sizeof(struct stile_dmabuf_allocator) */
	const char *name; /**< for people; copied */
	void *priv;       /**< handed to the functions */

	/**
	 * Mandatory: zeroed memory of at least so many bytes, as a descriptor
	 * of a dma-buf that may be read and written, CLOEXEC, the caller's, of
	 * which nobody else has one. `bytes` is whole pages; `name` may be
	 * empty. 0 or -errno. What is no such memory is refused with -EINVAL,
	 * and told.
	 */
	int (*allocate)(void *priv, uint64_t bytes, const char *name, int *fd);

	/**
	 * Optional: the same for an image. `info` is complete and checked, but
	 * has no planes; on success it has them, with descriptors as above,
	 * each plane one of its own, and the modifier that was chosen; the rest
	 * of it is not looked at. 0 or -errno.
	 */
	int (*allocate_image)(void *priv, struct stile_image_info *info);

	/** Optional: the last user of the device is gone. From any thread, a
	 * library's own too: it must not wait for a fence. */
	void (*release)(void *priv);

	/** Layouts that can be asked for; borrowed for the device's life. NULL:
	 * DRM_FORMAT_MOD_LINEAR. Any but that need allocate_image. */
	const uint64_t *modifiers;
	size_t modifier_count;
	uint32_t max_width;  /**< pixels; 0: no limit */
	uint32_t max_height; /**< pixels; 0: no limit */

	/**
	 * Optional, for who has no list: may an image of this format be asked
	 * for in this layout, which is not among the modifiers? They are what
	 * the device says of itself (stile_device_get_party()); who found out by
	 * other means what else it makes can ask for that. Needs allocate_image.
	 * Must not block.
	 */
	bool (*takes_layout)(void *priv, uint32_t fourcc, uint64_t modifier);
};

/**
 * Open a device of the backend "dmabuf" with memory of one's own. May block as
 * stile_device_open().
 *
 * @param allocator  the table; borrowed for the call
 * @param info       as for stile_device_open(); options have to be NULL
 * @param[out] out   the device, the caller's; NULL on failure: then release is
 *                   not called
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  allocate is missing; modifiers other than LINEAR, or
 *                  takes_layout, without allocate_image; INVALID among the
 *                  modifiers, or no count; options were given; a size is
 *                  impossible
 * @retval -E2BIG   a struct is newer than the library and uses fields it does
 *                  not know
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_dmabuf_open(
	const struct stile_dmabuf_allocator *allocator,
	const struct stile_device_info *info, struct stile_device **out);

STILE_END_DECLS

#endif
