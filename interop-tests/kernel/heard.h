/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_HEARD_H
#define KERNEL_HEARD_H

#include <stdbool.h>

#include <stile/device.h>

/** What a device has logged at a level, one message after the other. Zeroed to begin with. */
struct heard {
	enum stile_log_level level;
	unsigned count;
	char text[2048];
};

/** Open a device whose log is heard; `options` may be NULL. As stile_device_open(). */
int heard_open(struct heard *heard, const char *backend, const char *options,
	enum stile_log_level level, struct stile_device **out);

/** The log says this; the test fails if not. Forgets what there was. */
void heard_check(struct heard *heard, const char *part);

/** Nothing was logged at that level; the test fails if not. */
void heard_nothing(const struct heard *heard);

/**
 * Become a user without rights and try to open a device: for a role of runner_spawn(). Exit status 0: it gave
 * -EACCES, and the log says who may.
 */
int heard_as_nobody(const char *backend, const char *who_may);

#endif
