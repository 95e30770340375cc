/* SPDX-License-Identifier: MIT */
#ifndef SRC_EVENTFD_H
#define SRC_EVENTFD_H

#include <stile/carrier.h>

struct watch;

/** Is it an eventfd? 0, -EBADF or -EINVAL. */
int eventfd_check(int fd);

/** A fence that ends when a checked descriptor becomes readable. 0 or -errno; borrows fd. */
int eventfd_import(struct watch *watch, int fd, struct stile_fence **out);

/** A new eventfd that is raised when the fence ends. 0, -EOPNOTSUPP (it has failed) or -errno. */
int eventfd_export(struct stile_fence *fence, enum stile_path_kind *path, int *out);

#endif
