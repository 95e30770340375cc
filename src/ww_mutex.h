/* SPDX-License-Identifier: MIT */
#ifndef SRC_WW_MUTEX_H
#define SRC_WW_MUTEX_H

#include <stile/ww_mutex.h>

/** Has this thread locked it, or somebody who has a context? Cheap, for telling of misuse. */
bool ww_mutex_may_be_held(const struct stile_ww_mutex *mutex);

/** Has this thread locked it without a context? Then it cannot change while it looks. */
bool ww_mutex_is_held_plainly(const struct stile_ww_mutex *mutex);

#endif
