/* SPDX-License-Identifier: MIT */
/* What there is to show images with: planes, CRTCs, connectors for writeback, and their properties. */
#include "src/drm/kms.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

#include "src/macros.h"
#include "src/report.h"

/* ---- Properties -------------------------------------------------------------------------------- */

struct kms_name {
	uint32_t id;
	char text[DRM_PROP_NAME_LEN];
};

static int ask_name(struct kms_reader *reader, uint32_t id) {
	struct kms_name *names =
		realloc(reader->names, (reader->count + 1) * sizeof(*reader->names));
	if (names == NULL) {
		return -ENOMEM;
	}
	reader->names = names;
	drmModePropertyPtr property = drmModeGetProperty(reader->fd, id);
	if (property == NULL) {
		return -errno;
	}
	struct kms_name *name = &names[reader->count++];
	name->id = id;
	memcpy(name->text, property->name, sizeof(name->text));
	drmModeFreeProperty(property);
	return 0;
}

static int match_property(struct kms_reader *reader, uint32_t id, uint64_t value,
	struct kms_property *properties, size_t count) {
	size_t at = 0;
	while (at < reader->count && reader->names[at].id != id) {
		at++;
	}
	int ret = at < reader->count ? 0 : ask_name(reader, id);
	for (size_t i = 0; i < count && ret == 0; i++) {
		if (strcmp(reader->names[at].text, properties[i].name) == 0) {
			properties[i].id = id;
			properties[i].value = value;
		}
	}
	return ret;
}

int kms_find_properties(struct kms_reader *reader, uint32_t object_id, uint32_t type,
	struct kms_property *properties, size_t count) {
	drmModeObjectPropertiesPtr all = drmModeObjectGetProperties(reader->fd, object_id, type);
	if (all == NULL) {
		return -errno;
	}
	int ret = 0;
	for (uint32_t i = 0; i < all->count_props && ret == 0; i++) {
		ret = match_property(reader, all->props[i], all->prop_values[i], properties, count);
	}
	drmModeFreeObjectProperties(all);
	return ret;
}

/* ---- Reading ----------------------------------------------------------------------------------- */

static int read_planes(struct stile_drm_kms *kms, struct kms_reader *reader) {
	drmModePlaneResPtr found = drmModeGetPlaneResources(reader->fd);
	if (found == NULL) {
		return -errno;
	}
	int ret = 0;
	kms->planes = calloc(found->count_planes + 1, sizeof(*kms->planes));
	if (kms->planes == NULL) {
		ret = -ENOMEM;
	}
	for (uint32_t i = 0; i < found->count_planes && ret == 0; i++) {
		struct kms_plane *plane = &kms->planes[kms->plane_count++];
		plane->id = found->planes[i];
		ret = kms_plane_read(reader, plane);
		kms->has_primary_plane |= plane->type == DRM_PLANE_TYPE_PRIMARY;
	}
	drmModeFreePlaneResources(found);
	return ret;
}

static int read_crtcs(
	struct stile_drm_kms *kms, struct kms_reader *reader, const drmModeRes *found) {
	kms->crtcs = calloc((size_t)found->count_crtcs + 1, sizeof(*kms->crtcs));
	if (kms->crtcs == NULL) {
		return -ENOMEM;
	}
	int ret = 0;
	for (int i = 0; i < found->count_crtcs && ret == 0; i++) {
		struct kms_property out_fence = { .name = "OUT_FENCE_PTR" };
		ret = kms_find_properties(
			reader, found->crtcs[i], DRM_MODE_OBJECT_CRTC, &out_fence, 1);
		kms->crtcs[kms->crtc_count++] = (struct kms_crtc){
			.id = found->crtcs[i],
			.out_fence_property = out_fence.id,
		};
	}
	return ret;
}

/* Without the list anything is said to be taken, and the driver asked. */
static int read_writeback_formats(int fd, uint64_t blob_id, struct kms_writeback *writeback) {
	drmModePropertyBlobPtr blob = drmModeGetPropertyBlob(fd, (uint32_t)blob_id);
	if (blob == NULL) {
		return -errno;
	}
	writeback->formats = malloc(blob->length + 1);
	if (writeback->formats != NULL) {
		memcpy(writeback->formats, blob->data, blob->length);
		writeback->format_count = blob->length / sizeof(uint32_t);
	}
	drmModeFreePropertyBlob(blob);
	return writeback->formats == NULL ? -ENOMEM : 0;
}

static int read_connector(struct stile_drm_kms *kms, struct kms_reader *reader, uint32_t id) {
	struct kms_property properties[] = {
		{ .name = "WRITEBACK_FB_ID" },
		{ .name = "WRITEBACK_OUT_FENCE_PTR" },
		{ .name = "WRITEBACK_PIXEL_FORMATS" },
	};
	int ret = kms_find_properties(
		reader, id, DRM_MODE_OBJECT_CONNECTOR, properties, ARRAY_LENGTH(properties));
	if (ret == -ENOENT) {
		return 0; /* it was unplugged */
	}
	if (ret < 0 || properties[0].id == 0) {
		return ret;
	}
	struct kms_writeback *writeback = &kms->writebacks[kms->writeback_count++];
	*writeback = (struct kms_writeback){
		.id = id,
		.fb_property = properties[0].id,
		.out_fence_property = properties[1].id,
	};
	return properties[2].value == 0
		? 0
		: read_writeback_formats(reader->fd, properties[2].value, writeback);
}

static int read_connectors(
	struct stile_drm_kms *kms, struct kms_reader *reader, const drmModeRes *found) {
	kms->writebacks = calloc((size_t)found->count_connectors + 1, sizeof(*kms->writebacks));
	if (kms->writebacks == NULL) {
		return -ENOMEM;
	}
	int ret = 0;
	for (int i = 0; i < found->count_connectors && ret == 0; i++) {
		ret = read_connector(kms, reader, found->connectors[i]);
	}
	return ret;
}

static int refuse_node(int error, struct stile_report *why) {
	const char *what = error == -EACCES ? "this is a render node; KMS needs the primary one"
					    : "the driver shows nothing: it has no KMS";
	bool told = error == -EACCES || error == -EOPNOTSUPP || error == -EINVAL;
	return report_refuse(why, error == -EINVAL ? -EOPNOTSUPP : error,
		error == -ENOMEM ? STILE_REASON_RESOURCES : STILE_REASON_DRIVER, 0, 0, 0,
		"%s (drmModeGetResources: %s)", told ? what : "KMS cannot be looked at",
		strerror(-error));
}

static int kms_read(struct stile_drm_kms *kms, struct stile_report *why) {
	drmModeResPtr found = drmModeGetResources(kms->drm->fd);
	if (found == NULL) {
		return refuse_node(-errno, why);
	}
	kms->min_width = found->min_width;
	kms->max_width = found->max_width;
	kms->min_height = found->min_height;
	kms->max_height = found->max_height;
	kms->has_modifiers = drm_get_cap(kms->drm->fd, DRM_CAP_ADDFB2_MODIFIERS) != 0;
	struct kms_reader reader = { .fd = kms->drm->fd };
	int ret = read_crtcs(kms, &reader, found);
	if (ret == 0) {
		ret = read_planes(kms, &reader);
	}
	if (ret == 0) {
		ret = read_connectors(kms, &reader, found);
	}
	free(reader.names);
	drmModeFreeResources(found);
	return ret == 0 ? 0
			: report_refuse(why, ret, STILE_REASON_DRIVER, 0, 0, 0,
				  "the planes and CRTCs cannot be looked at: %s", strerror(-ret));
}

/* ---- From create to destroy -------------------------------------------------------------------- */

int stile_drm_kms_create(
	struct stile_drm *drm, struct stile_report *report, struct stile_drm_kms **out) {
	*out = NULL;
	if (report_begin(report) < 0) {
		return -EINVAL;
	}
	struct stile_report why;
	struct stile_drm_kms *kms = calloc(1, sizeof(*kms));
	if (kms == NULL) {
		int ret = report_refuse(
			&why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
		report_give(report, &why);
		return ret;
	}
	kms->drm = drm_ref(drm);
	pthread_mutex_init(&kms->lock, NULL);

	int ret = kms_read(kms, &why);
	if (ret < 0) {
		report_give(report, &why);
		drm_log(drm, STILE_LOG_ERROR, "KMS: %s", why.text);
		stile_drm_kms_destroy(kms);
		return ret;
	}
	*out = kms;
	return 0;
}

void stile_drm_kms_destroy(struct stile_drm_kms *kms) {
	if (kms == NULL) {
		return;
	}
	for (size_t i = 0; i < kms->plane_count; i++) {
		kms_plane_finish(&kms->planes[i]);
	}
	for (size_t i = 0; i < kms->writeback_count; i++) {
		free(kms->writebacks[i].formats);
	}
	free(kms->planes);
	free(kms->crtcs);
	free(kms->writebacks);
	pthread_mutex_destroy(&kms->lock);
	drm_unref(kms->drm);
	free(kms);
}

/* ---- Looking up -------------------------------------------------------------------------------- */

const struct kms_plane *kms_find_plane(const struct stile_drm_kms *kms, uint32_t id) {
	size_t i = 0;
	while (i < kms->plane_count && kms->planes[i].id != id) {
		i++;
	}
	return i < kms->plane_count ? &kms->planes[i] : NULL;
}

const struct kms_crtc *kms_find_crtc(const struct stile_drm_kms *kms, uint32_t id) {
	size_t i = 0;
	while (i < kms->crtc_count && kms->crtcs[i].id != id) {
		i++;
	}
	return i < kms->crtc_count ? &kms->crtcs[i] : NULL;
}

const struct kms_writeback *kms_find_writeback(const struct stile_drm_kms *kms, uint32_t id) {
	size_t i = 0;
	while (i < kms->writeback_count && kms->writebacks[i].id != id) {
		i++;
	}
	return i < kms->writeback_count ? &kms->writebacks[i] : NULL;
}
