/* SPDX-License-Identifier: MIT */
/* A plane as a party of negotiations. */
#include <errno.h>
#include <stdio.h>

#include "src/drm/kms.h"
#include "src/party_data.h"
#include "src/report.h"

/* Its node for rendering, if it has one; 0: unknown. */
static uint64_t find_node(const struct stile_drm *drm) {
	struct stile_drm_identity who = { .size = sizeof(who) };
	if (stile_drm_identify(drm->fd, &who) < 0) {
		return 0;
	}
	return who.render_rdev != 0 ? who.render_rdev : who.primary_rdev;
}

static bool gives_fences(const struct stile_drm_kms *kms) {
	size_t i = 0;
	while (i < kms->crtc_count && kms->crtcs[i].out_fence_property == 0) {
		i++;
	}
	return i < kms->crtc_count;
}

/* A driver that cannot be told a layout shows all as linear. */
static void add_format(const struct stile_drm_kms *kms, const struct stile_drm_plane_format *format,
	struct party_layouts *layouts) {
	if (format->modifier_count == 0) {
		party_add(layouts, format->fourcc, NULL);
	}
	for (size_t i = 0; i < format->modifier_count; i++) {
		const struct stile_party_modifier layout = { .modifier = format->modifiers[i] };
		if (kms->has_modifiers || layout.modifier == DRM_FORMAT_MOD_LINEAR) {
			party_add(layouts, format->fourcc, &layout);
		}
	}
}

static int describe(const struct stile_drm_kms *kms, const struct kms_plane *plane,
	struct stile_report *why, struct stile_party *party) {
	char name[32];
	snprintf(name, sizeof(name), "KMS plane %u", plane->id);
	const struct stile_constraints needs = kms_plane_get_needs(kms, plane);
	struct stile_party said = {
		.size = sizeof(said),
		.name = name,
		.needs = &needs,
		.device = find_node(kms->drm),
		.memory = STILE_MEMORY_DMA_BUF,
		/* A thread commits later, if the kernel cannot wait for it. */
		.sync = STILE_SYNC_CPU,
		.flags = STILE_PARTY_SCANOUT | STILE_PARTY_UNSAID_IS_LINEAR,
	};
	if (plane->in_fence_property != 0 && gives_fences(kms)) {
		said.sync |= STILE_SYNC_FILE;
	}
	struct party_layouts layouts = { .failed = false };
	for (size_t i = 0; i < plane->format_count; i++) {
		add_format(kms, &plane->formats[i], &layouts);
	}
	return party_make(&layouts, &said, why, party);
}

int stile_drm_plane_get_party(const struct stile_drm_kms *kms, uint32_t plane_id,
	struct stile_report *report, struct stile_party *party) {
	if (party_begin(report, party) < 0) {
		return -EINVAL;
	}
	struct stile_report why;
	const struct kms_plane *plane = kms_find_plane(kms, plane_id);
	int ret = plane != NULL ? describe(kms, plane, &why, party)
				: report_refuse(&why, -ENOENT, STILE_REASON_CALLER, 0, 0, plane_id,
					  "there is no plane %u", plane_id);
	if (ret < 0) {
		report_give(report, &why);
	}
	return ret;
}
