/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "src/gbm/gbm.h"
#include "src/report.h"

int gbm_errno(int error) {
	switch (error) {
	case ENOMEM:
	case ENOSPC:
		return -ENOMEM;
	case EMFILE:
	case ENFILE:
		return -error;
	case EACCES:
	case EPERM:
		return -EACCES;
	default:
		/* ENOSYS, EINVAL, ENODEV, ENOTTY, or nothing at all: the driver does not do that. */
		return -EOPNOTSUPP;
	}
}

int gbm_refuse(struct stile_report *why, const char *call, int error) {
	return report_refuse(why, gbm_errno(error), STILE_REASON_DRIVER, 0, 0, (uint64_t)error,
		"%s: %s", call, error == 0 ? "no reason given" : strerror(error));
}
