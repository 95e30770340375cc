/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <xf86drm.h>

#include "src/abi.h"
#include "src/drm/drm.h"

/* More devices than that, nobody has. */
enum { MAX_DEVICES = 64 };

/* Cuts what does not fit. */
static void copy_text(char *to, size_t size, const char *from) {
	snprintf(to, size, "%s", from);
}

/* ---- What libdrm knows of a device -------------------------------------------------------- */

static void take_bus(struct stile_drm_identity *identity, const drmDevice *device) {
	char *address = identity->address;
	size_t size = sizeof(identity->address);
	switch (device->bustype) {
	case DRM_BUS_PCI:
		identity->bus = STILE_DRM_BUS_PCI;
		snprintf(address, size, "%04x:%02x:%02x.%x", device->businfo.pci->domain,
			device->businfo.pci->bus, device->businfo.pci->dev,
			device->businfo.pci->func);
		identity->vendor = device->deviceinfo.pci->vendor_id;
		identity->product = device->deviceinfo.pci->device_id;
		break;
	case DRM_BUS_USB:
		identity->bus = STILE_DRM_BUS_USB;
		snprintf(address, size, "%03u:%03u", device->businfo.usb->bus,
			device->businfo.usb->dev);
		identity->vendor = device->deviceinfo.usb->vendor;
		identity->product = device->deviceinfo.usb->product;
		break;
	case DRM_BUS_PLATFORM:
		identity->bus = STILE_DRM_BUS_PLATFORM;
		copy_text(address, size, device->businfo.platform->fullname);
		break;
	case DRM_BUS_HOST1X:
		identity->bus = STILE_DRM_BUS_HOST1X;
		copy_text(address, size, device->businfo.host1x->fullname);
		break;
#ifdef DRM_BUS_FAUX
	case DRM_BUS_FAUX:
		identity->bus = STILE_DRM_BUS_FAUX;
		copy_text(address, size, device->businfo.faux->name);
		break;
#endif
	default:
		break;
	}
}

/* The number of a node to which there is no path here; the kernel has it below its name. 0: unknown. */
static dev_t find_rdev(const char *node) {
	char path[64];
	unsigned major_id = 0, minor_id = 0;
	const char *name = strrchr(node, '/');
	snprintf(path, sizeof(path), "/sys/class/drm%s/dev", name == NULL ? "" : name);
	FILE *file = fopen(path, "re");
	if (file == NULL) {
		return 0;
	}
	int found = fscanf(file, "%u:%u", &major_id, &minor_id);
	fclose(file);
	return found == 2 ? makedev(major_id, minor_id) : 0;
}

static void take_path(char *path, size_t size, dev_t *rdev, const char *node) {
	struct stat st;
	if (node == NULL) {
		return;
	}
	if (stat(node, &st) == 0 && S_ISCHR(st.st_mode)) {
		copy_text(path, size, node);
		*rdev = st.st_rdev;
	} else {
		*rdev = find_rdev(node);
	}
}

static void take_nodes(
	struct stile_drm_identity *identity, const char *primary, const char *render) {
	take_path(identity->primary, sizeof(identity->primary), &identity->primary_rdev, primary);
	take_path(identity->render, sizeof(identity->render), &identity->render_rdev, render);
}

static void take_driver(struct stile_drm_identity *identity, int fd) {
	drmVersionPtr version = drmGetVersion(fd);
	if (version != NULL) {
		copy_text(identity->driver, sizeof(identity->driver), version->name);
		drmFreeVersion(version);
	}
}

/* By any node that may be opened. */
static void find_driver(struct stile_drm_identity *identity) {
	const char *const nodes[] = { identity->render, identity->primary };
	for (size_t i = 0; i < 2 && identity->driver[0] == '\0'; i++) {
		int fd = nodes[i][0] == '\0' ? -1 : open(nodes[i], O_RDWR | O_CLOEXEC);
		if (fd >= 0) {
			take_driver(identity, fd);
			close(fd);
		}
	}
}

static void take_device(struct stile_drm_identity *identity, const drmDevice *device) {
	int nodes = device->available_nodes;
	take_nodes(identity, nodes & 1 << DRM_NODE_PRIMARY ? device->nodes[DRM_NODE_PRIMARY] : NULL,
		nodes & 1 << DRM_NODE_RENDER ? device->nodes[DRM_NODE_RENDER] : NULL);
	take_bus(identity, device);
}

/* ---- By an open node ---------------------------------------------------------------------- */

/*
 * On a bus that libdrm does not know, or in a sandbox that was given the descriptor but has no nodes: which
 * they are can be found all the same.
 */
static int take_unknown_device(struct stile_drm_identity *identity, int fd) {
	char *primary = drmGetPrimaryDeviceNameFromFd(fd);
	char *render = drmGetRenderDeviceNameFromFd(fd);
	take_nodes(identity, primary, render);
	free(primary);
	free(render);
	return identity->primary_rdev != 0 || identity->render_rdev != 0 ? 0 : -ENODEV;
}

static int identify(int fd, struct stile_drm_identity *identity) {
	struct stile_report why;
	*identity = (struct stile_drm_identity){ .size = sizeof(*identity) };
	int ret = drm_check_node(fd, &why);
	if (ret < 0) {
		return ret;
	}
	drmDevicePtr device;
	ret = drmGetDevice2(fd, 0, &device);
	if (ret == 0) {
		take_device(identity, device);
		drmFreeDevice(&device);
	} else if (ret != -ENOMEM) {
		ret = take_unknown_device(identity, fd);
	}
	if (ret == 0) {
		take_driver(identity, fd);
	}
	return ret;
}

int stile_drm_identify(int fd, struct stile_drm_identity *identity) {
	struct stile_drm_identity found;
	int ret = abi_check_out(identity);
	if (ret == 0) {
		ret = identify(fd, &found);
	}
	if (ret == 0) {
		abi_copy_out(identity, &found, sizeof(found));
	}
	return ret;
}

int stile_drm_is_same_device(int fd, int other) {
	struct stile_drm_identity a, b;
	int ret = identify(fd, &a);
	if (ret == 0) {
		ret = identify(other, &b);
	}
	if (ret < 0) {
		return ret;
	}
	/* One of them may be all that is known of a device. */
	return (a.primary_rdev != 0 && a.primary_rdev == b.primary_rdev) ||
		(a.render_rdev != 0 && a.render_rdev == b.render_rdev);
}

/* ---- By what others say ------------------------------------------------------------------- */

struct wanted {
	dev_t rdev; /* 0: any */
	enum stile_drm_bus bus;
	const char *address; /* NULL: any */
	const char *driver;  /* NULL: any */
};

/* Nodes are opened only to know a driver: that may wake a device which sleeps. */
static bool is_wanted(struct stile_drm_identity *identity, const struct wanted *wanted) {
	if (wanted->rdev != 0) {
		return identity->primary_rdev == wanted->rdev ||
			identity->render_rdev == wanted->rdev;
	}
	if (wanted->address != NULL) {
		return identity->bus == wanted->bus && identity->address[0] != '\0' &&
			strcmp(identity->address, wanted->address) == 0;
	}
	find_driver(identity);
	return identity->driver[0] != '\0' && strcmp(identity->driver, wanted->driver) == 0;
}

static int find(const struct wanted *wanted, struct stile_drm_identity *out) {
	int ret = abi_check_out(out);
	if (ret < 0) {
		return ret;
	}
	drmDevicePtr devices[MAX_DEVICES];
	int count = drmGetDevices2(0, devices, MAX_DEVICES);
	if (count < 0) {
		return count == -ENOMEM ? -ENOMEM : -ENODEV;
	}
	ret = -ENODEV;
	for (int i = 0; i < count && ret < 0; i++) {
		struct stile_drm_identity identity = { .size = sizeof(identity) };
		take_device(&identity, devices[i]);
		if (is_wanted(&identity, wanted)) {
			find_driver(&identity);
			abi_copy_out(out, &identity, sizeof(identity));
			ret = 0;
		}
	}
	drmFreeDevices(devices, count);
	return ret;
}

int stile_drm_find_rdev(dev_t rdev, struct stile_drm_identity *identity) {
	return rdev == 0 ? -ENODEV : find(&(struct wanted){ .rdev = rdev }, identity);
}

int stile_drm_find_address(
	enum stile_drm_bus bus, const char *address, struct stile_drm_identity *identity) {
	return find(&(struct wanted){ .bus = bus, .address = address }, identity);
}

int stile_drm_find_driver(const char *driver, struct stile_drm_identity *identity) {
	return find(&(struct wanted){ .driver = driver }, identity);
}
