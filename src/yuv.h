/* SPDX-License-Identifier: MIT */
#ifndef SRC_YUV_H
#define SRC_YUV_H

/* Images of luma and chroma whose planes an API has by themselves: what adapters have in common. */

#include <stile/image.h>
#include <stile/report.h>

/**
 * What makes colours of the samples of its planes, as stile_colour_get_matrix() does, but in the order in which they
 * come. 0, or what report_refuse() gave.
 */
int yuv_find_rows(const struct stile_image_info *info, float rows[3][4], struct stile_report *why);

/** It has luma and chroma, which `otherwise` does not need: 0, or what report_refuse() gave. */
int yuv_check(const struct stile_format *format, const char *otherwise, struct stile_report *why);

/** Neither as a whole, which `why` is about, nor by planes; returns `error`. */
int yuv_refuse_both(struct stile_report *why, int error, const struct stile_report *why_not_planes);

#endif
