/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stile/wait.h>

#include "demos/gles_drawer.h"
#include "demos/job.h"
#include "demos/pass.h"
#include "demos/vulkan_drawer.h"

static const char shared[] = "shared, not copied";

/* ---- The APIs get to know the images ------------------------------------------------------ */

static int import_vulkan(
	struct vulkan_drawer *drawer, struct job *job, struct evidence evidence[2]) {
	struct stile_image *images[] = { job->a, job->b };
	const struct vulkan_target *targets[] = { &drawer->from, &drawer->to };
	proof_begin(&evidence[0], "Vulkan", job->a);
	proof_begin(&evidence[1], "Vulkan", job->b);
	int ret = vulkan_drawer_set_images(drawer, job->a, job->b);
	for (int i = 0; i < 2 && ret == 0; i++) {
		ret = proof_mark(&evidence[i], images[i]);
		if (ret == 0) {
			ret = vulkan_drawer_read_pixel(drawer, targets[i], evidence[i].read);
		}
	}
	return ret;
}

static int import_gles(struct gles_drawer *drawer, struct stile_image *b, struct stile_image *c,
	struct evidence evidence[2]) {
	struct stile_image *images[] = { b, c };
	const struct gles_target *targets[] = { &drawer->from, &drawer->to };
	proof_begin(&evidence[0], "GLES", b);
	proof_begin(&evidence[1], "GLES", c);
	int ret = gles_drawer_set_images(drawer, b, c);
	for (int i = 0; i < 2 && ret == 0; i++) {
		ret = proof_mark(&evidence[i], images[i]);
		if (ret == 0) {
			ret = gles_drawer_read_pixel(drawer, targets[i], evidence[i].read);
		}
	}
	return ret;
}

/* ---- The hops ----------------------------------------------------------------------------- */

/* Upload, and Vulkan behind it: nothing here waits. `done` is a new reference. */
static int produce(struct job *job, struct vulkan_drawer *drawer, struct stile_fence **done) {
	struct hop *hop = &job->hops[HOP_VULKAN];
	*hop = (struct hop){ .from = "swgpu", .to = "Vulkan", .memory = shared };
	hop->path.size = sizeof(hop->path);
	hop->carrier = "fence of the queue";
	struct stile_fence *uploaded;
	int ret = job_upload(job, &uploaded);
	if (ret < 0) {
		return ret;
	}
	int64_t began = job_now();
	ret = vulkan_drawer_draw(drawer, &transform_vulkan, &uploaded, 1, &hop->path, done);
	hop->duration_ns = job_now() - began;
	stile_fence_unref(uploaded);
	return ret;
}

/* GLES behind a fence, which is consumed. */
static int consume(struct hop *hop, struct gles_drawer *drawer, struct stile_fence *wait,
	struct stile_fence **done) {
	hop->path.size = sizeof(hop->path);
	int64_t began = job_now();
	int ret = gles_drawer_draw(drawer, &transform_gles, wait, job_deadline(), &hop->path, done);
	hop->duration_ns = job_now() - began;
	stile_fence_unref(wait);
	return ret;
}

static int run_here(struct job *job, struct vulkan_drawer *vulkan, struct gles_drawer *gles) {
	int ret = import_vulkan(vulkan, job, &job->evidence[0]);
	if (ret == 0) {
		ret = import_gles(gles, job->b, job->c, &job->evidence[2]);
	}
	struct stile_fence *drawn_b, *drawn_c;
	if (ret == 0) {
		ret = produce(job, vulkan, &drawn_b);
	}
	if (ret == 0) {
		struct hop *hop = &job->hops[HOP_GLES];
		*hop = (struct hop){ .from = "Vulkan", .to = "GLES", .memory = shared };
		hop->carrier = "fence of the VkQueue";
		ret = consume(hop, gles, drawn_b, &drawn_c);
	}
	return ret < 0 ? ret : job_read(job, "fence of an EGLSync", drawn_c);
}

int job_run_here(struct job *job) {
	struct vulkan_drawer vulkan;
	struct gles_drawer gles;
	int ret = vulkan_drawer_init(&vulkan, false);
	if (ret == 0) {
		ret = gles_drawer_init(&gles);
		if (ret == 0) {
			ret = run_here(job, &vulkan, &gles);
		}
		gles_drawer_finish(&gles);
	}
	vulkan_drawer_finish(&vulkan);
	return ret;
}

/* ---- With a second process ---------------------------------------------------------------- */

/* What the peer tells of its hop. */
struct answer {
	int32_t error;
	uint32_t path_kind;
	int64_t blocked_ns;
	int64_t duration_ns;
	struct evidence evidence[2];
};

/* In the second process: two images come, then B again with the fence of the work on it. */
static int serve(int socket, struct stile_device *device, struct gles_drawer *drawer) {
	struct stile_image *b = NULL, *c = NULL, *b_drawn = NULL;
	struct stile_fence *none = NULL, *wait = NULL, *done = NULL;
	struct answer answer = { 0 };
	struct hop hop = { 0 };
	int ret = pass_receive_image(socket, device, &b, &none);
	if (ret == 0) {
		ret = pass_receive_image(socket, device, &c, &none);
	}
	if (ret == 0) {
		ret = import_gles(drawer, b, c, answer.evidence);
	}
	answer.error = ret;
	if (pass_send(socket, &answer, sizeof(answer), NULL, 0) == 0 && ret == 0) {
		ret = pass_receive_image(socket, device, &b_drawn, &wait);
	}
	/* The memory is known here already: another image, but the same buffer; now with a fence. */
	if (ret == 0 &&
		(wait == NULL ||
			stile_image_get_buffer(b_drawn, 0) != stile_image_get_buffer(b, 0))) {
		ret = -EBADMSG;
	}
	if (ret == 0) {
		ret = consume(&hop, drawer, wait, &done);
	}
	if (ret == 0) {
		answer.path_kind = hop.path.kind;
		answer.blocked_ns = hop.path.blocked_ns;
		answer.duration_ns = hop.duration_ns;
		ret = pass_send(socket, &answer, sizeof(answer), NULL, 0);
	}
	if (ret == 0) {
		ret = pass_send_image(socket, c, done);
		/* This process owes the fence: it stays until the work is done. */
		ret = ret < 0 ? ret : stile_fence_wait(done, job_deadline());
	}
	stile_fence_unref(done);
	stile_image_unref(b_drawn);
	stile_image_unref(c);
	stile_image_unref(b);
	return ret;
}

int job_run_peer(int socket) {
	struct stile_device *device;
	struct gles_drawer drawer;
	int ret = stile_device_open("swgpu", NULL, &device);
	if (ret < 0) {
		return ret;
	}
	ret = gles_drawer_init(&drawer);
	if (ret == 0) {
		ret = serve(socket, device, &drawer);
	}
	gles_drawer_finish(&drawer);
	stile_device_destroy(device);
	return ret;
}

/* Start this program again as the peer: `socket` becomes its standard input. */
static int spawn_peer(int socket, pid_t *pid) {
	extern char **environ;
	char *arguments[] = { "stile-demo", "--peer", NULL };
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, socket, STDIN_FILENO);
	int error = posix_spawn(pid, "/proc/self/exe", &actions, NULL, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	return -error;
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

/* Hand B over with its fence, and get C back with its. */
static int exchange(
	int socket, struct job *job, struct stile_fence *drawn_b, struct stile_fence **drawn_c) {
	struct answer answer;
	struct stile_image *c;
	int ret = pass_send_image(socket, job->b, drawn_b);
	if (ret == 0) {
		ret = receive_answer(socket, &answer);
	}
	if (ret == 0) {
		ret = pass_receive_image(socket, job->device, &c, drawn_c);
	}
	if (ret < 0) {
		return ret;
	}
	bool same = stile_image_get_buffer(c, 0) == stile_image_get_buffer(job->c, 0);
	stile_image_unref(c);
	if (!same || *drawn_c == NULL) {
		stile_fence_unref(*drawn_c);
		return -EBADMSG;
	}
	job->hops[HOP_GLES] = (struct hop){
		.from = "Vulkan",
		.to = "GLES, process 2",
		.memory = shared,
		.carrier = "software sync file",
		.path = { .kind = (enum stile_path_kind)answer.path_kind,
			.blocked_ns = answer.blocked_ns },
		.duration_ns = answer.duration_ns,
	};
	return 0;
}

static int run_with_peer(int socket, struct job *job, struct vulkan_drawer *vulkan) {
	struct answer answer;
	int ret = import_vulkan(vulkan, job, &job->evidence[0]);
	if (ret == 0) {
		ret = pass_send_image(socket, job->b, NULL);
	}
	if (ret == 0) {
		ret = pass_send_image(socket, job->c, NULL);
	}
	if (ret == 0) {
		ret = receive_answer(socket, &answer);
	}
	if (ret < 0) {
		return ret;
	}
	memcpy(&job->evidence[2], answer.evidence, sizeof(answer.evidence));

	struct stile_fence *drawn_b, *drawn_c;
	ret = produce(job, vulkan, &drawn_b);
	if (ret == 0) {
		ret = exchange(socket, job, drawn_b, &drawn_c);
		stile_fence_unref(drawn_b);
	}
	return ret < 0 ? ret : job_read(job, "software sync file", drawn_c);
}

int job_run_with_peer(struct job *job) {
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		return -errno;
	}
	pid_t pid;
	int ret = spawn_peer(ends[1], &pid);
	close(ends[1]);
	if (ret < 0) {
		close(ends[0]);
		return ret;
	}
	struct vulkan_drawer vulkan;
	ret = vulkan_drawer_init(&vulkan, false);
	if (ret == 0) {
		ret = run_with_peer(ends[0], job, &vulkan);
	}
	vulkan_drawer_finish(&vulkan);
	close(ends[0]);

	int status;
	waitpid(pid, &status, 0);
	if (ret == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
		ret = -EOWNERDEAD;
	}
	if (ret < 0) {
		fprintf(stderr, "with the second process: %s\n", strerror(-ret));
	}
	return ret;
}
