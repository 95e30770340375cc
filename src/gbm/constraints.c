/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>

#include "src/abi.h"
#include "src/gbm/gbm.h"
#include "src/macros.h"
#include "src/modifier.h"
#include "src/report.h"

/*
 * A driver that names no modifiers has none for its own linear layout either; that one needs no name.
 */
bool gbm_takes_modifier(
	struct gbm_device *gbm, uint32_t fourcc, uint32_t flags, uint64_t modifier) {
	if (modifier == DRM_FORMAT_MOD_INVALID) {
		return false;
	}
	return gbm_device_get_format_modifier_plane_count(gbm, fourcc, modifier) > 0 ||
		(modifier == DRM_FORMAT_MOD_LINEAR &&
			gbm_device_is_format_supported(gbm, fourcc, flags | GBM_BO_USE_LINEAR));
}

struct stile_constraints gbm_get_needs(uint32_t flags) {
	const bool writes = (flags & (GBM_BO_USE_RENDERING | GBM_BO_USE_WRITE)) != 0;
	return (struct stile_constraints){
		.size = sizeof(struct stile_constraints),
		.usage = writes ? STILE_USAGE_READ | STILE_USAGE_WRITE : STILE_USAGE_READ,
		/* GBM does not tell; what is less makes software drivers crash. */
		.pitch_align = 16,
		.offset_align = 16,
	};
}

/* *count: how many are left of `modifiers`. */
static int filter(struct gbm_device *gbm, uint32_t fourcc, uint32_t flags, uint64_t *modifiers,
	size_t *count, struct stile_report *why) {
	const struct stile_format *format = stile_format_get(fourcc);
	if (format == NULL) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_FORMAT, 0, 0, fourcc,
			"unknown format 0x%08x", fourcc);
	}
	if (!gbm_device_is_format_supported(gbm, fourcc, flags)) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_FORMAT, 0, flags, fourcc,
			"GBM (%s) does not take %s for usage 0x%x",
			gbm_device_get_backend_name(gbm), format->name, flags);
	}
	size_t left = 0;
	for (size_t i = 0; i < *count; i++) {
		if (gbm_takes_modifier(gbm, fourcc, flags, modifiers[i])) {
			modifiers[left++] = modifiers[i];
		}
	}
	if (left == 0) {
		uint64_t first = *count == 0 ? DRM_FORMAT_MOD_INVALID : modifiers[0];
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_MODIFIER, 0, 0, first,
			"GBM (%s) takes %s with none of %zu modifier%s, of which the first is %s",
			gbm_device_get_backend_name(gbm), format->name, *count, PLURAL(*count),
			modifier_describe(first).text);
	}
	*count = left;
	return 0;
}

int stile_gbm_get_constraints(struct gbm_device *gbm, uint32_t fourcc, uint32_t flags,
	uint64_t *modifiers, size_t *modifier_count, struct stile_report *report,
	struct stile_constraints *constraints) {
	if (report_begin(report) < 0 || abi_check_out(constraints) < 0) {
		return -EINVAL;
	}
	struct stile_report why;
	int ret = filter(gbm, fourcc, flags, modifiers, modifier_count, &why);
	if (ret < 0) {
		report_give(report, &why);
		return ret;
	}
	struct stile_constraints all = gbm_get_needs(flags);
	all.modifiers = modifiers;
	all.modifier_count = *modifier_count;
	abi_copy_out(constraints, &all, sizeof(all));
	return 0;
}
