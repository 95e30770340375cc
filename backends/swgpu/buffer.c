/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/stat.h>

#include "backends/swgpu/swgpu.h"
#include "src/os.h"
#include "src/report.h"

int swgpu_memory_create(struct stile_device *device, const char *name, uint64_t bytes) {
	(void)device;
	return os_memfd_create(name, bytes);
}

int swgpu_memory_check(
	struct stile_device *device, int fd, uint32_t plane, struct stile_report *report) {
	(void)device;
	struct stat st;
	if (fstat(fd, &st) < 0) {
		return report_refuse(report, -EBADF, STILE_REASON_FD_CLOSED, plane, 0, 0,
			"plane %u: descriptor %d is not open", plane, fd);
	}
	int unshrinkable = S_ISREG(st.st_mode) ? os_memfd_is_unshrinkable(fd) : -EINVAL;
	if (unshrinkable < 0) {
		const char *is = S_ISDIR(st.st_mode) ? "a directory"
			: S_ISREG(st.st_mode)        ? "a file on a disk"
			: S_ISCHR(st.st_mode)        ? "a character device"
			: S_ISSOCK(st.st_mode)       ? "a socket"
						     : "something else";
		return report_refuse(report, -EINVAL, STILE_REASON_FD_TYPE, plane, 0, 0,
			"plane %u: descriptor %d is %s, swgpu takes memfds", plane, fd, is);
	}
	if (!unshrinkable) {
		return report_refuse(report, -EPERM, STILE_REASON_FD_SEALS, plane, 0, 0,
			"plane %u: descriptor %d is a memfd without F_SEAL_SHRINK: its owner could make it "
			"smaller, and whoever touches it then dies of SIGBUS",
			plane, fd);
	}
	return 0;
}
