/* SPDX-License-Identifier: MIT */
#include "interop-tests/interop/gl_hold.h"

#include <GLES2/gl2ext.h>
#include <string.h>

#include <stile/device.h>

#include "interop-tests/interop/require.h"

enum { WORDS = 64 };

/*
 * Each round reads another texel, so that no compiler can take the read out of the loop. A pixel
 * gives up after some microseconds, since llvmpipe ends long loops in its own way; the many pixels,
 * one after another, make it at least ten seconds. A test that forgets to open fails, but ends.
 */
enum { SIDE = 1024 };

static const char fragment_source[] =
	"#version 300 es\n"
	"precision highp float;\n"
	"uniform sampler2D word;\n"
	"out vec4 color;\n"
	"void main() {\n"
	"	float rounds = 0.0;\n"
	"	for (int i = 0; i < 4096; i++) {\n"
	"		if (texelFetch(word, ivec2(i & 63, 0), 0).r > 0.5) {\n"
	"			break;\n"
	"		}\n"
	"		rounds += 1.0;\n"
	"	}\n"
	"	color = vec4(rounds / 4096.0);\n"
	"}\n";

struct stile_image *gl_hold_create_image(struct stile_device *device) {
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = WORDS,
		.height = 1,
		.fourcc = DRM_FORMAT_R8,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.modifier = DRM_FORMAT_MOD_LINEAR,
		.name = "hold",
	};
	struct stile_image *image;
	require(stile_image_create(device, &info, &image) == 0);
	return image;
}

void gl_hold_open(void *arg) {
	struct stile_image *image = arg;
	struct stile_buffer *buffer = stile_image_get_buffer(image, 0);
	void *memory;
	require(stile_buffer_mmap(buffer, STILE_USAGE_WRITE, &memory) == 0);
	memset(memory, 0xff, WORDS);
	stile_buffer_munmap(buffer, memory);
}

static void import_word(
	struct gl_hold *hold, struct gles_drawer *drawer, struct stile_image *image) {
	PFNGLEGLIMAGETARGETTEXTURE2DOESPROC image_target_texture =
		(PFNGLEGLIMAGETARGETTEXTURE2DOESPROC)eglGetProcAddress(
			"glEGLImageTargetTexture2DOES");
	require(stile_egl_import_image(drawer->stile, image, NULL, &hold->target.image) == 0);
	glGenTextures(1, &hold->target.texture);
	glBindTexture(GL_TEXTURE_2D, hold->target.texture);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MIN_FILTER, GL_NEAREST);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MAG_FILTER, GL_NEAREST);
	image_target_texture(GL_TEXTURE_2D, stile_egl_image_get_handle(hold->target.image));
}

void gl_hold_begin(struct gl_hold *hold, struct gles_drawer *drawer, struct stile_image *image) {
	*hold = (struct gl_hold){ 0 };
	hold->program = gles_program_create(gles_fullscreen_vertex, fragment_source);
	require(hold->program != 0);
	import_word(hold, drawer, image);

	glGenRenderbuffers(1, &hold->scratch);
	glBindRenderbuffer(GL_RENDERBUFFER, hold->scratch);
	glRenderbufferStorage(GL_RENDERBUFFER, GL_RGBA8, SIDE, SIDE);
	glGenFramebuffers(1, &hold->framebuffer);
	glBindFramebuffer(GL_FRAMEBUFFER, hold->framebuffer);
	glFramebufferRenderbuffer(
		GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_RENDERBUFFER, hold->scratch);
	require(glCheckFramebufferStatus(GL_FRAMEBUFFER) == GL_FRAMEBUFFER_COMPLETE);

	glViewport(0, 0, SIDE, SIDE);
	glUseProgram(hold->program);
	glDrawArrays(GL_TRIANGLES, 0, 3);
	glFlush();
	require(glGetError() == GL_NO_ERROR);
}

void gl_hold_finish(struct gl_hold *hold) {
	glDeleteFramebuffers(1, &hold->framebuffer);
	glDeleteRenderbuffers(1, &hold->scratch);
	glDeleteProgram(hold->program);
	glDeleteTextures(1, &hold->target.texture);
	stile_egl_image_destroy(hold->target.image);
}
