/* SPDX-License-Identifier: MIT */
#include "interop-tests/kernel/any_ioctl.h"

#include <stdarg.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static any_ioctl_fn answer;

void any_ioctl_set(any_ioctl_fn fn) {
	__atomic_store_n(&answer, fn, __ATOMIC_SEQ_CST);
}

int any_ioctl_real(int fd, unsigned long request, void *arg) {
	return (int)syscall(SYS_ioctl, fd, request, arg);
}

int ioctl(int fd, unsigned long request, ...) {
	va_list args;
	va_start(args, request);
	void *arg = va_arg(args, void *);
	va_end(args);
	any_ioctl_fn fn = __atomic_load_n(&answer, __ATOMIC_SEQ_CST);
	return fn != NULL ? fn(fd, request, arg) : any_ioctl_real(fd, request, arg);
}
