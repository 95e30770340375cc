/* SPDX-License-Identifier: MIT */
#ifndef STILE_VULKAN_MEMORY_H
#define STILE_VULKAN_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include <vulkan/vulkan_core.h>

#include <stile/buffer.h>
#include <stile/image.h>
#include <stile/macros.h>
#include <stile/opaque.h>
#include <stile/report.h>
#include <stile/vulkan.h>

STILE_BEGIN_DECLS

/*
 * Memory without a picture, and memory that the application itself has
 * allocated. Which way is for what: docs/sharing-memory.md.
 */

/**
 * A VkBuffer whose memory is a stile_buffer's or another VkDevice's, without a copy.
 *
 * Thread-safety: immutable.
 */
struct stile_vulkan_buffer;

/**
 * Make a VkBuffer of all of a buffer's bytes. The driver gets a descriptor of
 * its own (STILE_MEMORY_DMA_BUF), or where that cannot be, the buffer's mapping
 * (STILE_MEMORY_HOST_POINTER, VK_EXT_external_memory_host): drivers that import
 * no descriptors take that, and the CPU's memory only.
 *
 * Importing the same buffer for the same usage and kinds of memory again gives
 * the same pointer with one user more, and asks the driver nothing, and what
 * nobody uses any more is kept for that until the buffer goes: as
 * stile_vulkan_import_image() does it. Not so of a mapping, which would keep the
 * buffer: it is made each time. To who exports the memory, the driver of a mapping
 * is the CPU, and it takes ordinary memory only: stile_vulkan_import_host_image()
 * says more.
 *
 * @param vulkan    borrowed
 * @param buffer    borrowed; a reference is kept until it is destroyed
 * @param usage     of the VkBuffer
 * @param memory    the STILE_MEMORY_* that will do, of these two; 0: both
 * @param report    why not; may be NULL
 * @param[out] out  the VkBuffer, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  no usage, unknown kinds of memory, or report->size is
 *                  impossible
 * @retval -EACCES  the buffer came from a read-only descriptor, or its memory
 *                  is sealed against writing
 * @retval -ERANGE  the memory is too small for what the driver needs
 * @retval -EOPNOTSUPP  the device takes the memory in neither way
 * @retval -EBUSY   the memory is where no descriptor shows it, and something
 *                  keeps it from being moved
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENOMEM  out of memory
 * @retval -EIO     the device is lost
 * @retval -EDEADLK misuse: the caller has the buffer's reservation locked
 * @retval other    as stile_buffer_mmap()
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_vulkan_import_buffer(
	struct stile_vulkan *vulkan, struct stile_buffer *buffer,
	VkBufferUsageFlags usage, uint32_t memory, struct stile_report *report,
	struct stile_vulkan_buffer **out);

/**
 * Give the VkBuffer up, once for each import that gave it: the driver's may stay for
 * the next one, see stile_vulkan_import_buffer(). The device must be done with
 * it.
 *
 * @param buffer  the one to give up; NULL is ignored
 * @since 0.1
 */
STILE_API void stile_vulkan_buffer_destroy(struct stile_vulkan_buffer *buffer);

/** The VkBuffer; borrowed. @since 0.1 */
STILE_API VkBuffer stile_vulkan_buffer_get_handle(
	const struct stile_vulkan_buffer *buffer);

/** What memory it has: a STILE_MEMORY_*. @since 0.1 */
STILE_API uint32_t stile_vulkan_buffer_get_memory(
	const struct stile_vulkan_buffer *buffer);

/**
 * Make a VkImage of an image's mapping (VK_EXT_external_memory_host), without a
 * copy: for drivers that import no descriptors. It has to be linear, with the
 * pitches that the driver has for this width, and planes where the driver takes
 * them; of YUV each is bound by itself (VK_IMAGE_CREATE_DISJOINT_BIT). The memory
 * has to be a program's own or a file's: drivers that draw on the CPU take
 * whatever is mapped, those of hardware refuse dma-bufs here.
 *
 * What is in the memory is lost once: such a VkImage begins in
 * VK_IMAGE_LAYOUT_UNDEFINED (VUID-VkImageCreateInfo-pNext-01443), nobody owns a
 * pointer whom it could be acquired from, and a barrier from UNDEFINED may drop
 * everything. So the first barrier is stile_vulkan_discard(); after it, and what
 * is drawn, if anything, comes stile_vulkan_release(). What the CPU, and others who
 * have the memory, write once these were executed, is read behind
 * stile_vulkan_acquire(), for as long as the VkImage lives. A picture that is
 * there already and has to be kept goes by a VkBuffer, and a copy:
 * stile_vulkan_import_buffer().
 *
 * To who exports the memory, the driver is the CPU (P-5): where its mappings are
 * not coherent with its other users, as a dma-heap's on some machines, each
 * submission is between stile_buffer_begin_cpu_access(), the image's producer
 * being done, and stile_buffer_end_cpu_access(), the submission being done.
 *
 * Each import makes a VkImage of its own, and undoes it with its destruction: the
 * mapping would keep what nobody uses. May block as a Vulkan call may.
 *
 * @param vulkan    borrowed
 * @param image     borrowed; its buffers stay mapped, and kept, until the VkImage is
 *                  destroyed
 * @param usage     of the VkImage
 * @param report    why not; may be NULL
 * @param[out] out  the VkImage, the caller's, to be given to
 *                  stile_vulkan_image_destroy(); NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  no usage, or report->size is impossible
 * @retval -EACCES  the image came from a read-only descriptor, or its memory is
 *                  sealed against writing
 * @retval -ERANGE  the image is too large for the device; or less is mapped than the
 *                  driver needs, or not at a multiple of
 *                  minImportedHostPointerAlignment
 * @retval -EOPNOTSUPP  VK_EXT_external_memory_host is not enabled; the image is not
 *                  linear; its exporter has no mappings; the device takes no
 *                  mapping, or not this one, for this format and usage, or only as
 *                  memory that is not coherent with the CPU; it has another pitch
 *                  or offset; or as stile_vulkan_import_image() says of formats
 * @retval -EDEADLK misuse: the caller has a buffer's reservation locked
 * @retval -ENOMEM  out of memory
 * @retval -EIO     the device is lost
 * @retval other    as stile_buffer_mmap()
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_vulkan_import_host_image(
	struct stile_vulkan *vulkan, struct stile_image *image,
	VkImageUsageFlags usage, struct stile_report *report,
	struct stile_vulkan_image **out);

/**
 * The queue family that stands for those whom memory is shared with, in a
 * barrier that gives it to them or takes it from them: of dma-bufs
 * VK_QUEUE_FAMILY_FOREIGN_EXT, if the device has VK_EXT_queue_family_foreign; of
 * OPAQUE_FD, where all are the same driver, VK_QUEUE_FAMILY_EXTERNAL; of host
 * pointers, which have no owner, VK_QUEUE_FAMILY_IGNORED, in both places of
 * the barrier. Never blocks.
 *
 * @param vulkan  borrowed
 * @param memory  one STILE_MEMORY_*
 * @since 0.1
 */
STILE_API uint32_t stile_vulkan_get_peer_family(
	const struct stile_vulkan *vulkan, uint32_t memory);

/** An image of the application's own, as it was created and bound. */
struct stile_vulkan_own_image {
	size_t size; /**< sizeof(struct stile_vulkan_own_image) */
	/**
	 * Created with VkExternalMemoryImageCreateInfo, for the kind of memory
	 * that it is exported as: two-dimensional, one layer, one level, one
	 * sample, not disjoint.
	 */
	VkImage image;
	uint32_t fourcc; /**< DRM_FORMAT_* that its VkFormat is */
	uint32_t width;
	uint32_t height;
	VkImageTiling tiling;
	VkImageUsageFlags usage;
	/** Of tiling by modifier: how many memory planes that has; 0: the
	 * format's. */
	uint32_t plane_count;

	/** Allocated with VkExportMemoryAllocateInfo, for that kind, too. */
	VkDeviceMemory memory;
	VkDeviceSize bytes;   /**< its allocationSize */
	uint32_t memory_type; /**< its memoryTypeIndex */
	VkDeviceSize offset;  /**< where the image is bound */
	VkBool32 dedicated;   /**< allocated for this image only */

	const char *name; /**< for debugging tools; borrowed; may be NULL */
};

/**
 * Make an image of a VkImage of the application's, without a copy: a dma-buf of
 * the driver, for every API and device that takes its layout. The VkImage
 * stays as it is, to be given to others and taken back by barriers in
 * VK_IMAGE_LAYOUT_GENERAL with stile_vulkan_get_peer_family(STILE_MEMORY_DMA_BUF).
 * May block as a Vulkan call may.
 *
 * @param vulkan    borrowed
 * @param own       borrowed; image and memory have to be alive during the call
 *                  only: what was exported keeps the memory itself
 * @param device    as for stile_image_import(); borrowed
 * @param report    why not; may be NULL
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  image or memory is missing, or a size is impossible; what
 *                  stile_image_import() finds wrong
 * @retval -E2BIG   own is newer than the library and uses fields it does not
 *                  know
 * @retval -ERANGE  a pitch or a plane does not fit
 * @retval -EOPNOTSUPP  the driver exports no such image as a dma-buf, the tiling
 *                  is VK_IMAGE_TILING_OPTIMAL, which nobody else can read
 *                  (stile_vulkan_export_opaque() is for that), or the device
 *                  does not take the modifier
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENOMEM  out of memory
 * @retval -EIO     the device is lost
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_vulkan_export_image(
	struct stile_vulkan *vulkan, const struct stile_vulkan_own_image *own,
	struct stile_device *device, struct stile_report *report,
	struct stile_image **out);

/**
 * Make a buffer of memory of the application's, without a copy: a dma-buf of
 * the driver. What a VkBuffer has at offset o is in the buffer from byte o plus
 * the offset that it is bound at. May block as a Vulkan call may.
 *
 * @param vulkan    borrowed
 * @param memory    allocated with VkExportMemoryAllocateInfo for dma-bufs; has
 *                  to be alive during the call only
 * @param device    as for stile_buffer_import_fd(); borrowed
 * @param report    why not; may be NULL
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  no memory, or report->size is impossible; what
 *                  stile_buffer_import_fd() finds wrong
 * @retval -EOPNOTSUPP  the driver exports no dma-bufs
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENOMEM  out of memory
 * @retval -EIO     the device is lost
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_vulkan_export_memory(
	struct stile_vulkan *vulkan, VkDeviceMemory memory,
	struct stile_device *device, struct stile_report *report,
	struct stile_buffer **out);

/**
 * Describe a VkImage of the application's for another API of the same driver,
 * whatever its tiling: see <stile/opaque.h> and stile_egl_import_opaque(). Given
 * to others and taken back with stile_vulkan_get_peer_family(STILE_MEMORY_OPAQUE_FD).
 * May block as a Vulkan call may.
 *
 * @param vulkan    borrowed
 * @param own       borrowed; image and memory have to be alive during the call
 *                  only
 * @param report    why not; may be NULL
 * @param[out] out  filled in, the caller having set out->size; its descriptor
 *                  is new, CLOEXEC and the caller's; -1 on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  image or memory is missing, a size is impossible, or out
 *                  has no room for all
 * @retval -E2BIG   own is newer than the library and uses fields it does not
 *                  know
 * @retval -EOPNOTSUPP  the driver exports no such image as OPAQUE_FD, or the
 *                  tiling is by modifier, which is for dma-bufs
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENOMEM  out of memory
 * @retval -EIO     the device is lost
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_vulkan_export_opaque(
	struct stile_vulkan *vulkan, const struct stile_vulkan_own_image *own,
	struct stile_report *report, struct stile_opaque_image *out);

/**
 * Make a VkImage of one that another VkDevice of the same driver, perhaps in
 * another process, has described, without a copy. It has the usage that it was
 * created with there. Its layout towards others is VK_IMAGE_LAYOUT_GENERAL, its
 * owner VK_QUEUE_FAMILY_EXTERNAL: stile_vulkan_acquire() and
 * stile_vulkan_release() say so. May block as a Vulkan call may.
 *
 * @param vulkan    borrowed
 * @param image     borrowed, its descriptor too: as stile_vulkan_export_opaque()
 *                  gave it
 * @param report    why not; may be NULL
 * @param[out] out  the VkImage, the caller's, who gives it up with
 *                  stile_vulkan_image_destroy(); NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  a size is impossible; no usage, or no width or height
 * @retval -E2BIG   image is newer than the library and uses fields it does not
 *                  know
 * @retval -EBADF   the descriptor is not open
 * @retval -EOPNOTSUPP  an extension is not enabled; the memory is another
 *                  device's or driver's; the driver does not take such an
 *                  image, or not in this type of memory, at this offset
 * @retval -ERANGE  it is larger than the driver takes, or than the memory
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENOMEM  out of memory
 * @retval -EIO     the device is lost
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_vulkan_import_opaque(
	struct stile_vulkan *vulkan, const struct stile_opaque_image *image,
	struct stile_report *report, struct stile_vulkan_image **out);

/** A VkBuffer of the application's own, as it was created and bound. */
struct stile_vulkan_own_buffer {
	size_t size; /**< sizeof(struct stile_vulkan_own_buffer) */
	/** Created with VkExternalMemoryBufferCreateInfo for OPAQUE_FD. */
	VkDeviceSize length;
	VkBufferUsageFlags usage;

	/** Allocated with VkExportMemoryAllocateInfo for OPAQUE_FD. */
	VkDeviceMemory memory;
	VkDeviceSize bytes;   /**< its allocationSize */
	uint32_t memory_type; /**< its memoryTypeIndex */
	VkDeviceSize offset;  /**< where the buffer is bound */
	VkBool32 dedicated;   /**< allocated for this buffer only */
};

/**
 * Describe a VkBuffer of the application's for another VkDevice of the same driver:
 * for drivers that export no dma-bufs, and memory that is none. Given to others and
 * taken back with stile_vulkan_get_peer_family(STILE_MEMORY_OPAQUE_FD). May block
 * as a Vulkan call may.
 *
 * @param vulkan    borrowed
 * @param own       borrowed; its memory has to be alive during the call only
 * @param report    why not; may be NULL
 * @param[out] out  filled in, the caller having set out->size; its descriptor
 *                  is new, CLOEXEC and the caller's; -1 on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  memory, length or usage is missing, a size is impossible, or
 *                  out has no room for all
 * @retval -E2BIG   own is newer than the library and uses fields it does not
 *                  know
 * @retval -EOPNOTSUPP  an extension is not enabled, or the driver exports no such
 *                  buffer as OPAQUE_FD
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENOMEM  out of memory
 * @retval -EIO     the device is lost
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_vulkan_export_opaque_buffer(
	struct stile_vulkan *vulkan, const struct stile_vulkan_own_buffer *own,
	struct stile_report *report, struct stile_opaque_buffer *out);

/**
 * Make a VkBuffer of one that another VkDevice of the same driver, perhaps in
 * another process, has described, without a copy. It has the length and the usage
 * that it was created with there; stile_vulkan_buffer_get_memory() says
 * STILE_MEMORY_OPAQUE_FD. May block as a Vulkan call may.
 *
 * @param vulkan    borrowed
 * @param buffer    borrowed, its descriptor too: as
 *                  stile_vulkan_export_opaque_buffer() gave it
 * @param report    why not; may be NULL
 * @param[out] out  the VkBuffer, the caller's, who gives it up with
 *                  stile_vulkan_buffer_destroy(); NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  a size is impossible; no length or usage
 * @retval -E2BIG   buffer is newer than the library and uses fields it does not
 *                  know
 * @retval -EBADF   the descriptor is not open
 * @retval -EOPNOTSUPP  an extension is not enabled; the memory is another
 *                  device's or driver's; the driver does not take such a
 *                  buffer, or not in this type of memory, at this offset
 * @retval -ERANGE  it is larger than the memory
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENOMEM  out of memory
 * @retval -EIO     the device is lost
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_vulkan_import_opaque_buffer(
	struct stile_vulkan *vulkan, const struct stile_opaque_buffer *buffer,
	struct stile_report *report, struct stile_vulkan_buffer **out);

STILE_END_DECLS

#endif
