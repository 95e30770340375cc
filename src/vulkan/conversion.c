/* SPDX-License-Identifier: MIT */
/* How Vulkan makes colours of luma and chroma. */
#include <errno.h>
#include <stdlib.h>

#include "src/report.h"
#include "src/vulkan/vulkan.h"

struct conversion {
	struct conversion *next;
	VkSamplerYcbcrConversionCreateInfo info;
	VkSamplerYcbcrConversion handle;
};

/* ---- What is asked for -------------------------------------------------------------------- */

/* False: Vulkan has no name for it. */
static bool find_model(uint32_t matrix, VkSamplerYcbcrModelConversion *model) {
	switch (matrix) {
	case STILE_MATRIX_BT709:
		*model = VK_SAMPLER_YCBCR_MODEL_CONVERSION_YCBCR_709;
		return true;
	case STILE_MATRIX_IDENTITY:
	case STILE_MATRIX_NOT_SAID:
	case STILE_MATRIX_BT470BG:
	case STILE_MATRIX_BT601:
		*model = VK_SAMPLER_YCBCR_MODEL_CONVERSION_YCBCR_601;
		return true;
	case STILE_MATRIX_BT2020:
		*model = VK_SAMPLER_YCBCR_MODEL_CONVERSION_YCBCR_2020;
		return true;
	default:
		return false;
	}
}

static bool has_offset(VkFormatFeatureFlags features, VkChromaLocation offset) {
	return (features &
		       (offset == VK_CHROMA_LOCATION_MIDPOINT
				       ? VK_FORMAT_FEATURE_MIDPOINT_CHROMA_SAMPLES_BIT
				       : VK_FORMAT_FEATURE_COSITED_CHROMA_SAMPLES_BIT)) != 0;
}

/* Where chroma is taken to be: whatever the device has, if it is not said. False: it is, and the device has it not. */
static bool choose_offset(VkFormatFeatureFlags features, enum stile_chroma_siting siting,
	VkChromaLocation usual, VkChromaLocation *offset) {
	if (siting != STILE_SITING_NOT_SAID) {
		*offset = siting == STILE_SITING_MIDPOINT ? VK_CHROMA_LOCATION_MIDPOINT
							  : VK_CHROMA_LOCATION_COSITED_EVEN;
		return has_offset(features, *offset);
	}
	*offset = usual;
	if (!has_offset(features, usual)) {
		*offset = usual == VK_CHROMA_LOCATION_MIDPOINT ? VK_CHROMA_LOCATION_COSITED_EVEN
							       : VK_CHROMA_LOCATION_MIDPOINT;
	}
	return true;
}

/* Of any layout: the same conversion is for all of them. */
static VkFormatFeatureFlags find_features(struct stile_vulkan *vulkan, VkFormat format) {
	VkFormatProperties2 answer = { .sType = VK_STRUCTURE_TYPE_FORMAT_PROPERTIES_2 };
	vulkan->vk.GetPhysicalDeviceFormatProperties2(
		vulkan->info.physical_device, format, &answer);
	return answer.formatProperties.linearTilingFeatures |
		answer.formatProperties.optimalTilingFeatures;
}

static int check_features(const struct stile_format *format, VkFormatFeatureFlags features,
	VkFilter filter, struct stile_report *why) {
	const VkFormatFeatureFlags any = VK_FORMAT_FEATURE_MIDPOINT_CHROMA_SAMPLES_BIT |
		VK_FORMAT_FEATURE_COSITED_CHROMA_SAMPLES_BIT;
	if ((features & any) == 0) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_FORMAT, 0, any, features,
			"the device makes no colours of %s (features 0x%x)", format->name,
			features);
	}
	const VkFormatFeatureFlags linear =
		VK_FORMAT_FEATURE_SAMPLED_IMAGE_YCBCR_CONVERSION_LINEAR_FILTER_BIT;
	if (filter != VK_FILTER_NEAREST && (features & linear) == 0) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_FORMAT, 0, linear, features,
			"the device does not filter chroma of %s (features 0x%x): "
			"VK_FILTER_NEAREST is all it has",
			format->name, features);
	}
	return 0;
}

/* The colours, in Vulkan's words. */
static int describe_colour(const struct stile_format *format, const struct stile_colour *colour,
	VkFormatFeatureFlags features, VkSamplerYcbcrConversionCreateInfo *info,
	struct stile_report *why) {
	if (!find_model(colour->matrix, &info->ycbcrModel)) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_COLOUR, 0, 0, colour->matrix,
			"Vulkan cannot say the matrix of this %s (%u of H.273): it has BT.601 "
			"(5, 6), BT.709 (1) and BT.2020 (9)",
			format->name, colour->matrix);
	}
	info->ycbcrRange = colour->range == STILE_RANGE_FULL ? VK_SAMPLER_YCBCR_RANGE_ITU_FULL
							     : VK_SAMPLER_YCBCR_RANGE_ITU_NARROW;
	/* Most video is like this: on the left, and between two rows. */
	bool has_x = choose_offset(features, colour->horizontal, VK_CHROMA_LOCATION_COSITED_EVEN,
		&info->xChromaOffset);
	bool has_y = choose_offset(
		features, colour->vertical, VK_CHROMA_LOCATION_MIDPOINT, &info->yChromaOffset);
	if ((format->hsub > 1 && !has_x) || (format->vsub > 1 && !has_y)) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_COLOUR, 0, 0, features,
			"the device has no %s whose chroma is sited as the image says (features "
			"0x%x); not said, it is taken as the device likes it",
			format->name, features);
	}
	return 0;
}

static int describe(struct stile_vulkan *vulkan, uint32_t fourcc, const struct stile_colour *colour,
	VkSamplerYcbcrConversionCreateInfo *info, struct stile_report *why) {
	const struct stile_format *format = stile_format_get(fourcc);
	struct stile_vulkan_format vk = { .size = sizeof(vk) };
	if (format == NULL || !format->is_yuv || stile_vulkan_format_get(fourcc, &vk) < 0) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_FORMAT, 0, 0, fourcc,
			"%s (0x%08x) is none of the formats of luma and chroma that Vulkan has",
			format == NULL ? "this" : format->name, fourcc);
	}
	if ((vulkan->info.features & STILE_VULKAN_YCBCR_CONVERSION) == 0) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_OPTION, 0,
			STILE_VULKAN_YCBCR_CONVERSION, vulkan->info.features,
			"the device was made without the feature samplerYcbcrConversion, or "
			"stile_vulkan_info does not say so");
	}
	info->format = vk.format;
	info->components = vk.components;
	VkFormatFeatureFlags features = find_features(vulkan, vk.format);
	int ret = check_features(format, features, info->chromaFilter, why);
	return ret < 0 ? ret : describe_colour(format, colour, features, info, why);
}

/* ---- Those that there are ----------------------------------------------------------------- */

static bool is_same(
	const VkSamplerYcbcrConversionCreateInfo *a, const VkSamplerYcbcrConversionCreateInfo *b) {
	const VkComponentMapping *in_a = &a->components, *in_b = &b->components;
	return a->format == b->format && a->ycbcrModel == b->ycbcrModel &&
		a->ycbcrRange == b->ycbcrRange && in_a->r == in_b->r && in_a->g == in_b->g &&
		in_a->b == in_b->b && in_a->a == in_b->a && a->xChromaOffset == b->xChromaOffset &&
		a->yChromaOffset == b->yChromaOffset && a->chromaFilter == b->chromaFilter;
}

/* Under the lock. */
static const struct conversion *find_locked(
	struct stile_vulkan *vulkan, const VkSamplerYcbcrConversionCreateInfo *info) {
	const struct conversion *at = vulkan->conversions;
	while (at != NULL && !is_same(&at->info, info)) {
		at = at->next;
	}
	return at;
}

static void destroy(struct stile_vulkan *vulkan, struct conversion *conversion) {
	vulkan->vk.DestroySamplerYcbcrConversion(vulkan->info.device, conversion->handle, NULL);
	free(conversion);
}

/* Keep it, unless another thread was faster. */
static VkSamplerYcbcrConversion keep(struct stile_vulkan *vulkan, struct conversion *made) {
	pthread_mutex_lock(&vulkan->lock);
	const struct conversion *other = find_locked(vulkan, &made->info);
	if (other == NULL) {
		made->next = vulkan->conversions;
		vulkan->conversions = made;
	}
	pthread_mutex_unlock(&vulkan->lock);
	if (other == NULL) {
		return made->handle;
	}
	destroy(vulkan, made);
	return other->handle;
}

static int create(struct stile_vulkan *vulkan, const VkSamplerYcbcrConversionCreateInfo *info,
	VkSamplerYcbcrConversion *out, struct stile_report *why) {
	struct conversion *made = calloc(1, sizeof(*made));
	if (made == NULL) {
		return report_refuse(
			why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
	}
	made->info = *info;
	VkResult result = vulkan->vk.CreateSamplerYcbcrConversion(
		vulkan->info.device, info, NULL, &made->handle);
	if (result != VK_SUCCESS) {
		free(made);
		return vulkan_refuse(why, "vkCreateSamplerYcbcrConversion", result);
	}
	*out = keep(vulkan, made);
	return 0;
}

int vulkan_conversion_get(struct stile_vulkan *vulkan, uint32_t fourcc,
	const struct stile_colour *colour, VkFilter filter, VkSamplerYcbcrConversion *out,
	struct stile_report *why) {
	*out = VK_NULL_HANDLE;
	VkSamplerYcbcrConversionCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_SAMPLER_YCBCR_CONVERSION_CREATE_INFO,
		.chromaFilter = filter,
	};
	int ret = describe(vulkan, fourcc, colour, &info, why);
	if (ret < 0) {
		return ret;
	}
	pthread_mutex_lock(&vulkan->lock);
	const struct conversion *known = find_locked(vulkan, &info);
	*out = known == NULL ? VK_NULL_HANDLE : known->handle;
	pthread_mutex_unlock(&vulkan->lock);
	return *out != VK_NULL_HANDLE ? 0 : create(vulkan, &info, out, why);
}

int stile_vulkan_get_ycbcr_conversion(struct stile_vulkan *vulkan, uint32_t fourcc,
	const struct stile_colour *colour, VkFilter filter, struct stile_report *report,
	VkSamplerYcbcrConversion *out) {
	*out = VK_NULL_HANDLE;
	if (report_begin(report) < 0) {
		return -EINVAL;
	}
	struct stile_report why;
	int ret = vulkan_conversion_get(vulkan, fourcc, colour, filter, out, &why);
	if (ret < 0) {
		report_give(report, &why);
		vulkan_log(vulkan, STILE_LOG_ERROR, "Vulkan conversion: %s", why.text);
	}
	return ret;
}

void vulkan_conversions_free(struct stile_vulkan *vulkan) {
	while (vulkan->conversions != NULL) {
		struct conversion *next = vulkan->conversions->next;
		destroy(vulkan, vulkan->conversions);
		vulkan->conversions = next;
	}
}
