/* SPDX-License-Identifier: MIT */
/*
 * stile-fences: who waits for whom, told by two processes.
 *
 * A camera fills frames, which it counts on a timeline, and an encoder does something of its own.
 * The viewer, another process, gets one descriptor for "frame 2 and the encoder", and one for a
 * frame that never comes, since the camera is switched off. Exit status: 0 all went as told, 1 it
 * did not.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <stile/stile.h>
#include <stile/timeline.h>

enum { FIRST_FD = 3, LOST_FD = 4 };

static int64_t in_seconds(int seconds) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((int64_t)now.tv_sec + seconds) * 1000000000 + now.tv_nsec;
}

static void say(const char *who, const char *what, struct stile_fence *fence) {
	char text[160];
	stile_fence_describe(fence, text, sizeof(text));
	printf("%-7s %-26s %s\n", who, what, text);
	fflush(stdout);
}

/* ---- The viewer: waits for what it was given ------------------------------------------------ */

static int wait_for(struct stile_device *device, int fd, const char *what) {
	struct stile_fence *fence;
	int ret = stile_fence_import_fd(device, STILE_FD_SOFTWARE_SYNC_FILE, 0, fd, &fence);
	if (ret < 0) {
		return ret;
	}
	say("viewer", what, fence);
	ret = stile_fence_wait(fence, in_seconds(5));
	if (ret == 0) {
		ret = stile_fence_get_status(fence);
		say("viewer", what, fence);
	}
	stile_fence_unref(fence);
	return ret;
}

static int view(void) {
	struct stile_device *device;
	if (stile_device_open("swgpu", NULL, &device) < 0) {
		return 1;
	}
	bool came = wait_for(device, FIRST_FD, "frame 2 and the encoder:") == 1;
	bool lost = wait_for(device, LOST_FD, "frame 3:") == -ENOENT;
	stile_device_destroy(device);
	return came && lost ? 0 : 1;
}

/* ---- The encoder: a fence of one's own, embedded in what it is about ------------------------ */

struct encoding {
	struct stile_fence fence;
};

static const char *encoding_get_driver_name(struct stile_fence *fence) {
	(void)fence;
	return "encoder";
}

static const char *encoding_get_timeline_name(struct stile_fence *fence) {
	(void)fence;
	return "stream 1";
}

static const struct stile_fence_ops encoding_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = encoding_get_driver_name,
	.get_timeline_name = encoding_get_timeline_name,
	.flags = STILE_FENCE_USER, /* this program decides when it ends */
};

/* ---- The camera ------------------------------------------------------------------------------ */

static int start_viewer(char **argv, int first, int lost, pid_t *pid) {
	char role[] = "--viewer";
	char *const viewer_argv[] = { argv[0], role, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, first, FIRST_FD);
	posix_spawn_file_actions_adddup2(&actions, lost, LOST_FD);
	extern char **environ;
	int ret = posix_spawn(pid, "/proc/self/exe", &actions, NULL, viewer_argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return ret;
}

static int export(struct stile_fence *fence, int *fd) {
	return stile_fence_export_fd(fence, STILE_FD_SOFTWARE_SYNC_FILE, 0, NULL, fd);
}

/* What a frame takes. */
static void expose(void) {
	nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
}

static void film(
	struct stile_timeline *camera, struct stile_fence *encoding, struct stile_fence *both) {
	say("camera", "the viewer waits for:", both);
	expose();
	stile_timeline_advance(camera, 1);
	say("camera", "frame 1 is filled:", both);
	expose();
	stile_timeline_advance(camera, 1);
	say("camera", "frame 2 is filled:", both);
	expose();
	stile_fence_signal(encoding);
	say("camera", "the encoder is done:", both);
}

/* Takes over the timeline. */
static int direct(struct stile_timeline *camera, char **argv, pid_t *viewer) {
	struct encoding encoding;
	struct stile_fence *frame2 = NULL, *frame3 = NULL, *both = NULL;
	int first = -1, lost = -1, ret = -1;
	if (stile_fence_init(&encoding.fence, &encoding_ops, stile_fence_context_alloc(1), 1) < 0) {
		stile_timeline_unref(camera);
		return -1;
	}
	struct stile_fence *members[] = { NULL, &encoding.fence };
	if (stile_timeline_create_fence(camera, 2, &frame2) == 0 &&
		stile_timeline_create_fence(camera, 3, &frame3) == 0) {
		members[0] = frame2;
		if (stile_fence_merge(members, 2, &both) == 0 && export(both, &first) == 0 &&
			export(frame3, &lost) == 0 &&
			start_viewer(argv, first, lost, viewer) == 0) {
			film(camera, &encoding.fence, both);
			ret = 0;
		}
	}
	/* Switched off: what it still owes ends with an error, also in the viewer. */
	stile_timeline_unref(camera);
	if (ret == 0) {
		say("camera", "switched off, frame 3:", frame3);
	}
	stile_fence_signal(&encoding.fence);
	stile_fence_unref(both);
	stile_fence_unref(frame3);
	stile_fence_unref(frame2);
	stile_fence_unref(&encoding.fence);
	close(first);
	close(lost);
	return ret;
}

int main(int argc, char **argv) {
	if (argc == 2 && strcmp(argv[1], "--viewer") == 0) {
		return view();
	}
	struct stile_timeline *camera;
	pid_t viewer;
	if (stile_timeline_create("camera", &camera) < 0 || direct(camera, argv, &viewer) < 0) {
		fprintf(stderr, "stile-fences: cannot begin\n");
		return 1;
	}
	int status;
	if (waitpid(viewer, &status, 0) < 0 || !WIFEXITED(status)) {
		return 1;
	}
	return WEXITSTATUS(status);
}
