/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_DRM_NODE_H
#define SUPPORT_DRM_NODE_H

enum drm_node {
	DRM_NODE_CARD,   /* the primary one, for KMS and dumb buffers */
	DRM_NODE_RENDER, /* the one for rendering */
};

/**
 * Open a node of the first device with this driver, as drmGetVersion() says: "vgem", "vkms", "virtio_gpu".
 * CLOEXEC, the caller's. -ENODEV: there is none, or another -errno of open().
 */
int drm_node_open(enum drm_node node, const char *driver);

#endif
