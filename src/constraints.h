/* SPDX-License-Identifier: MIT */
#ifndef SRC_CONSTRAINTS_H
#define SRC_CONSTRAINTS_H

#include <stile/constraints.h>

/**
 * Can somebody need this? For complete ones. 0; -EINVAL: an alignment is no power of two,
 * address_bits is beyond 12 to 64, or max_segment is less than a page.
 */
int constraints_check(const struct stile_constraints *constraints);

/**
 * Make `into` the stricter of both, field by field; its modifiers stay. For complete ones that
 * constraints_check() takes: the result is one, too.
 */
void constraints_combine(struct stile_constraints *into, const struct stile_constraints *other);

#endif
