/* SPDX-License-Identifier: MIT */
#ifndef STILE_EGL_MEMORY_H
#define STILE_EGL_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include <EGL/egl.h>

#include <stile/egl.h>
#include <stile/image.h>
#include <stile/macros.h>
#include <stile/opaque.h>
#include <stile/report.h>

STILE_BEGIN_DECLS

struct stile_device;

/*
 * Memory that came as no dma-buf, and EGLImages of the application's own. Which
 * way is for what: docs/sharing-memory.md.
 */

/**
 * Make a texture of an image in memory of the same driver, without a copy, of
 * whatever tiling (GL_EXT_memory_object_fd). It is a GL_TEXTURE_2D of immutable
 * format, can be sampled and drawn into, and keeps the memory itself; of Mesa's
 * llvmpipe before 25 the context does, until it is destroyed. Of GL's state
 * nothing is changed; if it fails, GL's error flag is cleared. May block as a
 * GL call may.
 *
 * @param egl       borrowed; one of its contexts is current
 * @param image     borrowed, its descriptor too: as stile_vulkan_export_opaque()
 *                  gave it, in this process or another one
 * @param report    why not; may be NULL
 * @param[out] texture  GL's name of it, the caller's, who deletes it with
 *                  glDeleteTextures(); 0 on failure
 *
 * @retval 0        *texture is valid
 * @retval -EINVAL  no context of this display is current, a size is impossible, or
 *                  there is no width or height
 * @retval -ERANGE  it is larger than the memory
 * @retval -E2BIG   image is newer than the library and uses fields it does not
 *                  know
 * @retval -EBADF   the descriptor is not open
 * @retval -EOPNOTSUPP  the context has no GL_EXT_memory_object_fd, it is on another
 *                  device or by another driver than the memory, GL ES has no
 *                  such format or does not say where it has red and blue
 *                  (ARGB8888, XRGB8888), or the driver does not take it, for
 *                  want of memory or whatever else: they say the same
 * @retval -EMFILE  the process has no descriptor left
 * @retval -EIO     the context is lost
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_egl_import_opaque(struct stile_egl *egl,
	const struct stile_opaque_image *image, struct stile_report *report,
	uint32_t *texture);

/** An EGLImage of the application's own, e.g. of a texture. */
struct stile_egl_own_image {
	size_t size; /**< sizeof(struct stile_egl_own_image) */
	EGLImage image;
	uint32_t width;   /**< pixels: EGL does not tell */
	uint32_t height;  /**< pixels */
	const char *name; /**< for debugging tools; borrowed; may be NULL */
};

/**
 * Make an image of an EGLImage of the application's, without a copy
 * (EGL_MESA_image_dma_buf_export): dma-bufs of the driver, for every API and
 * device that takes their layout. Needs no current context. May block as an
 * EGL call may.
 *
 * @param egl       borrowed
 * @param own       borrowed; the EGLImage has to be alive during the call only:
 *                  what was exported keeps the memory itself
 * @param device    as for stile_image_import(); borrowed
 * @param report    why not; may be NULL
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  no image, or a size is impossible; what
 *                  stile_image_import() finds wrong
 * @retval -E2BIG   own is newer than the library and uses fields it does not
 *                  know
 * @retval -ERANGE  a plane does not fit in its memory
 * @retval -EOPNOTSUPP  the display does not export EGLImages, or not this one, or
 *                  in layouts that cannot be told; or the device does not take
 *                  its format or modifier
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENOMEM  out of memory
 * @retval -EIO     the context is lost
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_egl_export_image(struct stile_egl *egl,
	const struct stile_egl_own_image *own, struct stile_device *device,
	struct stile_report *report, struct stile_image **out);

STILE_END_DECLS

#endif
