/* SPDX-License-Identifier: MIT */
/* What the display lists. */
#include <errno.h>
#include <stdlib.h>

#include <drm_fourcc.h>

#include "src/egl/egl.h"

int egl_list_formats(struct stile_egl *egl, uint32_t **fourccs, uint32_t *count) {
	EGLint room = 0, n = 0;
	*fourccs = NULL;
	*count = 0;
	if (!egl->egl.QueryDmaBufFormatsEXT(egl->info.display, 0, NULL, &room) || room <= 0) {
		return 0;
	}
	EGLint *formats = calloc((size_t)room, sizeof(*formats));
	if (formats == NULL) {
		return -ENOMEM;
	}
	if (!egl->egl.QueryDmaBufFormatsEXT(egl->info.display, room, formats, &n) || n <= 0) {
		free(formats);
		return 0;
	}
	/* Numbers of the same size, of which one has a sign. */
	*fourccs = (uint32_t *)formats;
	*count = (uint32_t)(n < room ? n : room);
	return 0;
}

bool egl_has_format(struct stile_egl *egl, uint32_t fourcc) {
	uint32_t *fourccs, count, i = 0;
	if (egl_list_formats(egl, &fourccs, &count) < 0) {
		return false;
	}
	while (i < count && fourccs[i] != fourcc) {
		i++;
	}
	free(fourccs);
	return i < count;
}

/* Some drivers count more than they tell. 0 is LINEAR: what they do not write is not that. */
int egl_list_layouts(struct stile_egl *egl, uint32_t fourcc, struct egl_layouts *out) {
	EGLint room = 0, n;
	*out = (struct egl_layouts){ .count = 0 };
	if (!egl->egl.QueryDmaBufModifiersEXT(
		    egl->info.display, (EGLint)fourcc, 0, NULL, NULL, &room) ||
		room <= 0) {
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

bool egl_has_modifier(struct stile_egl *egl, uint32_t fourcc, uint64_t modifier, uint32_t *count) {
	struct egl_layouts layouts;
	*count = 0;
	if (egl_list_layouts(egl, fourcc, &layouts) < 0) {
		return false;
	}
	uint32_t i = 0;
	while (i < layouts.count && layouts.modifiers[i] != modifier) {
		i++;
	}
	*count = layouts.count;
	egl_layouts_finish(&layouts);
	return i < *count;
}
