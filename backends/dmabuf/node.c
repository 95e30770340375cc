/* SPDX-License-Identifier: MIT */
#include "backends/dmabuf/node.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/report.h"

enum { NAME_BYTES = 33 };

static void name_group(gid_t gid, char name[NAME_BYTES]) {
	char strings[1024];
	struct group group, *found = NULL;
	if (getgrgid_r(gid, &group, strings, sizeof(strings), &found) == 0 && found != NULL) {
		snprintf(name, NAME_BYTES, "%s", group.gr_name);
	} else {
		snprintf(name, NAME_BYTES, "%u", (unsigned)gid);
	}
}

/* Who may. */
static int refuse_access(const char *path, int error, struct stile_report *why) {
	struct stat st;
	char group[NAME_BYTES];
	if (stat(path, &st) < 0) {
		return report_refuse(why, -error, STILE_REASON_DRIVER, 0, 0, 0,
			"%.80s: %s, for user %u", path, strerror(error), (unsigned)geteuid());
	}
	name_group(st.st_gid, group);
	return report_refuse(why, -error, STILE_REASON_DRIVER, 0, 0, 0,
		"%.80s: %s, for user %u: user %u and the group %s may open it, by its mode %04o",
		path, strerror(error), (unsigned)geteuid(), (unsigned)st.st_uid, group,
		(unsigned)(st.st_mode & 07777));
}

int node_open(const char *path, int flags, struct stile_report *why) {
	int fd = open(path, flags | O_CLOEXEC);
	if (fd >= 0) {
		return fd;
	}
	int error = errno;
	if (error == EACCES || error == EPERM) {
		return refuse_access(path, error, why);
	}
	enum stile_reason reason = error == EMFILE || error == ENFILE || error == ENOMEM
		? STILE_REASON_RESOURCES
		: STILE_REASON_DRIVER;
	return report_refuse(why, -error, reason, 0, 0, 0, "%.80s: %s", path, strerror(error));
}
