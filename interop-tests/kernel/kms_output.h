/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_KMS_OUTPUT_H
#define KERNEL_KMS_OUTPUT_H

#include <stdint.h>

#include <xf86drmMode.h>

/*
 * An output of the driver vkms, which shows nothing to anybody but writes back what it would show. By libdrm
 * alone. What fails that should not fails the test.
 */

enum { KMS_OUTPUT_WIDTH = 64, KMS_OUTPUT_HEIGHT = 48 };

struct kms_output {
	int fd; /* -1: there is none. DRM master */
	uint32_t crtc;
	uint32_t plane;     /* the primary one */
	uint32_t cursor;    /* the cursor's */
	uint32_t overlay;   /* above the primary one */
	uint32_t connector; /* for a screen, switched off */
	uint32_t writeback; /* the connector for that */
	uint32_t mode;      /* a blob */
};

/** The primary node of the first device with this driver, CLOEXEC, the caller's; or -ENOENT. */
int kms_output_open_node(const char *driver);

/** 0, or -errno: there is no vkms. Waits until others who have it are done. */
int kms_output_open(struct kms_output *output);

/** Become DRM master, once others who are have given it up. */
void kms_output_await_master(const struct kms_output *output);

/** What was on is switched off. */
void kms_output_close(struct kms_output *output);

/**
 * All that is needed to show something on the whole of a plane, but for the framebuffer. The caller's.
 *
 * @param plane  one of the planes
 */
drmModeAtomicReq *kms_output_request(const struct kms_output *output, uint32_t plane);

/**
 * Wait until nothing is being written to a framebuffer any more: to be called when the fence of a writeback is
 * signalled. vkms cleans up only then, and switches off what the next one is made by: one that is too quick
 * never ends, nor does any after that.
 */
void kms_output_await_idle(const struct kms_output *output, uint32_t framebuffer);

/** The id of a property by its name, a static string; 0: the object has none of that name. */
uint32_t kms_output_property(
	const struct kms_output *output, uint32_t object, uint32_t type, const char *name);

/** Add a property by its name, likewise. */
void kms_output_add(const struct kms_output *output, drmModeAtomicReq *request, uint32_t object,
	uint32_t type, const char *name, uint64_t value);

#endif
