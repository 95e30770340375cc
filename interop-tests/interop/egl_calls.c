/* SPDX-License-Identifier: MIT */
#include "interop-tests/interop/egl_calls.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <check.h>

#include <stile/egl_memory.h>

#include "interop-tests/interop/require.h"
#include "interop-tests/support/plain_fence.h"

void egl_world_note(void *arg, enum stile_log_level level, const char *text) {
	struct egl_world *world = arg;
	(void)level;
	snprintf(world->logged, sizeof(world->logged), "%s", text);
}

/* ---- The calls ------------------------------------------------------------------------------- */

/* What no call gives: something was left in an out parameter though it failed. */
enum { NOT_EMPTIED = -1000 };

static int give(int ret, bool empty) {
	return ret < 0 && !empty ? NOT_EMPTIED : ret;
}

static int get_gl_format(struct egl_world *world) {
	struct stile_egl_gl_format format = { .size = sizeof(format) };
	(void)world;
	return stile_egl_get_gl_format(DRM_FORMAT_ABGR8888, &format);
}

static int create(struct egl_world *world) {
	struct stile_egl *egl;
	int ret = stile_egl_create(&world->info, &world->report, &egl);
	ret = give(ret, egl == NULL);
	stile_egl_destroy(egl);
	return ret;
}

static int get_party(struct egl_world *world) {
	struct stile_party party = { .size = sizeof(party) };
	int ret = stile_egl_get_party(world->egl, STILE_USAGE_READ, &world->report, &party);
	stile_party_fini(&party);
	return ret;
}

static int check_image(struct egl_world *world) {
	return stile_egl_check_image(world->egl, world->image, &world->report);
}

static int import_image(struct egl_world *world) {
	struct stile_egl_image *image;
	int ret = stile_egl_import_image(world->egl, world->image, &world->report, &image);
	ret = give(ret, image == NULL);
	if (ret == 0 && stile_egl_image_get_handle(image) == EGL_NO_IMAGE) {
		ret = NOT_EMPTIED;
	}
	stile_egl_image_destroy(image);
	return ret;
}

static int import_yuv(struct egl_world *world) {
	struct stile_egl_yuv yuv = { .size = sizeof(yuv) };
	int ret = stile_egl_import_yuv(world->egl, world->yuv, &world->report, &yuv);
	ret = give(ret, yuv.image_count == 0);
	stile_egl_yuv_finish(&yuv);
	return ret;
}

static int export_image(struct egl_world *world) {
	const struct stile_image_info *info = stile_image_get_info(world->image);
	const struct stile_egl_own_image own = {
		.size = sizeof(own),
		.image = world->own,
		.width = info->width,
		.height = info->height,
	};
	struct stile_image *image;
	int ret = stile_egl_export_image(world->egl, &own, world->device, &world->report, &image);
	ret = give(ret, image == NULL);
	stile_image_unref(image);
	return ret;
}

/* Of no driver that there is. */
static int import_opaque(struct egl_world *world) {
	const struct stile_opaque_image image = {
		.size = sizeof(image),
		.fd = world->semaphore_info.fd,
		.bytes = 16384,
		.width = 64,
		.height = 64,
		.fourcc = DRM_FORMAT_ABGR8888,
	};
	uint32_t texture;
	int ret = stile_egl_import_opaque(world->egl, &image, &world->report, &texture);
	return give(ret, texture == 0);
}

static int wait_fence(struct egl_world *world) {
	return stile_egl_wait_fence(world->egl, world->fence, 0, NULL);
}

static int fence_create(struct egl_world *world) {
	struct stile_fence *fence;
	int ret = stile_egl_fence_create(world->egl, &fence);
	ret = give(ret, fence == NULL);
	stile_fence_unref(fence);
	return ret;
}

static int fence_create_sync_file(struct egl_world *world) {
	struct stile_fence *fence;
	int ret = stile_egl_fence_create_sync_file(
		world->egl, world->device, STILE_USER_FENCES_HOLD, NULL, &fence);
	ret = give(ret, fence == NULL);
	stile_fence_unref(fence);
	return ret;
}

static int import_fence(struct egl_world *world) {
	struct stile_fence *fence;
	int ret = stile_egl_import_fence(world->egl, world->sync, &fence);
	ret = give(ret, fence == NULL);
	if (ret == 0) {
		/* The sync is only borrowed, as long as the fence has not ended. */
		plain_fence_finish(fence);
		stile_fence_unref(fence);
	}
	return ret;
}

static int export_fence(struct egl_world *world) {
	EGLSync sync;
	int ret = stile_egl_export_fence(world->egl, world->fence, &sync);
	return give(ret, sync == EGL_NO_SYNC);
}

static int semaphore_import(struct egl_world *world) {
	struct stile_egl_semaphore *semaphore;
	int ret = stile_egl_semaphore_import(
		world->egl, &world->semaphore_info, &world->report, &semaphore);
	ret = give(ret, semaphore == NULL);
	stile_egl_semaphore_destroy(semaphore);
	return ret;
}

static int semaphore_signal(struct egl_world *world) {
	return stile_egl_semaphore_signal(world->semaphore, 0, NULL, NULL);
}

static int semaphore_wait(struct egl_world *world) {
	return stile_egl_semaphore_wait(world->semaphore, 0, NULL, NULL);
}

enum {
	NEEDS_CONTEXT = 1 << 0,
	REPORTS = 1 << 1, /* in a report, too, and not in the log alone */
	NEEDS_SEMAPHORE = 1 << 2,
};

struct call {
	const char *name;
	int (*make)(struct egl_world *world);
	unsigned flags;
};

static const struct call calls[] = {
	{ "stile_egl_check_image", check_image, 0 },
	{ "stile_egl_create", create, 0 },
	{ "stile_egl_destroy", create, 0 },
	{ "stile_egl_export_fence", export_fence, NEEDS_CONTEXT },
	{ "stile_egl_export_image", export_image, 0 },
	{ "stile_egl_fence_create", fence_create, NEEDS_CONTEXT },
	{ "stile_egl_fence_create_sync_file", fence_create_sync_file, NEEDS_CONTEXT },
	{ "stile_egl_get_gl_format", get_gl_format, 0 },
	{ "stile_egl_get_party", get_party, 0 },
	{ "stile_egl_image_destroy", import_image, 0 },
	{ "stile_egl_image_get_handle", import_image, 0 },
	{ "stile_egl_import_fence", import_fence, 0 },
	{ "stile_egl_import_image", import_image, 0 },
	{ "stile_egl_import_opaque", import_opaque, NEEDS_CONTEXT | REPORTS },
	{ "stile_egl_import_yuv", import_yuv, 0 },
	{ "stile_egl_semaphore_destroy", semaphore_import, NEEDS_CONTEXT | REPORTS },
	{ "stile_egl_semaphore_import", semaphore_import, NEEDS_CONTEXT | REPORTS },
	{ "stile_egl_semaphore_signal", semaphore_signal, NEEDS_CONTEXT | NEEDS_SEMAPHORE },
	{ "stile_egl_semaphore_wait", semaphore_wait, NEEDS_CONTEXT | NEEDS_SEMAPHORE },
	{ "stile_egl_wait_fence", wait_fence, NEEDS_CONTEXT },
	{ "stile_egl_yuv_finish", import_yuv, 0 },
};
enum { CALLS = sizeof(calls) / sizeof(calls[0]) };

/* The map is in the order of the alphabet, as the table. */
static void check_that_all_are_there(void) {
	FILE *map = fopen(EGL_MAP, "re");
	char line[128], name[64];
	size_t i = 0;
	require(map != NULL);
	while (fgets(line, sizeof(line), map) != NULL) {
		if (sscanf(line, " stile_egl_%63[a-z_]", name) == 1) {
			ck_assert_msg(i < CALLS && strcmp(calls[i].name + 10, name) == 0,
				"stile_egl_%s is not in the table", name);
			i++;
		}
	}
	fclose(map);
	ck_assert_uint_eq(i, CALLS);
}

/* ---- Who makes them -------------------------------------------------------------------------- */

struct elsewhere {
	struct egl_world *world;
	const struct call *call;
	bool has_other; /* a context of another display */
	int ret;
};

static int make(struct egl_world *world, const struct call *call) {
	world->logged[0] = '\0';
	world->report = (struct stile_report){ .size = sizeof(world->report) };
	return call->make(world);
}

static void *make_elsewhere(void *arg) {
	struct elsewhere *elsewhere = arg;
	if (elsewhere->has_other) {
		elsewhere->world->bind_other(true);
	}
	elsewhere->ret = make(elsewhere->world, elsewhere->call);
	if (elsewhere->has_other) {
		elsewhere->world->bind_other(false);
	}
	return NULL;
}

static bool is_about_contexts(const char *text) {
	return strstr(text, "context") != NULL && strstr(text, "current") != NULL &&
		strstr(text, "this display") != NULL;
}

static void check_refused(const struct egl_world *world, const struct call *call, int ret) {
	ck_assert_msg(ret == -EINVAL, "%s: %d", call->name, ret);
	ck_assert_msg(is_about_contexts(world->logged), "%s says: '%s'", call->name, world->logged);
	if ((call->flags & REPORTS) != 0) {
		ck_assert_int_eq(world->report.error, -EINVAL);
		ck_assert_int_eq(world->report.reason, STILE_REASON_CALLER);
		ck_assert_msg(is_about_contexts(world->report.text), "%s reports: '%s'", call->name,
			world->report.text);
	}
}

static void check_call(struct egl_world *world, const struct call *call) {
	int here = make(world, call);
	ck_assert_msg(here != NOT_EMPTIED, "%s fails and gives something", call->name);
	ck_assert_msg(!is_about_contexts(world->logged), "%s: %s", call->name, world->logged);
	for (int other = 0; other < 2; other++) {
		struct elsewhere elsewhere = { world, call, other == 1, 0 };
		pthread_t thread;
		ck_assert_int_eq(pthread_create(&thread, NULL, make_elsewhere, &elsewhere), 0);
		pthread_join(thread, NULL);
		if ((call->flags & NEEDS_CONTEXT) != 0) {
			check_refused(world, call, elsewhere.ret);
		} else {
			ck_assert_msg(elsewhere.ret == here, "%s: %d, with a context %d",
				call->name, elsewhere.ret, here);
		}
	}
}

void egl_world_check(struct egl_world *world) {
	check_that_all_are_there();
	struct stile_egl_image *kept;
	world->own = EGL_NO_IMAGE;
	if (stile_egl_import_image(world->egl, world->image, NULL, &kept) == 0) {
		world->own = stile_egl_image_get_handle(kept);
	}
	world->fence = plain_fence_create();
	for (size_t i = 0; i < CALLS; i++) {
		if ((calls[i].flags & NEEDS_SEMAPHORE) == 0 || world->semaphore != NULL) {
			check_call(world, &calls[i]);
		}
	}
	stile_fence_signal(world->fence);
	stile_fence_unref(world->fence);
	stile_egl_image_destroy(kept);
}
