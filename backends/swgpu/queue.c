/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pixman.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "backends/swgpu/swgpu.h"
#include "src/backend.h"
#include "src/buffer.h"
#include "src/device.h"
#include "src/format.h"
#include "src/graph.h"
#include "src/image.h"
#include "src/macros.h"
#include "src/os.h"

struct queue {
	pthread_t thread;
	pid_t owner; /* a child made by fork has no such thread */
	uint64_t context;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* All below is under the lock. */
	struct job *first; /* the one that runs, or is next */
	struct job *last;
	uint64_t seqno;
	bool stopping;
};

/* The rows of one plane, in mapped memory. */
struct rows {
	uint8_t *first;
	size_t pitch;
	size_t bytes; /* of a row */
	uint32_t count;
};

/* A command and its fence. The queue has one reference on the fence until the command is done. */
struct job {
	struct stile_fence fence;
	struct queue *queue;
	struct job *next;
	void (*run)(struct job *job);

	struct stile_image *images[2]; /* kept until it is done */
	struct rows from[STILE_MAX_PLANES];
	struct rows to[STILE_MAX_PLANES];
	uint32_t plane_count;
	uint32_t value;
	int bits; /* of a sample */

	struct stile_fence *gate;
	const void *place; /* who submitted the gate */
	struct stile_callback gate_opened;
	bool gate_is_open; /* under the queue's lock */
};

/* ---- What commands do --------------------------------------------------------------------- */

static void job_fill(struct job *job) {
	const struct rows *to = &job->to[0];
	pixman_fill((uint32_t *)(void *)to->first, (int)(to->pitch / sizeof(uint32_t)), job->bits,
		0, 0, (int)(to->bytes * 8) / job->bits, (int)to->count, job->value);
}

static void job_copy(struct job *job) {
	for (uint32_t i = 0; i < job->plane_count; i++) {
		const struct rows *from = &job->from[i], *to = &job->to[i];
		for (uint32_t y = 0; y < to->count; y++) {
			memcpy(to->first + y * to->pitch, from->first + y * from->pitch, to->bytes);
		}
	}
}

/* In the context of whoever signals the gate's fence, under that fence's lock. */
static void job_gate_opened(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	struct job *job = CONTAINER_OF(callback, struct job, gate_opened);
	struct queue *queue = job->queue;
	pthread_mutex_lock(&queue->lock);
	job->gate_is_open = true;
	pthread_cond_signal(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
}

static void job_gate(struct job *job) {
	struct queue *queue = job->queue;
	if (stile_fence_add_callback(job->gate, &job->gate_opened, job_gate_opened) == 0) {
		pthread_mutex_lock(&queue->lock);
		while (!job->gate_is_open && !queue->stopping) {
			pthread_cond_wait(&queue->changed, &queue->lock);
		}
		bool open = job->gate_is_open;
		pthread_mutex_unlock(&queue->lock);
		if (!open && stile_fence_remove_callback(job->gate, &job->gate_opened)) {
			stile_fence_set_error(&job->fence, -ECANCELED);
			return;
		}
	}
	int status = stile_fence_get_status(job->gate);
	if (status < 0) {
		stile_fence_set_error(&job->fence, status);
	}
}

/* ---- The thread --------------------------------------------------------------------------- */

static void job_finish(struct job *job) {
	/* The images first: whoever learns of the end may rely on nothing being held any more. */
	stile_image_unref(job->images[0]);
	stile_image_unref(job->images[1]);
	stile_fence_unref(job->gate);
	stile_fence_signal(&job->fence);
	stile_fence_unref(&job->fence);
}

static void *queue_run(void *arg) {
	struct queue *queue = arg;
	for (;;) {
		pthread_mutex_lock(&queue->lock);
		while (queue->first == NULL && !queue->stopping) {
			pthread_cond_wait(&queue->changed, &queue->lock);
		}
		struct job *job = queue->first;
		bool stopping = queue->stopping;
		pthread_mutex_unlock(&queue->lock);

		if (job == NULL) {
			return NULL;
		}
		if (stopping) {
			stile_fence_set_error(&job->fence, -ECANCELED);
		} else {
			job->run(job);
		}
		/* Only now: what is submitted meanwhile waits for it. */
		pthread_mutex_lock(&queue->lock);
		queue->first = job->next;
		queue->last = queue->first == NULL ? NULL : queue->last;
		pthread_mutex_unlock(&queue->lock);
		job_finish(job);
	}
}

int queue_create(struct queue **out) {
	*out = NULL;
	struct queue *queue = calloc(1, sizeof(*queue));
	if (queue == NULL) {
		return -ENOMEM;
	}
	queue->owner = getpid();
	queue->context = stile_fence_context_alloc(1);
	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->changed, NULL);
	int ret = os_thread_start(&queue->thread, "stile-swgpu", queue_run, queue);
	if (ret < 0) {
		pthread_cond_destroy(&queue->changed);
		pthread_mutex_destroy(&queue->lock);
		free(queue);
		return ret;
	}
	*out = queue;
	return 0;
}

void queue_destroy(struct queue *queue) {
	if (queue->owner != getpid()) {
		/* The lock may be held by a thread that is not there; what is pending is the parent's. */
		free(queue);
		return;
	}
	pthread_mutex_lock(&queue->lock);
	queue->stopping = true;
	pthread_cond_signal(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
	pthread_join(queue->thread, NULL);
	pthread_cond_destroy(&queue->changed);
	pthread_mutex_destroy(&queue->lock);
	free(queue);
}

/* ---- Submitting --------------------------------------------------------------------------- */

static const char *job_get_driver_name(struct stile_fence *fence) {
	(void)fence;
	return "swgpu";
}

static const char *job_get_timeline_name(struct stile_fence *fence) {
	(void)fence;
	return "queue";
}

static void job_release(struct stile_fence *fence) {
	free(CONTAINER_OF(fence, struct job, fence));
}

static const struct stile_fence_ops job_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = job_get_driver_name,
	.get_timeline_name = job_get_timeline_name,
	.release = job_release,
};

/* Consumes the job and what it refers to. */
static void queue_submit(struct queue *queue, struct job *job, struct stile_fence **out) {
	if (out != NULL) {
		*out = stile_fence_ref(&job->fence);
	}
	pthread_mutex_lock(&queue->lock);
	job->fence.seqno = ++queue->seqno;
	if (job->gate != NULL) {
		graph_add_edge_at(&job->fence, job->gate, "gate of swgpu", job->place);
	}
	if (queue->last != NULL) {
		graph_add_edge_at(&job->fence, &queue->last->fence, "queue order", NULL);
		queue->last->next = job;
	} else {
		queue->first = job;
	}
	queue->last = job;
	pthread_cond_signal(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
}

/* A job without anything to do yet. */
static int job_create(struct stile_device *device, struct stile_fence **out,
	void (*run)(struct job *job), struct job **job) {
	if (out != NULL) {
		*out = NULL;
	}
	if (device->ops != &stile_backend_swgpu) {
		return -EINVAL;
	}
	*job = calloc(1, sizeof(**job));
	if (*job == NULL) {
		return -ENOMEM;
	}
	(*job)->queue = device->backend;
	(*job)->run = run;
	int ret = stile_fence_init(&(*job)->fence, &job_ops, (*job)->queue->context, 0);
	if (ret < 0) {
		free(*job);
	}
	return ret;
}

/* Find the rows of a plane; the image's mapping lasts as long as the image. */
static int rows_get(
	const struct stile_image *image, uint32_t plane, uint32_t usage, struct rows *rows) {
	if (plane >= image->info.plane_count) {
		return -EINVAL;
	}
	if ((usage & ~image->allowed) != 0) {
		return -EACCES;
	}
	void *memory;
	int ret = buffer_get_mapping(image->buffers[plane], usage, &memory);
	if (ret < 0) {
		return ret;
	}
	*rows = (struct rows){
		.first = (uint8_t *)memory + image->info.planes[plane].offset,
		.pitch = image->info.planes[plane].pitch,
		.bytes = (size_t)format_row_bytes(image->format, plane, image->info.width),
		.count = format_plane_height(image->format, plane, image->info.height),
	};
	return 0;
}

int stile_swgpu_fill(struct stile_device *device, struct stile_image *image, uint32_t plane,
	uint32_t value, struct stile_fence **out) {
	struct job *job;
	int ret = job_create(device, out, job_fill, &job);
	if (ret < 0) {
		return ret;
	}
	ret = rows_get(image, plane, STILE_USAGE_WRITE, &job->to[0]);
	if (ret == 0) {
		job->value = value;
		job->bits = 8 * image->format->planes[plane].bytes;
		ret = job->bits < 32 && value >> job->bits != 0 ? -EINVAL : 0;
	}
	if (ret < 0) {
		free(job);
		return ret;
	}
	job->images[0] = stile_image_ref(image);
	queue_submit(job->queue, job, out);
	return 0;
}

int stile_swgpu_copy(struct stile_device *device, struct stile_image *from, struct stile_image *to,
	struct stile_fence **out) {
	struct job *job;
	int ret = job_create(device, out, job_copy, &job);
	if (ret < 0) {
		return ret;
	}
	if (from->format != to->format || from->info.width != to->info.width ||
		from->info.height != to->info.height) {
		ret = -EINVAL;
	}
	job->plane_count = to->info.plane_count;
	for (uint32_t i = 0; i < job->plane_count && ret == 0; i++) {
		ret = rows_get(from, i, STILE_USAGE_READ, &job->from[i]);
		if (ret == 0) {
			ret = rows_get(to, i, STILE_USAGE_WRITE, &job->to[i]);
		}
	}
	if (ret < 0) {
		free(job);
		return ret;
	}
	job->images[0] = stile_image_ref(from);
	job->images[1] = stile_image_ref(to);
	queue_submit(job->queue, job, out);
	return 0;
}

int stile_swgpu_upload(struct stile_device *device, struct stile_image *image, uint32_t plane,
	const void *pixels, size_t pitch, struct stile_fence **out) {
	struct job *job;
	int ret = job_create(device, out, job_copy, &job);
	if (ret < 0) {
		return ret;
	}
	ret = rows_get(image, plane, STILE_USAGE_WRITE, &job->to[0]);
	if (ret == 0 && pitch < job->to[0].bytes) {
		ret = -EINVAL;
	}
	if (ret < 0) {
		free(job);
		return ret;
	}
	job->plane_count = 1;
	/* Only read: rows serve both directions. */
	job->from[0] = (struct rows){ .first = (uint8_t *)(uintptr_t)pixels, .pitch = pitch };
	job->images[0] = stile_image_ref(image);
	queue_submit(job->queue, job, out);
	return 0;
}

int stile_swgpu_gate(
	struct stile_device *device, struct stile_fence *fence, struct stile_fence **out) {
	struct job *job;
	int ret = job_create(device, out, job_gate, &job);
	if (ret < 0) {
		return ret;
	}
	job->gate = stile_fence_ref(fence);
	job->place = __builtin_return_address(0);
	queue_submit(job->queue, job, out);
	if (check_is_on()) {
		handoff_wait(fence, __builtin_return_address(0));
	}
	return 0;
}
