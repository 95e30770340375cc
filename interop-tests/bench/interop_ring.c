/* SPDX-License-Identifier: MIT */
/*
 * Pictures that are drawn already go round between a producer and a consumer, which draws a corner of each by
 * GL. How many frames a second come through, and what of that is the hand-over's. The consumer is a thread, which has
 * the same images, or another process. That gets their memory once, and of each frame a message, with seqno
 * fences in both directions; or memory and a software sync file with each frame, and gives one back.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <stile/stile.h>

#include "demos/gles_drawer.h"
#include "demos/gles_screen.h"
#include "demos/pass.h"
#include "interop-tests/bench/bench.h"
#include "interop-tests/bench/interop.h"

enum { IMAGES = 3, CORNER = 64, WARM_UP = 30, FRAMES = 2000, COPIES = 20, RUNS = 7, PLANS = 5 };

enum way { WAY_THREAD, WAY_WORDS, WAY_DESCRIPTORS };

/* What goes round, and how. */
struct plan {
	enum way way;
	uint32_t width, height;
	unsigned frames; /* those that count; before them come some that do not */
	bool copies;     /* the consumer copies the picture into a texture of its own */
};

/* For one frame. */
struct cost {
	double ns;
	double cpu_ns; /* of the hand-over, on both sides */
};

/* How the two reach each other. */
struct link {
	const struct plan *plan;
	struct stile_device *device;
	struct stile_image *images[IMAGES];
	sem_t given, back; /* of threads */
	int socket;
	/* Of words: the producer raises one when a frame is there, the consumer one when it was read. */
	struct stile_seqno *there, *read;
};

static int64_t cpu_now(void) {
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void require(int ret) {
	if (ret < 0) {
		fprintf(stderr, "interop: the ring: %s\n", strerror(-ret));
		abort();
	}
}

static void begin(struct stile_image *image, uint32_t usage, struct stile_access *access) {
	const struct stile_access_info info = { .size = sizeof(info), .usage = usage };
	require(stile_access_begin(image, &info, access));
}

/* Whoever uses it so comes after the fence, which is given up. */
static void come_after(struct stile_image *image, uint32_t usage, struct stile_fence *fence) {
	require(stile_buffer_import_fence(stile_image_get_buffer(image, 0), usage, fence));
	stile_fence_unref(fence);
}

/* After frame n was written, or read. */
static void come_after_word(
	struct stile_image *image, uint32_t usage, struct stile_seqno *word, unsigned n) {
	struct stile_fence *fence;
	require(stile_seqno_create_fence(word, n + 1, STILE_SEQNO_GEQUAL, &fence));
	come_after(image, usage, fence);
}

static void send_word(int socket, struct stile_seqno *word) {
	int fds[2];
	require(stile_seqno_export_fd(word, &fds[0], &fds[1]));
	require(pass_send(socket, "", 1, fds, 2));
	close(fds[0]);
	close(fds[1]);
}

static struct stile_seqno *receive_word(int socket) {
	struct stile_seqno *word = NULL;
	char nothing;
	int fds[PASS_MAX_FDS];
	size_t count;
	require(pass_receive(socket, &nothing, 1, fds, &count));
	require(count != 2 ? -EBADMSG : stile_seqno_import_fd(fds[0], fds[1], &word));
	close(fds[0]);
	close(fds[1]);
	return word;
}

static unsigned receive_number(int socket, int *fd) {
	unsigned n;
	int fds[PASS_MAX_FDS];
	size_t count;
	require(pass_receive(socket, &n, sizeof(n), fds, &count));
	require(count != (fd != NULL) ? -EBADMSG : 0);
	if (fd != NULL) {
		*fd = fds[0];
	}
	return n;
}

/* What picture i is full of. */
static uint8_t shade(unsigned i) {
	return (uint8_t)(50 * (i + 1));
}

/* ---- The consumer --------------------------------------------------------------------------- */

static const char corner_source[] =
	"#version 300 es\n"
	"precision highp float;\n"
	"uniform sampler2D picture;\n"
	"out vec4 color;\n"
	"void main() { color = texelFetch(picture, ivec2(gl_FragCoord.xy), 0); }\n";

struct consumer {
	struct gles_drawer gles; /* its context alone */
	GLuint program, framebuffer, color;
	GLuint textures[IMAGES];
	GLuint own; /* to copy into */
	struct stile_egl_image *imports[IMAGES];
	/* Of words: the frame that is drawn from each image. */
	struct reading {
		struct stile_callback callback;
		struct stile_seqno *read;
		unsigned n;
	} readings[IMAGES];
	int64_t cpu_ns;
};

static void consumer_init(struct consumer *consumer, const struct plan *plan) {
	*consumer = (struct consumer){ .cpu_ns = 0 };
	require(gles_drawer_init(&consumer->gles));
	consumer->program = gles_program_create(gles_fullscreen_vertex, corner_source);
	glUseProgram(consumer->program);
	glGenTextures(IMAGES, consumer->textures);
	glGenRenderbuffers(1, &consumer->color);
	glBindRenderbuffer(GL_RENDERBUFFER, consumer->color);
	glRenderbufferStorage(GL_RENDERBUFFER, GL_RGBA8, CORNER, CORNER);
	glGenFramebuffers(1, &consumer->framebuffer);
	glBindFramebuffer(GL_FRAMEBUFFER, consumer->framebuffer);
	glFramebufferRenderbuffer(
		GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_RENDERBUFFER, consumer->color);
	glViewport(0, 0, CORNER, CORNER);
	glGenTextures(1, &consumer->own);
	glBindTexture(GL_TEXTURE_2D, consumer->own);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MIN_FILTER, GL_NEAREST);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MAG_FILTER, GL_NEAREST);
	if (plan->copies) {
		glTexStorage2D(
			GL_TEXTURE_2D, 1, GL_RGBA8, (GLsizei)plan->width, (GLsizei)plan->height);
	}
}

static void consumer_finish(struct consumer *consumer) {
	for (unsigned i = 0; i < IMAGES; i++) {
		stile_egl_image_destroy(consumer->imports[i]);
	}
	glDeleteTextures(IMAGES, consumer->textures);
	glDeleteTextures(1, &consumer->own);
	glDeleteFramebuffers(1, &consumer->framebuffer);
	glDeleteRenderbuffers(1, &consumer->color);
	glDeleteProgram(consumer->program);
	gles_drawer_finish(&consumer->gles);
}

/* The picture of frame n: a reference. */
static struct stile_image *receive(struct link *link, unsigned n) {
	struct stile_image *image = link->images[n % IMAGES];
	switch (link->plan->way) {
	case WAY_THREAD:
		sem_wait(&link->given);
		break;
	case WAY_WORDS:
		require(receive_number(link->socket, NULL) == n ? 0 : -EBADMSG);
		come_after_word(image, STILE_USAGE_WRITE, link->there, n);
		break;
	case WAY_DESCRIPTORS:
		require(pass_receive_image(link->socket, link->device, &image));
		return image;
	}
	return stile_image_ref(image);
}

/* It is a texture, and nobody draws to it any more. */
static void prepare(struct consumer *consumer, struct stile_image *image, unsigned i,
	struct stile_access *access) {
	struct stile_egl_image *import;
	require(stile_egl_import_image(consumer->gles.stile, image, NULL, &import));
	if (import != consumer->imports[i]) {
		gles_screen_bind(GL_TEXTURE0, GL_TEXTURE_2D, consumer->textures[i],
			stile_egl_image_get_handle(import));
	}
	stile_egl_image_destroy(consumer->imports[i]);
	consumer->imports[i] = import;
	begin(image, STILE_USAGE_READ, access);
	for (size_t k = 0; k < access->count; k++) {
		require(stile_egl_wait_fence(
			consumer->gles.stile, access->fences[k], INT64_MAX, NULL));
	}
}

static void raise_read(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	const struct reading *reading = (struct reading *)(void *)callback;
	stile_seqno_set_value(reading->read, reading->n + 1);
}

static void send_fence(int socket, unsigned n, struct stile_fence *fence) {
	int fd;
	require(stile_fence_export_fd(fence, STILE_FD_SOFTWARE_SYNC_FILE, 0, NULL, &fd));
	require(pass_send(socket, &n, sizeof(n), &fd, 1));
	close(fd);
}

static void give_back(
	struct consumer *consumer, struct link *link, unsigned n, struct stile_fence *done) {
	struct reading *reading = &consumer->readings[n % IMAGES];
	switch (link->plan->way) {
	case WAY_THREAD:
		sem_post(&link->back);
		break;
	case WAY_WORDS:
		reading->read = link->read;
		reading->n = n;
		if (stile_fence_add_callback(done, &reading->callback, raise_read) < 0) {
			raise_read(done, &reading->callback);
		}
		break;
	case WAY_DESCRIPTORS:
		send_fence(link->socket, n, done);
		break;
	}
}

/* The whole picture, into a texture of this side's own. */
static void copy(struct consumer *consumer, struct stile_image *image) {
	const struct stile_image_info *info = stile_image_get_info(image);
	struct stile_buffer *buffer = stile_image_get_buffer(image, 0);
	void *memory;
	require(stile_buffer_mmap(buffer, STILE_USAGE_READ, &memory));
	glBindTexture(GL_TEXTURE_2D, consumer->own);
	glPixelStorei(GL_UNPACK_ROW_LENGTH, (GLint)(info->planes[0].pitch / 4));
	glTexSubImage2D(GL_TEXTURE_2D, 0, 0, 0, (GLsizei)info->width, (GLsizei)info->height,
		GL_RGBA, GL_UNSIGNED_BYTE, memory);
	stile_buffer_munmap(buffer, memory);
}

static void draw(struct consumer *consumer, const struct plan *plan, struct stile_image *image,
	unsigned i, struct stile_fence **done) {
	if (plan->copies) {
		copy(consumer, image);
	} else {
		glBindTexture(GL_TEXTURE_2D, consumer->textures[i]);
	}
	glDrawArrays(GL_TRIANGLES, 0, 3);
	require(stile_egl_fence_create(consumer->gles.stile, done));
}

static void consume_one(struct consumer *consumer, struct link *link, unsigned n) {
	struct stile_access access;
	struct stile_fence *done;
	int64_t began = cpu_now();
	struct stile_image *image = receive(link, n);
	prepare(consumer, image, n % IMAGES, &access);
	consumer->cpu_ns += cpu_now() - began;
	draw(consumer, link->plan, image, n % IMAGES, &done);
	began = cpu_now();
	require(stile_access_end(&access, done));
	give_back(consumer, link, n, done);
	stile_fence_unref(done);
	stile_image_unref(image);
	consumer->cpu_ns += cpu_now() - began;
}

/* Is the last one what was seen? */
static void check_picture(unsigned i) {
	uint8_t pixel[4];
	glReadPixels(CORNER - 1, CORNER - 1, 1, 1, GL_RGBA, GL_UNSIGNED_BYTE, pixel);
	if (pixel[0] != shade(i) || glGetError() != GL_NO_ERROR) {
		fprintf(stderr, "interop: the ring: saw %u, and not %u\n", pixel[0], shade(i));
		abort();
	}
}

static struct cost consume(struct link *link) {
	const struct plan *plan = link->plan;
	struct consumer consumer;
	int64_t began = 0;
	consumer_init(&consumer, plan);
	for (unsigned n = 0; n < WARM_UP + plan->frames; n++) {
		if (n == WARM_UP) {
			began = bench_now();
			consumer.cpu_ns = 0;
		}
		consume_one(&consumer, link, n);
	}
	struct cost cost = {
		.ns = (double)(bench_now() - began) / plan->frames,
		.cpu_ns = (double)consumer.cpu_ns / plan->frames,
	};
	check_picture((WARM_UP + plan->frames - 1) % IMAGES);
	consumer_finish(&consumer);
	return cost;
}

int bench_interop_ring_consumer(void) {
	struct plan plan;
	struct link link = { .plan = &plan, .socket = STDIN_FILENO };
	int fds[PASS_MAX_FDS];
	size_t count;
	require(stile_device_open("swgpu", NULL, &link.device));
	require(pass_receive(link.socket, &plan, sizeof(plan), fds, &count));
	if (plan.way == WAY_WORDS) {
		link.there = receive_word(link.socket);
		require(stile_seqno_create(&link.read));
		send_word(link.socket, link.read);
		for (unsigned i = 0; i < IMAGES; i++) {
			require(pass_receive_image(link.socket, link.device, &link.images[i]));
		}
	}
	struct cost cost = consume(&link);
	int ret = pass_send(link.socket, &cost, sizeof(cost), NULL, 0);
	for (unsigned i = 0; i < IMAGES; i++) {
		stile_image_unref(link.images[i]);
	}
	stile_seqno_unref(link.read);
	stile_seqno_unref(link.there);
	stile_device_destroy(link.device);
	return ret;
}

/* ---- The producer --------------------------------------------------------------------------- */

/* Frame n was given: from when on its picture is ours again. */
static void take_back(struct link *link, unsigned n) {
	struct stile_image *image = link->images[n % IMAGES];
	struct stile_fence *fence;
	int fd;
	switch (link->plan->way) {
	case WAY_THREAD:
		sem_wait(&link->back);
		break;
	case WAY_WORDS:
		come_after_word(image, STILE_USAGE_READ, link->read, n);
		break;
	case WAY_DESCRIPTORS:
		require(receive_number(link->socket, &fd) == n ? 0 : -EBADMSG);
		require(stile_fence_import_fd(
			link->device, STILE_FD_SOFTWARE_SYNC_FILE, 0, fd, &fence));
		close(fd);
		come_after(image, STILE_USAGE_READ, fence);
		break;
	}
}

/* The picture is there already: when nobody reads it any more, it goes out as if it were drawn anew. */
static void give(struct link *link, unsigned n) {
	struct stile_image *image = link->images[n % IMAGES];
	struct stile_access access;
	begin(image, STILE_USAGE_WRITE, &access);
	require(stile_access_wait(&access, INT64_MAX, NULL));
	require(stile_access_end(&access, NULL));
	switch (link->plan->way) {
	case WAY_THREAD:
		sem_post(&link->given);
		break;
	case WAY_WORDS:
		stile_seqno_set_value(link->there, n + 1);
		require(pass_send(link->socket, &n, sizeof(n), NULL, 0));
		break;
	case WAY_DESCRIPTORS:
		require(pass_send_image(link->socket, image));
		break;
	}
}

/* CPU time of the hand-over of a frame, on this side. */
static double produce(struct link *link) {
	unsigned all = WARM_UP + link->plan->frames;
	int64_t began = 0;
	for (unsigned n = 0; n < all; n++) {
		began = n == WARM_UP ? cpu_now() : began;
		if (n >= IMAGES) {
			take_back(link, n - IMAGES);
		}
		give(link, n);
	}
	int64_t took = cpu_now() - began;
	for (unsigned n = all - IMAGES; n < all; n++) {
		take_back(link, n);
	}
	return (double)took / link->plan->frames;
}

static void create_images(struct link *link) {
	const struct stile_image_info info = {
		.size = sizeof(info),
		.width = link->plan->width,
		.height = link->plan->height,
		.fourcc = DRM_FORMAT_ABGR8888,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.modifier = DRM_FORMAT_MOD_LINEAR,
	};
	for (unsigned i = 0; i < IMAGES; i++) {
		require(stile_image_create(link->device, &info, &link->images[i]));
		struct stile_buffer *buffer = stile_image_get_buffer(link->images[i], 0);
		void *memory;
		require(stile_buffer_mmap(buffer, STILE_USAGE_WRITE, &memory));
		memset(memory, shade(i), stile_buffer_get_bytes(buffer));
		stile_buffer_munmap(buffer, memory);
	}
}

/* ---- Both ----------------------------------------------------------------------------------- */

struct thread {
	pthread_t thread;
	struct link *link;
	struct cost cost;
};

static void *run_thread(void *data) {
	struct thread *thread = data;
	thread->cost = consume(thread->link);
	return NULL;
}

static struct cost run_here(struct link *link) {
	struct thread thread = { .link = link };
	sem_init(&link->given, 0, 0);
	sem_init(&link->back, 0, 0);
	require(-pthread_create(&thread.thread, NULL, run_thread, &thread));
	double cpu_ns = produce(link);
	pthread_join(thread.thread, NULL);
	sem_destroy(&link->given);
	sem_destroy(&link->back);
	thread.cost.cpu_ns += cpu_ns;
	return thread.cost;
}

static void introduce(struct link *link) {
	require(pass_send(link->socket, link->plan, sizeof(*link->plan), NULL, 0));
	if (link->plan->way == WAY_WORDS) {
		require(stile_seqno_create(&link->there));
		send_word(link->socket, link->there);
		link->read = receive_word(link->socket);
		for (unsigned i = 0; i < IMAGES; i++) {
			require(pass_send_image(link->socket, link->images[i]));
		}
	}
}

static struct cost run_with_peer(struct link *link) {
	char *arguments[] = { "stile-bench", "--interop-ring-consumer", NULL };
	struct cost cost;
	int fds[PASS_MAX_FDS];
	size_t count;
	pid_t pid;
	require(pass_spawn(arguments, &link->socket, &pid));
	introduce(link);
	double cpu_ns = produce(link);
	require(pass_receive(link->socket, &cost, sizeof(cost), fds, &count));
	close(link->socket);
	require(pass_join(pid));
	stile_seqno_unref(link->there);
	stile_seqno_unref(link->read);
	cost.cpu_ns += cpu_ns;
	return cost;
}

static struct cost run(struct stile_device *device, const struct plan *plan) {
	struct link link = { .plan = plan, .device = device };
	create_images(&link);
	struct cost cost = plan->way == WAY_THREAD ? run_here(&link) : run_with_peer(&link);
	for (unsigned i = 0; i < IMAGES; i++) {
		stile_image_unref(link.images[i]);
	}
	return cost;
}

/*
 * Of some runs of each, in turns, the medians; of CPU time the means: where the scheduler has put the threads, a run
 * costs 8 or 14 us a frame, and which of the two is in the middle is chance.
 */
static void measure(
	struct stile_device *device, const struct plan plans[PLANS], struct cost costs[PLANS]) {
	double ns[PLANS][RUNS];
	for (size_t k = 0; k < PLANS; k++) {
		costs[k].cpu_ns = 0;
	}
	for (size_t i = 0; i < RUNS; i++) {
		for (size_t k = 0; k < PLANS; k++) {
			struct cost cost = run(device, &plans[k]);
			ns[k][i] = cost.ns;
			costs[k].cpu_ns += cost.cpu_ns / RUNS;
		}
	}
	for (size_t k = 0; k < PLANS; k++) {
		costs[k].ns = bench_median(ns[k], RUNS);
	}
}

/* ---- Rows ----------------------------------------------------------------------------------- */

static void report_rate(const char *name, const struct cost *value, const char *baseline_name,
	const struct cost *baseline, const char *goal, double least) {
	struct bench_row row = {
		.value = 1e9 / value->ns,
		.unit = "fps",
		.baseline_name = baseline_name,
		.baseline = 1e9 / baseline->ns,
		.ratio = baseline->ns / value->ns,
		.goal = goal,
		.met = baseline->ns >= least * value->ns,
	};
	snprintf(row.name, sizeof(row.name), "%s", name);
	interop_report(row);
}

static void report_cpu(const char *name, const struct cost *value, const struct cost *baseline) {
	struct bench_row row = {
		.value = value->cpu_ns / 1e3,
		.unit = "us",
		.baseline_name = "the same at 256x256",
		.baseline = baseline->cpu_ns / 1e3,
		.ratio = value->cpu_ns / baseline->cpu_ns,
		.goal = "value <= 1.2 x baseline",
		.met = value->cpu_ns <= 1.2 * baseline->cpu_ns,
	};
	snprintf(row.name, sizeof(row.name), "%s", name);
	interop_report(row);
}

int interop_bench_ring(void) {
	enum { HERE, WORDS, SMALL, DESCRIPTORS, COPIED };
	static const struct plan plans[PLANS] = {
		[HERE] = { WAY_THREAD, 3840, 2160, FRAMES, false },
		[WORDS] = { WAY_WORDS, 3840, 2160, FRAMES, false },
		[SMALL] = { WAY_WORDS, 256, 256, FRAMES, false },
		[DESCRIPTORS] = { WAY_DESCRIPTORS, 3840, 2160, FRAMES, false },
		[COPIED] = { WAY_WORDS, 3840, 2160, COPIES, true },
	};
	struct cost costs[PLANS];
	struct stile_device *device;
	int ret = stile_device_open("swgpu", NULL, &device);
	if (ret < 0) {
		return ret;
	}
	measure(device, plans, costs);
	stile_device_destroy(device);
	report_rate("4K ring of two processes", &costs[WORDS], "in one process", &costs[HERE],
		"value >= 0.95 x baseline", 0.95);
	report_rate("4K ring of two processes, by sync files", &costs[DESCRIPTORS],
		"in one process", &costs[HERE], NULL, 0);
	report_rate("4K ring, against copies", &costs[WORDS], "with each frame copied",
		&costs[COPIED], "value >= 5 x baseline", 5);
	report_cpu("4K ring, CPU time of the hand-over", &costs[WORDS], &costs[SMALL]);
	return 0;
}
