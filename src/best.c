/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/abi.h"
#include "src/device.h"
#include "src/log.h"
#include "src/macros.h"
#include "src/report.h"

/*
 * What the most drivers take without a copy comes first. Memory of a heap is the kernel's own and has no
 * limit but memory itself. Pages of files are dma-bufs just as good, but a buffer may have 64 MiB only,
 * and /dev/udmabuf is mostly there for virtual machines. Plain files in memory open anywhere, and none but
 * software drivers take them.
 */
static const char *const order[] = { "dmabuf", "udmabuf", "swgpu" };

static const char variable[] = "STILE_BACKEND";

/* ---- Listening to a backend that may not open ---------------------------------------------- */

struct hearing {
	const struct stile_device_info *info; /* the caller's */
	char reason[400];                     /* its first complaint */
};

/* A backend that is not there is nothing wrong: what it says of it is kept, and told as what was found. */
static void hear(void *user, enum stile_log_level level, const char *text) {
	struct hearing *hearing = user;
	if (level != STILE_LOG_ERROR) {
		if (hearing->info->log != NULL) {
			hearing->info->log(hearing->info->log_user, level, text);
		}
	} else if (hearing->reason[0] == '\0') {
		snprintf(hearing->reason, sizeof(hearing->reason), "%s", text);
	}
}

/* Why it does not open is in hearing->reason, without the backend's name. */
static int try_backend(
	const char *name, const char *options, struct hearing *hearing, struct stile_device **out) {
	struct stile_device_info info = *hearing->info;
	info.log = hear;
	info.log_user = hearing;
	info.options = options;
	hearing->reason[0] = '\0';
	int ret = stile_device_open(name, &info, out);
	if (ret == 0) {
		/* Nobody else has it, and its threads have nothing to do yet. */
		(*out)->log = hearing->info->log;
		(*out)->log_user = hearing->info->log_user;
		return 0;
	}
	size_t length = strlen(name);
	if (hearing->reason[0] == '\0') {
		snprintf(hearing->reason, sizeof(hearing->reason), "%s",
			ret == -ENODEV ? "no such backend" : strerror(-ret));
	} else if (strncmp(hearing->reason, name, length) == 0 &&
		strncmp(hearing->reason + length, ": ", 2) == 0) {
		memmove(hearing->reason, hearing->reason + length + 2,
			strlen(hearing->reason + length + 2) + 1);
	}
	return ret;
}

STILE_PRINTF(3, 4)
static void tell(
	const struct stile_device_info *info, enum stile_log_level level, const char *fmt, ...) {
	va_list args;
	va_start(args, fmt);
	log_print(info->log, info->log_user, level, fmt, args);
	va_end(args);
}

/* ---- The choice ---------------------------------------------------------------------------- */

/* What passes by is no reason to take another backend, for good. */
static bool is_shortage(int error) {
	return error == -ENOMEM || error == -EMFILE || error == -ENFILE || error == -EAGAIN;
}

/* Of a backend without options: does it say nothing about the backend? */
static bool is_about_all(int error) {
	return is_shortage(error) || error == -EINVAL;
}

static enum stile_reason get_reason(int error, enum stile_reason other) {
	return is_shortage(error) ? STILE_REASON_RESOURCES : other;
}

/* Each gets its share of the room; the log has the whole. */
static void append_reason(struct stile_report *why, const char *name, const char *reason) {
	enum { SHARE = 100 };
	report_append(why, "%s%s: %.*s%s", why->text[0] == '\0' ? "" : "; ", name, SHARE, reason,
		strlen(reason) > SHARE ? "..." : "");
}

/* why->text says which was taken, and of those that were not, why. */
static int choose(
	const struct stile_device_info *info, struct stile_report *why, struct stile_device **out) {
	struct hearing hearing = { .info = info };
	int ret = -ENODEV;
	*why = (struct stile_report){ .reason = STILE_REASON_NONE };
	for (size_t i = 0; i < ARRAY_LENGTH(order); i++) {
		ret = try_backend(order[i], NULL, &hearing, out);
		if (ret == 0) {
			report_prepend(why, order[i]);
			return 0;
		}
		append_reason(why, order[i], hearing.reason);
		if (is_about_all(ret)) {
			break;
		}
		tell(info, STILE_LOG_INFO, "%s not taken: %s", order[i], hearing.reason);
	}
	why->reason = get_reason(ret, ret == -EINVAL ? STILE_REASON_CALLER : STILE_REASON_DRIVER);
	why->error = ret;
	return ret;
}

static int refuse_forced(
	int error, const char *name, const char *reason, struct stile_report *why) {
	report_refuse(why, error, get_reason(error, STILE_REASON_OPTION), 0, 0, 0, "%s=%s: %s",
		variable, name, reason);
	if (error == -ENODEV) {
		report_append(why, "; there are");
		for (size_t i = 0; stile_backend_get_name(i) != NULL; i++) {
			report_append(why, "%s %s", i == 0 ? "" : ",", stile_backend_get_name(i));
		}
	}
	return error;
}

/* The environment says NAME or NAME:OPTIONS. */
static int open_forced(const struct stile_device_info *info, const char *value,
	struct stile_report *why, struct stile_device **out) {
	struct hearing hearing = { .info = info };
	char *name = strdup(value);
	if (name == NULL) {
		return refuse_forced(-ENOMEM, value, "out of memory", why);
	}
	char *options = strchr(name, ':');
	if (options != NULL) {
		*options++ = '\0';
	}
	int ret = try_backend(name, options, &hearing, out);
	if (ret < 0) {
		refuse_forced(ret, value, hearing.reason, why);
	} else {
		*why = (struct stile_report){ .reason = STILE_REASON_NONE };
		report_append(why, "%s; %s says so", name, variable);
	}
	free(name);
	return ret;
}

static int open_best(
	const struct stile_device_info *info, struct stile_report *why, struct stile_device **out) {
	if (info->options != NULL) {
		return report_refuse(why, -EINVAL, STILE_REASON_OPTION, 0, 0, 0,
			"options belong to a backend: which one is taken is not known yet");
	}
	const char *value = secure_getenv(variable);
	return value == NULL || value[0] == '\0' ? choose(info, why, out)
						 : open_forced(info, value, why, out);
}

int stile_device_open_best(const struct stile_device_info *info, struct stile_report *report,
	struct stile_device **out) {
	*out = NULL;
	static const struct stile_device_info defaults = { .size = sizeof(defaults) };
	struct stile_device_info known;
	int ret = report_copy_in(report, &known, sizeof(known), info == NULL ? &defaults : info);
	if (ret < 0) {
		return ret;
	}
	struct stile_report why;
	ret = open_best(&known, &why, out);
	report_give(report, &why);
	if (ret < 0) {
		tell(&known, STILE_LOG_ERROR, "no device: %s", why.text);
	} else {
		tell(&known, STILE_LOG_INFO, "backend %s", why.text);
	}
	return ret;
}
