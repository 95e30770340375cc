/* SPDX-License-Identifier: MIT */
#include "demos/job.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <stile/carrier.h>
#include <stile/swgpu.h>
#include <stile/wait.h>

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
	return stile_image_create(job->device, &info, out);
}

int job_init(struct job *job, const struct picture *picture) {
	*job = (struct job){ .picture = picture };
	struct stile_device_info info = { .size = sizeof(info), .log = on_log };
	int ret = stile_device_open("swgpu", &info, &job->device);
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
	stile_device_destroy(job->device);
}

int job_upload(struct job *job, struct stile_fence **done) {
	int64_t began = job_now();
	int ret = stile_swgpu_upload(job->device, job->a, 0, job->picture->pixels,
		(size_t)job->picture->width * 4, done);
	job->hops[HOP_UPLOAD] = (struct hop){
		.from = "CPU",
		.to = "swgpu",
		.memory = "copied in, by a queue",
		.duration_ns = job_now() - began,
	};
	return ret;
}

static int wait_for(struct stile_fence *done, struct stile_path *path) {
	*path = (struct stile_path){ .size = sizeof(*path), .kind = STILE_PATH_NONE };
	if (stile_fence_is_signaled(done)) {
		return 0;
	}
	int64_t began = job_now();
	int ret = stile_fence_wait(done, job_deadline());
	path->kind = STILE_PATH_CPU_WAIT;
	path->blocked_ns = job_now() - began;
	return ret;
}

int job_read(struct job *job, const char *carrier, struct stile_fence *done) {
	struct hop *hop = &job->hops[HOP_CPU];
	*hop = (struct hop){
		.from = "GLES",
		.to = "CPU",
		.memory = "shared, not copied",
		.carrier = carrier,
	};
	int64_t began = job_now();
	int ret = wait_for(done, &hop->path);
	int status = ret == 0 ? stile_fence_get_status(done) : 0;
	stile_fence_unref(done);
	if (ret < 0 || status < 0) {
		fprintf(stderr, "the drawing did not end well: %s\n",
			strerror(ret < 0 ? -ret : -status));
		return -EIO;
	}

	struct stile_buffer *buffer = stile_image_get_buffer(job->c, 0);
	const struct stile_image_plane *plane = &stile_image_get_info(job->c)->planes[0];
	void *memory;
	ret = stile_buffer_mmap(buffer, STILE_USAGE_READ, &memory);
	if (ret < 0) {
		return ret;
	}
	hop->duration_ns = job_now() - began;
	for (uint32_t y = 0; y < job->result.height; y++) {
		memcpy(picture_at(&job->result, 0, y),
			(uint8_t *)memory + plane->offset + (size_t)y * plane->pitch,
			(size_t)job->result.width * 4);
	}
	stile_buffer_munmap(buffer, memory);
	return 0;
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
		*largest = picture_compare(&second, &job->result);
	}
	picture_finish(&first);
	picture_finish(&second);
	return ret;
}
