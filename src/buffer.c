/* SPDX-License-Identifier: MIT */
#include "src/buffer.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "src/abi.h"
#include "src/device.h"
#include "src/format.h"
#include "src/handoff.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/report.h"

#define USAGE_ALL ((uint32_t)(STILE_USAGE_READ | STILE_USAGE_WRITE))

static int buffer_compare(const void *left, const void *right) {
	const struct stile_buffer *a = left, *b = right;
	if (a->dev != b->dev) {
		return a->dev < b->dev ? -1 : 1;
	}
	return a->ino == b->ino ? 0 : a->ino < b->ino ? -1 : 1;
}

int buffer_fd_usage(int fd) {
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || (flags & O_PATH) != 0) {
		return -EBADF;
	}
	switch (flags & O_ACCMODE) {
	case O_RDONLY:
		return STILE_USAGE_READ;
	case O_WRONLY:
		return STILE_USAGE_WRITE;
	default:
		/* Drivers crash on memory that they cannot map for writing. */
		return os_is_write_sealed(fd) ? STILE_USAGE_READ : (int)USAGE_ALL;
	}
}

bool buffer_usage_is_valid(uint32_t usage) {
	return usage != 0 && (usage & ~USAGE_ALL) == 0;
}

static int buffer_get_fd(const struct stile_buffer *buffer, uint32_t usage) {
	int read_fd = __atomic_load_n(&buffer->read_fd, __ATOMIC_ACQUIRE);
	int write_fd = __atomic_load_n(&buffer->write_fd, __ATOMIC_ACQUIRE);
	/* Whoever only reads gets no right to write, where there is a way. */
	return (usage & STILE_USAGE_WRITE) != 0 || read_fd < 0 ? write_fd : read_fd;
}

/* Looked up anew: a peer may have sealed the memory since it was imported. */
static bool buffer_allows(const struct stile_buffer *buffer, uint32_t usage) {
	int fd = buffer_get_fd(buffer, usage);
	return (usage & STILE_USAGE_WRITE) == 0 || (fd >= 0 && !os_is_write_sealed(fd));
}

/* The device's lock is held. Keep a descriptor of a kind that the buffer lacks. Consumes it. */
static void buffer_adopt_fd(struct stile_buffer *buffer, int fd, uint32_t fd_usage) {
	int *slot = fd_usage & STILE_USAGE_WRITE ? &buffer->write_fd : &buffer->read_fd;
	if (*slot >= 0) {
		close(fd);
	} else {
		__atomic_store_n(slot, fd, __ATOMIC_RELEASE);
	}
}

/* The device's one object for this memory. Consumes fd, on failure too. */
static int buffer_from_fd(struct stile_device *device, int fd, uint32_t fd_usage,
	struct stile_resv *resv, struct stile_buffer **out) {
	struct stat st;
	if (fstat(fd, &st) < 0) {
		close(fd);
		return -EBADF;
	}
	struct stile_buffer *fresh = calloc(1, sizeof(*fresh));
	if (fresh == NULL) {
		close(fd);
		return -ENOMEM;
	}
	*fresh = (struct stile_buffer){
		.bytes = (uint64_t)st.st_size,
		.dev = st.st_dev,
		.ino = st.st_ino,
		.read_fd = -1,
		.write_fd = -1,
	};

	pthread_mutex_lock(&device->lock);
	struct stile_buffer **found = tsearch(fresh, &device->buffers, buffer_compare);
	if (found == NULL) {
		pthread_mutex_unlock(&device->lock);
		close(fd);
		free(fresh);
		return -ENOMEM;
	}
	struct stile_buffer *buffer = *found;
	if (buffer == fresh) {
		fresh->device = device_ref(device);
		stile_resv_init(&fresh->own_resv);
		fresh->resv = resv != NULL ? resv : &fresh->own_resv;
	}
	__atomic_fetch_add(&buffer->refs, 1, __ATOMIC_RELAXED);
	buffer_adopt_fd(buffer, fd, fd_usage);
	pthread_mutex_unlock(&device->lock);

	if (buffer != fresh) {
		free(fresh);
	}
	*out = buffer;
	return 0;
}

int stile_buffer_create(struct stile_device *device, const struct stile_buffer_info *info,
	struct stile_buffer **out) {
	*out = NULL;
	struct stile_buffer_info known;
	int ret = abi_copy_in(&known, sizeof(known), info);
	if (ret < 0) {
		return ret;
	}
	if (known.bytes == 0) {
		return -EINVAL;
	}
	uint64_t bytes;
	if (!format_align(known.bytes, os_page_size(), &bytes) || bytes > INT64_MAX) {
		return -ERANGE;
	}
	int fd = device->ops->memory_create(
		device, known.name == NULL ? "stile" : known.name, bytes);
	if (fd < 0) {
		device_log(device, STILE_LOG_ERROR, "allocation of %llu bytes: %s",
			(unsigned long long)bytes, strerror(-fd));
		return fd;
	}
	return buffer_from_fd(device, fd, USAGE_ALL, known.resv, out);
}

static int buffer_check_fd(
	struct stile_device *device, int fd, uint32_t usage, struct stile_report *report) {
	if (!buffer_usage_is_valid(usage)) {
		return report_refuse(report, -EINVAL, STILE_REASON_USAGE, 0, USAGE_ALL, usage,
			"usage 0x%x: at least one of READ (1) and WRITE (2) is needed, and nothing else",
			usage);
	}
	int fd_usage = buffer_fd_usage(fd);
	if (fd_usage < 0) {
		return report_refuse(report, -EBADF, STILE_REASON_FD_CLOSED, 0, 0, 0,
			"descriptor %d is not open", fd);
	}
	int ret = device->ops->memory_check(device, fd, 0, report);
	if (ret < 0) {
		return ret;
	}
	if ((usage & ~(uint32_t)fd_usage) != 0 || (fd_usage & STILE_USAGE_READ) == 0) {
		return report_refuse(report, -EACCES, STILE_REASON_FD_ACCESS, 0, 0, 0,
			"descriptor %d is %s, the usage needs more", fd,
			fd_usage & STILE_USAGE_READ ? "read-only or sealed against writing"
						    : "write-only");
	}
	return fd_usage;
}

int stile_buffer_import_fd(struct stile_device *device, int fd, uint32_t usage,
	struct stile_report *report, struct stile_buffer **out) {
	*out = NULL;
	if (report_begin(report) < 0) {
		return -EINVAL;
	}
	struct stile_report why;
	int ret = buffer_check_fd(device, fd, usage, &why);
	if (ret >= 0) {
		uint32_t fd_usage = (uint32_t)ret;
		int copy = os_dup(fd);
		ret = copy < 0 ? copy : buffer_from_fd(device, copy, fd_usage, NULL, out);
		if (ret < 0) {
			report_refuse(&why, ret, STILE_REASON_RESOURCES, 0, 0, 0,
				"descriptor %d: %s", fd, strerror(-ret));
		}
	}
	if (ret < 0) {
		report_give(report, &why);
		device_log(device, STILE_LOG_ERROR, "import of a buffer: %s", why.text);
	}
	return ret;
}

int stile_buffer_export_fd(struct stile_buffer *buffer, uint32_t usage, int *fd) {
	*fd = -1;
	if (!buffer_usage_is_valid(usage)) {
		return -EINVAL;
	}
	if (!buffer_allows(buffer, usage)) {
		return -EACCES;
	}
	int copy = os_dup(buffer_get_fd(buffer, usage));
	if (copy < 0) {
		return copy;
	}
	*fd = copy;
	return 0;
}

struct stile_buffer *stile_buffer_ref(struct stile_buffer *buffer) {
	__atomic_fetch_add(&buffer->refs, 1, __ATOMIC_RELAXED);
	return buffer;
}

static void buffer_free(struct stile_buffer *buffer) {
	handoff_cpu_finish(buffer);
	stile_resv_fini(&buffer->own_resv);
	for (size_t i = 0; i < ARRAY_LENGTH(buffer->mappings); i++) {
		if (buffer->mappings[i] != NULL) {
			munmap(buffer->mappings[i], (size_t)buffer->bytes);
		}
	}
	if (buffer->read_fd >= 0) {
		close(buffer->read_fd);
	}
	if (buffer->write_fd >= 0) {
		close(buffer->write_fd);
	}
	device_unref(buffer->device);
	free(buffer);
}

void stile_buffer_unref(struct stile_buffer *buffer) {
	if (buffer == NULL) {
		return;
	}
	/* Not the last one, most of the time: no lock. */
	uint32_t refs = __atomic_load_n(&buffer->refs, __ATOMIC_RELAXED);
	while (refs > 1) {
		if (__atomic_compare_exchange_n(&buffer->refs, &refs, refs - 1, true,
			    __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
			return;
		}
	}
	/* The last one goes together with the way to find it. */
	struct stile_device *device = buffer->device;
	pthread_mutex_lock(&device->lock);
	bool last = __atomic_fetch_sub(&buffer->refs, 1, __ATOMIC_ACQ_REL) == 1;
	if (last) {
		tdelete(buffer, &device->buffers, buffer_compare);
	}
	pthread_mutex_unlock(&device->lock);
	if (last) {
		buffer_free(buffer);
	}
}

uint64_t buffer_find_bytes(struct stile_device *device, const struct stat *st) {
	struct stile_buffer key = { .dev = st->st_dev, .ino = st->st_ino };
	pthread_mutex_lock(&device->lock);
	struct stile_buffer **found = tfind(&key, &device->buffers, buffer_compare);
	uint64_t bytes = found != NULL ? (*found)->bytes : (uint64_t)st->st_size;
	pthread_mutex_unlock(&device->lock);
	return bytes;
}

struct stile_resv *stile_buffer_get_resv(const struct stile_buffer *buffer) {
	return buffer->resv;
}

uint64_t stile_buffer_get_bytes(const struct stile_buffer *buffer) {
	return buffer->bytes;
}

static int buffer_map(struct stile_buffer *buffer, uint32_t usage, void **address) {
	int prot = PROT_READ | (usage & STILE_USAGE_WRITE ? PROT_WRITE : 0);
	if (buffer->bytes > SIZE_MAX) {
		return -ENOMEM;
	}
	void *mapping = mmap(
		NULL, (size_t)buffer->bytes, prot, MAP_SHARED, buffer_get_fd(buffer, usage), 0);
	if (mapping == MAP_FAILED) {
		/* EPERM: it was sealed against writing just now. */
		return errno == EPERM ? -EACCES : -ENOMEM;
	}
	*address = mapping;
	return 0;
}

int stile_buffer_mmap(struct stile_buffer *buffer, uint32_t usage, void **address) {
	*address = NULL;
	if (!buffer_usage_is_valid(usage)) {
		return -EINVAL;
	}
	if (!buffer_allows(buffer, usage)) {
		return -EACCES;
	}
	return buffer_map(buffer, usage, address);
}

void stile_buffer_munmap(struct stile_buffer *buffer, void *address) {
	munmap(address, (size_t)buffer->bytes);
}

int buffer_get_mapping(struct stile_buffer *buffer, uint32_t usage, void **address) {
	struct stile_device *device = buffer->device;
	void **slot = &buffer->mappings[(usage & STILE_USAGE_WRITE) != 0];
	int ret = 0;
	pthread_mutex_lock(&device->lock);
	if (*slot == NULL) {
		ret = buffer_allows(buffer, usage) ? buffer_map(buffer, usage, slot) : -EACCES;
	}
	*address = *slot;
	pthread_mutex_unlock(&device->lock);
	return ret;
}
