/* SPDX-License-Identifier: MIT */
#ifndef STILE_EGL_SYNC_H
#define STILE_EGL_SYNC_H

#include <stddef.h>
#include <stdint.h>

#include <stile/egl.h>

STILE_BEGIN_DECLS

struct stile_device;

/**
 * A binary semaphore of Vulkan's in GL.
 *
 * Belongs to the share group of the context that was current at its import.
 * Thread-safety: external.
 */
struct stile_egl_semaphore;

/*
 * GL work as the kernel's fence, and EGLSyncs of the application: fences of Stile's
 * are made of them, and go into them. See also stile_egl_wait_fence() and
 * stile_egl_fence_create(). Which form crosses how: docs/fence-forms.md.
 */

/**
 * As stile_egl_fence_create(), and the kernel has the fence too: it is made of
 * the sync_file that the driver gives (EGL_ANDROID_native_fence_sync,
 * STILE_PATH_KERNEL), so a kernel reservation can be told of it, and it can be
 * exported as STILE_FD_SYNC_FILE.
 *
 * Where the driver gives none, or one that is over while the work is not, which
 * is tried every time, it is a fence as stile_egl_fence_create() makes it
 * (STILE_PATH_HANDLE), unless that is to be refused. Flushes; does not block,
 * unless the driver does: the path tells for how long.
 *
 * @param egl          borrowed; one of its contexts is current
 * @param device       watches the sync_file, as in stile_fence_import_fd();
 *                     borrowed
 * @param user_fences  STILE_USER_FENCES_REFUSE: if the kernel cannot have it,
 *                     -EOPNOTSUPP; the others are the same here
 * @param[out] path    which of the two it is; may be NULL
 * @param[out] out     new reference, the caller's; NULL on failure. Ends with
 *                     -EIO if the context is lost
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  no current context of this display, unknown choice, or
 *                  path->size is impossible
 * @retval -EOPNOTSUPP  the kernel cannot have it, and that was to be refused
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -EAGAIN  the system refused the device a thread
 * @retval -ECHILD  the device watches in the process that forked this one
 * @retval -ENOMEM  out of memory
 * @retval -EIO     the context is lost
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_egl_fence_create_sync_file(
	struct stile_egl *egl, struct stile_device *device,
	enum stile_user_fences user_fences, struct stile_path *path,
	struct stile_fence **out);

/**
 * Make a fence of an EGLSync of the application. A thread of the adapter waits
 * for its end; GL waits for it by the EGLSync itself, see
 * stile_egl_wait_fence(). Needs no context. Never blocks.
 *
 * @param egl       borrowed
 * @param sync      of GL work, native or not, which was flushed; borrowed, until
 *                  the fence has ended
 * @param[out] out  new reference, the caller's; NULL on failure. Ends with -EIO
 *                  if the context is lost
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  it is no EGLSync of this display, or a reusable one, which
 *                  stands for no work
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_egl_import_fence(
	struct stile_egl *egl, EGLSync sync, struct stile_fence **out);

/**
 * Make an EGLSync of a fence that the kernel has: a native one, for
 * eglWaitSync() and eglClientWaitSync() of the application. Never blocks.
 *
 * @param egl        borrowed; one of its contexts is current
 * @param fence      borrowed, and not needed any more afterwards
 * @param[out] sync  the caller's, to be destroyed; EGL_NO_SYNC on failure, and of
 *                   a fence that is signalled
 *
 * @retval 0        *sync ends when the fence does; EGL_NO_SYNC: it has
 * @retval -EINVAL  no current context of this display
 * @retval -EOPNOTSUPP  the display has no EGL_ANDROID_native_fence_sync, or the
 *                  kernel has no such fence: stile_egl_wait_fence() waits for any
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @retval -EIO     the context is lost
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_egl_export_fence(
	struct stile_egl *egl, struct stile_fence *fence, EGLSync *sync);

/** A semaphore of Vulkan's, as stile_vulkan_export_semaphore() describes it. */
struct stile_egl_semaphore_info {
	size_t size; /**< sizeof(struct stile_egl_semaphore_info) */
	int fd;      /**< OPAQUE_FD of a binary semaphore; borrowed */
	uint8_t device_uuid[16]; /**< whose it is */
	uint8_t driver_uuid[16];
};

/**
 * Take over a binary semaphore of Vulkan's (GL_EXT_semaphore_fd): of the same
 * device and driver, which is checked. GL state is left as it is, but a GL
 * error that is pending is taken, and logged. Needs GL 3 or GL ES 3.
 *
 * @param egl       borrowed; one of its contexts is current
 * @param info      borrowed
 * @param report    why not; may be NULL
 * @param[out] out  the semaphore, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EBADF   the descriptor is not open
 * @retval -EINVAL  no current context of this display, or a size is impossible
 * @retval -E2BIG   info is newer than the library and uses fields it does not
 *                  know
 * @retval -EOPNOTSUPP  the context has no GL_EXT_semaphore_fd, the semaphore is of
 *                  another device or driver, or GL does not take it
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENOMEM  out of memory
 * @retval -EIO     the context is lost
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_egl_semaphore_import(struct stile_egl *egl,
	const struct stile_egl_semaphore_info *info,
	struct stile_report *report, struct stile_egl_semaphore **out);

/**
 * Give it up. Vulkan's goes on to be.
 *
 * @param semaphore  a context of its share group is current, or GL's object is
 *                   left to it; NULL is ignored
 * @since 0.1
 */
STILE_API void stile_egl_semaphore_destroy(
	struct stile_egl_semaphore *semaphore);

/**
 * Have what GL is given next come after the semaphore, whose signal was
 * submitted to Vulkan before, and is used up: stile_vulkan_export_fence() puts
 * a fence into it. Never blocks.
 *
 * @param semaphore  a context of its share group is current; borrowed
 * @param count      of textures that share memory with Vulkan, and were given
 *                   over by it
 * @param textures   their names in GL; may be NULL if there are none
 * @param layouts    the layouts that Vulkan left them in: GL_LAYOUT_..._EXT
 *
 * @retval 0        GL waits
 * @retval -EINVAL  no current context of this display
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_egl_semaphore_wait(
	struct stile_egl_semaphore *semaphore, uint32_t count,
	const uint32_t *textures, const uint32_t *layouts);

/**
 * Have the semaphore signalled behind what GL was given up to here, for Vulkan
 * to wait for: stile_vulkan_import_fence() makes a fence of it. Flushes; never
 * blocks.
 *
 * @param semaphore  a context of its share group is current; borrowed;
 *                   unsignalled
 * @param count      of textures to be given over to Vulkan
 * @param textures   their names in GL; may be NULL if there are none
 * @param layouts    the layouts that Vulkan gets them in: GL_LAYOUT_..._EXT
 *
 * @retval 0        it will be signalled
 * @retval -EINVAL  no current context of this display
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_egl_semaphore_signal(
	struct stile_egl_semaphore *semaphore, uint32_t count,
	const uint32_t *textures, const uint32_t *layouts);

STILE_END_DECLS

#endif
