/* SPDX-License-Identifier: MIT */
/*
 * stile-camera-like [--output DIR] [--help]
 *
 * A camera, or a decoder: a thread fills images of NV12, luma and half as much chroma, and GLES shows them in colours. If
 * the driver takes NV12, as an external texture; else each plane is a texture, of which a shader makes colours. The
 * fence of a frame is there before the camera has begun with it, and the camera waits for who still looks at the image.
 * Exit status: 0 all frames were shown, 1 something failed, 2 wrong input. It writes camera_like.png.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include <stile/merge.h>
#include <stile/stile.h>
#include <stile/timeline.h>

#include "demos/frames.h"
#include "demos/gles_drawer.h"
#include "demos/gles_screen.h"
#include "demos/hop.h"
#include "demos/options.h"

#include <GLES2/gl2ext.h>

enum { IMAGES = 3 };

/* As high-definition video is: BT.709, from 16 to 235. */
static const struct stile_colour colour = {
	.primaries = 1,
	.transfer = 1,
	.matrix = STILE_MATRIX_BT709,
	.range = STILE_RANGE_LIMITED,
};

/* ---- The camera ----------------------------------------------------------------------------- */

struct camera {
	struct stile_image *images[IMAGES];
	void *memory[IMAGES];
	struct picture frames[FRAME_COUNT];
	struct stile_fence *before[FRAME_COUNT]; /* who uses the image that the frame is for */
	struct stile_timeline *filled;           /* counts frames */
	sem_t wanted;
	pthread_t thread;
	bool runs;
};

/* One frame whenever one is wanted. */
static void *camera_run(void *user) {
	struct camera *camera = user;
	for (unsigned n = 0; n < FRAME_COUNT; n++) {
		while (sem_wait(&camera->wanted) < 0 && errno == EINTR) {
		}
		if (camera->before[n] == NULL ||
			stile_fence_wait(camera->before[n], INT64_MAX) < 0) {
			break;
		}
		const struct stile_image_info *info =
			stile_image_get_info(camera->images[n % IMAGES]);
		uint8_t *memory = camera->memory[n % IMAGES];
		picture_get_nv12(&camera->frames[n], memory + info->planes[0].offset,
			info->planes[0].pitch, memory + info->planes[1].offset,
			info->planes[1].pitch);
		stile_timeline_advance(camera->filled, 1);
	}
	return NULL;
}

static int camera_init(struct camera *camera, struct stile_device *device) {
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = FRAME_WIDTH,
		.height = FRAME_HEIGHT,
		.fourcc = DRM_FORMAT_NV12,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.modifier = DRM_FORMAT_MOD_LINEAR,
		.name = "camera",
		.colour = colour,
	};
	sem_init(&camera->wanted, 0, 0);
	int ret = frames_create(camera->frames);
	if (ret == 0) {
		ret = stile_timeline_create("camera", &camera->filled);
	}
	for (int i = 0; i < IMAGES && ret == 0; i++) {
		ret = stile_image_create(device, &info, &camera->images[i]);
		if (ret == 0) {
			ret = stile_buffer_mmap(stile_image_get_buffer(camera->images[i], 0),
				STILE_USAGE_WRITE, &camera->memory[i]);
		}
	}
	if (ret == 0) {
		ret = -pthread_create(&camera->thread, NULL, camera_run, camera);
		camera->runs = ret == 0;
	}
	return ret;
}

static void camera_finish(struct camera *camera) {
	if (camera->runs) {
		for (unsigned n = 0; n < FRAME_COUNT; n++) {
			sem_post(&camera->wanted); /* the first one without a fence is the end */
		}
		pthread_join(camera->thread, NULL);
	}
	stile_timeline_unref(camera->filled);
	for (unsigned n = 0; n < FRAME_COUNT; n++) {
		stile_fence_unref(camera->before[n]);
	}
	for (int i = 0; i < IMAGES; i++) {
		if (camera->memory[i] != NULL) {
			stile_buffer_munmap(
				stile_image_get_buffer(camera->images[i], 0), camera->memory[i]);
		}
		stile_image_unref(camera->images[i]);
	}
	frames_finish(camera->frames);
	sem_destroy(&camera->wanted);
}

/* From now on, whoever uses its image comes after the frame. Does not wait. */
static int camera_order(struct camera *camera, unsigned n) {
	struct stile_access_info info = {
		.size = sizeof(info), .usage = STILE_USAGE_WRITE, .name = "camera"
	};
	struct stile_access access;
	struct stile_fence *filled = NULL;
	int ret = stile_access_begin(camera->images[n % IMAGES], &info, &access);
	if (ret < 0) {
		return ret;
	}
	for (size_t i = 0; i < access.count; i++) {
		/* The camera does, not this thread. */
		stile_access_note_wait(access.fences[i]);
	}
	ret = stile_fence_merge(access.fences, access.count, &camera->before[n]);
	if (ret == 0) {
		ret = stile_timeline_create_fence(camera->filled, n + 1, &filled);
	}
	if (ret == 0) {
		ret = stile_access_end(&access, filled);
		sem_post(&camera->wanted);
	} else {
		stile_access_cancel(&access);
	}
	stile_fence_unref(filled);
	return ret;
}

/* ---- The viewer ------------------------------------------------------------------------------ */

static const char fragment_of_planes[] =
	"#version 300 es\n"
	"precision highp float;\n"
	"uniform ivec2 corner;\n"
	"uniform vec4 rows[3];\n"
	"uniform sampler2D luma, chroma;\n"
	"out vec4 color;\n"
	"void main() {\n"
	"	ivec2 at = ivec2(gl_FragCoord.xy) - corner;\n"
	"	vec4 yuv = vec4(texelFetch(luma, at, 0).r, texelFetch(chroma, at / 2, 0).rg, 1.0);\n"
	"	color = vec4(dot(rows[0], yuv), dot(rows[1], yuv), dot(rows[2], yuv), 1.0);\n"
	"}\n";

static const char fragment_of_external[] =
	"#version 300 es\n"
	"#extension GL_OES_EGL_image_external_essl3 : require\n"
	"precision highp float;\n"
	"uniform ivec2 corner;\n"
	"uniform samplerExternalOES frame;\n"
	"out vec4 color;\n"
	"void main() {\n"
	"	vec2 at = gl_FragCoord.xy - vec2(corner);\n"
	"	color = vec4(texture(frame, at / vec2(textureSize(frame, 0))).rgb, 1.0);\n"
	"}\n";

struct viewer {
	struct gles_drawer gles; /* its context */
	struct gles_screen screen;
	struct stile_egl_yuv yuv[IMAGES];
	GLuint textures[2];
	struct frames_paths paths;
};

static int viewer_import(struct viewer *viewer, struct stile_image *const images[IMAGES]) {
	struct stile_report why = { .size = sizeof(why) };
	for (int i = 0; i < IMAGES; i++) {
		viewer->yuv[i].size = sizeof(viewer->yuv[i]);
		int ret =
			stile_egl_import_yuv(viewer->gles.stile, images[i], &why, &viewer->yuv[i]);
		if (ret < 0) {
			fprintf(stderr, "NV12 in EGL: %s\n", why.text);
			return ret;
		}
	}
	bool external = viewer->yuv[0].path == STILE_EGL_YUV_EXTERNAL;
	printf("NV12 as %s %s\n", external ? "an external texture" : "two textures:", why.text);
	return gles_screen_init(
		&viewer->screen, external ? fragment_of_external : fragment_of_planes);
}

static int viewer_init(struct viewer *viewer, struct stile_image *const images[IMAGES]) {
	int ret = gles_drawer_init(&viewer->gles);
	if (ret == 0) {
		ret = viewer_import(viewer, images);
	} else if (viewer->gles.refusal.error < 0) {
		fprintf(stderr, "EGL: %s\n", viewer->gles.refusal.text);
	}
	if (ret < 0) {
		return ret;
	}
	GLuint program = viewer->screen.program;
	glUniform1i(glGetUniformLocation(program, "luma"), 0);
	glUniform1i(glGetUniformLocation(program, "chroma"), 1);
	glUniform4fv(glGetUniformLocation(program, "rows"), 3, &viewer->yuv[0].rows[0][0]);
	glGenTextures(2, viewer->textures);
	return 0;
}

static void viewer_finish(struct viewer *viewer) {
	if (viewer->screen.program != 0) {
		glDeleteTextures(2, viewer->textures);
		gles_screen_finish(&viewer->screen);
	}
	for (int i = 0; i < IMAGES; i++) {
		stile_egl_yuv_finish(&viewer->yuv[i]);
	}
	gles_drawer_finish(&viewer->gles);
}

static int viewer_show(struct viewer *viewer, unsigned n, struct stile_image *image) {
	const struct stile_egl_yuv *yuv = &viewer->yuv[n % IMAGES];
	GLenum target =
		yuv->path == STILE_EGL_YUV_EXTERNAL ? GL_TEXTURE_EXTERNAL_OES : GL_TEXTURE_2D;
	struct hop hop = { .fence = "" };
	struct stile_fence *done;
	for (uint32_t i = 0; i < yuv->image_count; i++) {
		gles_screen_bind(GL_TEXTURE0 + i, target, viewer->textures[i],
			stile_egl_image_get_handle(yuv->images[i]));
	}
	int ret = hop_show(&hop, &viewer->gles, &viewer->screen, n, image, &done);
	frames_count_path(&viewer->paths, &hop.path);
	stile_fence_unref(done);
	return ret;
}

static int run(struct camera *camera, struct viewer *viewer, struct picture *sheet) {
	int ret = 0;
	/* The camera is one frame ahead. */
	for (unsigned n = 0; n <= FRAME_COUNT && ret == 0; n++) {
		if (n < FRAME_COUNT) {
			ret = camera_order(camera, n);
		}
		if (ret == 0 && n > 0) {
			ret = viewer_show(viewer, n - 1, camera->images[(n - 1) % IMAGES]);
		}
	}
	return ret < 0 ? ret : gles_screen_read(&viewer->screen, sheet);
}

int main(int argc, char **argv) {
	const char *output, *about = "Shows in colours what a camera fills with luma and chroma.";
	int status = options_parse(argc, argv, about, &output);
	if (status >= 0) {
		return status;
	}
	struct camera camera = { .runs = false };
	struct viewer viewer = { .textures = { 0 } };
	struct stile_device *device;
	struct picture sheet = { 0 };
	int ret = stile_device_open("swgpu", NULL, &device);
	if (ret == 0) {
		ret = frames_create_sheet(&sheet);
	}
	if (ret == 0) {
		ret = camera_init(&camera, device);
	}
	if (ret == 0) {
		ret = viewer_init(&viewer, camera.images);
	}
	if (ret == 0) {
		ret = run(&camera, &viewer, &sheet);
	}
	if (ret == 0) {
		frames_print_paths("camera to GLES", &viewer.paths);
		status = options_save(output, "camera_like.png", &sheet);
	} else {
		fprintf(stderr, "stile-camera-like: %s\n", strerror(-ret));
		status = EXIT_WRONG;
	}
	viewer_finish(&viewer);
	camera_finish(&camera);
	stile_device_destroy(device);
	picture_finish(&sheet);
	return status;
}
