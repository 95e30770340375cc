/* SPDX-License-Identifier: MIT */
#include "src/buffer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/abi.h"
#include "src/attachment.h"
#include "src/check.h"
#include "src/device.h"
#include "src/format.h"
#include "src/handoff.h"
#include "src/os.h"
#include "src/outside.h"
#include "src/report.h"
#include "src/ww_mutex.h"

#define USAGE_ALL ((uint32_t)(STILE_USAGE_READ | STILE_USAGE_WRITE))

static _Thread_local __attribute__((tls_model("initial-exec"))) bool releases_elsewhere;

int buffer_fd_access(int fd) {
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
		return (int)USAGE_ALL;
	}
}

int buffer_fd_usage(int fd) {
	int usage = buffer_fd_access(fd);
	/* Drivers crash on memory that they cannot map for writing. */
	return usage == (int)USAGE_ALL && os_is_write_sealed(fd) ? STILE_USAGE_READ : usage;
}

bool buffer_usage_is_valid(uint32_t usage) {
	return usage != 0 && (usage & ~USAGE_ALL) == 0;
}

/* ---- The lock ------------------------------------------------------------------------------ */

bool buffer_is_locked_by_caller(const struct stile_buffer *buffer, const char *what) {
	if (!ww_mutex_is_held_plainly(&buffer->resv->mutex)) {
		return false;
	}
	check_warn("%s by a thread that has the buffer's reservation locked", what);
	return true;
}

int buffer_lock(struct stile_buffer *buffer) {
	return stile_resv_lock(buffer->resv, NULL, NULL);
}

int buffer_check_locked(const struct stile_buffer *buffer, const char *what) {
	if (!ww_mutex_may_be_held(&buffer->resv->mutex)) {
		check_warn("%s without having its reservation locked", what);
		return -EDEADLK;
	}
	return 0;
}

/* ---- Life ---------------------------------------------------------------------------------- */

static bool ops_are_complete(const struct stile_exporter_ops *ops) {
	return ops->map != NULL && ops->unmap != NULL && ops->release != NULL &&
		(ops->pin == NULL) == (ops->unpin == NULL) &&
		(ops->mmap != NULL || ops->munmap == NULL) &&
		(ops->vmap != NULL || ops->vunmap == NULL);
}

int stile_buffer_export(const struct stile_exporter_info *info, struct stile_buffer **out) {
	const struct buffer_origin origin = { 0 };
	return buffer_export(info, &origin, out);
}

int buffer_export(const struct stile_exporter_info *info, const struct buffer_origin *origin,
	struct stile_buffer **out) {
	*out = NULL;
	struct stile_exporter_info known;
	int ret = abi_copy_in(&known, sizeof(known), info);
	if (ret < 0) {
		return ret;
	}
	if (known.ops == NULL || known.priv == NULL || known.bytes == 0 ||
		!buffer_usage_is_valid(known.usage)) {
		return -EINVAL;
	}
	ret = abi_check_table(known.ops, sizeof(*known.ops));
	if (ret < 0) {
		return ret;
	}
	if (!ops_are_complete(known.ops)) {
		return -EINVAL;
	}
	struct stile_buffer *buffer = calloc(1, sizeof(*buffer));
	if (buffer == NULL) {
		return -ENOMEM;
	}
	pthread_mutex_init(&buffer->lock, NULL);
	ret = stile_buffer_set_name(buffer, known.name);
	if (ret < 0) {
		pthread_mutex_destroy(&buffer->lock);
		free(buffer);
		return ret;
	}
	buffer->ops = known.ops;
	buffer->priv = known.priv;
	buffer->exporter = known.exporter == NULL ? "application" : known.exporter;
	buffer->bytes = known.bytes;
	buffer->usage = known.usage;
	buffer->backend = origin->backend;
	buffer->device = origin->device;
	buffer->lacks_fds = origin->lacks_fds;
	buffer->shown = origin->shown;
	buffer->seals_are_final = origin->seals_are_final;
	buffer->max_files = origin->changes_files ? BUFFER_FILES : 1;
	buffer->refs = 1;
	stile_resv_init(&buffer->own_resv);
	buffer->resv = known.resv != NULL ? known.resv : &buffer->own_resv;
	buffer_table_add(buffer);
	*out = buffer;
	return 0;
}

static void buffer_free(struct stile_buffer *buffer) {
	handoff_cpu_finish(buffer);
	attachment_drop_all(buffer);
	buffer_table_forget_file(buffer);
	buffer_tell_listeners(buffer);
	buffer->ops->release(buffer);
	stile_resv_fini(&buffer->own_resv);
	pthread_mutex_destroy(&buffer->lock);
	free(buffer);
}

struct stile_buffer *stile_buffer_ref(struct stile_buffer *buffer) {
	__atomic_fetch_add(&buffer->refs, 1, __ATOMIC_RELAXED);
	return buffer;
}

/* False: it may be the last one. No lock. */
static bool drop_one_of_many(struct stile_buffer *buffer) {
	uint32_t refs = __atomic_load_n(&buffer->refs, __ATOMIC_ACQUIRE);
	while (refs > 1) {
		if (__atomic_compare_exchange_n(&buffer->refs, &refs, refs - 1, true,
			    __ATOMIC_RELEASE, __ATOMIC_ACQUIRE)) {
			return true;
		}
	}
	return false;
}

/* Will its end, this reference being the last one? Own exporters wait for nobody; a listener's driver may. */
static bool may_wait_for_somebody(const struct stile_buffer *buffer) {
	return buffer->backend == NULL || buffer_has_listeners(buffer);
}

void stile_buffer_unref(struct stile_buffer *buffer) {
	if (buffer == NULL || drop_one_of_many(buffer)) {
		return;
	}
	if (releases_elsewhere && may_wait_for_somebody(buffer)) {
		buffer_unref_elsewhere(buffer);
	} else if (buffer_table_drop(buffer)) {
		buffer_free(buffer);
	}
}

bool buffer_set_releases_elsewhere(bool elsewhere) {
	bool before = releases_elsewhere;
	releases_elsewhere = elsewhere;
	return before;
}

static void *release_run(void *buffer) {
	stile_buffer_unref(buffer);
	return NULL;
}

void buffer_unref_elsewhere(struct stile_buffer *buffer) {
	if (buffer == NULL || drop_one_of_many(buffer)) {
		return;
	}
	pthread_t thread;
	if (os_thread_start(&thread, "stile-release", release_run, buffer) == 0) {
		pthread_detach(thread);
	} else if (buffer_table_drop(buffer)) {
		buffer_free(buffer);
	}
}

/* ---- Made by a backend --------------------------------------------------------------------- */

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
	if (!format_align(known.bytes, os_page_size(), &known.bytes) || known.bytes > INT64_MAX) {
		return -ERANGE;
	}
	ret = device->ops->device_check(device);
	return ret < 0 ? ret : device->ops->buffer_create(device, &known, out);
}

const struct stile_backend_ops *buffer_get_backend(const struct stile_device *device, int fd) {
	const struct stile_backend_ops *ops = os_is_dma_buf(fd) ? backend_find("dmabuf") : NULL;
	return ops == NULL ? device->ops : ops;
}

/* Whether the device may use memory so that `buffer` shows; NULL: that nobody knows yet. */
static int check_device(struct stile_device *device, const struct stile_buffer *buffer,
	uint32_t usage, struct stile_report *why) {
	int ret = device->ops->device_check(device);
	if (ret < 0) {
		return report_refuse(why, ret, STILE_REASON_DRIVER, 0, 0, 0,
			"the device is lost (%s)", strerror(-ret));
	}
	bool foreign = buffer == NULL || buffer->device != device;
	if (foreign && (usage & ~device->limits.import_usage) != 0) {
		return report_refuse(why, -EACCES, STILE_REASON_FD_ACCESS, 0, usage,
			device->limits.import_usage,
			"usage 0x%x: the device only reads memory of others", usage);
	}
	return 0;
}

static int check_usage(uint32_t usage, struct stile_report *why) {
	if (!buffer_usage_is_valid(usage)) {
		return report_refuse(why, -EINVAL, STILE_REASON_USAGE, 0, USAGE_ALL, usage,
			"usage 0x%x: at least one of READ (1) and WRITE (2) is needed, and nothing else",
			usage);
	}
	return 0;
}

int stile_buffer_import(struct stile_device *device, struct stile_buffer *buffer, uint32_t usage,
	struct stile_report *report, struct stile_buffer **out) {
	*out = NULL;
	if (report_begin(report) < 0) {
		return -EINVAL;
	}
	struct stile_report why;
	int ret = check_usage(usage, &why);
	if (ret == 0) {
		ret = check_device(device, buffer, usage, &why);
	}
	if (ret == 0 && (usage & ~buffer_get_usage(buffer)) != 0) {
		ret = report_refuse(&why, -EACCES, STILE_REASON_FD_ACCESS, 0, usage,
			buffer_get_usage(buffer), "usage 0x%x: the buffer allows only 0x%x", usage,
			buffer_get_usage(buffer));
	}
	if (ret < 0) {
		report_give(report, &why);
		return ret;
	}
	*out = stile_buffer_ref(buffer);
	return 0;
}

/* Make the object for a file that none is known for. Another thread may be quicker. */
static int import_new(struct stile_device *device, int fd, const struct stat *st, uint32_t usage,
	struct stile_buffer **out) {
	int copy = os_dup(fd);
	if (copy < 0) {
		return copy;
	}
	struct stile_buffer *fresh;
	const struct stile_backend_ops *ops = buffer_get_backend(device, copy);
	int ret = ops->buffer_import(device, copy, buffer_find_bytes(copy, st), usage, &fresh);
	if (ret < 0) {
		return ret;
	}
	struct stile_buffer *known;
	while ((ret = buffer_table_set_file(fresh, st)) == -EEXIST &&
		(known = buffer_table_find(fd, st)) == NULL) {
		/* The one that was there has gone just now. */
	}
	if (ret < 0) {
		stile_buffer_unref(fresh);
	}
	if (ret == -EEXIST) {
		*out = known;
		return 1;
	}
	*out = ret < 0 ? NULL : fresh;
	return ret;
}

/* The buffer of a descriptor, or NULL: none yet; and the usages that the descriptor allows, or -EBADF. */
static struct stile_buffer *find_by_fd(int fd, struct stat *st, int *allowed) {
	struct stile_buffer *buffer = buffer_table_find_duplicate(fd);
	if (buffer != NULL) {
		*allowed = (int)USAGE_ALL;
		return buffer;
	}
	if (os_fstat(fd, st) < 0) {
		*allowed = -EBADF;
		return NULL;
	}
	buffer = buffer_table_find(fd, st);
	*allowed = buffer != NULL && buffer->seals_are_final ? buffer_fd_access(fd)
							     : buffer_fd_usage(fd);
	return buffer;
}

/* Is the descriptor, which allows that, good for this? `known` is its buffer, or NULL. 0, or why not. */
static int check_fd(struct stile_device *device, const struct stile_buffer *known, int fd,
	int allowed, uint32_t usage, struct stile_report *why) {
	if (allowed < 0) {
		return report_refuse(why, -EBADF, STILE_REASON_FD_CLOSED, 0, 0, 0,
			"descriptor %d is not open", fd);
	}
	int ret = known != NULL ? 0
				: buffer_get_backend(device, fd)->memory_check(device, fd, 0, why);
	if (ret < 0) {
		return ret;
	}
	if ((usage & ~(uint32_t)allowed) != 0 || (allowed & STILE_USAGE_READ) == 0) {
		return report_refuse(why, -EACCES, STILE_REASON_FD_ACCESS, 0, usage,
			(uint64_t)allowed, "descriptor %d is %s, the usage needs more", fd,
			allowed & STILE_USAGE_READ ? "read-only or sealed against writing"
						   : "write-only");
	}
	return check_device(device, known, usage, why);
}

/* The buffer of a file. 0 or -errno, why not. */
static int import_fd(struct stile_device *device, int fd, uint32_t usage, struct stile_report *why,
	struct stile_buffer **out) {
	struct stat st;
	int allowed;
	struct stile_buffer *buffer = find_by_fd(fd, &st, &allowed);
	int ret = check_fd(device, buffer, fd, allowed, usage, why);
	if (ret < 0) {
		stile_buffer_unref(buffer);
		return ret;
	}
	ret = buffer != NULL ? 1 : import_new(device, fd, &st, (uint32_t)allowed, &buffer);
	/* It was known, and perhaps not by a descriptor like this one. */
	uint32_t kind =
		(uint32_t)allowed & STILE_USAGE_WRITE ? STILE_USAGE_WRITE : STILE_USAGE_READ;
	if (ret == 1 && (__atomic_load_n(&buffer->lacks_fds, __ATOMIC_RELAXED) & kind) != 0) {
		ret = buffer->backend->buffer_adopt(buffer, fd, (uint32_t)allowed);
	}
	if (ret < 0) {
		stile_buffer_unref(buffer);
		return report_refuse(why, ret, STILE_REASON_RESOURCES, 0, 0, 0, "descriptor %d: %s",
			fd, strerror(-ret));
	}
	uint32_t granted = buffer_get_usage(buffer);
	if ((usage & ~granted) != 0) {
		stile_buffer_unref(buffer);
		return report_refuse(why, -EACCES, STILE_REASON_FD_ACCESS, 0, usage, granted,
			"usage 0x%x: the exporter of the memory allows only 0x%x", usage, granted);
	}
	*out = buffer;
	return 0;
}

int stile_buffer_import_fd(struct stile_device *device, int fd, uint32_t usage,
	struct stile_report *report, struct stile_buffer **out) {
	*out = NULL;
	if (report_begin(report) < 0) {
		return -EINVAL;
	}
	struct stile_report why;
	int ret = check_usage(usage, &why);
	if (ret == 0) {
		ret = import_fd(device, fd, usage, &why, out);
	}
	if (ret < 0) {
		report_give(report, &why);
		device_log(device, STILE_LOG_ERROR, "import of a buffer: %s", why.text);
	}
	return ret;
}

/* ---- Descriptors --------------------------------------------------------------------------- */

int stile_buffer_export_fd(struct stile_buffer *buffer, uint32_t usage, int *fd) {
	*fd = -1;
	if (!buffer_usage_is_valid(usage)) {
		return -EINVAL;
	}
	if ((usage & ~buffer_get_usage(buffer)) != 0) {
		return -EACCES;
	}
	if (buffer->ops->export_fd == NULL) {
		return -EOPNOTSUPP;
	}
	if (buffer_is_locked_by_caller(buffer, "a descriptor of a buffer is made")) {
		return -EDEADLK;
	}
	__atomic_fetch_add(&buffer->shown, 1, __ATOMIC_SEQ_CST);
	int file = -1;
	int ret = buffer->ops->export_fd(buffer, usage, &file);
	if (ret == 0) {
		struct stat st;
		ret = fstat(file, &st) < 0 ? -errno : buffer_table_set_file(buffer, &st);
	}
	if (ret == 0) {
		ret = outside_push_all(buffer);
	}
	if (ret < 0) {
		if (file >= 0) {
			close(file);
		}
		__atomic_fetch_sub(&buffer->shown, 1, __ATOMIC_SEQ_CST);
		return ret;
	}
	*fd = file;
	return 0;
}

/* ---- What it is ---------------------------------------------------------------------------- */

int stile_buffer_set_name(struct stile_buffer *buffer, const char *name) {
	size_t length = name == NULL ? 0 : strnlen(name, STILE_BUFFER_NAME_BYTES);
	if (length == STILE_BUFFER_NAME_BYTES) {
		return -EINVAL;
	}
	pthread_mutex_lock(&buffer->lock);
	memset(buffer->name, 0, sizeof(buffer->name));
	memcpy(buffer->name, length == 0 ? "" : name, length);
	pthread_mutex_unlock(&buffer->lock);
	if (buffer->backend != NULL && buffer->backend->buffer_renamed != NULL) {
		buffer->backend->buffer_renamed(buffer, length == 0 ? "" : name);
	}
	return 0;
}

void stile_buffer_get_name(struct stile_buffer *buffer, char name[STILE_BUFFER_NAME_BYTES]) {
	pthread_mutex_lock(&buffer->lock);
	memcpy(name, buffer->name, sizeof(buffer->name));
	pthread_mutex_unlock(&buffer->lock);
}

struct stile_resv *stile_buffer_get_resv(const struct stile_buffer *buffer) {
	return buffer->resv;
}

uint64_t stile_buffer_get_bytes(const struct stile_buffer *buffer) {
	return buffer->bytes;
}

void *stile_buffer_get_priv(const struct stile_buffer *buffer) {
	return buffer->priv;
}

const struct stile_exporter_ops *stile_buffer_get_ops(const struct stile_buffer *buffer) {
	return buffer->ops;
}
