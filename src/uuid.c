/* SPDX-License-Identifier: MIT */
#include "src/uuid.h"

#include <errno.h>
#include <stdio.h>

#include "src/report.h"

struct uuid_text {
	char text[2 * STILE_UUID_BYTES + 1];
};

static struct uuid_text describe(const uint8_t uuid[STILE_UUID_BYTES]) {
	struct uuid_text made;
	for (size_t i = 0; i < STILE_UUID_BYTES; i++) {
		snprintf(made.text + 2 * i, 3, "%02x", uuid[i]);
	}
	return made;
}

int uuid_refuse(struct stile_report *why, const char *kind, const char *what,
	const uint8_t theirs[STILE_UUID_BYTES], const char *who,
	const uint8_t ours[STILE_UUID_BYTES]) {
	return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DEVICE, 0, 0, 0,
		"%s is of another %s (%s) than %s (%s), which cannot understand it", what, kind,
		describe(theirs).text, who, describe(ours).text);
}
