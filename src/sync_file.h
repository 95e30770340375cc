/* SPDX-License-Identifier: MIT */
#ifndef SRC_SYNC_FILE_H
#define SRC_SYNC_FILE_H

struct stile_fence;
struct watch;

/** A descriptor that follows a fence. 0 or -errno; *out is the caller's, -1 on failure. */
int sync_file_export(struct stile_fence *fence, int *out);

/** Is it a descriptor of the kind? 0, -EBADF or -EINVAL. */
int sync_file_check(int fd);

/** A fence that follows a checked descriptor. 0 or -errno; borrows fd, takes a reference on watch. */
int sync_file_import(struct watch *watch, int fd, struct stile_fence **out);

/**
 * The descriptor itself, where the fence came from one: its producer then ends it, whatever becomes
 * of this process's fence. 0, -EOPNOTSUPP (another kind of fence) or -EMFILE.
 */
int sync_file_pass_on(struct stile_fence *fence, int *out);

#endif
