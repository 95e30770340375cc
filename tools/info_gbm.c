/* SPDX-License-Identifier: MIT */
/* GBM on each DRM device: memory that drivers allocate, and what EGL's platform is of. */
#include <gbm.h>

#include <stile/gbm.h>

#include "tools/info_drm.h"

void info_look_at_gbm(struct info *info) {
	for (size_t i = 0; i < info->node_count; i++) {
		struct info_drm *kept = info->nodes[i].handle;
		int fd = kept->render >= 0 ? kept->render : kept->primary;
		struct stile_device *device;
		kept->gbm = fd < 0 ? NULL : gbm_create_device(fd);
		if (kept->gbm != NULL &&
			stile_gbm_open_device(kept->gbm, 0, NULL, NULL, &device) == 0) {
			info_add_allocator(info, device);
		}
		info_add_flag(&info->nodes[i].has, "GBM", kept->gbm != NULL);
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
