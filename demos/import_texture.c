/* SPDX-License-Identifier: MIT */
/*
 * stile-import-texture [--output DIR] [--help]
 *
 * What the display of an emulator does: a guest, which is another process, draws into two framebuffers by turns, and
 * this process has them as a texture of GLES. With each frame comes the fence of its drawing, and back goes the one of
 * the sampling: who draws over a framebuffer comes after who still samples it, and neither process waits for the other
 * to be done.
 * Exit status: 0 all frames were shown, 1 something failed, 2 wrong input. It writes import_texture.png.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <stile/stile.h>

#include "demos/frames.h"
#include "demos/gles_drawer.h"
#include "demos/gles_screen.h"
#include "demos/hop.h"
#include "demos/options.h"
#include "demos/pass.h"

enum { BUFFERS = 2 };

/* Once the other side has begun to use a framebuffer: its fence, after which it is ours again. */
static int receive_fence(int socket, struct stile_device *device, struct stile_image *image) {
	unsigned frame;
	int fds[PASS_MAX_FDS];
	size_t count;
	struct stile_fence *read = NULL;
	int ret = pass_receive(socket, &frame, sizeof(frame), fds, &count);
	if (ret < 0) {
		return ret;
	}
	ret = count != 1
		? -EBADMSG
		: stile_fence_import_fd(device, STILE_FD_SOFTWARE_SYNC_FILE, 0, fds[0], &read);
	if (ret == 0) {
		ret = stile_buffer_import_fence(
			stile_image_get_buffer(image, 0), STILE_USAGE_READ, read);
	}
	while (count > 0) {
		close(fds[--count]);
	}
	stile_fence_unref(read);
	return ret;
}

static int send_fence(int socket, unsigned frame, struct stile_fence *fence) {
	int fd;
	int ret = stile_fence_export_fd(fence, STILE_FD_SOFTWARE_SYNC_FILE, 0, NULL, &fd);
	if (ret == 0) {
		ret = pass_send(socket, &frame, sizeof(frame), &fd, 1);
		close(fd);
	}
	return ret;
}

/* ---- The guest: has the software GPU draw ---------------------------------------------------- */

static int guest_draw(int socket, struct stile_device *device,
	struct stile_image *const images[BUFFERS], const struct picture frames[FRAME_COUNT]) {
	int ret = 0;
	for (unsigned n = 0; n < FRAME_COUNT + BUFFERS && ret == 0; n++) {
		struct stile_image *image = images[n % BUFFERS];
		struct hop hop = { .fence = "" };
		if (n >= BUFFERS) {
			ret = receive_fence(socket, device, image);
		}
		if (n < FRAME_COUNT && ret == 0) {
			ret = hop_upload(&hop, device, &frames[n], image);
			/* Along with it goes the fence of its work. */
			ret = ret < 0 ? ret : pass_send_image(socket, image);
		}
	}
	return ret;
}

static int guest_run(int socket) {
	struct stile_device *device = NULL;
	struct stile_image *images[BUFFERS] = { NULL };
	struct picture frames[FRAME_COUNT];
	int ret = frames_create(frames);
	if (ret == 0) {
		ret = stile_device_open("swgpu", NULL, &device);
	}
	for (int i = 0; i < BUFFERS && ret == 0; i++) {
		ret = frames_create_image(
			device, "framebuffer", STILE_USAGE_READ | STILE_USAGE_WRITE, &images[i]);
	}
	if (ret == 0) {
		ret = guest_draw(socket, device, images, frames);
	}
	if (ret < 0) {
		fprintf(stderr, "stile-import-texture: the guest: %s\n", strerror(-ret));
	}
	for (int i = 0; i < BUFFERS; i++) {
		stile_image_unref(images[i]);
	}
	stile_device_destroy(device); /* after which nothing reads the pictures any more */
	frames_finish(frames);
	return ret;
}

/* ---- The display ---------------------------------------------------------------------------- */

struct display {
	struct gles_drawer gles; /* its context alone; and not its images */
	struct stile_device *device;
	struct gles_screen screen;
	GLuint texture;
	struct stile_image *images[BUFFERS];
	struct stile_egl_image *imports[BUFFERS];
	struct frames_paths paths;
};

static const char fragment_source[] =
	"#version 300 es\n"
	"precision highp float;\n"
	"uniform ivec2 corner;\n"
	"uniform sampler2D frame;\n"
	"out vec4 color;\n"
	"void main() { color = texelFetch(frame, ivec2(gl_FragCoord.xy) - corner, 0); }\n";

static int display_init(struct display *display) {
	int ret = stile_device_open("swgpu", NULL, &display->device);
	if (ret == 0) {
		ret = gles_drawer_init(&display->gles);
	}
	if (ret < 0 && display->gles.refusal.error < 0) {
		fprintf(stderr, "EGL: %s\n", display->gles.refusal.text);
	}
	if (ret < 0) {
		return ret;
	}
	glGenTextures(1, &display->texture);
	return gles_screen_init(&display->screen, fragment_source);
}

static void display_finish(struct display *display) {
	for (int i = 0; i < BUFFERS; i++) {
		stile_egl_image_destroy(display->imports[i]);
		stile_image_unref(display->images[i]);
	}
	if (display->texture != 0) {
		glDeleteTextures(1, &display->texture);
		gles_screen_finish(&display->screen);
	}
	gles_drawer_finish(&display->gles);
	stile_device_destroy(display->device);
}

/* The same two framebuffers come again and again: the driver is asked for each once. */
static int display_import(struct display *display, unsigned n, struct stile_image *image) {
	struct stile_egl_image *import;
	struct stile_report why = { .size = sizeof(why) };
	int ret = stile_egl_import_image(display->gles.stile, image, &why, &import);
	if (ret < 0) {
		fprintf(stderr, "import into EGL: %s\n", why.text);
		return ret;
	}
	stile_egl_image_destroy(display->imports[n % BUFFERS]);
	stile_image_unref(display->images[n % BUFFERS]);
	display->imports[n % BUFFERS] = import;
	display->images[n % BUFFERS] = stile_image_ref(image);
	gles_screen_bind(
		GL_TEXTURE0, GL_TEXTURE_2D, display->texture, stile_egl_image_get_handle(import));
	return 0;
}

static int display_show(struct display *display, unsigned n, int socket) {
	struct stile_image *image;
	struct stile_fence *done = NULL;
	struct hop hop = { .fence = "" };
	int ret = pass_receive_image(socket, display->device, &image);
	if (ret == 0) {
		ret = display_import(display, n, image);
	}
	if (ret == 0) {
		/* After the guest's drawing; it draws there again after `done`. */
		ret = hop_show(&hop, &display->gles, &display->screen, n, image, &done);
		frames_count_path(&display->paths, &hop.path);
	}
	if (ret == 0) {
		ret = send_fence(socket, n, done);
	}
	stile_fence_unref(done);
	stile_image_unref(image);
	return ret;
}

static int display_run(struct display *display, int socket, struct picture *sheet) {
	int ret = display_init(display);
	for (unsigned n = 0; n < FRAME_COUNT && ret == 0; n++) {
		ret = display_show(display, n, socket);
	}
	if (ret == 0) {
		ret = gles_screen_read(&display->screen, sheet);
		frames_print_paths("guest to GLES", &display->paths);
	}
	display_finish(display);
	return ret;
}

int main(int argc, char **argv) {
	static char *guest[] = { "stile-import-texture", "--guest", NULL };
	if (argc == 2 && strcmp(argv[1], guest[1]) == 0) {
		return guest_run(STDIN_FILENO) < 0 ? EXIT_WRONG : EXIT_RIGHT;
	}
	const char *output;
	int socket,
		status = options_parse(argc, argv,
			"Shows what another process draws, as a texture of GLES.", &output);
	if (status >= 0) {
		return status;
	}
	struct display display = { .device = NULL };
	struct picture sheet;
	pid_t pid;
	int ret = frames_create_sheet(&sheet);
	if (ret == 0) {
		ret = pass_spawn(guest, &socket, &pid);
	}
	if (ret == 0) {
		ret = display_run(&display, socket, &sheet);
		close(socket);
		int ended = pass_join(pid);
		ret = ret < 0 ? ret : ended;
	}
	if (ret < 0) {
		fprintf(stderr, "stile-import-texture: %s\n", strerror(-ret));
		status = EXIT_WRONG;
	} else {
		status = options_save(output, "import_texture.png", &sheet);
	}
	picture_finish(&sheet);
	return status;
}
