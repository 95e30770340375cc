/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include <EGL/egl.h>
#include <EGL/eglext.h>
#include <GLES3/gl3.h>

#include <GLES2/gl2ext.h>

#include "demos/job.h"
#include "interop-tests/interop/require.h"
#include "interop-tests/matrix/actor.h"

static struct stile_egl_image *import(
	struct gles_drawer *drawer, struct stile_image *image, char *why) {
	struct stile_report report = { .size = sizeof(report) };
	struct stile_egl_image *imported;
	if (stile_egl_import_image(drawer->stile, image, &report, &imported) < 0) {
		snprintf(why, sizeof(report.text), "%s", report.text);
	}
	return imported;
}

static struct stile_fence *make_fence(struct gles_drawer *drawer) {
	struct stile_fence *done;
	require(stile_egl_fence_create(drawer->stile, &done) == 0);
	return done;
}

/* ---- Life ---------------------------------------------------------------------------------- */

static const char paint_fragment[] =
	"#version 300 es\n"
	"precision highp float;\n"
	"uniform highp sampler2D colours;\n"
	"out vec4 color;\n"
	"void main() {\n"
	"	color = texelFetch(colours, ivec2(gl_FragCoord.xy), 0);\n"
	"}\n";

static void open_context(struct workshop *workshop) {
	struct gles_drawer *drawer = &workshop->gles;
	require((workshop->is_surfaceless ? gles_drawer_init_surfaceless(drawer)
					  : gles_drawer_init(drawer)) == 0);
	workshop->gles_painter = gles_program_create(gles_fullscreen_vertex, paint_fragment);
	require(workshop->gles_painter != 0);
	gles_sampler_init(&workshop->gles_sampler);
}

/* Both sides may work in this thread. */
void gles_enter(struct workshop *workshop) {
	const struct gles_drawer *drawer = &workshop->gles;
	if (drawer->context == EGL_NO_CONTEXT) {
		open_context(workshop);
	}
	require(eglMakeCurrent(drawer->display, EGL_NO_SURFACE, EGL_NO_SURFACE, drawer->context));
}

void gles_close(struct workshop *workshop) {
	if (workshop->gles.context == EGL_NO_CONTEXT) {
		return;
	}
	gles_enter(workshop);
	gles_sampler_finish(&workshop->gles_sampler);
	glDeleteProgram(workshop->gles_painter);
	gles_drawer_finish(&workshop->gles);
	workshop->gles = (struct gles_drawer){ 0 };
}

/* ---- Painting ----------------------------------------------------------------------------- */

/* False: GL does not draw to such images. */
static bool create_framebuffer(struct gles_target *target) {
	PFNGLEGLIMAGETARGETTEXTURE2DOESPROC image_target_texture =
		(PFNGLEGLIMAGETARGETTEXTURE2DOESPROC)eglGetProcAddress(
			"glEGLImageTargetTexture2DOES");
	target->texture = gles_sampler_create_texture(GL_TEXTURE_2D);
	image_target_texture(GL_TEXTURE_2D, stile_egl_image_get_handle(target->image));
	glGenFramebuffers(1, &target->framebuffer);
	glBindFramebuffer(GL_FRAMEBUFFER, target->framebuffer);
	glFramebufferTexture2D(
		GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, target->texture, 0);
	require(glGetError() == GL_NO_ERROR);
	return glCheckFramebufferStatus(GL_FRAMEBUFFER) == GL_FRAMEBUFFER_COMPLETE;
}

static void destroy_target(struct gles_target *target) {
	glDeleteFramebuffers(1, &target->framebuffer);
	glDeleteTextures(1, &target->texture);
	stile_egl_image_destroy(target->image);
}

static bool set_target(struct workshop *workshop, struct painting *painting) {
	painting->gles.image = import(&workshop->gles, painting->image, painting->why);
	if (painting->gles.image == NULL) {
		return false;
	}
	if (!create_framebuffer(&painting->gles)) {
		snprintf(painting->why, sizeof(painting->why), "GLES does not draw to %s",
			stile_format_get(stile_image_get_info(painting->image)->fourcc)->name);
		destroy_target(&painting->gles);
		return false;
	}
	return true;
}

static void draw(struct workshop *workshop, struct painting *painting) {
	float rgba[CARD_PIXELS][4];
	for (size_t i = 0; i < CARD_PIXELS; i++) {
		for (int k = 0; k < 4; k++) {
			rgba[i][k] = (float)painting->card->colours[i][k];
		}
	}
	GLuint colours = gles_sampler_create_texture(GL_TEXTURE_2D);
	glTexImage2D(
		GL_TEXTURE_2D, 0, GL_RGBA32F, CARD_WIDTH, CARD_HEIGHT, 0, GL_RGBA, GL_FLOAT, rgba);
	glBindFramebuffer(GL_FRAMEBUFFER, painting->gles.framebuffer);
	glViewport(0, 0, CARD_WIDTH, CARD_HEIGHT);
	glUseProgram(workshop->gles_painter);
	glDrawArrays(GL_TRIANGLES, 0, 3);
	glDeleteTextures(1, &colours);
	require(glGetError() == GL_NO_ERROR);
}

/* The gate is a drawing before it, which goes on until it is opened: GL waits for nothing else without its thread. */
static bool begin(struct workshop *workshop, struct painting *painting) {
	gles_enter(workshop);
	if (!set_target(workshop, painting)) {
		return false;
	}
	struct stile_access access;
	actor_begin(painting->image, STILE_USAGE_WRITE, &access);
	require(access.count == 0);
	painting->hold_image = gl_hold_create_image(workshop->device);
	gl_hold_begin(&painting->hold, &workshop->gles, painting->hold_image);
	painting->gate.open = gl_hold_open;
	painting->gate.user = painting->hold_image;
	draw(workshop, painting);
	actor_end(&access, make_fence(&workshop->gles));
	return true;
}

static void end(struct workshop *workshop, struct painting *painting) {
	gles_enter(workshop);
	gl_hold_finish(&painting->hold);
	destroy_target(&painting->gles);
	glFinish();
	stile_image_unref(painting->hold_image);
}

const struct producer gles_draws = { "GLES draw", begin, end };

/* ---- Looking ------------------------------------------------------------------------------ */

/* Its thread waits, as the path says: others have to be told before. */
static void wait_and_draw(struct workshop *workshop, struct look *look,
	const struct stile_egl_image *image, GLenum target) {
	struct stile_access access;
	actor_begin(look->image, STILE_USAGE_READ, &access);
	require(access.count > 0);
	look->submitted(look->user);
	for (size_t i = 0; i < access.count; i++) {
		require(stile_egl_wait_fence(workshop->gles.stile, access.fences[i], job_deadline(),
				&look->path) == 0);
	}
	gles_sampler_draw(&workshop->gles_sampler, image, target);
	actor_end(&access, make_fence(&workshop->gles));
}

static bool look_by(struct workshop *workshop, struct look *look, GLenum target) {
	gles_enter(workshop);
	struct stile_egl_image *image = import(&workshop->gles, look->image, look->why);
	if (image == NULL) {
		return false;
	}
	if (look->waits) {
		wait_and_draw(workshop, look, image, target);
		gles_sampler_take(&workshop->gles_sampler, look->rgba);
	} else {
		gles_sampler_draw(&workshop->gles_sampler, image, target);
		gles_sampler_take(&workshop->gles_sampler, look->rgba);
		look->submitted(look->user);
	}
	stile_egl_image_destroy(image);
	return true;
}

static bool look_plain(struct workshop *workshop, struct look *look) {
	return look_by(workshop, look, GL_TEXTURE_2D);
}

static bool look_external(struct workshop *workshop, struct look *look) {
	return look_by(workshop, look, GL_TEXTURE_EXTERNAL_OES);
}

const struct consumer gles_samples = { "GLES sample", look_plain };
const struct consumer gles_samples_external = { "GLES external", look_external };
