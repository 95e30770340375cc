/* SPDX-License-Identifier: MIT */
#ifndef SRC_RECLAIM_H
#define SRC_RECLAIM_H

/** In what may die while others look at it. */
struct reclaim_node {
	struct reclaim_node *next;
	void (*release)(struct reclaim_node *node);
};

/**
 * Begin to look at what one has no reference to: nothing that can be seen now is released before the
 * end. Sections may nest; they have to be short. Gives what reclaim_end() wants.
 */
unsigned reclaim_begin(void);
void reclaim_end(unsigned section);

/**
 * Nobody who begins to look can see it any more: release it once every section that may have seen it is
 * over; that is at once if there is none.
 *
 * @param release  NULL: free(node), sooner or later
 */
void reclaim(struct reclaim_node *node, void (*release)(struct reclaim_node *node));

#endif
