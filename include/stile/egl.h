/* SPDX-License-Identifier: MIT */
#ifndef STILE_EGL_H
#define STILE_EGL_H

#include <stddef.h>
#include <stdint.h>

#include <EGL/egl.h>

#include <stile/carrier.h>
#include <stile/fence.h>
#include <stile/image.h>
#include <stile/log.h>
#include <stile/macros.h>
#include <stile/party.h>
#include <stile/report.h>

STILE_BEGIN_DECLS

/**
 * Stile's view of one EGLDisplay of the application.
 *
 * One owner: stile_egl_create(), stile_egl_destroy(). It never makes a context
 * current and changes no GL state; no EGL or GL library is linked.
 * Thread-safety: internal; stile_egl_destroy() external.
 */
struct stile_egl;

/**
 * An EGLImage whose memory is a stile_image's, without a copy.
 *
 * Thread-safety: immutable.
 */
struct stile_egl_image;

/** An entry point, as eglGetProcAddress() finds it. */
typedef void (*stile_egl_proc)(void);

/** What the application has. Everything is borrowed for the adapter's life. */
struct stile_egl_info {
	size_t size; /**< sizeof(struct stile_egl_info) */
	stile_egl_proc (*get_proc_address)(const char *name);
	EGLDisplay display; /**< initialised, EGL 1.5 */

	stile_log_fn log; /**< receives messages; NULL: silent */
	void *log_user;   /**< handed to log */

	/**
	 * How many images that were destroyed are kept for the next import of
	 * the same memory: see stile_egl_import_image(). 0: 64; less than 0:
	 * none, and each import makes an EGLImage of its own.
	 */
	int cached_images;
};

/** A DRM format as GL ES has it, in GL's numbers. */
struct stile_egl_gl_format {
	size_t size; /**< sizeof(struct stile_egl_gl_format) */
	/** Sized: of a texture, of its storage, or of a memory object's. */
	uint32_t internal_format;
	uint32_t format; /**< of pixels that are handed over */
	uint32_t type;   /**< of them */
	/** GL_TEXTURE_SWIZZLE_A: GL_ALPHA; GL_ONE where there is no alpha. */
	uint32_t swizzle_alpha;
	/** What a context of GL ES 3 has to have for it; static; NULL: nothing. */
	const char *extension;
};

/**
 * What pixels of a format are for glTexImage2D() and its like, without EGL
 * having to import them. Needs neither display nor context. Never blocks; any
 * thread.
 *
 * @param fourcc    DRM_FORMAT_*
 * @param[out] out  filled in, the caller having set out->size; unchanged on
 *                  failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  out->size is impossible
 * @retval -EOPNOTSUPP  GL ES has no such format: of many, stile_egl_import_image()
 *                  makes a texture all the same; or Stile does not know it; or
 *                  the host is big-endian
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_egl_get_gl_format(
	uint32_t fourcc, struct stile_egl_gl_format *out);

/**
 * Make the adapter. A display that imports no dma-bufs
 * (EGL_EXT_image_dma_buf_import and its modifiers) still has fences, and memory
 * by stile_egl_import_opaque(); imports of images say what is missing. May block
 * as any EGL call may.
 *
 * @param info      borrowed
 * @param report    why not; may be NULL
 * @param[out] out  the adapter, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  something is missing in info, a size is impossible, or the
 *                  display is not initialised
 * @retval -E2BIG   info is newer than the library and uses fields it does not
 *                  know
 * @retval -EOPNOTSUPP  an entry point is missing, or EGL is older than 1.5
 * @retval -EAGAIN  the system refused a thread
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_egl_create(
	const struct stile_egl_info *info, struct stile_report *report,
	struct stile_egl **out);

/**
 * Give the adapter up. Fences of GL work that is still going on end with
 * -ECANCELED.
 *
 * @param egl  the adapter to give up, its images already destroyed and its
 *             display not yet terminated; NULL is ignored
 * @since 0.1
 */
STILE_API void stile_egl_destroy(struct stile_egl *egl);

/**
 * Make an EGLImage of an image. The driver gets descriptors of its own; the
 * picture is not copied. Needs no current context.
 *
 * Importing the same memory in the same layout and colours again, from this
 * image or another one, gives the same pointer with one user more, and asks the driver
 * nothing: it may be done for each frame. What nobody uses any more is kept for
 * that, as many as info.cached_images says, the longest unused going first;
 * it keeps no memory: the EGLImage goes with the last reference on a buffer
 * of the image, in the thread that drops it, or with the context if that is lost.
 *
 * Of YUV, textures are external ones (GL_OES_EGL_image_external); EGL is told
 * what the image says of its matrix, range and chroma siting. What it does not say
 * is left to the driver: Mesa takes BT.601 in limited range. Drivers may ignore
 * what they are told: Mesa takes all chroma for sited in the middle.
 *
 * @param egl       borrowed
 * @param image     borrowed; references on its buffers are kept until the
 *                  EGLImage is destroyed
 * @param report    why not; may be NULL
 * @param[out] out  the EGLImage, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  a pitch or offset is misaligned, or report->size is
 *                  impossible
 * @retval -EACCES  the image came from a read-only descriptor, or its memory is
 *                  sealed against writing: drivers crash on both
 * @retval -ERANGE  an offset or a pitch is larger than EGL can say
 * @retval -EOPNOTSUPP  the display imports no dma-bufs, or does not take this
 *                  format or modifier, or EGL has no name for the matrix of YUV
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENOMEM  out of memory
 * @retval -EIO     the context is lost
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_egl_import_image(struct stile_egl *egl,
	struct stile_image *image, struct stile_report *report,
	struct stile_egl_image **out);

/**
 * Would stile_egl_import_image() take it, and if not, why? Makes nothing, imports
 * nothing and logs nothing. Never blocks, but as EGL calls may.
 *
 * @param egl     borrowed
 * @param image   borrowed
 * @param report  why not, with the numbers; may be NULL
 *
 * @retval 0       it would, as far as the display says: some refuse what they
 *                 list (Mesa 25 NV12), which shows when it is imported
 * @retval other   as stile_egl_import_image()
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_egl_check_image(struct stile_egl *egl,
	struct stile_image *image, struct stile_report *report);

/**
 * Describe the display as a party of negotiations: the formats and layouts that
 * it lists, and which of them are for external textures only, what memory it
 * imports, how work is waited for, and which device it is
 * (EGL_EXT_device_query), if it says. A format of which it lists no layouts is
 * taken as linear (STILE_PARTY_UNSAID_IS_LINEAR). How large images may be only
 * GL says, to who has a context.
 *
 * What it lists is what it says, not what it does: stile_egl_check_image().
 * Never blocks, but as EGL calls may.
 *
 * @param egl         borrowed; the party does not need it any more
 * @param usage       STILE_USAGE_* that GL makes of the images: who draws to
 *                    them has no use for external textures
 * @param report      why not; may be NULL
 * @param[out] party  its size is set; the caller's to give to
 *                    stile_party_fini(); empty on failure
 *
 * @retval 0        *party is complete
 * @retval -EINVAL  no or unknown usage, or a size field is impossible
 * @retval -EOPNOTSUPP  the display imports no dma-bufs
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_egl_get_party(struct stile_egl *egl,
	uint32_t usage, struct stile_report *report, struct stile_party *party);

/**
 * Give the EGLImage up, once for each import that gave it; the driver's may stay
 * for the next one: see stile_egl_import_image(). Textures made of it stay
 * valid.
 *
 * @param image  the one to give up; NULL is ignored
 * @since 0.1
 */
STILE_API void stile_egl_image_destroy(struct stile_egl_image *image);

/**
 * The EGLImage, for glEGLImageTargetTexture2DOES() and its like; borrowed.
 *
 * @since 0.1
 */
STILE_API EGLImage stile_egl_image_get_handle(
	const struct stile_egl_image *image);

/** How an image of YUV got to GL. */
enum stile_egl_yuv_path {
	STILE_EGL_YUV_NONE = 0, /**< it did not */
	/** As one external texture, of which the driver makes colours. */
	STILE_EGL_YUV_EXTERNAL,
	/** As a texture of each plane, of which a shader makes them. */
	STILE_EGL_YUV_PLANES,
};

/** An image of YUV in GL, without a copy. */
struct stile_egl_yuv {
	size_t size; /**< sizeof(struct stile_egl_yuv) */
	enum stile_egl_yuv_path path;
	uint32_t image_count; /**< 1, or as many as there are planes */
	struct stile_egl_image *images[STILE_MAX_PLANES];
	/** What each is: R8, GR88, R16 or GR1616 of planes. */
	uint32_t fourccs[STILE_MAX_PLANES];
	/**
	 * Of planes: what makes colours of their samples, as
	 * stile_colour_get_matrix() does, but that samples are counted as they
	 * come: those of the first image, of the second one its red and then its
	 * green, and so on. So a shader need not know whether Cb or Cr comes
	 * first.
	 */
	float rows[3][4];
};

/**
 * Make EGLImages of an image of YUV: one for an external texture if the display
 * takes it, or else, where it has several planes, one of each plane. Software
 * drivers list NV12 and refuse it; a matrix that EGL has no name for is no
 * obstacle for planes, either. Contexts of GL ES need GL_EXT_texture_norm16 for
 * planes of more than 8 bits. Needs no current context.
 *
 * @param egl       borrowed
 * @param image     borrowed; references are kept
 * @param report    why not; where it is planes, why it is not an external
 *                  texture, with error 0; may be NULL
 * @param[out] out  filled in, the caller having set out->size; its images are
 *                  the caller's: stile_egl_yuv_finish(); without images on
 *                  failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  the image is not YUV; a pitch or offset is misaligned; or
 *                  a size is impossible, or out has no room for the answer
 * @retval -EOPNOTSUPP  the display takes neither of them, or no sum makes
 *                  colours of the samples
 * @retval other    as stile_egl_import_image()
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_egl_import_yuv(struct stile_egl *egl,
	struct stile_image *image, struct stile_report *report,
	struct stile_egl_yuv *out);

/**
 * Destroy its EGLImages. Textures made of them stay valid.
 *
 * @param yuv  filled in by stile_egl_import_yuv(), or zeroed
 * @since 0.1
 */
STILE_API void stile_egl_yuv_finish(struct stile_egl_yuv *yuv);

/**
 * Have GL wait for a fence: what is drawn next with the calling thread's
 * context comes after it. A fence of GL work of this display is waited for by
 * the server (STILE_PATH_HANDLE), also one that is the kernel's, if the display
 * has EGL_ANDROID_native_fence_sync (STILE_PATH_KERNEL); any other one by the
 * calling thread, which the path tells (STILE_PATH_CPU_WAIT). Some
 * drivers (llvmpipe) hold the calling thread in their server wait: the path
 * tells for how long, and from then on the thread waits by itself.
 *
 * @param egl          borrowed; one of its contexts is current
 * @param fence        borrowed
 * @param deadline_ns  for the calling thread: absolute CLOCK_MONOTONIC time;
 *                     0 polls, INT64_MAX waits for ever
 * @param[out] path    how it crossed; may be NULL
 *
 * @retval 0        what follows comes after the fence; how the fence ended:
 *                  stile_fence_get_status()
 * @retval -ETIME   not signalled by then; nothing was changed
 * @retval -EINVAL  no current context of this display, a negative deadline, or
 *                  path->size is impossible
 * @retval -EIO     the context is lost
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_egl_wait_fence(struct stile_egl *egl,
	struct stile_fence *fence, int64_t deadline_ns,
	struct stile_path *path);

/**
 * Make a fence of the GL work that the calling thread's context was given up
 * to here. Flushes it; a thread of the adapter waits for its end. Does not
 * block.
 *
 * @param egl       borrowed; one of its contexts is current
 * @param[out] out  new reference, the caller's; NULL on failure. Ends with
 *                  -EIO if the context is lost
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  no current context of this display
 * @retval -ENOMEM  out of memory
 * @retval -EIO     the context is lost
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_egl_fence_create(
	struct stile_egl *egl, struct stile_fence **out);

STILE_END_DECLS

#endif
