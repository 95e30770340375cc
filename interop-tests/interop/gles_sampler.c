/* SPDX-License-Identifier: MIT */
#include "interop-tests/interop/gles_sampler.h"

#include <stdio.h>
#include <string.h>

#include <EGL/egl.h>
#include <EGL/eglext.h>
#include <GLES3/gl3.h>

#include <GLES2/gl2ext.h>

#include "interop-tests/interop/require.h"

static const char sample_plain[] =
	"#version 300 es\n"
	"precision highp float;\n"
	"uniform highp sampler2D picture;\n"
	"out vec4 color;\n"
	"void main() {\n"
	"	color = texelFetch(picture, ivec2(gl_FragCoord.xy), 0);\n"
	"}\n";

/* Of a card's extent. Of YUV, Mesa 25 fetches the first texel whichever is asked for, and crashes if asked for the extent. */
static const char sample_external[] =
	"#version 300 es\n"
	"#extension GL_OES_EGL_image_external_essl3 : require\n"
	"precision highp float;\n"
	"uniform highp samplerExternalOES picture;\n"
	"out vec4 color;\n"
	"void main() {\n"
	"	color = texture(picture, gl_FragCoord.xy / vec2(16.0, 8.0));\n"
	"}\n";

/* The nearest sample of chroma, sited in the middle. */
static const char sample_planes[] =
	"#version 300 es\n"
	"precision highp float;\n"
	"uniform highp sampler2D picture[%u];\n"
	"uniform vec4 rows[3];\n"
	"out vec4 color;\n"
	"void main() {\n"
	"	ivec2 at = ivec2(gl_FragCoord.xy);\n"
	"	ivec2 chroma = at * textureSize(picture[1], 0) / textureSize(picture[0], 0);\n"
	"	vec4 samples = vec4(texelFetch(picture[0], at, 0).r,\n"
	"		texelFetch(picture[1], chroma, 0).rg, 1.0);\n"
	"	%s\n"
	"	color = vec4(dot(rows[0], samples), dot(rows[1], samples), dot(rows[2], samples), 1.0);\n"
	"}\n";

static GLuint create_program_of_planes(uint32_t count) {
	char fragment[sizeof(sample_planes) + 64];
	snprintf(fragment, sizeof(fragment), sample_planes, count,
		count == 3 ? "samples.z = texelFetch(picture[2], chroma, 0).r;" : "");
	GLuint program = gles_program_create(gles_fullscreen_vertex, fragment);
	require(program != 0);
	return program;
}

void gles_sampler_init(struct gles_sampler *sampler) {
	*sampler = (struct gles_sampler){
		.plain = gles_program_create(gles_fullscreen_vertex, sample_plain),
		.external = gles_program_create(gles_fullscreen_vertex, sample_external),
	};
	require(sampler->plain != 0 && sampler->external != 0);
	glGenRenderbuffers(1, &sampler->floats);
	glBindRenderbuffer(GL_RENDERBUFFER, sampler->floats);
	glRenderbufferStorage(GL_RENDERBUFFER, GL_RGBA32F, CARD_WIDTH, CARD_HEIGHT);
	glGenFramebuffers(1, &sampler->framebuffer);
	glBindFramebuffer(GL_FRAMEBUFFER, sampler->framebuffer);
	glFramebufferRenderbuffer(
		GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_RENDERBUFFER, sampler->floats);
	require(glCheckFramebufferStatus(GL_FRAMEBUFFER) == GL_FRAMEBUFFER_COMPLETE);
}

void gles_sampler_finish(struct gles_sampler *sampler) {
	glDeleteFramebuffers(1, &sampler->framebuffer);
	glDeleteRenderbuffers(1, &sampler->floats);
	glDeleteProgram(sampler->plain);
	glDeleteProgram(sampler->external);
	glDeleteProgram(sampler->planes[0]);
	glDeleteProgram(sampler->planes[1]);
}

GLuint gles_sampler_create_texture(GLenum target) {
	GLuint texture;
	glGenTextures(1, &texture);
	glBindTexture(target, texture);
	glTexParameteri(target, GL_TEXTURE_MIN_FILTER, GL_NEAREST);
	glTexParameteri(target, GL_TEXTURE_MAG_FILTER, GL_NEAREST);
	return texture;
}

static void draw(struct gles_sampler *self) {
	glBindFramebuffer(GL_FRAMEBUFFER, self->framebuffer);
	glViewport(0, 0, CARD_WIDTH, CARD_HEIGHT);
	glDrawArrays(GL_TRIANGLES, 0, 3);
	require(glGetError() == GL_NO_ERROR);
}

void gles_sampler_draw_texture(struct gles_sampler *sampler, GLenum target) {
	glUseProgram(target == GL_TEXTURE_2D ? sampler->plain : sampler->external);
	draw(sampler);
}

static GLuint create_texture_of(const struct stile_egl_image *image, GLenum target) {
	PFNGLEGLIMAGETARGETTEXTURE2DOESPROC image_target_texture =
		(PFNGLEGLIMAGETARGETTEXTURE2DOESPROC)eglGetProcAddress(
			"glEGLImageTargetTexture2DOES");
	GLuint texture = gles_sampler_create_texture(target);
	image_target_texture(target, stile_egl_image_get_handle(image));
	return texture;
}

void gles_sampler_draw(
	struct gles_sampler *sampler, const struct stile_egl_image *image, GLenum target) {
	sampler->textures[0] = create_texture_of(image, target);
	gles_sampler_draw_texture(sampler, target);
}

void gles_sampler_draw_planes(struct gles_sampler *sampler, const struct stile_egl_yuv *yuv) {
	static const GLint units[] = { 0, 1, 2 };
	GLuint *program = &sampler->planes[yuv->image_count - 2];
	if (*program == 0) {
		*program = create_program_of_planes(yuv->image_count);
	}
	for (uint32_t i = 0; i < yuv->image_count; i++) {
		glActiveTexture(GL_TEXTURE0 + i);
		sampler->textures[i] = create_texture_of(yuv->images[i], GL_TEXTURE_2D);
	}
	glActiveTexture(GL_TEXTURE0);
	glUseProgram(*program);
	glUniform4fv(glGetUniformLocation(*program, "rows"), 3, &yuv->rows[0][0]);
	glUniform1iv(glGetUniformLocation(*program, "picture"), (GLsizei)yuv->image_count, units);
	draw(sampler);
}

void gles_sampler_take(struct gles_sampler *sampler, float (*rgba)[4]) {
	glBindFramebuffer(GL_FRAMEBUFFER, sampler->framebuffer);
	glReadPixels(0, 0, CARD_WIDTH, CARD_HEIGHT, GL_RGBA, GL_FLOAT, rgba);
	require(glGetError() == GL_NO_ERROR);
	glDeleteTextures(3, sampler->textures);
	memset(sampler->textures, 0, sizeof(sampler->textures));
	glFinish();
}
