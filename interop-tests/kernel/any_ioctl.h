/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_ANY_IOCTL_H
#define KERNEL_ANY_IOCTL_H

/*
 * Every ioctl() of the process, those of shared libraries too: this program defines the function, so
 * libdrm finds it here. support/failing.h reaches only what is linked into the program itself.
 */

typedef int (*any_ioctl_fn)(int fd, unsigned long request, void *arg);

/** From now on, in all threads, this answers ioctl() instead of the system, as it does. NULL ends it. */
void any_ioctl_set(any_ioctl_fn fn);

/** The system's. */
int any_ioctl_real(int fd, unsigned long request, void *arg);

#endif
