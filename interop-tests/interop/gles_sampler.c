/* SPDX-License-Identifier: MIT */
#include "interop-tests/interop/gles_sampler.h"

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

static const char sample_external[] =
	"#version 300 es\n"
	"#extension GL_OES_EGL_image_external_essl3 : require\n"
	"precision highp float;\n"
	"uniform highp samplerExternalOES picture;\n"
	"out vec4 color;\n"
	"void main() {\n"
	"	color = texelFetch(picture, ivec2(gl_FragCoord.xy), 0);\n"
	"}\n";

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
}

GLuint gles_sampler_create_texture(GLenum target) {
	GLuint texture;
	glGenTextures(1, &texture);
	glBindTexture(target, texture);
	glTexParameteri(target, GL_TEXTURE_MIN_FILTER, GL_NEAREST);
	glTexParameteri(target, GL_TEXTURE_MAG_FILTER, GL_NEAREST);
	return texture;
}

void gles_sampler_draw_texture(struct gles_sampler *sampler, GLenum target) {
	glBindFramebuffer(GL_FRAMEBUFFER, sampler->framebuffer);
	glViewport(0, 0, CARD_WIDTH, CARD_HEIGHT);
	glUseProgram(target == GL_TEXTURE_2D ? sampler->plain : sampler->external);
	glDrawArrays(GL_TRIANGLES, 0, 3);
	require(glGetError() == GL_NO_ERROR);
}

void gles_sampler_draw(
	struct gles_sampler *sampler, const struct stile_egl_image *image, GLenum target) {
	PFNGLEGLIMAGETARGETTEXTURE2DOESPROC image_target_texture =
		(PFNGLEGLIMAGETARGETTEXTURE2DOESPROC)eglGetProcAddress(
			"glEGLImageTargetTexture2DOES");
	sampler->texture = gles_sampler_create_texture(target);
	image_target_texture(target, stile_egl_image_get_handle(image));
	gles_sampler_draw_texture(sampler, target);
}

void gles_sampler_take(struct gles_sampler *sampler, float (*rgba)[4]) {
	glBindFramebuffer(GL_FRAMEBUFFER, sampler->framebuffer);
	glReadPixels(0, 0, CARD_WIDTH, CARD_HEIGHT, GL_RGBA, GL_FLOAT, rgba);
	require(glGetError() == GL_NO_ERROR);
	glDeleteTextures(1, &sampler->texture);
	sampler->texture = 0;
	glFinish();
}
