/* SPDX-License-Identifier: MIT */
#ifndef SRC_KERNEL_SYNC_FILE_H
#define SRC_KERNEL_SYNC_FILE_H

#include <stdbool.h>

#include <stile/carrier.h>

struct watch;

/** Is it a sync_file? 0, -EBADF, -EINVAL or -ENOMEM. */
int kernel_sync_file_check(int fd);

/** A fence that follows a checked descriptor. 0 or -errno; borrows fd. */
int kernel_sync_file_import(struct watch *watch, int fd, struct stile_fence **out);

/**
 * A fence that follows a sync_file that the kernel made just now, of which nobody wants to know the names:
 * costs no system call but to be watched. `is_pending`: it was, a moment ago. Consumes fd on success. 0,
 * -ECHILD or -ENOMEM.
 */
int kernel_sync_file_take(struct watch *watch, int fd, bool is_pending, struct stile_fence **out);

/** The sync_file of a fence that follows one, borrowed; -1 for any other fence. */
int kernel_sync_file_get_fd(struct stile_fence *fence);

/**
 * A descriptor of what the kernel knows of the fence. 0, -EOPNOTSUPP (something in it is not the
 * kernel's) or -errno. *out is -1 also where there is nothing left to wait for.
 */
int kernel_sync_file_export(struct stile_fence *fence, enum stile_path_kind *path, int *out);

#endif
