/* SPDX-License-Identifier: MIT */
#include "interop-tests/kernel/kms_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <xf86drm.h>

#include "interop-tests/support/runner.h"

/* About 60 pictures a second. */
static const drmModeModeInfo mode = {
	.clock = 600,
	.hdisplay = KMS_OUTPUT_WIDTH,
	.hsync_start = 70,
	.hsync_end = 80,
	.htotal = 100,
	.vdisplay = KMS_OUTPUT_HEIGHT,
	.vsync_start = 50,
	.vsync_end = 60,
	.vtotal = 100,
	.vrefresh = 60,
	.name = "test",
};

static bool is_driver(int fd, const char *driver) {
	drmVersionPtr version = drmGetVersion(fd);
	bool found = version != NULL && strcmp(version->name, driver) == 0;
	drmFreeVersion(version);
	return found;
}

int kms_output_open_node(const char *driver) {
	for (int i = 0; i < 16; i++) {
		char path[32];
		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		int fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && is_driver(fd, driver)) {
			return fd;
		}
		if (fd >= 0) {
			close(fd);
		}
	}
	return -ENOENT;
}

/* Gives the id, and the value, of an object's property; 0: it has none of that name. */
static uint32_t find_property(
	int fd, uint32_t object, uint32_t type, const char *name, uint64_t *value) {
	drmModeObjectPropertiesPtr all = drmModeObjectGetProperties(fd, object, type);
	uint32_t found = 0;
	for (uint32_t i = 0; all != NULL && i < all->count_props && found == 0; i++) {
		drmModePropertyPtr property = drmModeGetProperty(fd, all->props[i]);
		if (property != NULL && strcmp(property->name, name) == 0) {
			found = property->prop_id;
			*value = all->prop_values[i];
		}
		drmModeFreeProperty(property);
	}
	drmModeFreeObjectProperties(all);
	return found;
}

static void find_planes(struct kms_output *output) {
	drmModePlaneResPtr planes = drmModeGetPlaneResources(output->fd);
	runner_require(planes != NULL, "no planes: %s", strerror(errno));
	for (uint32_t i = 0; i < planes->count_planes; i++) {
		drmModePlanePtr plane = drmModeGetPlane(output->fd, planes->planes[i]);
		uint64_t type = UINT64_MAX;
		find_property(output->fd, planes->planes[i], DRM_MODE_OBJECT_PLANE, "type", &type);
		if (plane != NULL && (plane->possible_crtcs & 1) != 0) {
			uint32_t id = plane->plane_id;
			output->plane = type == DRM_PLANE_TYPE_PRIMARY ? id : output->plane;
			output->cursor = type == DRM_PLANE_TYPE_CURSOR ? id : output->cursor;
			output->overlay = type == DRM_PLANE_TYPE_OVERLAY ? id : output->overlay;
		}
		drmModeFreePlane(plane);
	}
	drmModeFreePlaneResources(planes);
}

static void find_objects(struct kms_output *output) {
	drmModeResPtr found = drmModeGetResources(output->fd);
	runner_require(found != NULL && found->count_crtcs > 0, "vkms has no CRTC");
	output->crtc = found->crtcs[0];
	for (int i = 0; i < found->count_connectors; i++) {
		uint32_t id = found->connectors[i];
		uint64_t value;
		bool writes = find_property(output->fd, id, DRM_MODE_OBJECT_CONNECTOR,
				      "WRITEBACK_FB_ID", &value) != 0;
		output->writeback = writes ? id : output->writeback;
		output->connector = writes ? output->connector : id;
	}
	drmModeFreeResources(found);
}

/* Who opens the node first is its master; other test programs may be. */
void kms_output_await_master(const struct kms_output *output) {
	int64_t give_up_ns = runner_clock_ns() + INT64_C(60000000000);
	while (!drmIsMaster(output->fd) && drmSetMaster(output->fd) < 0) {
		runner_require(
			runner_clock_ns() < give_up_ns, "somebody else is DRM master all the time");
		runner_sleep_ms(5);
	}
}

int kms_output_open(struct kms_output *output) {
	*output = (struct kms_output){ .fd = kms_output_open_node("vkms") };
	if (output->fd < 0) {
		return output->fd;
	}
	kms_output_await_master(output);
	runner_require(drmSetClientCap(output->fd, DRM_CLIENT_CAP_ATOMIC, 1) == 0 &&
			drmSetClientCap(output->fd, DRM_CLIENT_CAP_WRITEBACK_CONNECTORS, 1) == 0,
		"vkms is not atomic, or does not write back: %s", strerror(errno));
	find_objects(output);
	find_planes(output);
	runner_require(output->connector != 0 && output->writeback != 0 && output->plane != 0 &&
			output->cursor != 0 && output->overlay != 0,
		"vkms lacks a connector or a plane: is it loaded with enable_overlay=1?");
	int ret = drmModeCreatePropertyBlob(output->fd, &mode, sizeof(mode), &output->mode);
	runner_require(ret == 0, "no blob for the mode: %s", strerror(-ret));
	return 0;
}

/* How often the kernel refers to it, by debugfs; 0: that is not known. */
static unsigned count_references(const struct kms_output *output, uint32_t framebuffer) {
	struct stat st;
	char path[64], line[128];
	unsigned at = 0, id, count, found = 0;
	runner_require(fstat(output->fd, &st) == 0, "fstat: %s", strerror(errno));
	snprintf(path, sizeof(path), "/sys/kernel/debug/dri/%u/framebuffer", minor(st.st_rdev));
	FILE *file = fopen(path, "re");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		at = sscanf(line, "framebuffer[%u]", &id) == 1 ? id : at;
		/* The lines of its memory are further to the right. */
		if (at == framebuffer && sscanf(line, "\trefcount=%u", &count) == 1 &&
			line[1] == 'r') {
			found = count;
		}
	}
	if (file != NULL) {
		fclose(file);
	}
	return found;
}

void kms_output_await_idle(const struct kms_output *output, uint32_t framebuffer) {
	int64_t give_up_ns = runner_clock_ns() + INT64_C(60000000000);
	unsigned count;
	while ((count = count_references(output, framebuffer)) > 1) {
		runner_require(
			runner_clock_ns() < give_up_ns, "a writeback is not cleaned up after");
		runner_sleep_ms(1);
	}
	if (count == 0) {
		runner_sleep_ms(50);
	}
}

/* Found once: it is the same device all the time, and here each system call takes its time. */
uint32_t kms_output_property(
	const struct kms_output *output, uint32_t object, uint32_t type, const char *name) {
	static struct {
		uint32_t object, id;
		const char *name;
	} known[64];
	static size_t count;
	for (size_t i = 0; i < count; i++) {
		if (known[i].object == object && strcmp(known[i].name, name) == 0) {
			return known[i].id;
		}
	}
	uint64_t value;
	uint32_t id = find_property(output->fd, object, type, name, &value);
	runner_require(count < sizeof(known) / sizeof(known[0]), "too many properties");
	known[count].object = object;
	known[count].name = name;
	known[count].id = id;
	count++;
	return id;
}

void kms_output_add(const struct kms_output *output, drmModeAtomicReq *request, uint32_t object,
	uint32_t type, const char *name, uint64_t value) {
	uint32_t property = kms_output_property(output, object, type, name);
	runner_require(property != 0, "object %u has no %s", object, name);
	runner_require(drmModeAtomicAddProperty(request, object, property, value) >= 0,
		"no memory for a request");
}

/* It alone: newer kernels let it be a clone of no other. */
static void add_connector(
	const struct kms_output *output, drmModeAtomicReq *request, uint32_t crtc) {
	kms_output_add(
		output, request, output->writeback, DRM_MODE_OBJECT_CONNECTOR, "CRTC_ID", crtc);
}

static void add_crtc(const struct kms_output *output, drmModeAtomicReq *request, bool on) {
	kms_output_add(output, request, output->crtc, DRM_MODE_OBJECT_CRTC, "ACTIVE", on);
	kms_output_add(output, request, output->crtc, DRM_MODE_OBJECT_CRTC, "MODE_ID",
		on ? output->mode : 0);
}

drmModeAtomicReq *kms_output_request(const struct kms_output *output, uint32_t plane) {
	const struct {
		const char *name;
		uint64_t value;
	} places[] = {
		{ "CRTC_ID", output->crtc },
		{ "CRTC_X", 0 },
		{ "CRTC_Y", 0 },
		{ "CRTC_W", KMS_OUTPUT_WIDTH },
		{ "CRTC_H", KMS_OUTPUT_HEIGHT },
		{ "SRC_X", 0 },
		{ "SRC_Y", 0 },
		{ "SRC_W", (uint64_t)KMS_OUTPUT_WIDTH << 16 },
		{ "SRC_H", (uint64_t)KMS_OUTPUT_HEIGHT << 16 },
	};
	drmModeAtomicReq *request = drmModeAtomicAlloc();
	runner_require(request != NULL, "no memory for a request");
	add_connector(output, request, output->crtc);
	add_crtc(output, request, true);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		kms_output_add(output, request, plane, DRM_MODE_OBJECT_PLANE, places[i].name,
			places[i].value);
	}
	return request;
}

static void switch_off(const struct kms_output *output) {
	const uint32_t planes[] = { output->plane, output->overlay };
	drmModeAtomicReq *request = drmModeAtomicAlloc();
	runner_require(request != NULL, "no memory for a request");
	add_connector(output, request, 0);
	add_crtc(output, request, false);
	for (size_t i = 0; i < 2; i++) {
		kms_output_add(output, request, planes[i], DRM_MODE_OBJECT_PLANE, "CRTC_ID", 0);
		kms_output_add(output, request, planes[i], DRM_MODE_OBJECT_PLANE, "FB_ID", 0);
	}
	int ret = drmModeAtomicCommit(output->fd, request, DRM_MODE_ATOMIC_ALLOW_MODESET, NULL);
	drmModeAtomicFree(request);
	runner_require(ret == 0, "the output cannot be switched off: %s", strerror(-ret));
}

void kms_output_close(struct kms_output *output) {
	if (output->fd < 0) {
		return;
	}
	switch_off(output);
	drmModeDestroyPropertyBlob(output->fd, output->mode);
	drmDropMaster(output->fd);
	close(output->fd);
	output->fd = -1;
}
