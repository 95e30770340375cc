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

static bool set_target(struct workshop *workshop, struct painting *painting, uint32_t part) {
	struct gles_target *target = &painting->gles[part];
	struct stile_image *image = painting->parts[part];
	target->image = import(&workshop->gles, image, painting->why);
	if (target->image == NULL) {
		return false;
	}
	if (!create_framebuffer(target)) {
		snprintf(painting->why, sizeof(painting->why), "GLES does not draw to %s",
			stile_format_get(stile_image_get_info(image)->fourcc)->name);
		return false;
	}
	return true;
}

static void destroy_targets(struct painting *painting) {
	for (uint32_t i = 0; i < painting->sheet->plane_count; i++) {
		destroy_target(&painting->gles[i]);
	}
	actor_drop_parts(painting);
}

static bool set_targets(struct workshop *workshop, struct painting *painting) {
	if (!actor_take_apart(painting)) {
		return false;
	}
	for (uint32_t i = 0; i < painting->sheet->plane_count; i++) {
		if (!set_target(workshop, painting, i)) {
			destroy_targets(painting);
			return false;
		}
	}
	return true;
}

static void draw(struct workshop *workshop, const struct sheet_plane *plane,
	const struct gles_target *target) {
	GLuint colours = gles_sampler_create_texture(GL_TEXTURE_2D);
	glTexImage2D(GL_TEXTURE_2D, 0, GL_RGBA32F, CARD_WIDTH, CARD_HEIGHT, 0, GL_RGBA, GL_FLOAT,
		plane->colours);
	glBindFramebuffer(GL_FRAMEBUFFER, target->framebuffer);
	glViewport(0, 0, (GLsizei)plane->width, (GLsizei)plane->rows);
	glUseProgram(workshop->gles_painter);
	glDrawArrays(GL_TRIANGLES, 0, 3);
	glDeleteTextures(1, &colours);
	require(glGetError() == GL_NO_ERROR);
}

/* The gate is a drawing before it, which goes on until it is opened: GL waits for nothing else without its thread. */
static bool begin(struct workshop *workshop, struct painting *painting) {
	gles_enter(workshop);
	if (!set_targets(workshop, painting)) {
		return false;
	}
	struct stile_access access;
	actor_begin(painting->image, STILE_USAGE_WRITE, &access);
	require(access.count == 0);
	painting->hold_image = gl_hold_create_image(workshop->device);
	gl_hold_begin(&painting->hold, &workshop->gles, painting->hold_image);
	painting->gate.open = gl_hold_open;
	painting->gate.user = painting->hold_image;
	for (uint32_t i = 0; i < painting->sheet->plane_count; i++) {
		draw(workshop, &painting->sheet->planes[i], &painting->gles[i]);
	}
	actor_end(&access, make_fence(&workshop->gles));
	return true;
}

static void end(struct workshop *workshop, struct painting *painting) {
	gles_enter(workshop);
	gl_hold_finish(&painting->hold);
	destroy_targets(painting);
	glFinish();
	stile_image_unref(painting->hold_image);
}

const struct producer gles_draws = { "GLES draw", begin, end };

/* ---- Looking ------------------------------------------------------------------------------ */

/* What is drawn, and how. */
struct source {
	struct stile_egl_yuv images; /* of RGB, one, and no path */
	GLenum target;
};

static void sample(struct workshop *workshop, const struct source *source) {
	if (source->images.path == STILE_EGL_YUV_PLANES) {
		gles_sampler_draw_planes(&workshop->gles_sampler, &source->images);
	} else {
		gles_sampler_draw(
			&workshop->gles_sampler, source->images.images[0], source->target);
	}
}

/* Its thread waits, as the path says: others have to be told before. */
static void wait_and_sample(
	struct workshop *workshop, struct look *look, const struct source *source) {
	struct stile_access access;
	actor_begin(look->image, STILE_USAGE_READ, &access);
	require(access.count > 0);
	look->submitted(look->user);
	for (size_t i = 0; i < access.count; i++) {
		require(stile_egl_wait_fence(workshop->gles.stile, access.fences[i], job_deadline(),
				&look->sight.path) == 0);
	}
	sample(workshop, source);
	actor_end(&access, make_fence(&workshop->gles));
}

static void look_at(struct workshop *workshop, struct look *look, struct source *source) {
	if (look->waits) {
		wait_and_sample(workshop, look, source);
		gles_sampler_take(&workshop->gles_sampler, look->sight.rgba);
	} else {
		sample(workshop, source);
		gles_sampler_take(&workshop->gles_sampler, look->sight.rgba);
		look->submitted(look->user);
	}
	stile_egl_yuv_finish(&source->images);
}

static bool look_by(struct workshop *workshop, struct look *look, GLenum target) {
	gles_enter(workshop);
	struct stile_egl_image *image = import(&workshop->gles, look->image, look->sight.why);
	if (image == NULL) {
		return false;
	}
	struct source source = {
		.images = { .image_count = 1, .images = { image } },
		.target = target,
	};
	look->sight.way = stile_format_get(stile_image_get_info(look->image)->fourcc)->is_yuv
		? TABLE_EXTERNAL
		: TABLE_WHOLE;
	look_at(workshop, look, &source);
	return true;
}

/* However the display takes it. */
static bool look_at_yuv(struct workshop *workshop, struct look *look) {
	gles_enter(workshop);
	struct stile_report report = { .size = sizeof(report) };
	struct source source = {
		.images = { .size = sizeof(source.images) },
		.target = GL_TEXTURE_EXTERNAL_OES,
	};
	if (stile_egl_import_yuv(workshop->gles.stile, look->image, &report, &source.images) < 0) {
		snprintf(look->sight.why, sizeof(look->sight.why), "%s", report.text);
		return false;
	}
	look->sight.way =
		source.images.path == STILE_EGL_YUV_PLANES ? TABLE_SHADER : TABLE_EXTERNAL;
	look_at(workshop, look, &source);
	return true;
}

static bool look_plain(struct workshop *workshop, struct look *look) {
	const struct stile_image_info *info = stile_image_get_info(look->image);
	return stile_format_get(info->fourcc)->is_yuv ? look_at_yuv(workshop, look)
						      : look_by(workshop, look, GL_TEXTURE_2D);
}

static bool look_external(struct workshop *workshop, struct look *look) {
	return look_by(workshop, look, GL_TEXTURE_EXTERNAL_OES);
}

const struct consumer gles_samples = { "GLES sample", look_plain };
const struct consumer gles_samples_external = { "GLES external", look_external };
