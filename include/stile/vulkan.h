/* SPDX-License-Identifier: MIT */
#ifndef STILE_VULKAN_H
#define STILE_VULKAN_H

#include <stddef.h>
#include <stdint.h>

#include <vulkan/vulkan_core.h>

#include <stile/carrier.h>
#include <stile/fence.h>
#include <stile/image.h>
#include <stile/log.h>
#include <stile/macros.h>
#include <stile/party.h>
#include <stile/report.h>

STILE_BEGIN_DECLS

/**
 * Stile's view of one VkDevice of the application.
 *
 * One owner: stile_vulkan_create(), stile_vulkan_destroy(). All Vulkan entry
 * points are found through the application's vkGetInstanceProcAddr; the loader
 * is not linked.
 * Thread-safety: internal; stile_vulkan_destroy() external.
 */
struct stile_vulkan;

/**
 * A VkImage whose memory is somebody else's too, without a copy.
 *
 * Thread-safety: immutable.
 */
struct stile_vulkan_image;

/** Features that the VkDevice was created with. */
enum stile_vulkan_features {
	/** samplerYcbcrConversion: without it, of YUV only planes are sampled. */
	STILE_VULKAN_YCBCR_CONVERSION = 1 << 0,
};

/** What the application has. Everything is borrowed for the adapter's life. */
struct stile_vulkan_info {
	size_t size; /**< sizeof(struct stile_vulkan_info) */
	PFN_vkGetInstanceProcAddr get_instance_proc_addr;
	VkInstance instance;
	VkPhysicalDevice physical_device;
	/**
	 * Created with the feature timelineSemaphore, in Vulkan 1.1 with
	 * VK_KHR_timeline_semaphore for it, and the extensions below.
	 * VK_KHR_external_memory_fd and VK_EXT_external_memory_dma_buf are needed
	 * for images; VK_EXT_queue_family_foreign is used if it is there,
	 * VK_KHR_external_semaphore_fd and VK_KHR_external_fence_fd for fences
	 * that the kernel has,
	 * VK_EXT_external_memory_host for mappings (<stile/vulkan_memory.h>),
	 * and VK_EXT_image_drm_format_modifier for images whose layout is not
	 * the one that the driver would choose.
	 */
	VkDevice device;
	/** The device extensions that were enabled. */
	const char *const *extensions;
	uint32_t extension_count;
	/** Work on the images is submitted here; fences are made of its work. */
	VkQueue queue;
	uint32_t queue_family;
	/** Around each use of the queue by Stile; NULL: it needs no lock. */
	void (*lock_queue)(void *user);
	void (*unlock_queue)(void *user);
	void *queue_user; /**< handed to both */

	stile_log_fn log; /**< receives messages; NULL: silent */
	void *log_user;   /**< handed to log */

	/**
	 * How many images that were destroyed are kept for the next import of
	 * the same memory: see stile_vulkan_import_image(). 0: 64; less than 0:
	 * none, and each import makes a VkImage of its own.
	 */
	int cached_images;

	uint32_t features; /**< enum stile_vulkan_features */
};

/**
 * What a submission has to wait for: a timeline semaphore and its value, or a
 * binary semaphore.
 */
struct stile_vulkan_wait {
	size_t size;           /**< sizeof(struct stile_vulkan_wait) */
	VkSemaphore semaphore; /**< borrowed from the adapter, or `binary`;
	                            VK_NULL_HANDLE: nothing to wait for */
	uint64_t value;        /**< 0: it is `binary` */
	/**
	 * Set by the caller, as for vkAcquireNextImageKHR(): a binary semaphore
	 * of the device, unsignalled, for which no submission waits that is
	 * still going on. It is the caller's before and after. Where `semaphore`
	 * is this one, exactly one submission, to any queue, waits for it; if
	 * there is none, it can be handed in again or destroyed. VK_NULL_HANDLE:
	 * only a timeline semaphore will do.
	 */
	VkSemaphore binary;
};

/** A DRM format as Vulkan has it. */
struct stile_vulkan_format {
	size_t size; /**< sizeof(struct stile_vulkan_format) */
	VkFormat format;
	/**
	 * For the VkImageView that samples an image: where the format's
	 * components are in `format`. Of YUV formats it belongs to the
	 * VkSamplerYcbcrConversion, and views have none. Drawing and storing
	 * know of no mapping: they need one that is IDENTITY, but for the
	 * alpha of X formats (VK_COMPONENT_SWIZZLE_ONE), for which a view that
	 * is drawn to says IDENTITY, too.
	 */
	VkComponentMapping components;
};

/**
 * The VkFormat that has the bytes of a DRM format, and where its components are
 * in that. Whether a device takes it, stile_vulkan_import_image() says. Never
 * blocks; any thread.
 *
 * @param fourcc    DRM_FORMAT_*
 * @param[out] out  filled in, the caller having set out->size; unchanged on
 *                  failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  out->size is impossible
 * @retval -EOPNOTSUPP  Vulkan has no such format, or Stile does not know it, or the
 *                  host is big-endian
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_vulkan_format_get(
	uint32_t fourcc, struct stile_vulkan_format *out);

/**
 * The DRM format whose components are in the order of a VkFormat: the one with
 * alpha where there are two. Formats of YUV that Vulkan has as ones of RGB are
 * not found. Never blocks; any thread.
 *
 * @param format  any
 * @return DRM_FORMAT_*; DRM_FORMAT_INVALID: there is none
 * @since 0.1
 */
STILE_API uint32_t stile_vulkan_format_get_fourcc(VkFormat format);

/**
 * Make the adapter. May block as any Vulkan call may.
 *
 * @param info      borrowed
 * @param report    why not; may be NULL
 * @param[out] out  the adapter, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  something is missing in info, or a size is impossible
 * @retval -E2BIG   info is newer than the library and uses fields it does not
 *                  know
 * @retval -EOPNOTSUPP  an entry point that is needed is missing: Vulkan 1.1, or
 *                  timeline semaphores
 * @retval -EAGAIN  the system refused a thread
 * @retval -ENOMEM  out of memory
 * @retval -EIO     the device is lost
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_vulkan_create(
	const struct stile_vulkan_info *info, struct stile_report *report,
	struct stile_vulkan **out);

/**
 * Give the adapter up. Fences of Vulkan work that is still going on end with
 * -ECANCELED. Semaphores that stand for fences which are still pending are
 * signalled, since what waits for them could never end: the application sees
 * to it that nothing is in flight whose result matters. Blocks until the
 * queue is idle, under lock_queue(): what is in flight on it must not depend on
 * anything that happens after this call.
 *
 * @param vulkan  the adapter to give up, its images already destroyed; NULL is
 *                ignored
 * @since 0.1
 */
STILE_API void stile_vulkan_destroy(struct stile_vulkan *vulkan);

/**
 * Make a VkImage of an image, for all uses that `usage` names. The driver
 * gets descriptors of its own; the picture is not copied. Its layout towards
 * others is VK_IMAGE_LAYOUT_GENERAL, its owner VK_QUEUE_FAMILY_FOREIGN_EXT:
 * see stile_vulkan_acquire() and stile_vulkan_release().
 *
 * With VK_EXT_image_drm_format_modifier, the modifier, pitches and offsets are
 * given to the driver. Without it, or where the driver refuses them, the image has
 * to be linear, with the driver's pitches and with offsets as aligned as the
 * driver wants them; planes of YUV then are disjoint (VK_IMAGE_CREATE_DISJOINT_BIT),
 * as they are where they are in several buffers. Images of YUV are sampled with a
 * conversion: stile_vulkan_get_ycbcr_conversion(); in either of two ways, by
 * stile_vulkan_import_yuv() (<stile/vulkan_yuv.h>).
 *
 * Importing the same memory in the same layout for the same usage again, from
 * this image or another one, gives the same pointer with one user more, and
 * asks the driver nothing: it may be done for each frame. What nobody uses any
 * more is kept for that, as many as info.cached_images says, the longest
 * unused going first; it keeps no memory: the VkImage goes with the last
 * reference on a buffer of the image, in the thread that drops it, or when the
 * device is found lost.
 *
 * @param vulkan    borrowed
 * @param image     borrowed; references on its buffers are kept until the
 *                  VkImage is destroyed
 * @param usage     of the VkImage
 * @param report    why not; may be NULL
 * @param[out] out  the VkImage, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  no usage, or report->size is impossible
 * @retval -EACCES  the image came from a read-only descriptor, or its memory is
 *                  sealed against writing
 * @retval -ERANGE  the image is too large for the device, or its memory too
 *                  small for what the driver needs
 * @retval -EOPNOTSUPP  an extension is not enabled; the device does not take this
 *                  format, modifier, usage, pitch or offset; the format is YUV
 *                  and the device was made without the feature
 *                  samplerYcbcrConversion; or its components
 *                  are in another order than Vulkan's, and the usage is one
 *                  that no view can put in order (attachments, storage)
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENOMEM  out of memory
 * @retval -EIO     the device is lost
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_vulkan_import_image(
	struct stile_vulkan *vulkan, struct stile_image *image,
	VkImageUsageFlags usage, struct stile_report *report,
	struct stile_vulkan_image **out);

/**
 * How a sampler makes colours of YUV: for VkSamplerCreateInfo and for the
 * VkImageViewCreateInfo of the image, whose components are identity. Made once for
 * each that differs, and kept. What the colour does not say is taken as BT.601, in
 * limited range, with chroma on the left and between two rows, as far as the
 * device can. Needs no image: pipelines are made before there is one. Does not
 * block; any thread.
 *
 * @param vulkan    borrowed
 * @param fourcc    DRM_FORMAT_* of luma and chroma
 * @param colour    of the image; borrowed
 * @param filter    of chroma: VK_FILTER_NEAREST or VK_FILTER_LINEAR. The sampler's
 *                  own two have to be the same, unless the device has
 *                  SAMPLED_IMAGE_YCBCR_CONVERSION_SEPARATE_RECONSTRUCTION_FILTER
 * @param report    why not; may be NULL
 * @param[out] out  borrowed, valid as long as the adapter; VK_NULL_HANDLE on
 *                  failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  report->size is impossible
 * @retval -EOPNOTSUPP  Vulkan has no such format or no name for this matrix; the
 *                  device was made without samplerYcbcrConversion; or it cannot
 *                  convert this format, filter its chroma, or take it for sited
 *                  as the colour says
 * @retval -ENOMEM  out of memory
 * @retval -EIO     the driver failed for no reason that it names
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_vulkan_get_ycbcr_conversion(
	struct stile_vulkan *vulkan, uint32_t fourcc,
	const struct stile_colour *colour, VkFilter filter,
	struct stile_report *report, VkSamplerYcbcrConversion *out);

/**
 * Would stile_vulkan_import_image() take it, and if not, why? Nothing is kept of
 * the call, imported or logged; for its time it makes a VkImage without memory,
 * since that is what drivers tell a pitch for. May block as any Vulkan call may.
 *
 * @param vulkan  borrowed
 * @param image   borrowed
 * @param usage   of the VkImage
 * @param report  why not, with the numbers; may be NULL
 *
 * @retval 0       it would, as far as anybody says before: what the driver makes
 *                 of this very memory shows when it is imported
 * @retval other   as stile_vulkan_import_image()
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_vulkan_check_image(
	struct stile_vulkan *vulkan, struct stile_image *image,
	VkImageUsageFlags usage, struct stile_report *report);

/**
 * Describe the device as a party of negotiations: its name, the layouts that it
 * imports for these uses, how large they may be, where rows and planes have to
 * begin, what memory it imports, and exports (`allocates`: the application
 * does, and then has an image by stile_vulkan_export_image(); for
 * stile_image_create_for() such memory is from elsewhere), how work is waited
 * for, and which device it is (VK_EXT_physical_device_drm, else its UUIDs).
 * Never blocks, but as Vulkan calls may.
 *
 * Layouts are those that the driver lists where the application has enabled
 * VK_EXT_image_drm_format_modifier, with the planes that the driver says; else
 * LINEAR is asked for. What Vulkan cannot be asked is where rows have to begin.
 * A linear VkImage one pixel wide, made for the call and without memory, has the
 * least pitch that there is, which is taken for the alignment; without explicit
 * modifiers, an image's pitch has to be the driver's own for its width, which
 * stile_vulkan_import_image() alone can say.
 *
 * @param vulkan      borrowed; the party does not need it any more
 * @param usage       of VkImages; those that draw, store or copy to it make it a
 *                    producer
 * @param report      why not; may be NULL
 * @param[out] party  its size is set; the caller's to give to
 *                    stile_party_fini(); empty on failure
 *
 * @retval 0        *party is complete
 * @retval -EINVAL  no usage, or a size field is impossible
 * @retval -EOPNOTSUPP  the application has not enabled the extensions for
 *                  dma-bufs
 * @retval -ENOMEM  out of memory
 * @retval -EIO     the device is lost, or the driver failed for no reason that it
 *                  names
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_vulkan_get_party(
	struct stile_vulkan *vulkan, VkImageUsageFlags usage,
	struct stile_report *report, struct stile_party *party);

/**
 * Give the VkImage up, once for each import that gave it, released (unless it
 * was never acquired) and the device done with it: the driver's may stay for
 * the next import, see stile_vulkan_import_image().
 *
 * @param image  the one to give up; NULL is ignored
 * @since 0.1
 */
STILE_API void stile_vulkan_image_destroy(struct stile_vulkan_image *image);

/** The VkImage; borrowed. @since 0.1 */
STILE_API VkImage stile_vulkan_image_get_handle(
	const struct stile_vulkan_image *image);

/**
 * Its VkFormat. A view to sample RGB by needs the components of
 * stile_vulkan_format_get(), too; one of YUV needs its conversion, and no
 * components.
 *
 * @since 0.1
 */
STILE_API VkFormat stile_vulkan_image_get_format(
	const struct stile_vulkan_image *image);

/**
 * The barrier to record before the first use in a submission: takes the image
 * over from whoever used it last. Its content is kept. Never blocks.
 *
 * @param image   borrowed
 * @param layout  the layout that the use needs
 * @param access  what the use does
 * @return of all planes, a barrier for vkCmdPipelineBarrier(); its source stage is the one
 *         that the submission's semaphore wait names, so that it comes after
 *         the wait; VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT only where nothing is
 *         waited for. For an image of stile_vulkan_import_host_image(), add
 *         VK_PIPELINE_STAGE_HOST_BIT
 * @since 0.1
 */
STILE_API VkImageMemoryBarrier stile_vulkan_acquire(
	const struct stile_vulkan_image *image, VkImageLayout layout,
	VkAccessFlags access);

/**
 * The barrier to record instead of stile_vulkan_acquire() where nobody needs what
 * is in the image any more, since all of it is drawn anew; and as the first one of
 * all for an image of stile_vulkan_import_host_image(). The driver may drop the
 * content: never for a frame of somebody else's that is to be read. Never
 * blocks.
 *
 * @param image   borrowed
 * @param layout  the layout that the use needs
 * @param access  what the use does
 * @return of all planes, a barrier for vkCmdPipelineBarrier(); its source stage is
 *         as for stile_vulkan_acquire()
 * @since 0.1
 */
STILE_API VkImageMemoryBarrier stile_vulkan_discard(
	const struct stile_vulkan_image *image, VkImageLayout layout,
	VkAccessFlags access);

/**
 * The barrier to record after the last use in a submission: gives the image
 * to whoever uses it next. Never blocks.
 *
 * @param image   borrowed
 * @param layout  the layout that the use left it in
 * @param access  what the use did
 * @return a barrier for vkCmdPipelineBarrier(); destination stage
 *         VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT; for an image of
 *         stile_vulkan_import_host_image(), VK_PIPELINE_STAGE_HOST_BIT
 * @since 0.1
 */
STILE_API VkImageMemoryBarrier stile_vulkan_release(
	const struct stile_vulkan_image *image, VkImageLayout layout,
	VkAccessFlags access);

/**
 * Have the device wait for a fence: gives what the next submission waits for.
 * The application does not wait. A fence made by this adapter gives its own
 * semaphore (STILE_PATH_HANDLE). One that is the kernel's becomes the payload of
 * the caller's binary semaphore, if there is one and the driver imports SYNC_FD
 * (STILE_PATH_KERNEL). For any other one, and where that fails, a thread of the
 * adapter signals a semaphore when the fence is signalled (STILE_PATH_BRIDGE).
 * All of them let the device go on after an error, too: see
 * stile_fence_get_status(). Never blocks, and once warm neither allocates
 * nor creates a Vulkan object, but for a descriptor on its way to the driver.
 *
 * Behind a semaphore that a thread signals, only timeline semaphores may be
 * waited for or signalled by further submissions until it is done.
 *
 * @param vulkan     borrowed
 * @param fence      borrowed; a reference is kept until it is signalled
 * @param[out] path  how it crossed; may be NULL
 * @param[out] wait  filled in, the caller having set wait->size and
 *                   wait->binary; a semaphore of the adapter is valid as long
 *                   as that, for submissions to the adapter's queue
 *
 * @retval 0        *wait is valid
 * @retval -EINVAL  a size is impossible, or wait has no room for the answer
 * @retval -ENOMEM  out of memory
 * @retval -EIO     the device is lost
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_vulkan_wait_fence(
	struct stile_vulkan *vulkan, struct stile_fence *fence,
	struct stile_path *path, struct stile_vulkan_wait *wait);

/**
 * Make a fence of the work that the queue was given up to here: call it after
 * the submission has succeeded. Adds an empty submission of its own, under
 * lock_queue(); a thread of the adapter waits for its end. Does not block
 * longer than vkQueueSubmit() does, and once warm neither allocates nor
 * creates a Vulkan object.
 *
 * @param vulkan    borrowed
 * @param[out] out  new reference, the caller's; NULL on failure. Ends with
 *                  -EIO if the device is lost
 *
 * @retval 0        *out is valid
 * @retval -ENOMEM  out of memory
 * @retval -EIO     the device is lost
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_vulkan_fence_create(
	struct stile_vulkan *vulkan, struct stile_fence **out);

/**
 * As stile_vulkan_fence_create(), and the kernel has the fence too: it is made
 * of the sync_file that the driver exports (STILE_PATH_KERNEL), so a kernel
 * reservation can be told of it, and it can be exported as STILE_FD_SYNC_FILE. If
 * the work was over at once, the driver may have nothing to export
 * (STILE_PATH_NONE).
 *
 * The kernel cannot have it where the driver exports no SYNC_FD, nor while a
 * semaphore that a thread signals (stile_vulkan_wait_fence()) is not done: what it
 * waits for must not wait for a program (KERNEL_CONTRACT X-2). Then, unless that
 * is to be refused, it is a fence as stile_vulkan_fence_create() makes it
 * (STILE_PATH_HANDLE).
 *
 * May block until the work is done: some drivers (lavapipe) export nothing
 * before. The path tells for how long. So the work must not depend on what
 * the application has still to do, such as signalling a timeline semaphore of its
 * own, which Vulkan forbids as well.
 *
 * @param vulkan       borrowed
 * @param device       watches the sync_file, as in stile_fence_import_fd();
 *                     borrowed
 * @param user_fences  what to do if the kernel cannot have it:
 *                     STILE_USER_FENCES_WAIT first waits for those semaphores,
 *                     for 10 s at most
 * @param[out] path    which of the two it is; may be NULL
 * @param[out] out     new reference, the caller's; NULL on failure. Ends with
 *                     -EIO if the device is lost
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  unknown choice, or path->size is impossible
 * @retval -EOPNOTSUPP  the kernel cannot have it, and that was to be refused
 * @retval -ETIME   the semaphores were waited for, and not done in time
 * @retval -ENOMEM  out of memory
 * @retval -EIO     the device is lost
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_vulkan_fence_create_sync_file(
	struct stile_vulkan *vulkan, struct stile_device *device,
	enum stile_user_fences user_fences, struct stile_path *path,
	struct stile_fence **out);

STILE_END_DECLS

#endif
