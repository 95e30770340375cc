/* SPDX-License-Identifier: MIT */
/* GBM on each DRM device: memory that drivers allocate, and what EGL's platform is of. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <gbm.h>

#include <stile/gbm.h>

#include "tools/guard.h"
#include "tools/info_drm.h"

static void tell_of_no_driver(struct info_node *node) {
	static const char *const variables[] = { "GBM_BACKENDS_PATH", "GBM_BACKEND", NULL };
	info_append(node->why,
		"GBM has no driver for it: %s. Debian has Mesa's, dri_gbm.so, in libgbm1",
		strerror(errno));
	info_append_variables(node->why, variables);
}

static void look_at_node(struct info *info, struct info_node *node, int fd) {
	struct info_drm *kept = node->handle;
	struct stile_device *device;
	kept->gbm = gbm_create_device(fd);
	if (kept->gbm == NULL) {
		tell_of_no_driver(node);
	} else if (stile_gbm_open_device(kept->gbm, 0, NULL, NULL, &device) == 0) {
		info_add_allocator(info, device);
	}
}

void info_look_at_gbm(struct info *info) {
	for (size_t i = 0; i < info->node_count; i++) {
		struct info_node *node = &info->nodes[i];
		const struct info_drm *kept = node->handle;
		int fd = kept->render >= 0 ? kept->render : kept->primary;
		char what[INFO_NAME * 3];
		snprintf(what, sizeof(what), "GBM of %s%s", node->primary, node->render);
		if (fd >= 0 && guard_begin(what, node->why)) {
			look_at_node(info, node, fd);
			guard_end();
		}
		info_add_flag(&node->has, "GBM", kept->gbm != NULL);
	}
}

void info_finish_gbm(struct info *info) {
	for (size_t i = 0; i < info->node_count; i++) {
		struct info_drm *kept = info->nodes[i].handle;
		if (kept->gbm != NULL) {
			gbm_device_destroy(kept->gbm);
		}
	}
}
