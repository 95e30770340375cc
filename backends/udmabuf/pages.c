/* SPDX-License-Identifier: MIT */
#include "backends/udmabuf/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/udmabuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backends/dmabuf/kind.h"
#include "src/buffer.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/report.h"

/* ---- Limits -------------------------------------------------------------------------------- */

/* What cannot be read is left to the kernel, which says less about it. */
static uint64_t read_parameter(const char *name, uint64_t otherwise) {
	char path[64], text[32];
	snprintf(path, sizeof(path), "/sys/module/udmabuf/parameters/%s", name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return otherwise;
	}
	ssize_t length = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (length <= 0) {
		return otherwise;
	}
	text[length] = '\0';
	return strtoull(text, NULL, 10);
}

void pages_get_limits(struct pages_limits *limits) {
	limits->ranges = read_parameter("list_limit", UINT32_MAX);
	limits->bytes = read_parameter("size_limit_mb", INT64_MAX >> 20) << 20;
}

/* ---- What the kernel would say ------------------------------------------------------------- */

static int check_whole_pages(
	const struct stile_udmabuf_range *range, struct pages_place at, struct stile_report *why) {
	uint64_t page = os_page_size();
	if (range->offset % page != 0) {
		return report_refuse(why, -EINVAL, STILE_REASON_OFFSET, at.number, page,
			range->offset,
			"%s %u: offset %" PRIu64 " is not at a page, of %" PRIu64 " bytes", at.noun,
			at.number, range->offset, page);
	}
	if (range->bytes == 0 || range->bytes % page != 0) {
		return report_refuse(why, -EINVAL, STILE_REASON_BOUNDS, at.number, page,
			range->bytes,
			"%s %u: %" PRIu64 " byte%s: not whole pages, of %" PRIu64 " bytes", at.noun,
			at.number, range->bytes, PLURAL(range->bytes), page);
	}
	return 0;
}

/* Of the numbers alone. */
static int check_sums(const struct stile_udmabuf_range *ranges, size_t count, struct pages_place at,
	struct stile_report *why) {
	struct pages_limits limits;
	pages_get_limits(&limits);
	if (count == 0 || count > limits.ranges) {
		return report_refuse(why, -EINVAL, STILE_REASON_MEMORY, 0, limits.ranges, count,
			"%zu ranges: the kernel takes 1 to %" PRIu64
			" (list_limit of the module udmabuf)",
			count, limits.ranges);
	}
	uint64_t bytes = 0;
	for (size_t i = 0; i < count; i++, at.number++) {
		int ret = check_whole_pages(&ranges[i], at, why);
		if (ret < 0) {
			return ret;
		}
		if (ranges[i].bytes > limits.bytes - bytes) {
			return report_refuse(why, -ERANGE, STILE_REASON_MEMORY, at.number,
				limits.bytes, ranges[i].bytes,
				"%s %u: with its %" PRIu64 " bytes it is more than %" PRIu64
				", which is all that the kernel takes (size_limit_mb of the module "
				"udmabuf)",
				at.noun, at.number, ranges[i].bytes, limits.bytes);
		}
		bytes += ranges[i].bytes;
	}
	return 0;
}

int pages_check_kind(int fd, struct pages_place at, struct stile_report *why) {
	int access = buffer_fd_access(fd);
	if (access < 0) {
		return report_refuse(why, -EBADF, STILE_REASON_FD_CLOSED, at.number, 0, 0,
			"%s %u: descriptor %d is not open", at.noun, at.number, fd);
	}
	if (os_memfd_is_unshrinkable(fd) < 0) {
		return report_refuse(why, -EINVAL, STILE_REASON_FD_TYPE, at.number, 0, 0,
			"%s %u: descriptor %d is %s, not a file in memory (memfd)", at.noun,
			at.number, fd, os_is_dma_buf(fd) ? "a dma-buf" : kind_get_name(fd));
	}
	uint32_t both = STILE_USAGE_READ | STILE_USAGE_WRITE;
	if ((uint32_t)access != both) {
		return report_refuse(why, -EACCES, STILE_REASON_FD_ACCESS, at.number, both,
			(uint32_t)access,
			"%s %u: descriptor %d is %s, and a dma-buf of it could be read and written",
			at.noun, at.number, fd,
			access == STILE_USAGE_READ ? "read-only" : "write-only");
	}
	return 0;
}

static int check_seals(int fd, struct pages_place at, struct stile_report *why) {
	if (!os_memfd_is_unshrinkable(fd)) {
		return report_refuse(why, -EPERM, STILE_REASON_FD_SEALS, at.number, 0, 0,
			"%s %u: descriptor %d is a memfd without F_SEAL_SHRINK: its owner could make "
			"it smaller",
			at.noun, at.number, fd);
	}
	if (os_is_write_sealed(fd)) {
		return report_refuse(why, -EACCES, STILE_REASON_FD_SEALS, at.number, 0, 0,
			"%s %u: descriptor %d is sealed against writing (F_SEAL_WRITE or "
			"F_SEAL_FUTURE_WRITE), and a dma-buf of it could be written",
			at.noun, at.number, fd);
	}
	return 0;
}

static int check_bounds(
	const struct stile_udmabuf_range *range, struct pages_place at, struct stile_report *why) {
	struct stat st;
	int ret = os_fstat(range->memfd, &st);
	uint64_t size = ret < 0 ? 0 : (uint64_t)st.st_size;
	if (range->offset <= size && range->bytes <= size - range->offset) {
		return 0;
	}
	return report_refuse(why, -ERANGE, STILE_REASON_BOUNDS, at.number, range->bytes, size,
		"%s %u: %" PRIu64 " bytes from offset %" PRIu64
		" on are not in the file, which has "
		"%" PRIu64,
		at.noun, at.number, range->bytes, range->offset, size);
}

int pages_check(const struct stile_udmabuf_range *ranges, size_t count, struct pages_place at,
	struct stile_report *why) {
	int ret = check_sums(ranges, count, at, why);
	for (size_t i = 0; i < count && ret == 0; i++, at.number++) {
		ret = pages_check_kind(ranges[i].memfd, at, why);
		if (ret == 0) {
			ret = check_seals(ranges[i].memfd, at, why);
		}
		if (ret == 0) {
			ret = check_bounds(&ranges[i], at, why);
		}
	}
	return ret;
}

/* ---- Having it ----------------------------------------------------------------------------- */

/* The descriptor or -errno. */
static int create_list(int device, struct udmabuf_create_list *list) {
	int fd;
	do {
		fd = ioctl(device, UDMABUF_CREATE_LIST, list);
	} while (fd < 0 && errno == EINTR);
	/* So it says that a descriptor was closed meanwhile. */
	return fd >= 0 ? fd : errno == EBADFD ? -EBADF : -errno;
}

int pages_create(int device, const struct stile_udmabuf_range *ranges, size_t count, int *out) {
	struct udmabuf_create_list *list = calloc(1, sizeof(*list) + count * sizeof(list->list[0]));
	if (list == NULL) {
		*out = -1;
		return -ENOMEM;
	}
	list->flags = UDMABUF_FLAGS_CLOEXEC;
	list->count = (uint32_t)count;
	for (size_t i = 0; i < count; i++) {
		list->list[i] = (struct udmabuf_create_item){
			.memfd = (uint32_t)ranges[i].memfd,
			.offset = ranges[i].offset,
			.size = ranges[i].bytes,
		};
	}
	int fd = create_list(device, list);
	free(list);
	*out = fd < 0 ? -1 : fd;
	return fd < 0 ? fd : 0;
}
