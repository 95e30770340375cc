/* SPDX-License-Identifier: MIT */
#include "interop-tests/kernel/ioctl_sweep.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>

#include <check.h>
#include <xf86drm.h>

#include "interop-tests/kernel/any_ioctl.h"
#include "src/macros.h"

static _Thread_local unsigned left; /* calls that work before the one that fails; 0: none will */
static _Thread_local bool failed;
static int error;

/* What gives back does not fail, and nobody could help it. */
static bool gives_back(unsigned long request) {
	return request == DRM_IOCTL_GEM_CLOSE || request == DRM_IOCTL_MODE_DESTROY_DUMB ||
		request == DRM_IOCTL_SYNCOBJ_DESTROY;
}

static int fail_nth(int fd, unsigned long request, void *arg) {
	bool counts = _IOC_TYPE(request) == DRM_IOCTL_BASE && !gives_back(request);
	if (counts && left > 0 && --left == 0) {
		failed = true;
		errno = error;
		return -1;
	}
	return any_ioctl_real(fd, request, arg);
}

unsigned ioctl_sweep(int (*attempt)(void *user), void (*after)(void *user, int ret), void *user) {
	static const int errors[] = { ENOMEM, EMFILE, EBUSY, ENOTTY, EINTR, EAGAIN };
	unsigned calls = 0;
	any_ioctl_set(fail_nth);
	for (size_t i = 0; i < ARRAY_LENGTH(errors); i++) {
		error = errors[i];
		bool repeats = error == EINTR || error == EAGAIN;
		calls = 0;
		do {
			left = ++calls;
			failed = false;
			int ret = attempt(user);
			left = 0;
			ck_assert_msg(ret == 0 || (failed && !repeats), "ioctl %u, %s: gave %d",
				calls, strerror(error), ret);
			after(user, ret);
		} while (failed);
	}
	any_ioctl_set(NULL);
	return calls - 1;
}
