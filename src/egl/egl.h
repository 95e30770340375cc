/* SPDX-License-Identifier: MIT */
#ifndef SRC_EGL_EGL_H
#define SRC_EGL_EGL_H

#include <pthread.h>
#include <stdbool.h>

#include <EGL/egl.h>
#include <EGL/eglext.h>

#include <stile/egl.h>

#include "src/import_cache.h"

/* The entry points, by their names without "egl", and their types. */
#define EGL_PROCS(X) \
	X(ClientWaitSync, PFNEGLCLIENTWAITSYNCPROC) \
	X(CreateImage, PFNEGLCREATEIMAGEPROC) \
	X(CreateSync, PFNEGLCREATESYNCPROC) \
	X(DestroyImage, PFNEGLDESTROYIMAGEPROC) \
	X(DestroySync, PFNEGLDESTROYSYNCPROC) \
	X(GetCurrentContext, PFNEGLGETCURRENTCONTEXTPROC) \
	X(GetCurrentDisplay, PFNEGLGETCURRENTDISPLAYPROC) \
	X(GetError, PFNEGLGETERRORPROC) \
	X(GetSyncAttrib, PFNEGLGETSYNCATTRIBPROC) \
	X(QueryString, PFNEGLQUERYSTRINGPROC) \
	X(WaitSync, PFNEGLWAITSYNCPROC)

struct egl_procs {
#define X(name, type) type name;
	EGL_PROCS(X)
#undef X
	void (*glFlush)(void);
	/* Where the display imports dma-bufs: egl_need_dma_buf(). */
	PFNEGLQUERYDMABUFFORMATSEXTPROC QueryDmaBufFormatsEXT;
	PFNEGLQUERYDMABUFMODIFIERSEXTPROC QueryDmaBufModifiersEXT;
	/* NULL where the display has no native fences. */
	PFNEGLCREATESYNCKHRPROC CreateSyncKHR;
	PFNEGLDUPNATIVEFENCEFDANDROIDPROC DupNativeFenceFDANDROID;
};

struct stile_egl {
	struct stile_egl_info info;
	struct egl_procs egl;
	uint64_t context; /* of the fences made of GL work */
	uint32_t refs;    /* the owner's, and one for each fence that is still out */
	struct import_cache imports;

	pthread_t waiter;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* All below is under the lock. */
	bool stopping;
	bool server_waits_block; /* the driver was seen to wait in eglWaitSync() */
	uint64_t seqno;
	struct egl_fence *first; /* pending, the oldest first */
	struct egl_fence *last;
};

/* error.c */
/** The one table: what eglGetError() says as an errno. */
int egl_errno(EGLint error);
const char *egl_error_name(EGLint error);

/* device.c */
void egl_log(const struct stile_egl *egl, enum stile_log_level level, const char *fmt, ...)
	STILE_PRINTF(3, 4);
bool egl_has_extension(const struct stile_egl *egl, const char *name);
/** Is the name in a list of extensions, which has blanks between? NULL: no list. */
bool egl_list_has(const char *list, const char *name);
/** Does the display import dma-bufs? 0, or what report_refuse() gave. */
int egl_need_dma_buf(const struct stile_egl *egl, struct stile_report *why);
bool egl_is_current(const struct stile_egl *egl);
/** The same; if not, says so of `what`. */
bool egl_check_current(const struct stile_egl *egl, const char *what);
void egl_unref(struct stile_egl *egl);

/* image.c */
/** As stile_egl_import_image(), but that it logs nothing; `why` is complete, never NULL, and says nothing on success if it said nothing before. */
int egl_image_create(struct stile_egl *egl, struct stile_image *image, struct stile_egl_image **out,
	struct stile_report *why);
/** What images have to meet, of any layout. */
extern const struct stile_constraints egl_limits;

/* layouts.c: what the display lists. */
/** The layouts of a format; what is counted and not told, is DRM_FORMAT_MOD_INVALID. */
struct egl_layouts {
	uint32_t count;
	EGLuint64KHR *modifiers;
	EGLBoolean *external_only;
};

/** The formats, for free(), NULL if there are none. 0 or -ENOMEM. */
int egl_list_formats(struct stile_egl *egl, uint32_t **fourccs, uint32_t *count);
/** 0 or -ENOMEM; egl_layouts_finish(). */
int egl_list_layouts(struct stile_egl *egl, uint32_t fourcc, struct egl_layouts *out);
void egl_layouts_finish(struct egl_layouts *layouts);
/** 0 or -ENOMEM. */
int egl_find_format(struct stile_egl *egl, uint32_t fourcc, bool *found);
/** The same of a layout. *count: how many it lists of the format. */
int egl_find_modifier(
	struct stile_egl *egl, uint32_t fourcc, uint64_t modifier, uint32_t *count, bool *found);

/* fence.c */
void *egl_waiter_run(void *arg);
void egl_fences_cancel(struct stile_egl *egl);
/** A fence of a sync, which is taken over on success, unless it is theirs. 0 or -errno. */
int egl_fence_create(struct stile_egl *egl, EGLSync sync, bool theirs, struct stile_fence **out);
/**
 * Have the server wait for a sync, and measure whether it was the calling thread that did. Such a driver is
 * not asked again: egl->server_waits_block. False: it does not.
 */
bool egl_wait_sync(struct stile_egl *egl, EGLSync sync, int64_t *blocked_ns);
bool egl_server_waits(struct stile_egl *egl);

/* native.c: the kernel's sync_file in an EGLSync. */
void egl_native_find(struct stile_egl *egl);
/** Have the server wait for a fence that the kernel has. False: it has not, or the driver does not. */
bool egl_native_wait(struct stile_egl *egl, struct stile_fence *fence, enum stile_path_kind *kind,
	int64_t *blocked_ns);

#endif
