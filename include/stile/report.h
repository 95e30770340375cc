/* SPDX-License-Identifier: MIT */
#ifndef STILE_REPORT_H
#define STILE_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include <stile/macros.h>

STILE_BEGIN_DECLS

/** What was wrong, for programs; the text is for people. */
enum stile_reason {
	STILE_REASON_NONE = 0,    /**< nothing was */
	STILE_REASON_FD_CLOSED,   /**< not an open descriptor */
	STILE_REASON_FD_TYPE,     /**< open, but of a type that cannot be it */
	STILE_REASON_FD_ACCESS,   /**< read-only, and the use writes */
	STILE_REASON_FD_SEALS,    /**< the memory could shrink under a driver */
	STILE_REASON_FORMAT,      /**< unknown fourcc, or not taken here */
	STILE_REASON_MODIFIER,    /**< layout not taken here */
	STILE_REASON_PLANE_COUNT, /**< not as many planes as the format has */
	STILE_REASON_EXTENT,      /**< width or height zero, odd or too large */
	STILE_REASON_PITCH,     /**< too small, misaligned or not this API's */
	STILE_REASON_OFFSET,    /**< misaligned, or not taken here */
	STILE_REASON_BOUNDS,    /**< the planes do not fit in the memory */
	STILE_REASON_USAGE,     /**< no or unknown usage */
	STILE_REASON_DRIVER,    /**< the driver refused; its code is in the
	                                 text */
	STILE_REASON_RESOURCES, /**< out of memory or descriptors */
	STILE_REASON_MEMORY,    /**< the device cannot reach it: addresses too
	                             wide, too many pieces, misaligned ones */
	STILE_REASON_PINNED,    /**< it would have to be moved, and somebody
	                             relies on where it is */
	STILE_REASON_EXPORTER,  /**< whose memory it is refused; its code is in
	                             the text */
	STILE_REASON_OPTION,    /**< an option is not understood */
	STILE_REASON_CALLER,    /**< the call makes no sense, or comes at the
	                             wrong moment */
	STILE_REASON_MODIFIER_UNSAID, /**< who takes the format does not say in
	                             which layouts */
	STILE_REASON_EXTERNAL_ONLY,   /**< as an external texture only */
	STILE_REASON_DEVICE,      /**< means something to another device only */
	STILE_REASON_PROTECTED,   /**< protected content is not taken */
	STILE_REASON_MEMORY_KIND, /**< nobody makes memory of a kind that all
	                             import */
	STILE_REASON_SYNC,        /**< no way to wait for each other */
	STILE_REASON_POLICY,      /**< it would do, and was not allowed */
	STILE_REASON_COLOUR, /**< these colours cannot be, or cannot be said to
	                             a driver */
};

/**
 * Why something was refused.
 *
 * The caller sets `size` and keeps the storage; everything else is written by
 * the call that takes the report, on success too (then reason is
 * STILE_REASON_NONE and the text is empty, unless the call says otherwise).
 *
 * Thread-safety: external.
 */
struct stile_report {
	size_t size; /**< sizeof(struct stile_report) */
	enum stile_reason reason;
	int error;       /**< what the call returned */
	uint32_t plane;  /**< the plane it is about; 0 if about all */
	uint64_t needed; /**< the number that was needed, or 0 */
	uint64_t actual; /**< the number that was found, or 0 */
	char text[768];  /**< one sentence, with the numbers */
};

STILE_END_DECLS

#endif
