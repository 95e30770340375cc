/* SPDX-License-Identifier: MIT */
#ifndef STILE_PARTY_H
#define STILE_PARTY_H

#include <stddef.h>
#include <stdint.h>

#include <stile/constraints.h>
#include <stile/macros.h>
#include <stile/report.h>

STILE_BEGIN_DECLS

struct stile_device;

/*
 * Who has to do with an image, and what each of them takes: a graphics API, a
 * plane of a display, a decoder, the CPU. For stile_negotiate().
 */

/** How many can negotiate with each other. */
#define STILE_MAX_PARTIES 64

/** Flags of a struct stile_party_modifier. */
enum {
	/** Sampled as GL_TEXTURE_EXTERNAL_OES only, and never drawn to. */
	STILE_PARTY_EXTERNAL_ONLY = 1u << 0,
};

/** A layout that somebody takes. */
struct stile_party_modifier {
	/**
	 * DRM_FORMAT_MOD_*. DRM_FORMAT_MOD_INVALID is "what the driver makes if
	 * it is not asked", which only parties of the same device understand.
	 */
	uint64_t modifier;
	uint32_t plane_count; /**< with metadata; 0: it does not say */
	uint32_t flags;       /**< STILE_PARTY_EXTERNAL_ONLY or 0 */
	uint32_t max_width;   /**< pixels; 0: no limit */
	uint32_t max_height;  /**< pixels; 0: no limit */
};

/** A format that somebody takes. */
struct stile_party_format {
	uint32_t fourcc; /**< DRM_FORMAT_* */
	/**
	 * The layouts that it takes of it, best first. None: it does not say,
	 * which is neither LINEAR nor INVALID. What that means the one who
	 * describes the party has to say: STILE_PARTY_UNSAID_IS_LINEAR.
	 */
	const struct stile_party_modifier *modifiers;
	size_t modifier_count;
};

/** Kinds of memory, the best to share first. */
enum {
	STILE_MEMORY_DMA_BUF = 1u << 0,
	STILE_MEMORY_MEMFD = 1u << 1, /**< laid out as Stile's own */
	/** What drivers give out as OPAQUE_FD: among parties of one device. */
	STILE_MEMORY_OPAQUE_FD = 1u << 2,
	STILE_MEMORY_HOST_POINTER = 1u << 3,
};

/** Ways to wait for somebody's work, and to be waited for; the best first. */
enum {
	STILE_SYNC_SYNCOBJ = 1u << 0,  /**< DRM syncobjs with points */
	STILE_SYNC_FILE = 1u << 1,     /**< the kernel's sync_file */
	STILE_SYNC_IMPLICIT = 1u << 2, /**< fences that are in the dma-buf */
	/** Semaphores as OPAQUE_FD: among parties of one device. */
	STILE_SYNC_SEMAPHORE = 1u << 3,
	STILE_SYNC_CPU = 1u << 4, /**< a thread waits */
};

/** Flags of a struct stile_party. */
enum {
	/**
	 * Nice to have: a plane of a display, say, without which the image is
	 * composed. Of several, the first is the dearest.
	 */
	STILE_PARTY_OPTIONAL = 1u << 0,
	STILE_PARTY_SCANOUT = 1u << 1,   /**< shows it */
	STILE_PARTY_PROTECTED = 1u << 2, /**< takes protected content */
	/** It is no use to it as an external texture. */
	STILE_PARTY_NEEDS_TEXTURE_2D = 1u << 3,
	/** Can copy a picture from any layout that it takes to any other. */
	STILE_PARTY_CAN_BLIT = 1u << 4,
	/** The CPU can read and write the linear memory that it has. */
	STILE_PARTY_CPU = 1u << 5,
	/**
	 * Formats without modifiers are taken as DRM_FORMAT_MOD_LINEAR, as by
	 * KMS without DRM_CAP_ADDFB2_MODIFIERS. Without this they are taken by
	 * nobody: a layout that nobody told gives black or garbage.
	 */
	STILE_PARTY_UNSAID_IS_LINEAR = 1u << 6,
};

/**
 * What a party has that was described by an adapter; private.
 *
 * Thread-safety: immutable.
 */
struct stile_party_data;

/**
 * One who takes part. By hand, everything is borrowed, and `data` is NULL. The
 * functions of adapters, stile_*_get_party(), fill in all of it, but for
 * `size`, and it is given back by stile_party_fini(). What they said may be
 * changed afterwards, by who knows better: a plane is often
 * STILE_PARTY_OPTIONAL, and who does not want to allocate by an API sets its
 * `allocates` to 0. All parties of a negotiation have the same size field.
 *
 * Thread-safety: external.
 */
struct stile_party {
	size_t size;      /**< sizeof(struct stile_party) */
	const char *name; /**< for reports, e.g. "Vulkan (llvmpipe)" */
	/** What it takes; of a format or a modifier that is named twice the
	 * first counts. */
	const struct stile_party_format *formats;
	size_t format_count;
	/**
	 * What it needs of any image; NULL: nothing. `usage` says what it does:
	 * who has STILE_USAGE_WRITE is a producer. Has no modifiers.
	 */
	const struct stile_constraints *needs;
	/**
	 * What can be relied on of memory that it allocates: address_bits,
	 * max_segments and segment_align; nothing else is looked at. NULL: that
	 * it is in whole pages.
	 */
	const struct stile_constraints *gives;
	/**
	 * Which device of which driver: dev_t of its DRM node, the one for
	 * rendering if it has one; where it has none at all, a number that no
	 * dev_t is (above 32 bits), such as one made of the driver's and the
	 * device's UUID. 0: unknown, and nobody else's.
	 */
	uint64_t device;
	uint32_t memory;    /**< STILE_MEMORY_* that it imports */
	uint32_t allocates; /**< STILE_MEMORY_* that it can make for others */
	uint32_t sync;      /**< STILE_SYNC_* */
	uint32_t flags;     /**< STILE_PARTY_* */
	struct stile_party_data *data; /**< private; NULL: by hand */
};

/**
 * Give back what an adapter has filled in. What was negotiated does not need it
 * any more. Never blocks.
 *
 * @param party  empty afterwards but for its size; one that is empty, or was
 *               made by hand, is emptied too
 * @since 0.1
 */
STILE_API void stile_party_fini(struct stile_party *party);

/**
 * Describe a device as a party: what it can allocate, stile_image_create_for(),
 * and what it imports, stile_image_import(). Never blocks.
 *
 * A device that has to do with the image takes the layouts that it both
 * allocates and imports, so that it does not matter who allocates. For one that
 * allocates only, `usage` is 0: then it takes all those that it can make, and
 * how the others wait for each other does not matter to it.
 *
 * @param device      borrowed; the party does not need it any more
 * @param usage       STILE_USAGE_* that the device itself makes of the image,
 *                    by the CPU too; 0: none
 * @param report      why not; may be NULL
 * @param[out] party  its size is set; the caller's to give to
 *                    stile_party_fini(); empty on failure
 *
 * @retval 0        *party is complete
 * @retval -EINVAL  unknown usage, or a size field is impossible
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_device_get_party(
	const struct stile_device *device, uint32_t usage,
	struct stile_report *report, struct stile_party *party);

STILE_END_DECLS

#endif
