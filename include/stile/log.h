/* SPDX-License-Identifier: MIT */
#ifndef STILE_LOG_H
#define STILE_LOG_H

#include <stile/macros.h>

STILE_BEGIN_DECLS

/** How much a message matters; a smaller value matters more. */
enum stile_log_level {
	STILE_LOG_ERROR = 1, /**< a call failed; the message says why */
	STILE_LOG_WARN = 2,  /**< it works, but not as well as it should */
	STILE_LOG_INFO = 3,  /**< said once, about what was found */
	STILE_LOG_DEBUG = 4, /**< objects made and destroyed */
	STILE_LOG_TRACE = 5, /**< every frame */
};

/**
 * Receive one message.
 *
 * Called without any lock of Stile held but perhaps a buffer's reservation, from whichever thread found the
 * cause: the caller's or one of the library's. It may call Stile.
 *
 * @param user   pointer given together with the function
 * @param level  one of enum stile_log_level
 * @param text   one sentence without a newline; borrowed, valid during the
 *               call
 * @since 0.1
 */
typedef void (*stile_log_fn)(
	void *user, enum stile_log_level level, const char *text);

STILE_END_DECLS

#endif
