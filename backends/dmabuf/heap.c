/* SPDX-License-Identifier: MIT */
#include "backends/dmabuf/heap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "backends/dmabuf/ioctl.h"
#include "backends/dmabuf/node.h"
#include "src/device.h"
#include "src/report.h"

static const char directory[] = "/dev/dma_heap";

struct heap {
	struct stile_device *device;
	int fd;
	char name[NAME_MAX + 1];
};

/* ---- Allocating ---------------------------------------------------------------------------- */

/* What the kernel can give without killing anybody for it; `otherwise`, if it does not say. */
static uint64_t get_available(uint64_t otherwise) {
	char line[128];
	unsigned long long kib;
	uint64_t bytes = otherwise;
	FILE *file = fopen("/proc/meminfo", "re");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1) {
			bytes = (uint64_t)kib << 10;
		}
	}
	if (file != NULL) {
		fclose(file);
	}
	return bytes;
}

/*
 * The kernel's heap of system memory takes what there is, and has its out-of-memory killer look for more,
 * though it be for a size that the machine never had: so that is asked for here. Others have memory of
 * their own.
 */
static bool is_there(const struct heap *heap, uint64_t bytes, uint64_t *available) {
	struct sysinfo system = { .mem_unit = 1 };
	sysinfo(&system);
	*available = (uint64_t)system.freeram * system.mem_unit;
	if (strncmp(heap->name, "system", strlen("system")) != 0 || bytes <= *available) {
		return true;
	}
	*available = get_available(*available);
	return bytes <= *available;
}

static int heap_allocate(void *priv, uint64_t bytes, const char *name, int *fd) {
	(void)name;
	const struct heap *heap = priv;
	uint64_t available;
	int ret =
		is_there(heap, bytes, &available) ? ioctl_heap_alloc(heap->fd, bytes, fd) : -ENOMEM;
	if (ret < 0) {
		device_log(heap->device, STILE_LOG_ERROR,
			"dma-heap %s: no %" PRIu64 " bytes: %s; the system has %" PRIu64
			" bytes to give",
			heap->name, bytes, strerror(-ret), available);
	}
	return ret;
}

static void heap_release(void *priv) {
	struct heap *heap = priv;
	close(heap->fd);
	free(heap);
}

/* ---- Finding it ---------------------------------------------------------------------------- */

/* Their names with commas between, as many as there is room for. False: there are none. */
static bool list_heaps(char *text, size_t bytes) {
	size_t used = 0;
	text[0] = '\0';
	DIR *dir = opendir(directory);
	const struct dirent *entry;
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.' && used < bytes) {
			used += (size_t)snprintf(text + used, bytes - used, "%s%s",
				used == 0 ? "" : ", ", entry->d_name);
		}
	}
	if (dir != NULL) {
		closedir(dir);
	}
	return used > 0;
}

static int refuse_missing(const char *name, struct stile_report *why) {
	char names[128];
	if (!list_heaps(names, sizeof(names))) {
		return report_refuse(why, -ENODEV, STILE_REASON_DRIVER, 0, 0, 0,
			"there are no dma-heaps here: %s is missing (CONFIG_DMABUF_HEAPS); dma-bufs of "
			"others can be imported to a device of any backend",
			directory);
	}
	return report_refuse(why, -ENOENT, STILE_REASON_OPTION, 0, 0, 0,
		"there is no dma-heap '%.64s'; there are: %s", name, names);
}

static bool is_name(const char *name) {
	return name[0] != '\0' && name[0] != '.' && strlen(name) <= NAME_MAX &&
		strpbrk(name, "/ \t\n") == NULL;
}

static int open_node(const char *name, struct stile_report *why) {
	char path[sizeof(directory) + 1 + NAME_MAX];
	if (!is_name(name)) {
		return report_refuse(why, -EINVAL, STILE_REASON_OPTION, 0, 0, 0,
			"'%.64s' cannot be a dma-heap: its name is that of a file in %s", name,
			directory);
	}
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	int fd = node_open(path, O_RDONLY, why);
	return fd == -ENOENT ? refuse_missing(name, why) : fd;
}

int heap_open(struct stile_device *device, const char *name, struct stile_report *why,
	struct stile_dmabuf_allocator *out) {
	int fd = open_node(name, why);
	if (fd < 0) {
		return fd;
	}
	struct heap *heap = malloc(sizeof(*heap));
	if (heap == NULL) {
		close(fd);
		return report_refuse(
			why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
	}
	heap->device = device;
	heap->fd = fd;
	snprintf(heap->name, sizeof(heap->name), "%s", name);
	*out = (struct stile_dmabuf_allocator){
		.size = sizeof(*out),
		.name = heap->name,
		.priv = heap,
		.allocate = heap_allocate,
		.release = heap_release,
	};
	return 0;
}
