/* SPDX-License-Identifier: MIT */
#ifndef SRC_LOG_H
#define SRC_LOG_H

#include <stdarg.h>

#include <stile/log.h>

/** Format one message and hand it over; `fn` may be NULL. Not under any lock. errno is kept. */
void log_print(
	stile_log_fn fn, void *user, enum stile_log_level level, const char *fmt, va_list args);

#endif
