/* SPDX-License-Identifier: MIT */
#ifndef SRC_SYNC_FILE_H
#define SRC_SYNC_FILE_H

#include <stile/carrier.h>

struct watch;

/** Is it a descriptor of the kind? 0, -EBADF or -EINVAL. */
int sync_file_check(int fd);

/**
 * A fence for a descriptor of which the last word is there to be read. 0 or -ENOMEM; *out is NULL if
 * it is not, or cannot be understood.
 */
int sync_file_import_over(int fd, struct stile_fence **out);

/** A fence that follows a checked descriptor. 0 or -errno; borrows fd. */
int sync_file_import(struct watch *watch, int fd, struct stile_fence **out);

/**
 * A descriptor that follows a fence; of a pending one that came from a descriptor, that one. 0 or
 * -errno; *out is the caller's, -1 on failure.
 */
int sync_file_export(struct stile_fence *fence, enum stile_path_kind *path, int *out);

#endif
