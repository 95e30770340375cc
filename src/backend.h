/* SPDX-License-Identifier: MIT */
#ifndef SRC_BACKEND_H
#define SRC_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/buffer.h>
#include <stile/exporter.h>
#include <stile/image.h>
#include <stile/party.h>
#include <stile/sg.h>

struct format_tiling;

/** What images on a device have to meet. The backend fills it in when the device is opened. */
struct device_limits {
	/** What imported images have to meet, and memory that is mapped; also bounds created images. */
	struct stile_constraints import;

	/** The layouts of created images. */
	const uint64_t *create_modifiers;
	size_t create_modifier_count;

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

	/** STILE_USAGE_* that memory of others may have. */
	uint32_t import_usage;

	/** The device has a cache that the CPU does not see: the ops have sg_sync. */
	bool is_cached;
};

/** What a device says of itself as a party of negotiations, beside its limits. */
struct device_description {
	char name[64];                  /* for people */
	uint32_t imports;               /* STILE_MEMORY_* */
	uint32_t allocates;             /* STILE_MEMORY_* */
	uint32_t sync;                  /* STILE_SYNC_* of its own work */
	uint32_t flags;                 /* STILE_PARTY_* */
	struct stile_constraints gives; /* of where memory is that it allocates */
};

/**
 * What a backend provides. The core has validated every argument: sizes are sane, strings end,
 * pointers are not NULL, descriptors are open.
 *
 * A backend is a folder with one exported symbol, `stile_backend_<name>`, one line in backend.c
 * and one in CMakeLists.txt.
 */
struct stile_backend_ops {
	const char *name;

	/** Layouts that are not linear. */
	const struct format_tiling *tilings;
	size_t tiling_count;

	/**
	 * Set device->backend, which is what device_open() was given, and device->limits. `options` may be
	 * NULL. 0 or -errno; then nothing that device_open() was given was taken over.
	 */
	int (*device_open)(struct stile_device *device, const char *options);
	/** Stop all threads; pending work ends with -ECANCELED. Buffers may still be used. */
	void (*device_stop)(struct stile_device *device);
	/** Nobody uses the device any more. */
	void (*device_free)(struct stile_device *device);
	/** 0; -EIO: it is lost. */
	int (*device_check)(struct stile_device *device);
	/** What it is; *description is empty. */
	void (*device_describe)(
		const struct stile_device *device, struct device_description *description);
	/** Due work that is done by whoever dispatches; may be NULL. */
	void (*device_dispatch)(struct stile_device *device);

	/** Make a buffer (stile_buffer_export()); info->bytes is whole pages. 0 or -errno. */
	int (*buffer_create)(struct stile_device *device, const struct stile_buffer_info *info,
		struct stile_buffer **out);
	/**
	 * Make one of memory that came by descriptor. Consumes fd, on failure too. Of the kernel's dma-bufs
	 * one backend makes the buffers for all: then the device may be any. 0 or -errno.
	 */
	int (*buffer_import)(struct stile_device *device, int fd, uint64_t bytes, uint32_t usage,
		struct stile_buffer **out);
	/** A descriptor of a kind that such a buffer lacks came; borrowed. 0 or -errno. */
	int (*buffer_adopt)(struct stile_buffer *buffer, int fd, uint32_t usage);
	/** Of one whose file is known, and that allows everything: its descriptor that does; borrowed. */
	int (*buffer_fd)(const struct stile_buffer *buffer);
	/** Optional: it has a new name. */
	void (*buffer_renamed)(struct stile_buffer *buffer, const char *name);
	/**
	 * Optional: allocate the memory of an image where the device likes it. `info` is checked, without
	 * planes; on success it has them, with descriptors that are the caller's, and the modifier that was
	 * chosen. 0; 1: it does not care, a buffer will do; or -errno.
	 */
	int (*image_allocate)(struct stile_device *device, struct stile_image_info *info);
	/** Optional: may an image be asked for in this layout, beside limits.create_modifiers? */
	bool (*image_takes)(struct stile_device *device, uint32_t fourcc, uint64_t modifier);

	/*
	 * What the kernel knows of the users of such memory: all or none. Called for buffers that somebody
	 * outside may use, with the buffer's reservation locked or not; never block.
	 */
	/**
	 * What an access by this usage has to wait for there; *out NULL: nothing. `likely`: it is not asked
	 * first whether there is something: the fence may be done. 0 or -errno.
	 */
	int (*fences_export)(
		struct stile_buffer *buffer, uint32_t usage, bool likely, struct stile_fence **out);
	/** Tell the kernel. 0; -EOPNOTSUPP: it cannot have that fence, or has no way in; or -ENOMEM. */
	int (*fences_import)(
		struct stile_buffer *buffer, uint32_t usage, struct stile_fence *fence);

	/** Is it memory of ours, and safe? 0, or what report_refuse() gave. */
	int (*memory_check)(
		struct stile_device *device, int fd, uint32_t plane, struct stile_report *report);

	/**
	 * Make sg->segments, segment_count and bus. 0, or what report_refuse() gave. NULL: a device without
	 * engines, to which nothing can be attached.
	 */
	int (*sg_map)(struct stile_device *device, struct stile_sg *sg, struct stile_report *why);
	/** The table goes: free them. */
	void (*sg_free)(struct stile_device *device, struct stile_sg *sg);
	/** NULL for what is coherent: see bus_sync() of swgpu. */
	void (*sg_sync)(struct stile_device *device, struct stile_sg *sg, uint64_t offset,
		uint64_t bytes, bool for_cpu);
};

/** The backend of this name, or NULL. */
const struct stile_backend_ops *backend_find(const char *name);

#endif
