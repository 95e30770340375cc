/* SPDX-License-Identifier: MIT */
#include "demos/job.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <stile/swgpu.h>

#include "demos/gles_drawer.h"
#include "demos/transform.h"
#include "demos/vulkan_drawer.h"

int64_t job_now(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t job_deadline(void) {
	return job_now() + 30 * (int64_t)1000000000;
}

static void on_log(void *user, enum stile_log_level level, const char *text) {
	(void)user;
	if (level <= STILE_LOG_WARN) {
		fprintf(stderr, "stile: %s\n", text);
	}
}

static int create_image(struct job *job, const char *name, struct stile_image **out) {
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = job->picture->width,
		.height = job->picture->height,
		.fourcc = DRM_FORMAT_ABGR8888, /* red in the first byte, as in the picture */
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.modifier = DRM_FORMAT_MOD_LINEAR,
		.name = name,
	};
	return stile_image_create(job->memory, &info, out);
}

/* "NAME" or "NAME:OPTIONS". */
static int open_named(
	const char *memory, struct stile_device_info *info, struct stile_device **device) {
	char name[64];
	size_t length = strcspn(memory, ":");
	snprintf(name, sizeof(name), "%.*s", (int)length, memory);
	info->options = memory[length] == ':' ? memory + length + 1 : NULL;
	return stile_device_open(name, info, device);
}

static int open_devices(struct job *job, const char *memory) {
	struct stile_device_info info = { .size = sizeof(info), .log = on_log };
	int ret = stile_device_open("swgpu", &info, &job->device);
	if (ret < 0 || memory == NULL) {
		job->memory = job->device;
		return ret;
	}
	struct stile_report why = { .size = sizeof(why) };
	ret = strcmp(memory, "best") == 0 ? stile_device_open_best(&info, &why, &job->memory)
					  : open_named(memory, &info, &job->memory);
	if (ret == 0) {
		job->is_kernel = strcmp(stile_device_get_backend(job->memory), "swgpu") != 0;
		printf("memory: %s\n", why.text[0] != '\0' ? why.text : memory);
	}
	return ret;
}

int job_init(struct job *job, const struct picture *picture, const char *memory) {
	*job = (struct job){ .picture = picture };
	int ret = open_devices(job, memory);
	if (ret == 0) {
		ret = create_image(job, "A", &job->a);
	}
	if (ret == 0) {
		ret = create_image(job, "B", &job->b);
	}
	if (ret == 0) {
		ret = create_image(job, "C", &job->c);
	}
	if (ret == 0) {
		ret = picture_create(picture->width, picture->height, &job->result);
	}
	if (ret < 0) {
		fprintf(stderr, "no device or no images: %s\n", strerror(-ret));
	}
	return ret;
}

void job_finish(struct job *job) {
	picture_finish(&job->result);
	stile_image_unref(job->a);
	stile_image_unref(job->b);
	stile_image_unref(job->c);
	if (job->memory != job->device) {
		stile_device_destroy(job->memory);
	}
	stile_device_destroy(job->device);
}

/* ---- The hops ----------------------------------------------------------------------------- */

/* What a hop does with one or two images, from begin() to end(). */
struct use {
	struct hop *hop;
	int64_t began;
	struct stile_access accesses[2];
	uint32_t count;
};

static int begin(struct use *use, struct stile_image *image, uint32_t usage, const char *who) {
	struct stile_access_info info = { .size = sizeof(info), .usage = usage, .name = who };
	struct stile_access *access = &use->accesses[use->count];
	int ret = stile_access_begin(image, &info, access);
	if (ret == 0 && access->count > 0) {
		snprintf(use->hop->fence, sizeof(use->hop->fence), "%s",
			stile_fence_get_driver_name(access->fences[access->count - 1]));
	}
	use->count += ret == 0;
	return ret;
}

/* With the fence of the work, which is consumed; if something failed, as if nothing had begun. */
static int end(struct use *use, int ret, struct stile_fence *done) {
	use->hop->duration_ns = job_now() - use->began;
	for (uint32_t i = 0; i < use->count; i++) {
		if (ret == 0) {
			ret = stile_access_end(&use->accesses[i], done);
			/* Of two the second one is written. */
			use->hop->told = use->accesses[i].path;
		} else {
			stile_access_cancel(&use->accesses[i]);
		}
	}
	stile_fence_unref(done);
	return ret;
}

int job_upload(struct job *job) {
	struct use use = { .hop = &job->hops[HOP_UPLOAD], .began = job_now() };
	struct stile_fence *done = NULL;
	int ret = begin(&use, job->a, STILE_USAGE_WRITE, "swgpu");
	for (size_t i = 0; ret == 0 && i < use.accesses[0].count; i++) {
		ret = stile_swgpu_gate(job->device, use.accesses[0].fences[i], NULL);
	}
	if (ret == 0) {
		ret = stile_swgpu_upload(job->device, job->a, 0, job->picture->pixels,
			(size_t)job->picture->width * 4, &done);
	}
	return end(&use, ret, done);
}

/* Have what is drawn next come after all that an access waits for. */
static int wait_for(const struct stile_access *access, struct vulkan_drawer *vulkan,
	struct gles_drawer *gles, struct stile_path *path) {
	int ret = 0;
	path->size = sizeof(*path);
	for (size_t i = 0; i < access->count && ret == 0; i++) {
		struct stile_fence *fence = access->fences[i];
		ret = vulkan != NULL
			? vulkan_drawer_wait(vulkan, fence, path)
			: stile_egl_wait_fence(gles->stile, fence, job_deadline(), path);
	}
	return ret;
}

int job_draw(struct hop *hop, struct vulkan_drawer *vulkan, struct gles_drawer *gles,
	struct stile_image *from, struct stile_image *to) {
	struct use use = { .hop = hop, .began = job_now() };
	const char *who = vulkan != NULL ? "Vulkan" : "GLES";
	struct stile_fence *done = NULL;
	int ret = begin(&use, from, STILE_USAGE_READ, who);
	if (ret == 0) {
		ret = begin(&use, to, STILE_USAGE_WRITE, who);
	}
	for (uint32_t i = 0; i < use.count && ret == 0; i++) {
		ret = wait_for(&use.accesses[i], vulkan, gles, &hop->path);
	}
	if (ret == 0) {
		ret = vulkan != NULL ? vulkan_drawer_draw(vulkan, &transform_vulkan, &done)
				     : gles_drawer_draw(gles, &transform_gles, &done);
	}
	if (vulkan != NULL) {
		hop->exported = vulkan->exported;
	}
	return end(&use, ret, done);
}

/* Into job->result, row by row. */
static int copy_out(struct job *job, struct stile_image *image) {
	struct stile_buffer *buffer = stile_image_get_buffer(image, 0);
	const struct stile_image_plane *plane = &stile_image_get_info(image)->planes[0];
	void *memory;
	int ret = stile_buffer_mmap(buffer, STILE_USAGE_READ, &memory);
	if (ret < 0) {
		return ret;
	}
	for (uint32_t y = 0; y < job->result.height; y++) {
		memcpy(picture_at(&job->result, 0, y),
			(uint8_t *)memory + plane->offset + (size_t)y * plane->pitch,
			(size_t)job->result.width * 4);
	}
	stile_buffer_munmap(buffer, memory);
	return 0;
}

int job_read(struct job *job) {
	struct use use = { .hop = &job->hops[HOP_CPU], .began = job_now() };
	struct stile_access *read = &use.accesses[0];
	struct stile_image *last = job->refusal[0] == '\0' ? job->c : job->b;
	int ret = begin(&use, last, STILE_USAGE_READ, "CPU");
	if (ret == 0 && read->count > 0) {
		ret = stile_access_wait(read, job_deadline(), NULL);
		use.hop->path.kind = STILE_PATH_CPU_WAIT;
		use.hop->path.blocked_ns = job_now() - use.began;
	}
	if (ret == 0) {
		ret = stile_access_get_error(read);
	}
	if (ret < 0) {
		fprintf(stderr, "the drawing did not end well: %s\n", strerror(-ret));
		return end(&use, -EIO, NULL);
	}
	return end(&use, copy_out(job, last), NULL);
}

int job_compare(struct job *job, unsigned *largest) {
	struct picture first = { 0 }, second = { 0 };
	int ret = picture_create(job->picture->width, job->picture->height, &first);
	if (ret == 0) {
		ret = picture_create(job->picture->width, job->picture->height, &second);
	}
	if (ret == 0) {
		transform_apply(&transform_vulkan, job->picture, &first);
		transform_apply(&transform_gles, &first, &second);
		*largest =
			picture_compare(job->refusal[0] == '\0' ? &second : &first, &job->result);
	}
	picture_finish(&first);
	picture_finish(&second);
	return ret;
}
