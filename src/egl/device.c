/* SPDX-License-Identifier: MIT */
/*
 * Lock order: a fence's lock, then egl->lock. No fence function is called under egl->lock, and of
 * EGL only what does not block.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/egl/egl.h"
#include "src/log.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/report.h"

void egl_log(const struct stile_egl *egl, enum stile_log_level level, const char *fmt, ...) {
	va_list args;
	va_start(args, fmt);
	log_print(egl->info.log, egl->info.log_user, level, fmt, args);
	va_end(args);
}

bool egl_list_has(const char *list, const char *name) {
	size_t length = strlen(name);
	for (const char *at = list; (at = strstr(at, name)) != NULL; at += length) {
		if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0')) {
			return true;
		}
	}
	return false;
}

bool egl_has_extension(const struct stile_egl *egl, const char *name) {
	const char *list = egl->egl.QueryString(egl->info.display, EGL_EXTENSIONS);
	return list != NULL && egl_list_has(list, name);
}

/* An entry point may be found without the extension being there, and crash: ask for both. */
int egl_need_dma_buf(const struct stile_egl *egl, struct stile_report *why) {
	static const char *const needed[] = {
		"EGL_EXT_image_dma_buf_import",
		"EGL_EXT_image_dma_buf_import_modifiers",
	};
	for (size_t i = 0; i < ARRAY_LENGTH(needed); i++) {
		if (!egl_has_extension(egl, needed[i])) {
			return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0, 0,
				"the display has no %s (Mesa's software EGL has it from version 24 on)",
				needed[i]);
		}
	}
	if (egl->egl.QueryDmaBufFormatsEXT == NULL || egl->egl.QueryDmaBufModifiersEXT == NULL) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0, 0,
			"EGL has no eglQueryDmaBufFormatsEXT or no eglQueryDmaBufModifiersEXT");
	}
	return 0;
}

static int egl_check_version(struct stile_egl *egl, struct stile_report *why) {
	const char *version = egl->egl.QueryString(egl->info.display, EGL_VERSION);
	const char *list = egl->egl.QueryString(egl->info.display, EGL_EXTENSIONS);
	if (version == NULL || list == NULL) {
		EGLint error = egl->egl.GetError();
		return report_refuse(why, egl_errno(error), STILE_REASON_DRIVER, 0, 0,
			(uint64_t)error, "the display does not answer: %s", egl_error_name(error));
	}
	int major = 0, minor = 0;
	if (sscanf(version, "%d.%d", &major, &minor) != 2 || major < 1 ||
		(major == 1 && minor < 5)) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0, 0,
			"the display has EGL %s, 1.5 is needed", version);
	}
	return 0;
}

static int egl_load(struct stile_egl *egl, struct stile_report *why) {
	const char *missing = NULL;
	stile_egl_proc proc;
#define X(name, type) \
	proc = egl->info.get_proc_address("egl" #name); \
	egl->egl.name = (type)proc; \
	missing = proc == NULL ? "egl" #name : missing;
	EGL_PROCS(X)
#undef X
	egl->egl.QueryDmaBufFormatsEXT =
		(PFNEGLQUERYDMABUFFORMATSEXTPROC)egl->info.get_proc_address(
			"eglQueryDmaBufFormatsEXT");
	egl->egl.QueryDmaBufModifiersEXT =
		(PFNEGLQUERYDMABUFMODIFIERSEXTPROC)egl->info.get_proc_address(
			"eglQueryDmaBufModifiersEXT");
	egl->egl.glFlush = (void (*)(void))egl->info.get_proc_address("glFlush");
	missing = egl->egl.glFlush == NULL ? "glFlush" : missing;
	if (missing != NULL) {
		return report_refuse(
			why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0, 0, "EGL has no %s", missing);
	}
	return 0;
}

static int egl_init(struct stile_egl *egl, struct stile_report *why) {
	if (egl->info.get_proc_address == NULL || egl->info.display == EGL_NO_DISPLAY) {
		return report_refuse(why, -EINVAL, STILE_REASON_USAGE, 0, 0, 0,
			"get_proc_address and display are both needed");
	}
	int ret = egl_load(egl, why);
	if (ret == 0) {
		ret = egl_check_version(egl, why);
	}
	if (ret < 0) {
		return ret;
	}
	egl_native_find(egl);
	ret = os_thread_start(&egl->waiter, "stile-egl-wait", egl_waiter_run, egl);
	if (ret < 0) {
		return report_refuse(
			why, ret, STILE_REASON_RESOURCES, 0, 0, 0, "no thread: %s", strerror(-ret));
	}
	return 0;
}

int stile_egl_create(
	const struct stile_egl_info *info, struct stile_report *report, struct stile_egl **out) {
	*out = NULL;
	struct stile_egl_info known;
	int ret = report_copy_in(report, &known, sizeof(known), info);
	if (ret < 0) {
		return ret;
	}
	struct stile_egl *egl = calloc(1, sizeof(*egl));
	struct stile_report why;
	if (egl == NULL) {
		ret = report_refuse(
			&why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
		report_give(report, &why);
		return ret;
	}
	egl->info = known;
	egl->context = stile_fence_context_alloc(1);
	egl->refs = 1;
	pthread_mutex_init(&egl->lock, NULL);
	pthread_cond_init(&egl->changed, NULL);
	import_cache_init(&egl->imports, egl->info.cached_images);

	ret = egl_init(egl, &why);
	if (ret < 0) {
		report_give(report, &why);
		egl_log(egl, STILE_LOG_ERROR, "EGL adapter: %s", why.text);
		import_cache_finish(&egl->imports);
		egl_unref(egl);
		return ret;
	}
	*out = egl;
	return 0;
}

void egl_unref(struct stile_egl *egl) {
	if (__atomic_fetch_sub(&egl->refs, 1, __ATOMIC_ACQ_REL) == 1) {
		pthread_cond_destroy(&egl->changed);
		pthread_mutex_destroy(&egl->lock);
		free(egl);
	}
}

void stile_egl_destroy(struct stile_egl *egl) {
	if (egl == NULL) {
		return;
	}
	pthread_mutex_lock(&egl->lock);
	egl->stopping = true;
	pthread_cond_signal(&egl->changed);
	pthread_mutex_unlock(&egl->lock);
	pthread_join(egl->waiter, NULL);
	egl_fences_cancel(egl);
	import_cache_finish(&egl->imports);
	egl_unref(egl);
}

bool egl_is_current(const struct stile_egl *egl) {
	return egl->egl.GetCurrentContext() != EGL_NO_CONTEXT &&
		egl->egl.GetCurrentDisplay() == egl->info.display;
}

bool egl_check_current(const struct stile_egl *egl, const char *what) {
	bool current = egl_is_current(egl);
	if (!current) {
		egl_log(egl, STILE_LOG_ERROR, "%s needs a current context of this display", what);
	}
	return current;
}
