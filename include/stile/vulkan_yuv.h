/* SPDX-License-Identifier: MIT */
#ifndef STILE_VULKAN_YUV_H
#define STILE_VULKAN_YUV_H

#include <stile/vulkan.h>

STILE_BEGIN_DECLS

/** How an image of YUV got to Vulkan. */
enum stile_vulkan_yuv_path {
	STILE_VULKAN_YUV_NONE = 0, /**< it did not */
	/** As one VkImage, of which a sampler with a conversion makes colours. */
	STILE_VULKAN_YUV_CONVERSION,
	/** As a VkImage of each plane, of which a shader makes them. */
	STILE_VULKAN_YUV_PLANES,
};

/** An image of YUV to be sampled in Vulkan, without a copy. */
struct stile_vulkan_yuv {
	size_t size; /**< sizeof(struct stile_vulkan_yuv) */
	enum stile_vulkan_yuv_path path;
	uint32_t image_count; /**< 1, or as many as there are planes */
	/**
	 * Imported with VK_IMAGE_USAGE_SAMPLED_BIT; each needs its own barriers.
	 * Planes are R8, R8G8, R16 or R16G16, and their views' components are
	 * identity, as those of conversions are.
	 */
	struct stile_vulkan_image *images[STILE_MAX_PLANES];
	/** Of one: stile_vulkan_get_ycbcr_conversion()'s. */
	VkSamplerYcbcrConversion conversion;
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
 * Make VkImages of an image of YUV: one with a conversion if the device has it,
 * or else, where it has several planes, one of each plane. A device without the
 * feature samplerYcbcrConversion, without this format, or without a word for
 * this matrix or siting of chroma is no obstacle for planes.
 *
 * @param vulkan    borrowed
 * @param image     borrowed; references on its buffers are kept
 * @param filter    of chroma, for the conversion
 * @param report    why not; where it is planes, why it is no conversion, with
 *                  error 0; may be NULL
 * @param[out] out  filled in, the caller having set out->size; its images are
 *                  the caller's: stile_vulkan_yuv_finish(); without images on
 *                  failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  the image is not YUV; or a size is impossible, or out has no
 *                  room for the answer
 * @retval -EOPNOTSUPP  the device takes neither of them, or no sum makes
 *                  colours of the samples
 * @retval other    as stile_vulkan_import_image()
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_vulkan_import_yuv(
	struct stile_vulkan *vulkan, struct stile_image *image, VkFilter filter,
	struct stile_report *report, struct stile_vulkan_yuv *out);

/**
 * Give up its images, as stile_vulkan_image_destroy() does.
 *
 * @param yuv  filled in by stile_vulkan_import_yuv(), or zeroed
 * @since 0.1
 */
STILE_API void stile_vulkan_yuv_finish(struct stile_vulkan_yuv *yuv);

STILE_END_DECLS

#endif
