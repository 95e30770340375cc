/* SPDX-License-Identifier: MIT */
#ifndef DEMOS_KMS_SCREEN_H
#define DEMOS_KMS_SCREEN_H

#include <stdint.h>

#include <xf86drmMode.h>

/**
 * A screen that nobody sees: a CRTC whose picture goes to a writeback connector, into memory. What any KMS
 * application does; nothing here knows of Stile.
 */
struct kms_screen {
	int fd; /* of the node, as its DRM master; -1: none */
	uint32_t crtc;
	uint32_t plane; /* the CRTC's primary one */
	uint32_t connector;
	uint32_t mode; /* a blob */
};

/**
 * On the first node that has such a connector. 0 or -errno, said on stderr: -ENODEV: there is none, -EBUSY: somebody
 * else is DRM master of it. kms_screen_close() after a failure, too.
 */
int kms_screen_open(struct kms_screen *screen, uint16_t width, uint16_t height);

/** Switches it off, waits until that is so, and closes the node. */
void kms_screen_close(struct kms_screen *screen);

/**
 * A request that switches it on, with the plane on all of it, but for what the plane shows. The caller's; NULL: out of
 * memory, or the driver lacks a property.
 */
drmModeAtomicReq *kms_screen_request(
	const struct kms_screen *screen, uint16_t width, uint16_t height);

#endif
