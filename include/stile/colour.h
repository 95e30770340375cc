/* SPDX-License-Identifier: MIT */
#ifndef STILE_COLOUR_H
#define STILE_COLOUR_H

#include <stdint.h>

#include <stile/macros.h>

STILE_BEGIN_DECLS

/**
 * How luma and chroma were made of red, green and blue: MatrixCoefficients of
 * ITU-T H.273, those that Stile can compute with. The others that H.273 has
 * are kept, and handed on.
 */
enum stile_colour_matrix {
	/** Of RGB: there is none. Of YUV: not said. */
	STILE_MATRIX_IDENTITY = 0,
	STILE_MATRIX_BT709 = 1,
	STILE_MATRIX_NOT_SAID = 2,
	STILE_MATRIX_FCC = 4,
	STILE_MATRIX_BT470BG = 5, /**< the numbers of BT.601 */
	STILE_MATRIX_BT601 = 6,
	STILE_MATRIX_SMPTE240M = 7,
	STILE_MATRIX_YCGCO = 8,
	STILE_MATRIX_BT2020 = 9, /**< with non-constant luminance */
};

/** What the numbers of components go from and to: VideoFullRangeFlag. */
enum stile_colour_range {
	STILE_RANGE_NOT_SAID = 0,
	/** Of 8 bits: luma and RGB from 16 to 235, chroma from 16 to 240. */
	STILE_RANGE_LIMITED,
	STILE_RANGE_FULL, /**< all of them */
};

/** Where a sample of chroma is, along one axis. */
enum stile_chroma_siting {
	STILE_SITING_NOT_SAID = 0,
	STILE_SITING_COSITED,  /**< at the first of its samples of luma */
	STILE_SITING_MIDPOINT, /**< in the middle between them */
};

/**
 * Which colours an image's numbers mean: code points of ITU-T H.273 (CICP), as
 * video streams, PNG and HEIF have them. All zero: not said; for a single code,
 * 2 is the same. Nobody here converts from one set of primaries or transfer
 * function to another: these two are kept for who shows the image.
 *
 * Not checked until it comes with an image: stile_image_create().
 */
struct stile_colour {
	uint32_t primaries; /**< ColourPrimaries: 1 is BT.709, 9 is BT.2020 */
	uint32_t transfer;  /**< TransferCharacteristics: 13 is sRGB, 16 PQ */
	/**
	 * MatrixCoefficients: enum stile_colour_matrix, or another one of
	 * H.273. Where an image of YUV says primaries or transfer function, 0 is
	 * H.273's identity, which is refused: such an image is RGB in planes.
	 */
	uint32_t matrix;
	enum stile_colour_range range;
	enum stile_chroma_siting horizontal;
	enum stile_chroma_siting vertical;
};

/**
 * The way from samples of luma and chroma to red, green and blue, for shaders
 * and for CPUs: of samples from 0 to 1,
 *
 *     R = rows[0][0] Y + rows[0][1] Cb + rows[0][2] Cr + rows[0][3]
 *
 * and likewise green and blue, which are from 0 to 1, too, and with the transfer
 * function as it was; YUV can say more than that, so clamp. Where matrix or range
 * are not said, BT.601 and the limited range are taken, as Mesa does. Never
 * blocks; any thread.
 *
 * @param colour       borrowed
 * @param bits         of the numbers: 8 to 16
 * @param sample_bits  of the samples that they are the highest bits of, with 1
 *                     for all bits set: the same, or for example 16 where P010
 *                     (10 bits) is read as R16
 * @param[out] rows    as glUniform4fv() takes them; unchanged on failure
 *
 * @retval 0        *rows is valid
 * @retval -EINVAL  these bits make no sense
 * @retval -EOPNOTSUPP  another matrix than those of enum stile_colour_matrix,
 *                  of which the way back is no such sum
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_colour_get_matrix(
	const struct stile_colour *colour, uint32_t bits, uint32_t sample_bits,
	float rows[3][4]);

STILE_END_DECLS

#endif
