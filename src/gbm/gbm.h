/* SPDX-License-Identifier: MIT */
#ifndef SRC_GBM_GBM_H
#define SRC_GBM_GBM_H

#include <stdbool.h>
#include <stdint.h>

#include <gbm.h>

#include <stile/gbm.h>

/* error.c */
/** The one table: what a call of GBM that failed left in errno. 0 before the call, it says nothing. */
int gbm_errno(int error);
/** The same, told: `call` is what failed. Returns the error. */
int gbm_refuse(struct stile_report *why, const char *call, int error);

/* constraints.c */
bool gbm_takes_modifier(struct gbm_device *gbm, uint32_t fourcc, uint32_t flags, uint64_t modifier);
/** What images for GBM_BO_USE_* have to meet, of any layout. */
struct stile_constraints gbm_get_needs(uint32_t flags);

/* plane.c */
/** Are two descriptors of one dma-buf? Each has an inode of its own. */
bool gbm_is_same_memory(int a, int b);
/**
 * Fills the planes in, of which there are none yet. Their descriptors are CLOEXEC, may be written where the driver can
 * give such, and are the caller's: on failure, too.
 */
int gbm_planes_export(struct gbm_bo *bo, struct stile_image_info *info, struct stile_report *why);
void gbm_planes_close(const struct stile_image_info *info);

#endif
