/* SPDX-License-Identifier: MIT */
#include "src/log.h"

#include <errno.h>
#include <stdio.h>

void log_print(
	stile_log_fn fn, void *user, enum stile_log_level level, const char *fmt, va_list args) {
	if (fn == NULL) {
		return;
	}
	int before = errno;
	char text[1024];
	vsnprintf(text, sizeof(text), fmt, args);
	fn(user, level, text);
	errno = before;
}
