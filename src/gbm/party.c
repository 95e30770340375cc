/* SPDX-License-Identifier: MIT */
/* A gbm_device as a party of negotiations. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <xf86drm.h>

#include "src/gbm/gbm.h"
#include "src/party_data.h"
#include "src/report.h"

/* Those that the caller has; what they name is what GBM is asked for. */
struct others {
	const struct stile_party *first; /* as many bytes apart as it says of its size */
	size_t count;
};

static const struct stile_party *get_other(const struct others *others, size_t i) {
	return (const struct stile_party *)((const char *)others->first + i * others->first->size);
}

/* ---- Which device it is -------------------------------------------------------------------- */

/* Its node for rendering, if it has one; 0: no node of DRM's. */
static uint64_t find_node(int fd) {
	struct stat st;
	char *render = drmGetRenderDeviceNameFromFd(fd);
	bool found = render != NULL && stat(render, &st) == 0;
	if (!found) {
		found = drmGetNodeTypeFromFd(fd) >= 0 && fstat(fd, &st) == 0;
	}
	free(render);
	return found ? st.st_rdev : 0;
}

/* ---- What it takes ------------------------------------------------------------------------- */

static void add_layout(struct gbm_device *gbm, uint32_t flags, const struct stile_format *format,
	uint64_t modifier, struct party_layouts *layouts) {
	if (!gbm_takes_modifier(gbm, format->fourcc, flags, modifier)) {
		return;
	}
	int planes = gbm_device_get_format_modifier_plane_count(gbm, format->fourcc, modifier);
	struct stile_party_modifier layout = { .modifier = modifier };
	layout.plane_count = planes > 0 ? (uint32_t)planes : format->plane_count;
	if (layout.plane_count <= STILE_MAX_PLANES) {
		party_add(layouts, format->fourcc, &layout);
	}
}

/* What one of the others names. LINEAR is asked for in any case, and last: all have better. */
static void add_named(struct gbm_device *gbm, uint32_t flags, const struct stile_format *format,
	const struct stile_party *other, struct party_layouts *layouts) {
	for (size_t i = 0; i < other->format_count; i++) {
		const struct stile_party_format *named = &other->formats[i];
		for (size_t j = 0; j < named->modifier_count && named->fourcc == format->fourcc;
			j++) {
			uint64_t modifier = named->modifiers[j].modifier;
			if (modifier != DRM_FORMAT_MOD_LINEAR) {
				add_layout(gbm, flags, format, modifier, layouts);
			}
		}
	}
}

static void add_format(struct gbm_device *gbm, uint32_t flags, const struct stile_format *format,
	const struct others *others, struct party_layouts *layouts) {
	if (!gbm_device_is_format_supported(gbm, format->fourcc, flags)) {
		return;
	}
	/* Of a layout that several name, the first counts. */
	for (size_t i = 0; i < others->count; i++) {
		add_named(gbm, flags, format, get_other(others, i), layouts);
	}
	add_layout(gbm, flags, format, DRM_FORMAT_MOD_LINEAR, layouts);
}

/* ---- All of it ----------------------------------------------------------------------------- */

int stile_gbm_get_party(struct gbm_device *gbm, uint32_t flags, const struct stile_party *others,
	size_t count, struct stile_report *report, struct stile_party *party) {
	if (party_begin(report, party) < 0) {
		return -EINVAL;
	}
	char name[64];
	snprintf(name, sizeof(name), "GBM (%.48s)", gbm_device_get_backend_name(gbm));
	const struct stile_constraints needs = gbm_get_needs(flags);
	const struct stile_party said = {
		.size = sizeof(said),
		.name = name,
		.needs = &needs,
		.device = find_node(gbm_device_get_fd(gbm)),
		.memory = STILE_MEMORY_DMA_BUF,
		.allocates = STILE_MEMORY_DMA_BUF,
		/* It does no work itself. */
		.sync = STILE_SYNC_SYNCOBJ | STILE_SYNC_FILE | STILE_SYNC_IMPLICIT | STILE_SYNC_CPU,
	};
	const struct others all = { .first = others, .count = count };
	struct party_layouts layouts = { .failed = false };
	const struct stile_format *format;
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		add_format(gbm, flags, format, &all, &layouts);
	}
	struct stile_report why;
	int ret = party_make(&layouts, &said, &why, party);
	if (ret < 0) {
		report_give(report, &why);
	}
	return ret;
}
