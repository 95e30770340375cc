/* SPDX-License-Identifier: MIT */
#ifndef MATRIX_MATRIX_H
#define MATRIX_MATRIX_H

#include "interop-tests/matrix/actor.h"
#include "interop-tests/matrix/table.h"

/*
 * Everybody who paints, against everybody who looks, in each format that both take, in one process and in two. The
 * painter is held at a gate until the one who looks has submitted what looks: the picture has to be right to the
 * pixel. The same with the wait left out: it has to be wrong. What a fence, a barrier or a layout got wrong fails the first;
 * what proves nothing, the second.
 */

/** Who takes part, in which formats, and where the pictures are. */
struct matrix {
	const struct producer *const *producers;
	size_t producer_count;
	const struct consumer *const *consumers;
	size_t consumer_count;
	/** `is_apart`: with each plane in a buffer of its own, behind something else; besides, if the format is tried at all. */
	bool (*is_tried)(
		const struct stile_format *format, const struct producer *producer, bool is_apart);
	const char *memory;     /* the backend that makes the images */
	uint32_t width, height; /* of the images, in whose first corner the card is */
	/** In a guest: who looks uses neither Vulkan nor GLES, and GLES may refuse to paint. */
	bool is_in_guest;
};

/** The whole of main(). */
int matrix_main(int argc, char **argv, const struct matrix *chosen);

#endif
