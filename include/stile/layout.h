/* SPDX-License-Identifier: MIT */
#ifndef STILE_LAYOUT_H
#define STILE_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include <stile/constraints.h>
#include <stile/macros.h>
#include <stile/report.h>

STILE_BEGIN_DECLS

/*
 * What a negotiation has found: <stile/negotiate.h>.
 */

/** Where a party is named: none of them. */
#define STILE_NO_PARTY UINT32_MAX
/** Where a tranche is named: none of them. */
#define STILE_NO_TRANCHE UINT32_MAX

/** What has to be done each frame, the cheapest first. */
enum stile_step {
	STILE_STEP_DIRECT = 0, /**< nothing: the same memory */
	/**
	 * The same memory, linear, though each of the parties has better
	 * layouts of this format: slower to touch, for GPUs.
	 */
	STILE_STEP_LINEAR = 1,
	/** A party that can copies from the producers' layout to the
	 * consumers'. */
	STILE_STEP_BLIT = 2,
	STILE_STEP_CPU_COPY = 3, /**< the CPU does, both being linear */
	STILE_STEP_NONE = 4,     /**< nothing would do */
};

/** A layout that all parties of a tranche take. */
struct stile_choice {
	uint32_t fourcc;      /**< DRM_FORMAT_* */
	uint32_t plane_count; /**< as the first party says that does, else the
	                           format's; 0: unknown */
	uint64_t modifier;    /**< DRM_FORMAT_MOD_*; INVALID: as the allocator's
	                           driver likes it */
	/** Parties, by bit, that take it as an external texture only. */
	uint64_t external_only;
	enum stile_step step; /**< DIRECT or LINEAR */
};

/** Flags of a struct stile_tranche. */
enum {
	STILE_TRANCHE_SCANOUT = 1u << 0, /**< one of the parties shows it */
};

/**
 * Choices that the same parties take, and what else holds for these parties:
 * what linux-dmabuf calls a tranche.
 */
struct stile_tranche {
	uint64_t parties; /**< by bit: 1 << i is the i-th */
	uint64_t device;  /**< of the last one that shows it, else of the first
	                       required one that says; 0: unknown */
	uint32_t flags;   /**< STILE_TRANCHE_* */
	/** Which party is to allocate; STILE_NO_PARTY: memory is to come from
	 * elsewhere. */
	uint32_t allocator;
	uint32_t memory; /**< the STILE_MEMORY_* of that */
	uint32_t sync;   /**< STILE_SYNC_* of all; the lowest bit is best */
	const struct stile_choice *choices; /**< best first; at least one */
	size_t choice_count;
	/** Of all of them, the strictest; of a copy, with its usage. No
	 * modifiers. */
	struct stile_constraints needs;
};

/** Why a layout is not in the answer, or not in a better tranche. */
struct stile_rejection {
	uint32_t fourcc;   /**< DRM_FORMAT_* */
	uint32_t tranche;  /**< where it is nevertheless, without the party;
	                       STILE_NO_TRANCHE: it is out */
	uint64_t modifier; /**< DRM_FORMAT_MOD_*; INVALID also if nobody names
	                        a layout of the format */
	uint32_t offered;  /**< the first party that has it, required ones
	                        before optional ones; STILE_NO_PARTY: nobody
	                        names a layout of the format */
	uint32_t party;    /**< who refuses; STILE_NO_PARTY: it is nobody's
	                        fault */
	enum stile_reason reason;
	uint32_t taken;   /**< MODIFIER: how many layouts the party takes */
	uint64_t needed;  /**< the number that was needed, or 0 */
	uint64_t actual;  /**< the number that was found, or 0 */
	const char *what; /**< what these two count, e.g. "pixels across";
	                        static, may be empty */
};

/**
 * What a layout has; private.
 *
 * Thread-safety: immutable.
 */
struct stile_layout_data;

/**
 * The answer. The caller sets `size` and keeps the storage, the rest is
 * written by stile_negotiate(), and given back by stile_layout_fini(). What is
 * got from it is valid until then; the parties need not be. `data` is private.
 *
 * Thread-safety: immutable, once it is there.
 */
struct stile_layout {
	size_t size; /**< sizeof(struct stile_layout) */
	struct stile_layout_data *data;
	uint32_t width;  /**< as it was wanted */
	uint32_t height; /**< as it was wanted */
	/** The first choice's; without tranches, what would do and is not
	 * allowed. */
	enum stile_step step;
	uint32_t copier; /**< BLIT: the party; else STILE_NO_PARTY */
	uint64_t cost;   /**< BLIT, CPU_COPY: bytes read and written for each
	                      frame; 0 also if that is not known */
	size_t tranche_count;
	size_t rejection_count;
};

/**
 * Give up what a layout has.
 *
 * @param layout  one that stile_negotiate() has written; empty afterwards
 * @since 0.1
 */
STILE_API void stile_layout_fini(struct stile_layout *layout);

/**
 * A tranche. Never blocks.
 *
 * @param layout  borrowed
 * @param index   less than tranche_count; the first is the best
 * @return borrowed, valid as long as the layout's content
 * @since 0.1
 */
STILE_API const struct stile_tranche *stile_layout_get_tranche(
	const struct stile_layout *layout, size_t index);

/**
 * What the producers write, if it has to be copied. Never blocks.
 *
 * @param layout  borrowed
 * @return borrowed, valid as long as the layout's content; NULL unless step is
 *         STILE_STEP_BLIT or STILE_STEP_CPU_COPY, and allowed
 * @since 0.1
 */
STILE_API const struct stile_tranche *stile_layout_get_source(
	const struct stile_layout *layout);

/**
 * Why something was left out. Each layout of a wanted format that some party
 * names is either in the best tranche that there could be, or here, once; so is
 * a wanted format of which nobody names a layout. The formats are in the order
 * in which they are wanted. Never blocks.
 *
 * @param layout  borrowed
 * @param index   less than rejection_count
 * @return borrowed, valid as long as the layout's content
 * @since 0.1
 */
STILE_API const struct stile_rejection *stile_layout_get_rejection(
	const struct stile_layout *layout, size_t index);

/**
 * A rejection as a sentence, with the names of the parties.
 *
 * @param layout  borrowed
 * @param index   less than rejection_count
 * @param text    where to write, always ended by a NUL; may be NULL if size is
 *                0
 * @param size    bytes there are
 * @return bytes needed, without the NUL, as snprintf()
 * @since 0.1
 */
STILE_API int stile_layout_describe_rejection(const struct stile_layout *layout,
	size_t index, char *text, size_t size);

/**
 * Write the whole answer down for people: the step, the tranches with what they
 * need, and why the rest was left out, like reasons put together.
 *
 * @param layout     borrowed
 * @param[out] text  a new string, the caller's to free(); NULL on failure
 *
 * @retval 0        *text is valid
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_layout_describe(
	const struct stile_layout *layout, char **text);

STILE_END_DECLS

#endif
