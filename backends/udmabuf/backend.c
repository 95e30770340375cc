/* SPDX-License-Identifier: MIT */
#include "src/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/udmabuf.h>

#include "backends/dmabuf/dma_buf.h"
#include "backends/dmabuf/node.h"
#include "backends/udmabuf/pages.h"
#include "src/abi.h"
#include "src/device.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/report.h"

/* What is made of pages can be read and written. */
#define USAGE_ALL ((uint32_t)(STILE_USAGE_READ | STILE_USAGE_WRITE))

struct udmabuf {
	int fd; /* of /dev/udmabuf */
};

const struct stile_backend_ops stile_backend_udmabuf;

/* ---- Life ---------------------------------------------------------------------------------- */

static int open_node(const char *options, struct stile_report *why) {
	static const char blanks[] = " \t\n";
	const char *word = options == NULL ? "" : options + strspn(options, blanks);
	size_t length = strcspn(word, blanks);
	if (length > 0) {
		return report_refuse(why, -EINVAL, STILE_REASON_OPTION, 0, 0, 0,
			"option '%.*s' is not understood; there are none",
			length < 64 ? (int)length : 64, word);
	}
	int fd = node_open("/dev/udmabuf", O_RDWR, why);
	if (fd == -ENOENT) {
		return report_refuse(why, -ENODEV, STILE_REASON_DRIVER, 0, 0, 0,
			"there is no /dev/udmabuf here: the kernel lacks CONFIG_UDMABUF, the module is "
			"not loaded (modprobe udmabuf), or a container hides it");
	}
	return fd;
}

static int udmabuf_device_open(struct stile_device *device, const char *options) {
	struct stile_report why;
	int fd = open_node(options, &why);
	if (fd < 0) {
		device_log(device, STILE_LOG_ERROR, "udmabuf: %s", why.text);
		return fd;
	}
	struct udmabuf *udmabuf = malloc(sizeof(*udmabuf));
	if (udmabuf == NULL) {
		close(fd);
		return -ENOMEM;
	}
	udmabuf->fd = fd;
	device->backend = udmabuf;
	device->limits = dma_buf_limits;
	return 0;
}

static void udmabuf_device_stop(struct stile_device *device) {
	(void)device;
}

static void udmabuf_device_free(struct stile_device *device) {
	struct udmabuf *udmabuf = device->backend;
	close(udmabuf->fd);
	free(udmabuf);
}

static int udmabuf_device_check(struct stile_device *device) {
	(void)device;
	return 0;
}

static void udmabuf_device_describe(
	const struct stile_device *device, struct device_description *description) {
	(void)device;
	dma_buf_describe(description);
	description->imports |= STILE_MEMORY_MEMFD;
	snprintf(description->name, sizeof(description->name), "udmabuf");
}

/* ---- Buffers ------------------------------------------------------------------------------- */

static int make(const struct stile_device *device, const struct stile_udmabuf_range *ranges,
	size_t count, struct stile_report *why, int *fd) {
	const struct udmabuf *udmabuf = device->backend;
	int ret = pages_create(udmabuf->fd, ranges, count, fd);
	return ret == 0
		? 0
		: report_refuse(why, ret, STILE_REASON_RESOURCES, 0, 0, 0,
			  "the kernel makes no dma-buf of %zu range%s, the first of %" PRIu64
			  " bytes: %s",
			  count, PLURAL(count), ranges[0].bytes, strerror(-ret));
}

static void tell(const struct stile_device *device, const struct stile_report *why) {
	device_log(device, STILE_LOG_ERROR, "udmabuf: %s", why->text);
}

/* In a file of its own, which goes at once: the dma-buf has the pages. */
static int allocate(struct stile_device *device, const struct stile_buffer_info *info, int *fd) {
	bool named = info->name != NULL && info->name[0] != '\0';
	struct stile_udmabuf_range range = { .bytes = info->bytes };
	range.memfd = os_memfd_create(named ? info->name : "stile", info->bytes);
	if (range.memfd < 0) {
		return range.memfd;
	}
	const struct pages_place own = { "buffer", 0 };
	struct stile_report why;
	int ret = pages_check(&range, 1, own, &why);
	if (ret == 0) {
		ret = make(device, &range, 1, &why, fd);
	}
	if (ret < 0) {
		tell(device, &why);
	}
	close(range.memfd);
	return ret;
}

static int udmabuf_buffer_create(struct stile_device *device, const struct stile_buffer_info *info,
	struct stile_buffer **out) {
	*out = NULL;
	struct dma_buf_info memory = {
		.bytes = info->bytes,
		.usage = USAGE_ALL,
		.exporter = "udmabuf",
		.name = info->name,
		.resv = info->resv,
		.made_here = true,
		.seals_are_final = true,
	};
	int ret = allocate(device, info, &memory.fd);
	return ret < 0 ? ret : dma_buf_create(device, &memory, out);
}

/* A file in memory, all of it. */
static int udmabuf_buffer_import(struct stile_device *device, int fd, uint64_t bytes,
	uint32_t usage, struct stile_buffer **out) {
	(void)usage;
	*out = NULL;
	const struct stile_udmabuf_range range = { .memfd = fd, .bytes = bytes };
	struct dma_buf_info memory = {
		.bytes = bytes,
		.usage = USAGE_ALL,
		.exporter = "udmabuf",
		.from_memfd = true,
		.memfd = fd,
		.seals_are_final = os_memfd_stays_writable(fd),
	};
	struct stile_report why;
	int ret = make(device, &range, 1, &why, &memory.fd);
	if (ret < 0) {
		tell(device, &why);
		close(fd);
		return ret;
	}
	return dma_buf_create(device, &memory, out);
}

static int udmabuf_memory_check(
	struct stile_device *device, int fd, uint32_t plane, struct stile_report *report) {
	(void)device;
	const struct pages_place at = { "plane", plane };
	struct stat st;
	/* The size of what is no file in memory has no meaning. */
	int ret = pages_check_kind(fd, at, report);
	if (ret < 0) {
		return ret;
	}
	const struct stile_udmabuf_range range = {
		.memfd = fd,
		.bytes = os_fstat(fd, &st) < 0 ? 0 : (uint64_t)st.st_size,
	};
	return pages_check(&range, 1, at, report);
}

/* ---- Buffers of pieces --------------------------------------------------------------------- */

static uint64_t sum(const struct stile_udmabuf_info *info) {
	uint64_t bytes = 0;
	for (size_t i = 0; i < info->range_count; i++) {
		bytes += info->ranges[i].bytes;
	}
	return bytes;
}

static int check_name(const char *name, struct stile_report *why) {
	enum { MOST = STILE_BUFFER_NAME_BYTES - 1 };
	if (name == NULL || strnlen(name, MOST + 1) <= MOST) {
		return 0;
	}
	return report_refuse(why, -EINVAL, STILE_REASON_CALLER, 0, MOST, MOST + 1,
		"the name '%.*s...' has more than %d bytes", (int)MOST, name, (int)MOST);
}

static int create(struct stile_device *device, const struct stile_udmabuf_info *info,
	struct stile_report *why, struct stile_buffer **out) {
	if (device->ops != &stile_backend_udmabuf) {
		return report_refuse(why, -EINVAL, STILE_REASON_CALLER, 0, 0, 0,
			"the device is of the backend %s, not of udmabuf", device->ops->name);
	}
	int ret = check_name(info->name, why);
	if (ret == 0) {
		ret = pages_check(
			info->ranges, info->range_count, (struct pages_place){ "range", 0 }, why);
	}
	if (ret < 0) {
		return ret;
	}
	struct dma_buf_info memory = {
		.bytes = sum(info),
		.usage = USAGE_ALL,
		.exporter = "udmabuf",
		.name = info->name,
		.resv = info->resv,
		.made_here = true,
		.seals_are_final = true,
	};
	ret = make(device, info->ranges, info->range_count, why, &memory.fd);
	if (ret < 0) {
		return ret;
	}
	ret = dma_buf_create(device, &memory, out);
	return ret == 0
		? 0
		: report_refuse(why, ret, STILE_REASON_RESOURCES, 0, 0, 0, "%s", strerror(-ret));
}

int stile_udmabuf_create(struct stile_device *device, const struct stile_udmabuf_info *info,
	struct stile_report *report, struct stile_buffer **out) {
	*out = NULL;
	struct stile_udmabuf_info known;
	int ret = report_copy_in(report, &known, sizeof(known), info);
	if (ret < 0) {
		return ret;
	}
	struct stile_report why;
	ret = create(device, &known, &why, out);
	if (ret < 0) {
		report_give(report, &why);
		tell(device, &why);
	}
	return ret;
}

const struct stile_backend_ops stile_backend_udmabuf = {
	.name = "udmabuf",
	.device_open = udmabuf_device_open,
	.device_stop = udmabuf_device_stop,
	.device_free = udmabuf_device_free,
	.device_check = udmabuf_device_check,
	.device_describe = udmabuf_device_describe,
	.buffer_create = udmabuf_buffer_create,
	.buffer_import = udmabuf_buffer_import,
	.memory_check = udmabuf_memory_check,
};
