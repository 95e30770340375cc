/* SPDX-License-Identifier: MIT */
#include "demos/job.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "demos/transform.h"

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

int job_upload(struct job *job) {
	return hop_upload(&job->hops[HOP_UPLOAD], job->device, job->picture, job->a);
}

int job_draw(struct hop *hop, struct vulkan_drawer *vulkan, struct gles_drawer *gles,
	struct stile_image *from, struct stile_image *to) {
	return vulkan != NULL ? hop_vulkan(hop, vulkan, &transform_vulkan, from, to)
			      : hop_gles(hop, gles, &transform_gles, from, to);
}

int job_read(struct job *job) {
	struct stile_image *last = job->refusal[0] == '\0' ? job->c : job->b;
	return hop_read(&job->hops[HOP_CPU], last, &job->result);
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
