/* SPDX-License-Identifier: MIT */
/* What the display lists. */
#include <errno.h>
#include <stdlib.h>

#include <drm_fourcc.h>

#include "src/egl/egl.h"

/* A query that fails says that there is nothing to list; but not for want of memory. */
static int get_failure(const struct stile_egl *egl) {
	return egl_errno(egl->egl.GetError()) == -ENOMEM ? -ENOMEM : 0;
}

int egl_list_formats(struct stile_egl *egl, uint32_t **fourccs, uint32_t *count) {
	EGLint room = 0, n = 0;
	*fourccs = NULL;
	*count = 0;
	if (!egl->egl.QueryDmaBufFormatsEXT(egl->info.display, 0, NULL, &room)) {
		return get_failure(egl);
	}
	if (room <= 0) {
		return 0;
	}
	EGLint *formats = calloc((size_t)room, sizeof(*formats));
	if (formats == NULL) {
		return -ENOMEM;
	}
	if (!egl->egl.QueryDmaBufFormatsEXT(egl->info.display, room, formats, &n)) {
		free(formats);
		return get_failure(egl);
	}
	/* Numbers of the same size, of which one has a sign. */
	*fourccs = (uint32_t *)formats;
	*count = (uint32_t)(n < 0 ? 0 : n < room ? n : room);
	return 0;
}

int egl_find_format(struct stile_egl *egl, uint32_t fourcc, bool *found) {
	uint32_t *fourccs, count, i = 0;
	int ret = egl_list_formats(egl, &fourccs, &count);
	while (i < count && fourccs[i] != fourcc) {
		i++;
	}
	free(fourccs);
	*found = i < count;
	return ret;
}

/* Some drivers count more than they tell. 0 is LINEAR: what they do not write is not that. */
int egl_list_layouts(struct stile_egl *egl, uint32_t fourcc, struct egl_layouts *out) {
	EGLint room = 0, n;
	*out = (struct egl_layouts){ .count = 0 };
	if (!egl->egl.QueryDmaBufModifiersEXT(
		    egl->info.display, (EGLint)fourcc, 0, NULL, NULL, &room)) {
		return get_failure(egl);
	}
	if (room <= 0) {
		return 0;
	}
	out->modifiers = calloc((size_t)room, sizeof(*out->modifiers));
	out->external_only = calloc((size_t)room, sizeof(*out->external_only));
	if (out->modifiers == NULL || out->external_only == NULL) {
		egl_layouts_finish(out);
		return -ENOMEM;
	}
	out->count = (uint32_t)room;
	for (EGLint i = 0; i < room; i++) {
		out->modifiers[i] = DRM_FORMAT_MOD_INVALID;
	}
	if (!egl->egl.QueryDmaBufModifiersEXT(egl->info.display, (EGLint)fourcc, room,
		    out->modifiers, out->external_only, &n)) {
		if (get_failure(egl) < 0) {
			egl_layouts_finish(out);
			return -ENOMEM;
		}
		for (EGLint i = 0; i < room; i++) {
			out->modifiers[i] = DRM_FORMAT_MOD_INVALID;
		}
	}
	return 0;
}

void egl_layouts_finish(struct egl_layouts *layouts) {
	free(layouts->modifiers);
	free(layouts->external_only);
	*layouts = (struct egl_layouts){ .count = 0 };
}

int egl_find_modifier(
	struct stile_egl *egl, uint32_t fourcc, uint64_t modifier, uint32_t *count, bool *found) {
	struct egl_layouts layouts;
	int ret = egl_list_layouts(egl, fourcc, &layouts);
	uint32_t i = 0;
	while (i < layouts.count && layouts.modifiers[i] != modifier) {
		i++;
	}
	*count = layouts.count;
	*found = i < layouts.count;
	egl_layouts_finish(&layouts);
	return ret;
}
