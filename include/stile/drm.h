/* SPDX-License-Identifier: MIT */
#ifndef STILE_DRM_H
#define STILE_DRM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <stile/buffer.h>
#include <stile/device.h>
#include <stile/log.h>
#include <stile/macros.h>
#include <stile/report.h>

STILE_BEGIN_DECLS

/**
 * Stile's view of one DRM node that the application has opened.
 *
 * One owner: stile_drm_create(), stile_drm_destroy(). Timelines made with it
 * (<stile/drm_syncobj.h>) keep what they need of it.
 * Thread-safety: internal; stile_drm_destroy() external.
 */
struct stile_drm;

/** How to make the adapter. */
struct stile_drm_info {
	size_t size; /**< sizeof(struct stile_drm_info) */
	/**
	 * A primary or a render node; borrowed, duplicated. Handles of memory
	 * and of syncobjs belong to the open file, which the duplicate shares:
	 * they are the application's own.
	 */
	int fd;
	stile_log_fn log; /**< receives messages; NULL: silent */
	void *log_user;   /**< handed to log */
};

/**
 * Make the adapter. May block as stile_device_open().
 *
 * @param info      borrowed
 * @param report    why not; may be NULL
 * @param[out] out  the adapter, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EBADF   info->fd is not an open descriptor
 * @retval -ENODEV  it is no DRM node
 * @retval -EINVAL  a size is impossible
 * @retval -E2BIG   info is newer than the library and uses fields it does not
 *                  know
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_drm_create(
	const struct stile_drm_info *info, struct stile_report *report,
	struct stile_drm **out);

/**
 * Give the adapter up. Handles that were not put are closed with the last
 * adapter of the open file. Never blocks for work.
 *
 * @param drm  the adapter to give up; NULL is ignored
 * @since 0.1
 */
STILE_API void stile_drm_destroy(struct stile_drm *drm);

/**
 * The adapter's descriptor of the node.
 *
 * @param drm  borrowed
 * @return borrowed, valid as long as the adapter
 * @since 0.1
 */
STILE_API int stile_drm_get_fd(const struct stile_drm *drm);

/* ---- Which device is it? ---- */

/** What a device is connected to. */
enum stile_drm_bus {
	STILE_DRM_BUS_OTHER = 0, /**< one that libdrm does not know */
	STILE_DRM_BUS_PCI = 1,
	STILE_DRM_BUS_USB = 2,
	STILE_DRM_BUS_PLATFORM = 3, /**< also devices that are software only */
	STILE_DRM_BUS_HOST1X = 4,
	STILE_DRM_BUS_FAUX = 5, /**< software only, since Linux 6.14 */
};

/**
 * A device, by all the names that others have for it. Plain data; the caller
 * sets `size`, the call the rest.
 */
struct stile_drm_identity {
	size_t size; /**< sizeof(struct stile_drm_identity) */
	/** The driver, as drmGetVersion() says; empty if no node of it may be
	 * opened. */
	char driver[32];
	char primary[64];   /**< path of the node for KMS; empty: it has none,
	                          or none that is seen in this sandbox */
	char render[64];    /**< path of the node for rendering, likewise */
	dev_t primary_rdev; /**< st_rdev of the node; 0: it has none. What
	                          linux-dmabuf's main_device and
	                          VK_EXT_physical_device_drm speak of */
	dev_t render_rdev;  /**< likewise */
	enum stile_drm_bus bus;
	/** Where it is there: "0000:00:02.0" (domain:bus:device.function) for
	 * PCI, "003:007" (bus:device) for USB, else the device's full name. */
	char address[512];
	uint16_t vendor; /**< PCI's and USB's ids; else 0 */
	uint16_t product;
};

/**
 * Which device does a node belong to? May block for opening nodes.
 *
 * @param fd             a DRM node; borrowed
 * @param[out] identity  filled in, the caller having set its size
 *
 * @retval 0        *identity is valid
 * @retval -EBADF   fd is not an open descriptor
 * @retval -ENODEV  it is no DRM node
 * @retval -EINVAL  identity->size is impossible
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_drm_identify(
	int fd, struct stile_drm_identity *identity);

/**
 * The device that has a node of this number, primary or render: as
 * linux-dmabuf's main_device and tranche_target_device give it, or
 * VK_EXT_physical_device_drm by makedev(). May block for opening nodes.
 *
 * @param rdev           st_rdev of a node
 * @param[out] identity  filled in, the caller having set its size
 *
 * @retval 0        *identity is valid
 * @retval -ENODEV  there is no such DRM node
 * @retval -EINVAL  identity->size is impossible
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_drm_find_rdev(
	dev_t rdev, struct stile_drm_identity *identity);

/**
 * The device at an address, such as that which EGL, Vulkan
 * (VK_EXT_pci_bus_info) and udev give. May block for opening nodes.
 *
 * @param bus            what it is connected to
 * @param address        where: see struct stile_drm_identity; borrowed
 * @param[out] identity  filled in, the caller having set its size
 *
 * @retval 0        *identity is valid
 * @retval -ENODEV  there is no such device
 * @retval -EINVAL  identity->size is impossible
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_drm_find_address(enum stile_drm_bus bus,
	const char *address, struct stile_drm_identity *identity);

/**
 * The first device with this driver. May block for opening nodes.
 *
 * @param driver         as drmGetVersion() says: "vgem", "virtio_gpu";
 *                       borrowed
 * @param[out] identity  filled in, the caller having set its size
 *
 * @retval 0        *identity is valid
 * @retval -ENODEV  there is none, or none whose nodes may be opened
 * @retval -EINVAL  identity->size is impossible
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_drm_find_driver(
	const char *driver, struct stile_drm_identity *identity);

/**
 * Are two nodes the same device? A primary and a render node of one device
 * are. Never blocks.
 *
 * @param fd     a DRM node; borrowed
 * @param other  another; borrowed
 *
 * @retval 1        they are
 * @retval 0        they are not
 * @retval -EBADF   one is not an open descriptor
 * @retval -ENODEV  one is no DRM node
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_drm_is_same_device(int fd, int other);

/* ---- Memory by handle (PRIME) ---- */

/**
 * Have the driver's handle of a buffer, for what ioctls take handles for, such
 * as framebuffers and submissions. A buffer has one handle in an open file,
 * however often it is asked for, and through however many adapters: they are
 * counted, and each is to be put once.
 *
 * The kernel does not count: importing the same memory again gives the same
 * number, and closing it once ends it for all. So the application should not
 * import a descriptor of memory, by drmPrimeFDToHandle(), for which it also
 * asks here. A handle that it has of memory which the driver allocated is
 * found by stile_drm_export_handle(), and never closed; once it has closed that
 * one itself, what it gets here is the adapter's, as of any other memory.
 *
 * May block as stile_buffer_export_fd().
 *
 * @param drm          borrowed
 * @param buffer       borrowed; the handle keeps its memory, but not itself,
 *                     alive
 * @param report       why not; may be NULL
 * @param[out] handle  to be put; 0 on failure
 *
 * @retval 0        *handle is valid
 * @retval -EINVAL  report->size is impossible, or the driver does not take
 *                  such memory
 * @retval -ENODEV  the driver takes no memory of others
 * @retval -EOPNOTSUPP  the buffer has no descriptor that is a dma-buf, or the
 *                  driver does not import at all
 * @retval -EACCES  this descriptor of the node may not import
 * @retval -EBUSY   as stile_buffer_export_fd()
 * @retval -ETIME   as stile_buffer_export_fd()
 * @retval -ENOSPC  the device's memory or addresses are used up
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_drm_get_handle(struct stile_drm *drm,
	struct stile_buffer *buffer, struct stile_report *report,
	uint32_t *handle);

/**
 * Give a handle back. The last one closes it.
 *
 * @param drm     an adapter of the same open file; borrowed
 * @param handle  what stile_drm_get_handle() gave
 * @since 0.1
 */
STILE_API void stile_drm_put_handle(struct stile_drm *drm, uint32_t handle);

/**
 * Make a buffer of memory that the application has a handle of. The same
 * memory gives the same buffer, wherever it came from. Never blocks.
 *
 * @param drm       borrowed
 * @param handle    borrowed; the application closes it when it likes, but not
 *                  while it uses the same number by stile_drm_get_handle()
 * @param usage     STILE_USAGE_* that will be made of it
 * @param report    why not; may be NULL
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  report->size is impossible, or no or unknown usage
 * @retval -ENOENT  there is no such handle
 * @retval -EOPNOTSUPP  the driver does not export
 * @retval -EACCES  this descriptor of the node may not export, or only what may
 *                  not be used so
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_drm_export_handle(struct stile_drm *drm,
	uint32_t handle, uint32_t usage, struct stile_report *report,
	struct stile_buffer **out);

/* ---- Memory of its own ---- */

/**
 * Open a device of the backend "dmabuf" whose memory is the driver's: dumb
 * buffers, zeroed, linear, which its KMS planes show. Of an image, one dumb
 * buffer of the image's own width if its pitch is one that other drivers take,
 * else a wider one; of several planes, one below the other.
 *
 * May block as stile_device_open().
 *
 * @param drm       borrowed; a primary node; may be destroyed before the device
 * @param info      borrowed, options have to be NULL; NULL for the defaults.
 *                  Its log is told why the driver gave no memory
 * @param report    why not; may be NULL
 * @param[out] out  the device, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  a size is impossible, or an option or flag was given
 * @retval -E2BIG   info is newer than the library and uses fields it does not
 *                  know
 * @retval -EOPNOTSUPP  the driver has no dumb buffers or does not export them
 * @retval -EACCES  a render node, which may not make dumb buffers
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_drm_open_device(struct stile_drm *drm,
	const struct stile_device_info *info, struct stile_report *report,
	struct stile_device **out);

STILE_END_DECLS

#endif
