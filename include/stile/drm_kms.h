/* SPDX-License-Identifier: MIT */
#ifndef STILE_DRM_KMS_H
#define STILE_DRM_KMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xf86drmMode.h>

#include <stile/carrier.h>
#include <stile/constraints.h>
#include <stile/image.h>
#include <stile/macros.h>
#include <stile/party.h>
#include <stile/report.h>

STILE_BEGIN_DECLS

struct stile_drm;
struct stile_fence;

/*
 * Showing images by KMS. The application sets modes, arranges planes and
 * builds atomic requests, with libdrm, and has asked for the client
 * capabilities that it needs, at least DRM_CLIENT_CAP_ATOMIC for commits.
 * What is here are images and fences. A frame, with two struct stile_access
 * by turns:
 *
 *     stile_access_begin(image, &info, &access[now]);  to read
 *     stile_drm_commit(kms, &commit, ...);  which waits for access[now].fences,
 *                                           and gives the fence `shown`
 *     stile_access_end(&access[before], shown);  what was shown till now may be
 *                                           drawn on, from then on
 *
 * If the commit fails, stile_access_cancel(&access[now]) instead. An image on
 * the screen is in use, without a fence for its end, until a commit replaces
 * it: the end of that use is not owed by anybody before.
 */

/**
 * The KMS side of a DRM node: what its planes take, and what commits have to
 * know of them. Read once, when it is made.
 *
 * One owner: stile_drm_kms_create(), stile_drm_kms_destroy().
 * Thread-safety: internal; stile_drm_kms_destroy() external.
 */
struct stile_drm_kms;

/**
 * Look at a node's planes, CRTCs and writeback connectors. Connectors for
 * writeback are seen if DRM_CLIENT_CAP_WRITEBACK_CONNECTORS was asked for
 * before, all planes with DRM_CLIENT_CAP_UNIVERSAL_PLANES or
 * DRM_CLIENT_CAP_ATOMIC. Never blocks for work.
 *
 * @param drm       of a primary node; borrowed, what is needed is kept alive
 * @param report    why not; may be NULL
 * @param[out] out  the KMS side, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  report->size is impossible
 * @retval -EACCES  a render node
 * @retval -EOPNOTSUPP  the driver shows nothing: it has no KMS
 * @retval -ENOMEM  out of memory
 * @retval other    the driver's
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_drm_kms_create(struct stile_drm *drm,
	struct stile_report *report, struct stile_drm_kms **out);

/**
 * Give it up; its framebuffers and held commits were destroyed before.
 *
 * @param kms  NULL is ignored
 * @since 0.1
 */
STILE_API void stile_drm_kms_destroy(struct stile_drm_kms *kms);

/* ---- What planes take ---- */

/** A format that a plane takes. */
struct stile_drm_plane_format {
	uint32_t fourcc; /**< DRM_FORMAT_* */
	/**
	 * The layouts that it takes of it. None: the driver does not say, and
	 * takes what it would make itself, of which LINEAR is all that can be
	 * named.
	 */
	const uint64_t *modifiers;
	size_t modifier_count;
};

/**
 * The formats of a plane, in the driver's order: IN_FORMATS, or without that
 * the plane's list. Never blocks.
 *
 * @param kms         borrowed
 * @param plane_id    KMS's id
 * @param[out] count  how many there are; 0 if there is no such plane
 * @return borrowed, valid as long as kms; NULL if there is no such plane
 * @since 0.1
 */
STILE_API const struct stile_drm_plane_format *stile_drm_plane_get_formats(
	const struct stile_drm_kms *kms, uint32_t plane_id, size_t *count);

/**
 * Does a plane take this format in this layout? Never blocks.
 *
 * @param kms       borrowed
 * @param plane_id  KMS's id
 * @param fourcc    DRM_FORMAT_*
 * @param modifier  DRM_FORMAT_MOD_*; never INVALID, which says nothing
 * @since 0.1
 */
STILE_API bool stile_drm_plane_has_format(const struct stile_drm_kms *kms,
	uint32_t plane_id, uint32_t fourcc, uint64_t modifier);

/**
 * What a plane needs of images of a format: the modifiers, the largest extent,
 * which for a cursor's plane is the cursor's. What a driver needs of pitches
 * and offsets nobody says; stile_drm_framebuffer_create() finds out. Never
 * blocks.
 *
 * @param kms               borrowed
 * @param plane_id          KMS's id
 * @param fourcc            DRM_FORMAT_*
 * @param[out] constraints  filled in, the caller having set its size; the
 *                          modifiers are borrowed, valid as long as kms
 *
 * @retval 0        *constraints is valid
 * @retval -EINVAL  constraints->size is impossible
 * @retval -ENOENT  there is no such plane
 * @retval -EOPNOTSUPP  the plane does not take the format
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_drm_plane_get_constraints(
	const struct stile_drm_kms *kms, uint32_t plane_id, uint32_t fourcc,
	struct stile_constraints *constraints);

/**
 * Describe a plane as a party of negotiations, which shows images
 * (STILE_PARTY_SCANOUT): what its formats are in which layouts, the largest
 * extent, how commits wait, and which device it is. A driver that names no
 * layouts (IN_FORMATS) takes linear ones (STILE_PARTY_UNSAID_IS_LINEAR), as
 * stile_drm_plane_has_format(). What it needs of pitches and offsets nobody
 * says. A plane that an image can do without is STILE_PARTY_OPTIONAL: the
 * caller adds that. May block for opening nodes.
 *
 * @param kms         borrowed; the party does not need it any more
 * @param plane_id    KMS's id
 * @param report      why not; may be NULL
 * @param[out] party  its size is set; the caller's to give to
 *                    stile_party_fini(); empty on failure
 *
 * @retval 0        *party is complete
 * @retval -EINVAL  a size field is impossible
 * @retval -ENOENT  there is no such plane
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_drm_plane_get_party(
	const struct stile_drm_kms *kms, uint32_t plane_id,
	struct stile_report *report, struct stile_party *party);

/* ---- Framebuffers ---- */

/**
 * An image as KMS's framebuffer, without a copy.
 *
 * One owner: stile_drm_framebuffer_create(), stile_drm_framebuffer_destroy().
 * Thread-safety: immutable.
 */
struct stile_drm_framebuffer;

/**
 * Make a framebuffer of an image. The modifier is always told where the driver
 * can be told (DRM_CAP_ADDFB2_MODIFIERS); elsewhere only LINEAR is taken. The
 * memory gets a handle of the open file for as long as the call takes. May
 * block as stile_buffer_export_fd().
 *
 * @param kms       borrowed, outlives the framebuffer
 * @param image     borrowed; a reference is kept
 * @param report    why not; may be NULL
 * @param[out] out  the framebuffer, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  report->size is impossible, or the driver does not take the
 *                  memory or the layout: a pitch, an offset, a size
 * @retval -ERANGE  the image is larger or smaller than what the device shows,
 *                  or an offset does not fit in KMS's 32 bits
 * @retval -EOPNOTSUPP  no plane takes the format or the modifier, the driver
 *                  cannot be told one, or the memory is no dma-buf
 * @retval -ENODEV  the driver takes no memory of others
 * @retval -EACCES  this open file may not import
 * @retval -EBUSY   as stile_buffer_export_fd()
 * @retval -ETIME   as stile_buffer_export_fd()
 * @retval -ENOSPC  the device's memory or addresses are used up
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @retval other    the driver's
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_drm_framebuffer_create(
	struct stile_drm_kms *kms, struct stile_image *image,
	struct stile_report *report, struct stile_drm_framebuffer **out);

/**
 * Destroy a framebuffer. The kernel switches a plane off that still shows it.
 * May block until that is done.
 *
 * @param framebuffer  the one to give up, of no held commit; NULL is ignored
 * @since 0.1
 */
STILE_API void stile_drm_framebuffer_destroy(
	struct stile_drm_framebuffer *framebuffer);

/** KMS's id of it. @since 0.1 */
STILE_API uint32_t stile_drm_framebuffer_get_id(
	const struct stile_drm_framebuffer *framebuffer);

/* ---- Commits ---- */

/** What a plane is to show. */
struct stile_drm_commit_plane {
	uint32_t plane_id;                         /**< KMS's id */
	struct stile_drm_framebuffer *framebuffer; /**< borrowed */
	/** What has to be done before: those of a begun struct stile_access. */
	struct stile_fence *const *fences; /**< borrowed, references are kept */
	size_t fence_count;
};

/** A CRTC of the request whose change is to be told. */
struct stile_drm_commit_crtc {
	uint32_t crtc_id; /**< KMS's id */
	/**
	 * A new reference, the caller's, on a fence that is signalled once what
	 * the commit shows is on the screen and what was there before is no
	 * longer read; NULL on failure and with DRM_MODE_ATOMIC_TEST_ONLY. A
	 * commit that is on its way cannot fail any more: without a descriptor
	 * or memory to watch the kernel's fence by, the call blocks until that
	 * ends, and gives one that has ended alike, after ten seconds with
	 * -ETIMEDOUT. One that the driver did not give ends with -EIO.
	 */
	struct stile_fence **fence;
};

/** Where a writeback connector is to write what its CRTC shows. */
struct stile_drm_commit_writeback {
	uint32_t connector_id;                     /**< KMS's id */
	struct stile_drm_framebuffer *framebuffer; /**< borrowed */
	/** As for planes, of an access that writes. KMS has no way to be given
	 * them: each that is pending is dealt with as user_fences says. */
	struct stile_fence *const *fences;
	size_t fence_count;
	struct stile_fence **fence; /**< as for CRTCs: it is written; ends the
	                                 access */
};

/** An atomic commit. */
struct stile_drm_commit_info {
	size_t size; /**< sizeof(struct stile_drm_commit_info) */
	/**
	 * All that has nothing to do with images and fences; borrowed,
	 * copied; the blobs that it names outlive a held commit. NULL: nothing.
	 * FB_ID, IN_FENCE_FD, OUT_FENCE_PTR and their kin are added here.
	 */
	drmModeAtomicReq *request;
	uint32_t flags;   /**< DRM_MODE_ATOMIC_*, DRM_MODE_PAGE_FLIP_* */
	void *event_data; /**< for DRM_MODE_PAGE_FLIP_EVENT */
	const struct stile_drm_commit_plane *planes;
	size_t plane_count;
	const struct stile_drm_commit_crtc *crtcs;
	size_t crtc_count;
	const struct stile_drm_commit_writeback *writeback; /**< or NULL */
	/** What to do about pending fences that the kernel cannot be given. */
	enum stile_user_fences user_fences;
	/**
	 * When waiting for them ends, by whichever thread: CLOCK_MONOTONIC; 0:
	 * ten seconds from now; INT64_MAX: never.
	 */
	int64_t expiry_ns;
};

/**
 * A commit that waits for its turn, by a thread of the library.
 *
 * One owner: stile_drm_commit(), stile_drm_held_commit_destroy().
 * Thread-safety: internal; stile_drm_held_commit_destroy() external.
 */
struct stile_drm_held_commit;

/**
 * Commit an atomic request, with images and fences. No unfinished picture is
 * shown: a fence that has failed refuses the commit, as far as it is known by
 * then.
 *
 * Fences that the kernel knows are given to it, as one sync_file a plane
 * (IN_FENCE_FD): the call does not wait for them (path HANDLE). Others,
 * those of a plane without IN_FENCE_FD, and all of a writeback connector, are
 * dealt with as user_fences says, if they are pending:
 *
 *  - HOLD: the request is tried (DRM_MODE_ATOMIC_TEST_ONLY), and submitted by a
 *    thread when they are done (path HELD). The fences of CRTCs and writeback
 *    are there at once, as STILE_FENCE_USER fences: they depend on those
 *    programs until it is submitted, and end with the reason if it is not,
 *    -ETIMEDOUT at expiry_ns. Should a flip be pending at that moment, the
 *    thread waits for it.
 *  - WAIT: the calling thread waits (path CPU_WAIT).
 *  - REFUSE.
 *
 * Without DRM_MODE_ATOMIC_NONBLOCK, blocks until the state is shown; HOLD never
 * does. With it, for WAIT only. With DRM_MODE_ATOMIC_TEST_ONLY fences do not
 * matter.
 *
 * @param kms        borrowed
 * @param info       borrowed; framebuffers outlive a held commit
 * @param[out] path  how fences crossed, the worst of all; may be NULL
 * @param report     why not; may be NULL
 * @param[out] out   a held commit, the caller's; NULL if it is submitted, and
 *                   on failure
 *
 * @retval 0        submitted, held, or, with TEST_ONLY, possible
 * @retval -EINVAL  a size is impossible, an unknown flag, user_fences, a
 *                  negative expiry_ns, a framebuffer of another device or none,
 *                  no place for a fence; or the driver cannot show this
 * @retval -E2BIG   info is newer than the library and uses fields it does not
 *                  know
 * @retval -ENOENT  there is no such plane, CRTC or writeback connector, or an
 *                  id in the request is none
 * @retval -EOPNOTSUPP  a plane does not take the framebuffer's format or
 *                  modifier; a fence would have to be waited for, and REFUSE;
 *                  no DRM_CLIENT_CAP_ATOMIC, or a driver without; a property is
 *                  missing
 * @retval -ECANCELED a fence to be waited for has failed
 * @retval -ETIME   WAIT: not done by expiry_ns
 * @retval -EBUSY   a flip is pending, or a commit is held, for the same
 *                  objects: commit again after it
 * @retval -EACCES  the open file is not the DRM master
 * @retval -ERANGE  a number in the request, such as a position, is impossible
 * @retval -ENOSPC  not enough of the device's bandwidth, memory or planes, or
 *                  the plane's source is not within the framebuffer
 * @retval -EAGAIN  the system refused a thread
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @retval other    the driver's
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_drm_commit(struct stile_drm_kms *kms,
	const struct stile_drm_commit_info *info, struct stile_path *path,
	struct stile_report *report, struct stile_drm_held_commit **out);

/**
 * How a held commit stands. Never blocks.
 *
 * @param held  borrowed
 *
 * @retval 0         it waits
 * @retval 1         it is submitted
 * @retval negative  it was given up: as stile_drm_commit(), -ETIMEDOUT for its
 *                   expiry
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_drm_held_commit_get_status(
	const struct stile_drm_held_commit *held);

/**
 * Destroy a held commit. One that waits is given up: its fences end with
 * -ECANCELED. Of one that is submitted, blocks until the kernel has shown it.
 *
 * @param held  the one to give up; NULL is ignored
 * @since 0.1
 */
STILE_API void stile_drm_held_commit_destroy(
	struct stile_drm_held_commit *held);

STILE_END_DECLS

#endif
