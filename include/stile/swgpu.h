/* SPDX-License-Identifier: MIT */
#ifndef STILE_SWGPU_H
#define STILE_SWGPU_H

#include <stddef.h>
#include <stdint.h>

#include <stile/device.h>
#include <stile/fence.h>
#include <stile/image.h>
#include <stile/macros.h>

STILE_BEGIN_DECLS

/*
 * The queue of a device opened as "swgpu", the software GPU. A thread executes
 * the commands one after another, in the order they were submitted. Each gives
 * a fence that is signalled when the command is done; with -ECANCELED if the
 * device was destroyed before the command began.
 *
 * Common to all commands: none blocks; `out` receives a new reference that is
 * the caller's and may be NULL if nobody wants to know; images are kept alive
 * until the command is done.
 */

/**
 * Set every sample of one plane.
 *
 * @param device    a swgpu device; borrowed
 * @param image     borrowed; must allow STILE_USAGE_WRITE
 * @param plane     less than the image's plane_count
 * @param value     the sample's bytes, the lowest address in the lowest byte;
 *                  bytes that the sample does not have must be 0
 * @param[out] out  the fence
 *
 * @retval 0        submitted
 * @retval -EINVAL  not a swgpu device, no such plane, or a value that does not
 *                  fit
 * @retval -EACCES  the image does not allow writing
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_fill(struct stile_device *device,
	struct stile_image *image, uint32_t plane, uint32_t value,
	struct stile_fence **out);

/**
 * Copy all planes of an image to another one of the same format and extent.
 *
 * @param device    a swgpu device; borrowed
 * @param from      borrowed
 * @param to        borrowed; must allow STILE_USAGE_WRITE
 * @param[out] out  the fence
 *
 * @retval 0        submitted
 * @retval -EINVAL  not a swgpu device, or format or extent differ
 * @retval -EACCES  `from` does not allow reading, or `to` writing
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_copy(struct stile_device *device,
	struct stile_image *from, struct stile_image *to,
	struct stile_fence **out);

/**
 * Write one plane from the caller's memory.
 *
 * @param device    a swgpu device; borrowed
 * @param image     borrowed; must allow STILE_USAGE_WRITE
 * @param plane     less than the image's plane_count
 * @param pixels    rows of samples as the plane has them; borrowed *until the
 *                  fence is signalled*
 * @param pitch     bytes from one row of `pixels` to the next
 * @param[out] out  the fence
 *
 * @retval 0        submitted
 * @retval -EINVAL  not a swgpu device, no such plane, or a pitch shorter than
 *                  a row
 * @retval -EACCES  the image does not allow writing
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_upload(struct stile_device *device,
	struct stile_image *image, uint32_t plane, const void *pixels,
	size_t pitch, struct stile_fence **out);

/**
 * Hold the queue until a fence is signalled. A fence that ends with an error
 * opens the gate too; the gate's own fence then carries the error.
 *
 * @param device    a swgpu device; borrowed
 * @param fence     what to wait for; a reference is kept until then
 * @param[out] out  the fence of the gate itself
 *
 * @retval 0        submitted
 * @retval -EINVAL  not a swgpu device
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_gate(struct stile_device *device,
	struct stile_fence *fence, struct stile_fence **out);

STILE_END_DECLS

#endif
