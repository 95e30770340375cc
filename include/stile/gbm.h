/* SPDX-License-Identifier: MIT */
#ifndef STILE_GBM_H
#define STILE_GBM_H

#include <stddef.h>
#include <stdint.h>

#include <stile/constraints.h>
#include <stile/device.h>
#include <stile/image.h>
#include <stile/macros.h>
#include <stile/party.h>
#include <stile/report.h>

struct gbm_bo;
struct gbm_device;

STILE_BEGIN_DECLS

/*
 * GBM, the buffers of a DRM driver: a gbm_device as a device that allocates, a
 * gbm_bo as an image, and an image as a gbm_bo. The memory is the same on both
 * sides. GBM says nothing about when work on it is done: <stile/access.h>.
 *
 * A gbm_bo has a handle of its memory in the open file of its gbm_device, and
 * closes it at its end, whoever else counts on it: let what works with handles
 * itself, such as <stile/drm.h>, open the node anew.
 *
 * Thread-safety: functions that are given a gbm_device or a gbm_bo call GBM
 * from the calling thread, with a lock only where it is said.
 */

/** Flags of stile_gbm_image_create(). */
enum {
	/**
	 * The application made the gbm_bo with GBM_BO_USE_LINEAR, or with
	 * DRM_FORMAT_MOD_LINEAR as the only modifier. Some drivers forget that,
	 * and cannot be asked.
	 */
	STILE_GBM_LINEAR = 1u << 0,
};

/**
 * Open a device of the backend "dmabuf" whose memory GBM allocates. It says of
 * itself that it makes what is linear (stile_device_get_party()), for GBM has no
 * list of modifiers; images may be asked for with any that GBM takes, which
 * stile_gbm_get_party() finds among those of the others that negotiate: give
 * this device to stile_image_create_for() for that party.
 *
 * Buffers and images are zeroed; images that are not linear, where the CPU
 * reaches their memory. Linear images whose format the driver refuses, or has in
 * more than one plane, or lays out in a way that other drivers could not import,
 * get memory of the same driver, laid out as on other devices. May block as
 * opening a device may; tries an allocation.
 *
 * Calls of GBM that the device makes, from whichever thread allocates, come one
 * after another. Whether the application may call GBM at the same time is for
 * its implementation to say.
 *
 * @param gbm       borrowed; has to stay until the device and all buffers and
 *                  images made with it are gone
 * @param flags     GBM_BO_USE_* that all memory is for, but GBM_BO_USE_LINEAR,
 *                  e.g. GBM_BO_USE_RENDERING or GBM_BO_USE_SCANOUT; may be 0
 * @param info      as for stile_device_open(), its options NULL; borrowed; NULL
 *                  for the defaults
 * @param report    why not; may be NULL
 * @param[out] out  the device, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  options were given, a size field is impossible or a flag of
 *                  info is unknown
 * @retval -E2BIG   info is newer than the library and uses fields it does not
 *                  know
 * @retval -EACCES  the node may not allocate: it is a render node, and the
 *                  driver allocates by primary nodes only
 * @retval -EOPNOTSUPP  the driver allocates nothing of the kind, or nothing that
 *                  can be shared and written by the CPU
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_gbm_open_device(struct gbm_device *gbm,
	uint32_t flags, const struct stile_device_info *info,
	struct stile_report *report, struct stile_device **out);

/**
 * What a gbm_device takes of a format: for stile_image_check_constraints().
 * GBM has no list of modifiers, but answers for each. Never blocks.
 *
 * @param gbm             borrowed
 * @param fourcc          DRM_FORMAT_*
 * @param flags           GBM_BO_USE_* that are meant
 * @param modifiers       in: those in question; out: those that are taken, in
 *                        the same order
 * @param modifier_count  in and out; unchanged on failure
 * @param report          why not; may be NULL
 * @param[out] constraints  filled in, the caller having set its size; its
 *                        modifiers are the caller's array
 *
 * @retval 0        *constraints is valid, and takes one modifier at least
 * @retval -EINVAL  a size field is impossible
 * @retval -EOPNOTSUPP  the format is unknown, or not taken with these flags, or
 *                  with none of the modifiers
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_gbm_get_constraints(struct gbm_device *gbm,
	uint32_t fourcc, uint32_t flags, uint64_t *modifiers,
	size_t *modifier_count, struct stile_report *report,
	struct stile_constraints *constraints);

/**
 * Describe a gbm_device as a party of negotiations: what it makes gbm_bos of,
 * stile_gbm_bo_create(), and the application makes itself and has images of,
 * stile_gbm_image_create(), or stile_gbm_open_device() allocates with the same
 * flags. Who draws to them or shows them is another party. Never blocks, but for
 * looking up its node.
 *
 * @param gbm         borrowed; the party does not need it any more
 * @param flags       GBM_BO_USE_* that are meant
 * @param others      the other parties, which may be none: as GBM has no list of
 *                    modifiers, it is asked for those that they name, and for
 *                    LINEAR; borrowed
 * @param count       how many others there are
 * @param report      why not; may be NULL
 * @param[out] party  its size is set; the caller's to give to
 *                    stile_party_fini(); empty on failure; none of the others
 *
 * @retval 0        *party is complete
 * @retval -EINVAL  a size field is impossible
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_gbm_get_party(struct gbm_device *gbm,
	uint32_t flags, const struct stile_party *others, size_t count,
	struct stile_report *report, struct stile_party *party);

/**
 * Make an image of an application's gbm_bo. The gbm_bo may be destroyed
 * afterwards: the image keeps the memory. Never blocks.
 *
 * @param device    that the image is for; borrowed
 * @param bo        borrowed
 * @param usage     STILE_USAGE_* that will be made of the image
 * @param flags     STILE_GBM_LINEAR or 0
 * @param report    why not; may be NULL
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  a flag is unknown, the application says that it is linear
 *                  and the driver names another modifier, or as
 *                  stile_image_import()
 * @retval -EOPNOTSUPP  the driver does not name the modifier, and the
 *                  application does not say that it is linear; the driver
 *                  gives no descriptor; or as stile_image_import()
 * @retval -EACCES  the usage writes, and the memory was exported read-only: the
 *                  kernel keeps to what who exports it first asks for, and
 *                  gbm_bo_get_fd() of Mesa's software driver asks for that;
 *                  or as stile_image_import()
 * @retval -ERANGE  a plane does not fit in the memory that the driver made
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -EIO     the device is lost
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_gbm_image_create(
	struct stile_device *device, struct gbm_bo *bo, uint32_t usage,
	uint32_t flags, struct stile_report *report, struct stile_image **out);

/**
 * Make a gbm_bo of an image. The driver gets descriptors of its own; what it
 * makes of them is checked. The image may be given up before the gbm_bo. May
 * block as stile_image_export().
 *
 * @param gbm       borrowed
 * @param image     borrowed
 * @param flags     GBM_BO_USE_*; with GBM_BO_USE_RENDERING or
 *                  GBM_BO_USE_WRITE the image has to allow writing
 * @param report    why not; may be NULL
 * @param[out] out  the gbm_bo, the caller's, to be given up by
 *                  gbm_bo_destroy(); NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  a pitch or an offset is misaligned, the memory is no
 *                  dma-buf, or report->size is impossible
 * @retval -EACCES  the image does not allow writing, and the flags do it
 * @retval -ERANGE  a pitch or an offset does not fit in GBM's int
 * @retval -EOPNOTSUPP  the driver does not take this format, modifier or memory,
 *                  or makes something else of it
 * @retval -EBUSY   as stile_image_export()
 * @retval -EDEADLK as stile_image_export()
 * @retval -ETIME   as stile_image_export()
 * @retval -ENOSPC  as stile_image_export()
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_gbm_bo_create(struct gbm_device *gbm,
	struct stile_image *image, uint32_t flags, struct stile_report *report,
	struct gbm_bo **out);

STILE_END_DECLS

#endif
