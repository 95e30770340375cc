/* SPDX-License-Identifier: MIT */
/* What this Stile was built without. */
#include <stdio.h>

#include "tools/info.h"

#ifndef INFO_HAS_DRM
void info_look_at_drm(struct info *info) {
	snprintf(info->nodes_why, sizeof(info->nodes_why), "this Stile was built without DRM");
}

void info_finish_drm(struct info *info) {
	(void)info;
}
#endif

#ifndef INFO_HAS_GBM
void info_look_at_gbm(struct info *info) {
	snprintf(info->gbm_why, sizeof(info->gbm_why), "this Stile was built without GBM");
}

void info_finish_gbm(struct info *info) {
	(void)info;
}
#endif

#ifndef INFO_HAS_VULKAN
void info_look_at_vulkan(struct info *info) {
	snprintf(info->vulkan_why, sizeof(info->vulkan_why), "this Stile was built without Vulkan");
}

void info_finish_vulkan(struct info *info) {
	(void)info;
}
#endif

#ifndef INFO_HAS_EGL
void info_look_at_egl(struct info *info) {
	snprintf(info->egl_why, sizeof(info->egl_why), "this Stile was built without EGL");
}

void info_finish_egl(struct info *info) {
	(void)info;
}
#endif
