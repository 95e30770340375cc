/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_INFO_DRM_H
#define TOOLS_INFO_DRM_H

#include "tools/info.h"

struct gbm_device;
struct stile_drm;
struct stile_drm_kms;

/** What is kept of a DRM device: info_node.handle. */
struct info_drm {
	int primary, render; /* descriptors, or -1 */
	struct stile_drm *drm;
	struct stile_drm_kms *kms;
	struct gbm_device *gbm; /* info_gbm.c's */
};

#endif
