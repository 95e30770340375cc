/* SPDX-License-Identifier: MIT */
#include "demos/kms_screen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <xf86drm.h>

/* ---- What there is ------------------------------------------------------------------------- */

/* Which CRTCs a connector can be on, as bits by number. */
static uint32_t connector_crtcs(int fd, const drmModeConnector *connector) {
	uint32_t crtcs = 0;
	for (int i = 0; i < connector->count_encoders; i++) {
		drmModeEncoder *encoder = drmModeGetEncoder(fd, connector->encoders[i]);
		crtcs |= encoder == NULL ? 0 : encoder->possible_crtcs;
		drmModeFreeEncoder(encoder);
	}
	return crtcs;
}

/* The first connector that writes back, with its first CRTC. */
static int find_connector(struct kms_screen *screen, const drmModeRes *all) {
	for (int i = 0; i < all->count_connectors && screen->connector == 0; i++) {
		drmModeConnector *connector = drmModeGetConnector(screen->fd, all->connectors[i]);
		if (connector != NULL &&
			connector->connector_type == DRM_MODE_CONNECTOR_WRITEBACK) {
			int crtc = ffs((int)connector_crtcs(screen->fd, connector)) - 1;
			if (crtc >= 0 && crtc < all->count_crtcs) {
				screen->connector = connector->connector_id;
				screen->crtc = all->crtcs[crtc];
			}
		}
		drmModeFreeConnector(connector);
	}
	return screen->connector == 0 ? -ENODEV : 0;
}

/* Gives the id; 0: the object has no such property. */
static uint32_t find_property(
	int fd, uint32_t object, uint32_t type, const char *name, uint64_t *value) {
	uint32_t id = 0;
	drmModeObjectProperties *all = drmModeObjectGetProperties(fd, object, type);
	for (uint32_t i = 0; all != NULL && id == 0 && i < all->count_props; i++) {
		drmModePropertyRes *property = drmModeGetProperty(fd, all->props[i]);
		if (property != NULL && strcmp(property->name, name) == 0) {
			id = property->prop_id;
			*value = all->prop_values[i];
		}
		drmModeFreeProperty(property);
	}
	drmModeFreeObjectProperties(all);
	return id;
}

static int find_plane(struct kms_screen *screen, const drmModeRes *all) {
	drmModePlaneRes *planes = drmModeGetPlaneResources(screen->fd);
	for (uint32_t i = 0; planes != NULL && i < planes->count_planes; i++) {
		drmModePlane *plane = drmModeGetPlane(screen->fd, planes->planes[i]);
		uint64_t type = DRM_PLANE_TYPE_OVERLAY;
		find_property(screen->fd, planes->planes[i], DRM_MODE_OBJECT_PLANE, "type", &type);
		for (int c = 0; plane != NULL && c < all->count_crtcs; c++) {
			if (all->crtcs[c] == screen->crtc &&
				(plane->possible_crtcs >> c & 1) != 0 &&
				type == DRM_PLANE_TYPE_PRIMARY) {
				screen->plane = plane->plane_id;
			}
		}
		drmModeFreePlane(plane);
	}
	drmModeFreePlaneResources(planes);
	return screen->plane == 0 ? -ENODEV : 0;
}

/* 0: this node will do, and is kept. */
static int try_node(struct kms_screen *screen, const char *path) {
	*screen = (struct kms_screen){ .fd = open(path, O_RDWR | O_CLOEXEC) };
	if (screen->fd < 0) {
		return -errno;
	}
	int ret = -ENODEV;
	if (drmSetClientCap(screen->fd, DRM_CLIENT_CAP_ATOMIC, 1) == 0 &&
		drmSetClientCap(screen->fd, DRM_CLIENT_CAP_WRITEBACK_CONNECTORS, 1) == 0) {
		drmModeRes *all = drmModeGetResources(screen->fd);
		ret = all == NULL ? -ENODEV : find_connector(screen, all);
		if (ret == 0) {
			ret = find_plane(screen, all);
		}
		drmModeFreeResources(all);
	}
	if (ret < 0) {
		close(screen->fd);
		screen->fd = -1;
	}
	return ret;
}

int kms_screen_open(struct kms_screen *screen, uint16_t width, uint16_t height) {
	int ret = -ENODEV;
	for (int i = 0; i < 16 && ret < 0; i++) {
		char path[32];
		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		ret = try_node(screen, path);
	}
	if (ret < 0) {
		fprintf(stderr,
			"no /dev/dri/card* that may be opened has a writeback connector; the "
			"kernel's vkms has: modprobe vkms\n");
		return -ENODEV;
	}
	if (!drmIsMaster(screen->fd) && drmSetMaster(screen->fd) < 0) {
		fprintf(stderr, "somebody else is DRM master: a compositor, mostly\n");
		return -EBUSY;
	}
	/* About 60 pictures a second. */
	drmModeModeInfo mode = {
		.hdisplay = width,
		.hsync_start = (uint16_t)(width + 8),
		.hsync_end = (uint16_t)(width + 16),
		.htotal = (uint16_t)(width + 40),
		.vdisplay = height,
		.vsync_start = (uint16_t)(height + 2),
		.vsync_end = (uint16_t)(height + 4),
		.vtotal = (uint16_t)(height + 30),
		.vrefresh = 60,
		.name = "demo",
	};
	mode.clock = (uint32_t)mode.htotal * mode.vtotal * 60 / 1000;
	return drmModeCreatePropertyBlob(screen->fd, &mode, sizeof(mode), &screen->mode);
}

/* ---- Requests ------------------------------------------------------------------------------- */

struct setting {
	uint32_t object;
	uint32_t type;
	const char *name;
	uint64_t value;
};

static drmModeAtomicReq *make_request(int fd, const struct setting *settings, size_t count) {
	drmModeAtomicReq *request = drmModeAtomicAlloc();
	bool complete = request != NULL;
	for (size_t i = 0; i < count && complete; i++) {
		const struct setting *set = &settings[i];
		uint64_t before;
		uint32_t id = find_property(fd, set->object, set->type, set->name, &before);
		complete = id != 0 &&
			drmModeAtomicAddProperty(request, set->object, id, set->value) >= 0;
	}
	if (!complete) {
		drmModeAtomicFree(request);
		return NULL;
	}
	return request;
}

drmModeAtomicReq *kms_screen_request(
	const struct kms_screen *screen, uint16_t width, uint16_t height) {
	const struct setting settings[] = {
		{ screen->connector, DRM_MODE_OBJECT_CONNECTOR, "CRTC_ID", screen->crtc },
		{ screen->crtc, DRM_MODE_OBJECT_CRTC, "ACTIVE", 1 },
		{ screen->crtc, DRM_MODE_OBJECT_CRTC, "MODE_ID", screen->mode },
		{ screen->plane, DRM_MODE_OBJECT_PLANE, "CRTC_ID", screen->crtc },
		{ screen->plane, DRM_MODE_OBJECT_PLANE, "CRTC_X", 0 },
		{ screen->plane, DRM_MODE_OBJECT_PLANE, "CRTC_Y", 0 },
		{ screen->plane, DRM_MODE_OBJECT_PLANE, "CRTC_W", width },
		{ screen->plane, DRM_MODE_OBJECT_PLANE, "CRTC_H", height },
		{ screen->plane, DRM_MODE_OBJECT_PLANE, "SRC_X", 0 },
		{ screen->plane, DRM_MODE_OBJECT_PLANE, "SRC_Y", 0 },
		{ screen->plane, DRM_MODE_OBJECT_PLANE, "SRC_W", (uint64_t)width << 16 },
		{ screen->plane, DRM_MODE_OBJECT_PLANE, "SRC_H", (uint64_t)height << 16 },
	};
	return make_request(screen->fd, settings, sizeof(settings) / sizeof(settings[0]));
}

void kms_screen_close(struct kms_screen *screen) {
	if (screen->fd < 0) {
		return;
	}
	const struct setting off[] = {
		{ screen->connector, DRM_MODE_OBJECT_CONNECTOR, "CRTC_ID", 0 },
		{ screen->crtc, DRM_MODE_OBJECT_CRTC, "ACTIVE", 0 },
		{ screen->crtc, DRM_MODE_OBJECT_CRTC, "MODE_ID", 0 },
		{ screen->plane, DRM_MODE_OBJECT_PLANE, "CRTC_ID", 0 },
		{ screen->plane, DRM_MODE_OBJECT_PLANE, "FB_ID", 0 },
	};
	drmModeAtomicReq *request = make_request(screen->fd, off, sizeof(off) / sizeof(off[0]));
	if (request != NULL && screen->mode != 0) {
		drmModeAtomicCommit(screen->fd, request, DRM_MODE_ATOMIC_ALLOW_MODESET, NULL);
	}
	drmModeAtomicFree(request);
	if (screen->mode != 0) {
		drmModeDestroyPropertyBlob(screen->fd, screen->mode);
	}
	close(screen->fd);
	screen->fd = -1;
}
