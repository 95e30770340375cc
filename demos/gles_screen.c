/* SPDX-License-Identifier: MIT */
#include "demos/gles_screen.h"

#include <GLES2/gl2ext.h>
#include <errno.h>
#include <stdio.h>

#include "demos/gles_drawer.h"

enum { WIDTH = FRAME_ACROSS * FRAME_WIDTH, HEIGHT = FRAME_COUNT / FRAME_ACROSS * FRAME_HEIGHT };

static int check(const char *what) {
	GLenum error = glGetError();
	if (error != GL_NO_ERROR) {
		fprintf(stderr, "GLES: %s: error 0x%x\n", what, error);
		return -EIO;
	}
	return 0;
}

int gles_screen_init(struct gles_screen *screen, const char *fragment_source) {
	screen->program = gles_program_create(gles_fullscreen_vertex, fragment_source);
	if (screen->program == 0) {
		return -EIO;
	}
	screen->corner = glGetUniformLocation(screen->program, "corner");
	glUseProgram(screen->program);
	glGenRenderbuffers(1, &screen->color);
	glBindRenderbuffer(GL_RENDERBUFFER, screen->color);
	glRenderbufferStorage(GL_RENDERBUFFER, GL_RGBA8, WIDTH, HEIGHT);
	glGenFramebuffers(1, &screen->framebuffer);
	glBindFramebuffer(GL_FRAMEBUFFER, screen->framebuffer);
	glFramebufferRenderbuffer(
		GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_RENDERBUFFER, screen->color);
	return check("the screen");
}

void gles_screen_finish(struct gles_screen *screen) {
	if (screen->program != 0) {
		glDeleteFramebuffers(1, &screen->framebuffer);
		glDeleteRenderbuffers(1, &screen->color);
		glDeleteProgram(screen->program);
	}
}

void gles_screen_draw(const struct gles_screen *screen, unsigned frame) {
	GLint x = (GLint)frames_x(frame), y = (GLint)frames_y(frame);
	glViewport(x, y, FRAME_WIDTH, FRAME_HEIGHT);
	glUniform2i(screen->corner, x, y);
	glDrawArrays(GL_TRIANGLES, 0, 3);
}

int gles_screen_read(const struct gles_screen *screen, struct picture *sheet) {
	glBindFramebuffer(GL_FRAMEBUFFER, screen->framebuffer);
	glReadPixels(0, 0, WIDTH, HEIGHT, GL_RGBA, GL_UNSIGNED_BYTE, sheet->pixels);
	return check("drawing or reading");
}

void gles_screen_bind(GLenum unit, GLenum target, GLuint texture, EGLImage image) {
	PFNGLEGLIMAGETARGETTEXTURE2DOESPROC image_target_texture =
		(PFNGLEGLIMAGETARGETTEXTURE2DOESPROC)eglGetProcAddress(
			"glEGLImageTargetTexture2DOES");
	glActiveTexture(unit);
	glBindTexture(target, texture);
	glTexParameteri(target, GL_TEXTURE_MIN_FILTER, GL_NEAREST);
	glTexParameteri(target, GL_TEXTURE_MAG_FILTER, GL_NEAREST);
	image_target_texture(target, image);
}
