/* SPDX-License-Identifier: MIT */
#ifndef SRC_PATH_H
#define SRC_PATH_H

#include <stdbool.h>

#include <stile/carrier.h>

/** Say how a dependency crossed. NULL is fine; its size was checked before. */
void path_give(struct stile_path *to, enum stile_path_kind kind, int64_t blocked_ns);

/** Is the size of a path that the caller gave possible? NULL is fine. 0 or -EINVAL. */
int path_check(const struct stile_path *path);

/** Is it one of the three choices? */
bool path_policy_is_valid(enum stile_user_fences user_fences);

#endif
