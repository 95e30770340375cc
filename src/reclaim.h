/* SPDX-License-Identifier: MIT */
#ifndef SRC_RECLAIM_H
#define SRC_RECLAIM_H

struct stile_fence;

/**
 * Begin to look at fences to which one has no reference: none that can be seen now is released
 * before the end. Sections may nest; they have to be short. Gives what reclaim_end() wants.
 */
unsigned reclaim_begin(void);
void reclaim_end(unsigned section);

/**
 * The last reference on a fence has gone: call its release op once every section that may have seen
 * it is over; that is at once if there is none.
 */
void reclaim_fence(struct stile_fence *fence);

#endif
