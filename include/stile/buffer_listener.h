/* SPDX-License-Identifier: MIT */
#ifndef STILE_BUFFER_LISTENER_H
#define STILE_BUFFER_LISTENER_H

#include <stdbool.h>

#include <stile/macros.h>

STILE_BEGIN_DECLS

struct stile_buffer;
struct stile_buffer_listener;

/**
 * The last reference on the buffer is gone; its memory is still there, its
 * descriptors and mappings are not. Runs once, in the thread that dropped the
 * reference or in one made for it, with no lock of the library held; the
 * listener is out of use from here on, and may be freed. May block as a driver does that
 * frees memory. Does not touch the buffer.
 */
typedef void (*stile_buffer_listener_fn)(
	struct stile_buffer_listener *listener);

/** What a listener says when the last reference on its buffer is about to go. */
enum stile_buffer_keep {
	STILE_BUFFER_LET_GO = 0, /**< it has nothing against it */
	STILE_BUFFER_KEEP, /**< it takes the reference over, and drops it later */
	STILE_BUFFER_ASK_AGAIN, /**< it cannot say so without waiting */
};

/**
 * Is the last reference on the buffer to go, or does the listener need it? Of
 * several listeners, one that keeps it is enough, and the others may not be asked.
 * May run any number of times, in any thread that drops a reference, with locks of
 * the library held: waits for nothing, and calls nothing of the library.
 */
typedef enum stile_buffer_keep (*stile_buffer_keep_fn)(
	struct stile_buffer_listener *listener);

/**
 * Storage for somebody who keeps something of a buffer, such as a driver's
 * object that was made of its memory, without keeping the buffer. The fields
 * are private.
 *
 * Thread-safety: internal, from stile_buffer_add_listener() until it is removed
 * or has run; else external.
 */
struct stile_buffer_listener {
	struct stile_buffer *buffer;
	struct stile_buffer_listener *next;
	struct stile_buffer_listener **link;
	stile_buffer_listener_fn gone;
	stile_buffer_keep_fn keep;
};

/**
 * Hear of a buffer's end. Never blocks.
 *
 * @param buffer    borrowed; the caller has a reference
 * @param listener  the caller's storage, not in use; needs no initialisation
 * @param gone      what to do then
 * @param keep      whether to prevent it; NULL: never. What it kept is given up
 *                  with stile_buffer_unref(), which asks again
 * @since 0.1
 */
STILE_API void stile_buffer_add_listener(struct stile_buffer *buffer,
	struct stile_buffer_listener *listener, stile_buffer_listener_fn gone,
	stile_buffer_keep_fn keep);

/**
 * Hear of it no more. Never blocks; needs no reference on the buffer.
 *
 * @param listener  one that was added and not removed since
 * @return true: it is out of use, and will not run; false: it has run, is just
 *         running or about to, and is the function's to free
 * @since 0.1
 */
STILE_API bool stile_buffer_remove_listener(
	struct stile_buffer_listener *listener);

STILE_END_DECLS

#endif
