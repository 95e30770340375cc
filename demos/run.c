/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "demos/gles_drawer.h"
#include "demos/job.h"
#include "demos/pass.h"
#include "demos/vulkan_drawer.h"

/* Vulkan or GLES, the one that is not NULL, gets to know two images. */
static int import(struct vulkan_drawer *vulkan, struct gles_drawer *gles, struct stile_image *from,
	struct stile_image *to, struct evidence evidence[2]) {
	struct stile_image *images[] = { from, to };
	for (int i = 0; i < 2; i++) {
		proof_begin(&evidence[i], vulkan != NULL ? "Vulkan" : "GLES", images[i]);
	}
	int ret = vulkan != NULL ? vulkan_drawer_set_images(vulkan, from, to)
				 : gles_drawer_set_images(gles, from, to);
	for (int i = 0; i < 2 && ret == 0; i++) {
		uint8_t *pixel = evidence[i].read;
		ret = proof_mark(&evidence[i], images[i]);
		if (ret == 0 && vulkan != NULL) {
			ret = vulkan_drawer_read_pixel(
				vulkan, i == 0 ? &vulkan->from : &vulkan->to, pixel);
		} else if (ret == 0) {
			ret = gles_drawer_read_pixel(gles, i == 0 ? &gles->from : &gles->to, pixel);
		}
	}
	return ret;
}

/* GLES cannot have it. A driver's refusal, of which `refusal` tells, is no failure; anything else is. */
static int take_refusal(int ret, const struct stile_report *why, char refusal[REFUSAL]) {
	if (ret == -EOPNOTSUPP && why->error == ret) {
		snprintf(refusal, REFUSAL, "%s", why->text);
		return 0;
	}
	if (ret < 0 && why->error < 0) {
		fprintf(stderr, "EGL: %s\n", why->text);
	}
	return ret;
}

static int init_gles(struct gles_drawer *gles, bool surfaceless, char refusal[REFUSAL]) {
	int ret = surfaceless ? gles_drawer_init_surfaceless(gles) : gles_drawer_init(gles);
	return take_refusal(ret, &gles->refusal, refusal);
}

/* ---- A second process ---------------------------------------------------------------------- */

/* What the peer tells. */
struct answer {
	int32_t error;
	char refusal[REFUSAL];
	struct hop hop;
	struct evidence evidence[2];
};

/* An image that is known here comes again, now with the work on it. */
static int receive_again(int socket, struct stile_device *device, struct stile_image *known) {
	struct stile_image *image;
	int ret = pass_receive_image(socket, device, &image);
	if (ret == 0 && stile_image_get_buffer(image, 0) != stile_image_get_buffer(known, 0)) {
		ret = -EBADMSG;
	}
	stile_image_unref(image);
	return ret;
}

/* In the second process: two images come, then B again when it is being drawn. */
static int serve(
	int socket, struct stile_device *device, struct gles_drawer *drawer, bool surfaceless) {
	struct stile_image *b = NULL, *c = NULL;
	struct answer answer = { 0 };
	int ret = init_gles(drawer, surfaceless, answer.refusal);
	if (ret == 0) {
		ret = pass_receive_image(socket, device, &b);
	}
	if (ret == 0) {
		ret = pass_receive_image(socket, device, &c);
	}
	if (ret == 0 && answer.refusal[0] == '\0') {
		ret = import(NULL, drawer, b, c, answer.evidence);
		ret = take_refusal(ret, &drawer->refusal, answer.refusal);
	}
	answer.error = ret;
	int sent = pass_send(socket, &answer, sizeof(answer), NULL, 0);
	ret = ret < 0 ? ret : sent;
	if (answer.refusal[0] != '\0') {
		goto out;
	}
	if (ret == 0) {
		ret = receive_again(socket, device, b);
	}
	if (ret == 0) {
		ret = job_draw(&answer.hop, NULL, drawer, b, c);
	}
	if (ret == 0) {
		ret = pass_send(socket, &answer, sizeof(answer), NULL, 0);
	}
	if (ret == 0) {
		ret = pass_send_image(socket, c);
	}
	if (ret == 0) {
		/* This process owes the fence that went along: it stays until C is drawn. */
		ret = stile_resv_wait(stile_buffer_get_resv(stile_image_get_buffer(c, 0)),
			STILE_RESV_WRITE, job_deadline(), NULL);
	}
out:
	stile_image_unref(c);
	stile_image_unref(b);
	return ret;
}

int job_run_peer(int socket, bool surfaceless) {
	struct stile_device *device;
	struct gles_drawer drawer;
	int ret = stile_device_open("swgpu", NULL, &device);
	if (ret < 0) {
		return ret;
	}
	ret = serve(socket, device, &drawer, surfaceless);
	gles_drawer_finish(&drawer);
	stile_device_destroy(device);
	return ret;
}

static int receive_answer(int socket, struct answer *answer) {
	int fds[PASS_MAX_FDS];
	size_t count;
	int ret = pass_receive(socket, answer, sizeof(*answer), fds, &count);
	for (size_t i = 0; i < count; i++) {
		/* An answer brings none: whatever came is not to be leaked. */
		close(fds[i]);
	}
	return ret < 0 ? ret : answer->error;
}

static int ask_to_import(int socket, struct job *job) {
	struct answer answer;
	int ret = pass_send_image(socket, job->b);
	if (ret == 0) {
		ret = pass_send_image(socket, job->c);
	}
	if (ret == 0) {
		ret = receive_answer(socket, &answer);
	}
	if (ret == 0) {
		memcpy(&job->evidence[2], answer.evidence, sizeof(answer.evidence));
		memcpy(job->refusal, answer.refusal, sizeof(answer.refusal));
	}
	return ret;
}

static int ask_to_draw(int socket, struct job *job) {
	struct answer answer;
	int ret = pass_send_image(socket, job->b);
	if (ret == 0) {
		ret = receive_answer(socket, &answer);
	}
	if (ret == 0) {
		job->hops[HOP_GLES] = answer.hop;
		ret = receive_again(socket, job->memory, job->c);
	}
	return ret;
}

/* ---- The whole way ------------------------------------------------------------------------ */

static int import_gles(struct job *job, struct gles_drawer *gles) {
	int ret = import(NULL, gles, job->b, job->c, &job->evidence[2]);
	return take_refusal(ret, &gles->refusal, job->refusal);
}

static int init_vulkan(struct vulkan_drawer *vulkan, struct job *job) {
	int ret = vulkan_drawer_init(vulkan, false);
	vulkan->kernel = job->is_kernel ? job->memory : NULL;
	return ret;
}

/* GLES is here, or, if it is NULL, in the process at the other end of the socket. */
static int run(
	struct job *job, struct vulkan_drawer *vulkan, struct gles_drawer *gles, int socket) {
	int ret = import(vulkan, NULL, job->a, job->b, &job->evidence[0]);
	if (ret == 0 && job->refusal[0] == '\0') {
		ret = gles != NULL ? import_gles(job, gles) : ask_to_import(socket, job);
	}
	if (ret == 0) {
		ret = job_upload(job);
	}
	if (ret == 0) {
		ret = job_draw(&job->hops[HOP_VULKAN], vulkan, NULL, job->a, job->b);
	}
	if (ret == 0 && job->refusal[0] == '\0') {
		ret = gles != NULL ? job_draw(&job->hops[HOP_GLES], NULL, gles, job->b, job->c)
				   : ask_to_draw(socket, job);
	}
	return ret < 0 ? ret : job_read(job);
}

int job_run_here(struct job *job) {
	struct vulkan_drawer vulkan;
	struct gles_drawer gles;
	int ret = init_vulkan(&vulkan, job);
	if (ret == 0) {
		ret = init_gles(&gles, job->surfaceless, job->refusal);
		if (ret == 0) {
			ret = run(job, &vulkan, &gles, -1);
		}
		gles_drawer_finish(&gles);
	}
	vulkan_drawer_finish(&vulkan);
	return ret;
}

int job_run_with_peer(struct job *job) {
	char *arguments[] = { "stile-demo", "--peer", job->surfaceless ? "--surfaceless" : NULL,
		NULL };
	int socket;
	pid_t pid;
	int ret = pass_spawn(arguments, &socket, &pid);
	if (ret < 0) {
		return ret;
	}
	struct vulkan_drawer vulkan;
	ret = init_vulkan(&vulkan, job);
	if (ret == 0) {
		ret = run(job, &vulkan, NULL, socket);
	}
	vulkan_drawer_finish(&vulkan);
	close(socket);

	int ended = pass_join(pid);
	ret = ret < 0 ? ret : ended;
	if (ret < 0) {
		fprintf(stderr, "with the second process: %s\n", strerror(-ret));
	}
	return ret;
}
