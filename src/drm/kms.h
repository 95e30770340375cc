/* SPDX-License-Identifier: MIT */
#ifndef SRC_DRM_KMS_H
#define SRC_DRM_KMS_H

#include <pthread.h>
#include <stdbool.h>

#include <stile/drm_kms.h>

#include "src/drm/drm.h"

/* Ids of properties are 0 where the object does not have it. */

struct kms_plane {
	uint32_t id;
	uint64_t type; /* DRM_PLANE_TYPE_* */
	uint32_t fb_property;
	uint32_t in_fence_property;
	struct stile_drm_plane_format *formats;
	size_t format_count;
	uint64_t *modifiers; /* of all formats, one after the other */
};

struct kms_crtc {
	uint32_t id;
	uint32_t out_fence_property;
};

/* Of connectors only those for writeback. */
struct kms_writeback {
	uint32_t id;
	uint32_t fb_property;
	uint32_t out_fence_property;
	uint32_t *formats; /* what it writes, linear */
	size_t format_count;
};

struct stile_drm_kms {
	struct stile_drm *drm; /* a reference */
	uint32_t min_width, max_width, min_height, max_height;
	bool has_modifiers;     /* the driver can be told one */
	bool has_primary_plane; /* so all planes are listed, not only those for overlays */
	struct kms_plane *planes;
	size_t plane_count;
	struct kms_crtc *crtcs;
	size_t crtc_count;
	struct kms_writeback *writebacks;
	size_t writeback_count;

	pthread_mutex_t lock;
	struct stile_drm_held_commit *held; /* under the lock: those that wait */
};

struct stile_drm_framebuffer {
	struct stile_drm_kms *kms; /* outlives it */
	struct stile_image *image; /* a reference */
	uint32_t id;
};

/* ---- kms.c ---- */

/** How properties are looked for. Their names are asked for once: most objects have the same ones. */
struct kms_reader {
	int fd;
	struct kms_name *names;
	size_t count;
};

/** A property to be looked for; `id` stays 0 if the object does not have it. */
struct kms_property {
	const char *name;
	uint32_t id;
	uint64_t value;
};

/** Look for properties of an object (DRM_MODE_OBJECT_*). 0 or -errno. */
int kms_find_properties(struct kms_reader *reader, uint32_t object_id, uint32_t type,
	struct kms_property *properties, size_t count);

const struct kms_plane *kms_find_plane(const struct stile_drm_kms *kms, uint32_t id);
const struct kms_crtc *kms_find_crtc(const struct stile_drm_kms *kms, uint32_t id);
const struct kms_writeback *kms_find_writeback(const struct stile_drm_kms *kms, uint32_t id);

/* ---- plane.c ---- */

/** Fill in a plane of which the id is set. 0 or -errno: then kms_plane_finish() is due as well. */
int kms_plane_read(struct kms_reader *reader, struct kms_plane *plane);
void kms_plane_finish(struct kms_plane *plane);

/** What it needs of an image of any format. */
struct stile_constraints kms_plane_get_needs(
	const struct stile_drm_kms *kms, const struct kms_plane *plane);

/** The format of that name among those of the plane, or NULL. */
const struct stile_drm_plane_format *kms_plane_find_format(
	const struct kms_plane *plane, uint32_t fourcc);
bool kms_format_has_modifier(const struct stile_drm_plane_format *format, uint64_t modifier);

#endif
