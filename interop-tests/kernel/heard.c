/* SPDX-License-Identifier: MIT */
#include "interop-tests/kernel/heard.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

static void hear(void *user, enum stile_log_level level, const char *text) {
	struct heard *heard = user;
	size_t used = strlen(heard->text);
	if (level == heard->level) {
		heard->count++;
		snprintf(heard->text + used, sizeof(heard->text) - used, "%s\n", text);
	}
}

int heard_open(struct heard *heard, const char *backend, const char *options,
	enum stile_log_level level, struct stile_device **out) {
	*heard = (struct heard){ .level = level };
	const struct stile_device_info info = {
		.size = sizeof(info),
		.log = hear,
		.log_user = heard,
		.options = options,
	};
	return stile_device_open(backend, &info, out);
}

void heard_check(struct heard *heard, const char *part) {
	ck_assert_msg(strstr(heard->text, part) != NULL, "the log should say '%s', and says: %s",
		part, heard->text);
	heard->count = 0;
	heard->text[0] = '\0';
}

void heard_nothing(const struct heard *heard) {
	ck_assert_msg(heard->count == 0, "logged: %s", heard->text);
}

int heard_as_nobody(const char *backend, const char *who_may) {
	enum { NOBODY = 65534 };
	struct heard heard;
	struct stile_device *device;
	if (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0) {
		perror("setuid");
		return EXIT_FAILURE;
	}
	int ret = heard_open(&heard, backend, NULL, STILE_LOG_ERROR, &device);
	if (ret == -EACCES && device == NULL && strstr(heard.text, "65534") != NULL &&
		strstr(heard.text, who_may) != NULL) {
		return EXIT_SUCCESS;
	}
	fprintf(stderr, "as nobody: %d, '%s'\n", ret, heard.text);
	return EXIT_FAILURE;
}
