/* SPDX-License-Identifier: MIT */
#ifndef SRC_BACKEND_H
#define SRC_BACKEND_H

#include <stdint.h>

#include <stile/buffer.h>
#include <stile/image.h>

/**
 * What a backend provides. The core has validated every argument: sizes are sane, strings end,
 * pointers are not NULL, descriptors are open.
 *
 * A backend is a folder with one exported symbol, `stile_backend_<name>`, one line in backend.c
 * and one in CMakeLists.txt.
 */
struct stile_backend_ops {
	const char *name;

	/** What imported images have to meet; also bounds those that are created. */
	struct stile_constraints limits;

	/** Bytes; powers of two. What created images get, so that other APIs take them. */
	uint32_t create_pitch_align;
	uint32_t create_offset_align;

	/**
	 * Rows are touched in groups of this many, by whoever maps the memory: a plane's last group
	 * has to be there as a whole, up to the end of its page.
	 */
	uint32_t row_group;

	/** Where the last byte of a plane may be at most: drivers count in narrow integers. */
	uint64_t max_end;

	/** Set device->backend. 0 or -errno. */
	int (*device_open)(struct stile_device *device);
	/** Stop all threads; pending work ends with -ECANCELED. The device is not used again. */
	void (*device_stop)(struct stile_device *device);

	/** Allocate zeroed memory: a new descriptor, the core's, or -errno. */
	int (*memory_create)(struct stile_device *device, const char *name, uint64_t bytes);
	/** Is it memory of ours, and safe? 0, or what report_refuse() gave. */
	int (*memory_check)(
		struct stile_device *device, int fd, uint32_t plane, struct stile_report *report);
};

/** The backend of this name, or NULL. */
const struct stile_backend_ops *backend_find(const char *name);

#endif
