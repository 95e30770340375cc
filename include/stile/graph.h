/* SPDX-License-Identifier: MIT */
#ifndef STILE_GRAPH_H
#define STILE_GRAPH_H

/*
 * Who waits for whom: for when something hangs.
 *
 * Recorded while the checker is on (stile_check_enable(), which debug builds
 * begin with): threads that sleep in a wait of Stile, eventfds that are to be
 * told of a point, and fences whose work waits for other fences. Containers
 * need no record. When it is off, each place that would record costs one load.
 * How to read it: docs/waiting.md.
 */

#include <stdint.h>

#include <stile/macros.h>

STILE_BEGIN_DECLS

struct stile_fence;

/** How a graph is written down. */
enum stile_graph_format {
	STILE_GRAPH_TEXT = 1, /**< lines for people */
	STILE_GRAPH_DOT = 2,  /**< a digraph for Graphviz */
};

/**
 * Hear of a wait that has outlasted the limit. Called on the thread that
 * waits, by Stile with no lock held; by the caller of the wait perhaps with
 * some. It may do anything but wait.
 *
 * @param user  pointer given together with the function
 * @param text  the graph as STILE_GRAPH_TEXT, begun by a line on this wait;
 *              borrowed, valid during the call
 * @since 0.1
 */
typedef void (*stile_graph_fn)(void *user, const char *text);

/**
 * Say that the work of one fence waits for another fence, where Stile cannot
 * know: "this submission waits for that semaphore". Forgotten when either has
 * ended or gone; it keeps neither. Does nothing while the checker is off.
 * Never blocks, allocates nothing.
 *
 * @param fence      whose work waits; borrowed
 * @param waits_for  for what; borrowed
 * @param label      what makes it wait, for people; the first 63 bytes are
 *                   copied
 * @since 0.1
 */
STILE_API void stile_graph_add_wait(struct stile_fence *fence,
	struct stile_fence *waits_for, const char *label);

/**
 * Write down who waits for whom just now: threads, eventfds, points and
 * fences that are pending, then the fences on which all of that hangs, cycles,
 * of which nothing can end before the rest does, and points that nobody has
 * submitted. Fences are asked how they stand, so not to be called with a
 * fence's lock held, nor from a fence's callback. Blocks only for the list's
 * lock, under which a copy is made.
 *
 * @param format     how to write it
 * @param[out] text  a new string, the caller's to free(); NULL on failure
 *
 * @retval 0        *text is valid
 * @retval -EINVAL  there is no such format
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_graph_describe(
	enum stile_graph_format format, char **text);

/**
 * Have a function told of waits that outlast a limit, for the whole process:
 * stile_fence_wait(), stile_fence_wait_any() and _all(), stile_point_wait(),
 * and what is made of them. Each wait that begins from now on tells at most
 * once, when the limit has passed, or at its deadline if that comes first. A
 * wait that only polls never does. Nobody is told at the start, nor while the
 * checker is off. Never blocks.
 *
 * @param fn        the function; NULL: nobody. The one before may still be
 *                  running on other threads
 * @param user      handed to it
 * @param limit_ns  how long a wait may take; less than 0 is 0
 * @since 0.1
 */
STILE_API void stile_graph_set_watch(
	stile_graph_fn fn, void *user, int64_t limit_ns);

STILE_END_DECLS

#endif
