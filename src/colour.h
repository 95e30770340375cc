/* SPDX-License-Identifier: MIT */
#ifndef SRC_COLOUR_H
#define SRC_COLOUR_H

#include <stile/colour.h>
#include <stile/format.h>
#include <stile/report.h>

/** Is it H.273's, and one that an image of this format can have? 0 or -EINVAL. */
int colour_check(const struct stile_colour *colour, const struct stile_format *format,
	struct stile_report *why);

#endif
