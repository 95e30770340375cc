/* SPDX-License-Identifier: MIT */
/* The DRM devices: their nodes, what their drivers can, planes, and memory of their own. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

#include <stile/drm.h>
#include <stile/drm_kms.h>

#include "tools/info_drm.h"

/* ---- Nodes --------------------------------------------------------------------------------- */

static int open_node(const char *path, struct info_node *node) {
	if (path[0] == '\0') {
		return -1;
	}
	int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		info_append(node->why, "%s: %s%s", path, strerror(errno),
			errno == EACCES ? ", but ls -l shows the group that may open it" : "");
		return -1;
	}
	/* Who opens a display first is its master, without having asked for it. */
	if (drmIsMaster(fd)) {
		drmDropMaster(fd);
	}
	return fd;
}

static bool has_capability(int fd, uint64_t capability, uint64_t bits) {
	uint64_t value = 0;
	return drmGetCap(fd, capability, &value) == 0 && (value & bits) == bits;
}

static void look_at_driver(int fd, struct info_node *node) {
	static const struct {
		const char *name;
		uint64_t capability, bits;
	} known[] = {
		{ "dumb buffers", DRM_CAP_DUMB_BUFFER, 1 },
		{ "PRIME import", DRM_CAP_PRIME, DRM_PRIME_CAP_IMPORT },
		{ "PRIME export", DRM_CAP_PRIME, DRM_PRIME_CAP_EXPORT },
		{ "modifiers", DRM_CAP_ADDFB2_MODIFIERS, 1 },
		{ "syncobjs", DRM_CAP_SYNCOBJ, 1 },
		{ "syncobj timelines", DRM_CAP_SYNCOBJ_TIMELINE, 1 },
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		info_add_flag(&node->has, known[i].name,
			has_capability(fd, known[i].capability, known[i].bits));
	}
	drmVersionPtr version = drmGetVersion(fd);
	if (version != NULL) {
		snprintf(node->driver, sizeof(node->driver), "%s", version->name);
		drmFreeVersion(version);
	}
}

/* ---- What it shows ------------------------------------------------------------------------- */

static int import_kms(
	void *handle, struct stile_image *image, bool writes, struct stile_report *why) {
	(void)writes;
	struct stile_drm_framebuffer *framebuffer;
	int ret = stile_drm_framebuffer_create(handle, image, why, &framebuffer);
	if (ret == 0) {
		stile_drm_framebuffer_destroy(framebuffer);
	}
	return ret;
}

static bool is_primary(int fd, uint32_t plane) {
	drmModeObjectPropertiesPtr all =
		drmModeObjectGetProperties(fd, plane, DRM_MODE_OBJECT_PLANE);
	bool primary = false;
	for (uint32_t i = 0; all != NULL && i < all->count_props; i++) {
		drmModePropertyPtr property = drmModeGetProperty(fd, all->props[i]);
		if (property != NULL && strcmp(property->name, "type") == 0) {
			primary = all->prop_values[i] == DRM_PLANE_TYPE_PRIMARY;
		}
		drmModeFreeProperty(property);
	}
	drmModeFreeObjectProperties(all);
	return primary;
}

/* 0: it has none. */
static uint32_t find_primary_plane(int fd) {
	drmSetClientCap(fd, DRM_CLIENT_CAP_UNIVERSAL_PLANES, 1);
	drmModePlaneResPtr all = drmModeGetPlaneResources(fd);
	uint32_t found = 0;
	for (uint32_t i = 0; all != NULL && i < all->count_planes && found == 0; i++) {
		found = is_primary(fd, all->planes[i]) ? all->planes[i] : 0;
	}
	drmModeFreePlaneResources(all);
	return found;
}

static void look_at_display(struct info *info, struct info_node *node) {
	struct info_drm *kept = node->handle;
	uint32_t plane = find_primary_plane(kept->primary);
	if (plane == 0 || stile_drm_kms_create(kept->drm, NULL, &kept->kms) < 0) {
		return;
	}
	char label[INFO_NAME];
	snprintf(label, sizeof(label), "KMS %.24s", strrchr(node->primary, '/') + 1);
	struct info_party *party = info_add_party(info, label, import_kms, kept->kms);
	if (party != NULL) {
		(void)!stile_drm_plane_get_party(kept->kms, plane, NULL, &party->reads);
	}
	info_add_flag(&node->has, "KMS", party != NULL);
}

/* ---- All of it ----------------------------------------------------------------------------- */

static void look_at_primary(struct info *info, struct info_node *node) {
	struct info_drm *kept = node->handle;
	const struct stile_drm_info drm = { .size = sizeof(drm), .fd = kept->primary };
	struct stile_device *dumb;
	if (stile_drm_create(&drm, NULL, &kept->drm) < 0) {
		return;
	}
	if (stile_drm_open_device(kept->drm, NULL, NULL, &dumb) == 0) {
		info_add_allocator(info, dumb);
	}
	look_at_display(info, node);
}

static void look_at_device(struct info *info, drmDevicePtr device) {
	struct info_node *node = &info->nodes[info->node_count];
	struct info_drm *kept = calloc(1, sizeof(*kept));
	if (info->node_count == INFO_NODES || kept == NULL) {
		free(kept);
		return;
	}
	info->node_count++;
	node->handle = kept;
	if ((device->available_nodes & 1 << DRM_NODE_PRIMARY) != 0) {
		snprintf(node->primary, sizeof(node->primary), "%s",
			device->nodes[DRM_NODE_PRIMARY]);
	}
	if ((device->available_nodes & 1 << DRM_NODE_RENDER) != 0) {
		snprintf(node->render, sizeof(node->render), "%s", device->nodes[DRM_NODE_RENDER]);
	}
	kept->primary = open_node(node->primary, node);
	kept->render = open_node(node->render, node);
	if (kept->primary >= 0) {
		look_at_primary(info, node);
	}
	if (kept->primary >= 0 || kept->render >= 0) {
		look_at_driver(kept->primary >= 0 ? kept->primary : kept->render, node);
	}
}

static void tell_of_none(struct info *info) {
	glob_t nodes = { 0 };
	const char *why = "there is no /dev/dri: no GPU, or a container hides it";
	if (glob("/dev/dri/*[0-9]", 0, NULL, &nodes) == 0) {
		why = "there are nodes in /dev/dri, but not what /sys tells of them: is it mounted?";
	} else if (access("/dev/dri", F_OK) == 0) {
		why = "/dev/dri has no node: the kernel has no driver for a GPU, or a container hides it";
	}
	globfree(&nodes);
	snprintf(info->nodes_why, sizeof(info->nodes_why), "%s", why);
}

void info_look_at_drm(struct info *info) {
	drmDevicePtr devices[INFO_NODES];
	int count = drmGetDevices2(0, devices, INFO_NODES);
	for (int i = 0; i < count && i < INFO_NODES; i++) {
		look_at_device(info, devices[i]);
	}
	if (count > 0) {
		drmFreeDevices(devices, count < INFO_NODES ? count : INFO_NODES);
	} else {
		tell_of_none(info);
	}
}

void info_finish_drm(struct info *info) {
	for (size_t i = 0; i < info->node_count; i++) {
		struct info_drm *kept = info->nodes[i].handle;
		stile_drm_kms_destroy(kept->kms);
		stile_drm_destroy(kept->drm);
		if (kept->primary >= 0) {
			close(kept->primary);
		}
		if (kept->render >= 0) {
			close(kept->render);
		}
		free(kept);
	}
}
