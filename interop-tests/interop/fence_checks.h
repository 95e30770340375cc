/* SPDX-License-Identifier: MIT */
#ifndef INTEROP_FENCE_CHECKS_H
#define INTEROP_FENCE_CHECKS_H

#include <stdbool.h>
#include <stddef.h>

#include <stile/device.h>
#include <stile/fence.h>
#include <stile/log.h>

/* What the tests on drivers that are not there look at (support/fake_gpu.h). */

/** Is that a part of what an adapter has logged last, by note_log()? */
bool has_logged(const char *part);
void forget_log(void);
void note_log(void *user, enum stile_log_level level, const char *text);

/** A fence of the kernel's; fake_sync_file_signal() of its leaf ends it. */
struct stile_fence *kernels_fence(struct stile_device *device, size_t *leaf);
bool has_sync_file(struct stile_fence *fence);

/** A fence that ends between two looks at it; one at a time. */
void make_quick(struct stile_fence *fence);

/** It stays pending, for a while at least. */
void check_pending(struct stile_fence *fence);
/** It ends with this status, and is given up. */
void check_ends(struct stile_fence *fence, int status);

#endif
