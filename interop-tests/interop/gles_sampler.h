/* SPDX-License-Identifier: MIT */
#ifndef INTEROP_GLES_SAMPLER_H
#define INTEROP_GLES_SAMPLER_H

#include "demos/gles_drawer.h"
#include "interop-tests/interop/card.h"

/**
 * A fragment shader that samples a picture of a card's extent into floats, in the current context.
 * What fails ends the program.
 */
struct gles_sampler {
	GLuint plain; /* programs */
	GLuint external;
	GLuint floats;
	GLuint framebuffer;
	GLuint planes[2];   /* programs for so many of them, and two; made when first used */
	GLuint textures[3]; /* what is being sampled */
};

void gles_sampler_init(struct gles_sampler *sampler);
void gles_sampler_finish(struct gles_sampler *sampler);

/** A texture that is not filtered, bound to GL_TEXTURE_2D or GL_TEXTURE_EXTERNAL_OES. */
GLuint gles_sampler_create_texture(GLenum target);

/** Sample the texture that is bound. Does not wait: the colours are for gles_sampler_take(), which does. */
void gles_sampler_draw_texture(struct gles_sampler *sampler, GLenum target);

/** The same of an image, as a texture for this target. */
void gles_sampler_draw(
	struct gles_sampler *sampler, const struct stile_egl_image *image, GLenum target);

/** The same of luma and chroma in textures of their own, whose colours the shader makes: STILE_EGL_YUV_PLANES. */
void gles_sampler_draw_planes(struct gles_sampler *sampler, const struct stile_egl_yuv *yuv);

void gles_sampler_take(struct gles_sampler *sampler, float (*rgba)[4]);

#endif
