/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_IOCTL_SWEEP_H
#define KERNEL_IOCTL_SWEEP_H

/*
 * Drivers that fail: the n-th DRM ioctl of the calling thread, those of libdrm too, gives an error without
 * having been made. Needs any_ioctl.c.
 */

/**
 * Let the first ioctl fail with ENOMEM, then the second, until the attempt makes fewer; the same with other
 * errors. EINTR and EAGAIN have to be repeated: then the attempt succeeds. A failed attempt has to leave
 * nothing behind, which the ledger and `after` see.
 *
 * @param attempt  0 or -errno; no assertions in it
 * @param after    called after each attempt with its result, with nothing failing
 * @return how many ioctls an attempt makes
 */
unsigned ioctl_sweep(int (*attempt)(void *user), void (*after)(void *user, int ret), void *user);

#endif
