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
/**
 * A descriptor of a plane's memory, that may be written where the driver can give one. CLOEXEC, the
 * caller's; or -errno.
 */
int gbm_plane_export(struct gbm_bo *bo, int plane);

#endif
