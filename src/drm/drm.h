/* SPDX-License-Identifier: MIT */
#ifndef SRC_DRM_DRM_H
#define SRC_DRM_DRM_H

#include <stdbool.h>
#include <stdint.h>

#include <stile/drm.h>

struct drm_file;

struct stile_drm {
	struct drm_file *file; /* shared by all adapters of one open file */
	int fd;                /* the file's */
	stile_log_fn log;
	void *log_user;
	/* Buffers and fences that come from the kernel are made with it; nobody dispatches it. */
	struct stile_device *device;
	uint32_t refs; /* the owner's, and one for each timeline */

	bool threads_told; /* the log was told what threads are for; atomic */
};

struct stile_drm *drm_ref(struct stile_drm *drm);
void drm_unref(struct stile_drm *drm);

/** Log one message. Not under any lock. errno is kept. */
void drm_log(const struct stile_drm *drm, enum stile_log_level level, const char *fmt, ...)
	STILE_PRINTF(3, 4);

/** A capability (DRM_CAP_*); 0 if the kernel or the driver does not know it. */
uint64_t drm_get_cap(int fd, uint64_t capability);

/** DRM_NODE_PRIMARY or DRM_NODE_RENDER; -1 for what is neither. */
int drm_get_node_type(int fd);

/** Is it a DRM node? 0, or what report_refuse() gave: -EBADF or -ENODEV. */
int drm_check_node(int fd, struct stile_report *why);

/* ---- file.c: the handles of an open file ---- */

/** What is known of the open file that `fd` is a descriptor of, new or shared. 0 or -errno. */
int drm_file_get(int fd, struct drm_file **out);
/** The last one closes the handles that were not put. */
void drm_file_put(struct drm_file *file);
/** A descriptor of it; borrowed. */
int drm_file_get_fd(const struct drm_file *file);

/** A handle of a dma-buf, counted. 0 or -errno. */
int drm_file_import(struct drm_file *file, int dma_buf_fd, uint32_t *handle);
/** One less; the last closes it. */
void drm_file_release(struct drm_file *file, uint32_t handle);
/** The handle of this dma-buf is the application's: it is never to be closed here. 0 or -ENOMEM. */
int drm_file_set_foreign(struct drm_file *file, int dma_buf_fd, uint32_t handle);

#endif
