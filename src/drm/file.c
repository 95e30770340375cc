/* SPDX-License-Identifier: MIT */
/*
 * Handles belong to an open file, and the kernel does not count them: importing a dma-buf again gives
 * the same number, and closing that ends it for all. So there is one table for each open file, which
 * all adapters of it share. Two descriptors of one open file are found out by asking the kernel.
 *
 * Lock order: the list of files > a file's lock. Both are held during ioctls that do not block: else
 * a handle could be closed by one thread between another's import and its counting.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <xf86drm.h>

#include "src/drm/drm.h"
#include "src/os.h"

struct drm_handle {
	uint64_t inode; /* the dma-buf's; they are not given twice */
	uint32_t count;
	bool foreign; /* the application's, when last seen: never closed here */
};

struct drm_file {
	struct drm_file *next;
	int fd;
	uint32_t refs; /* under the list's lock */

	pthread_mutex_t lock;
	/* All below is under the lock. */
	struct drm_handle *handles; /* by number */
	size_t handle_count;
};

static pthread_mutex_t files_lock = PTHREAD_MUTEX_INITIALIZER;
static struct drm_file *files;

/* ---- Files -------------------------------------------------------------------------------- */

/* Since Linux 6.10; 1 or 0. */
#ifndef F_DUPFD_QUERY
#define F_DUPFD_QUERY (1024 + 3)
#endif

/* Where neither is there, or both are forbidden, two files: as wrong as without Stile. */
static bool is_same_file(int fd, int other) {
	int same = fcntl(fd, F_DUPFD_QUERY, other);
	if (same >= 0) {
		return same == 1;
	}
	pid_t self = getpid();
	return syscall(SYS_kcmp, self, self, KCMP_FILE, fd, other) == 0;
}

static int file_create(int fd, struct drm_file **out) {
	struct drm_file *file = calloc(1, sizeof(*file));
	if (file == NULL) {
		return -ENOMEM;
	}
	file->fd = os_dup(fd);
	if (file->fd < 0) {
		int ret = file->fd;
		free(file);
		return ret;
	}
	pthread_mutex_init(&file->lock, NULL);
	*out = file;
	return 0;
}

int drm_file_get(int fd, struct drm_file **out) {
	int ret = 0;
	pthread_mutex_lock(&files_lock);
	struct drm_file *file = files;
	while (file != NULL && !is_same_file(file->fd, fd)) {
		file = file->next;
	}
	if (file == NULL) {
		ret = file_create(fd, &file);
		if (ret == 0) {
			file->next = files;
			files = file;
		}
	}
	if (ret == 0) {
		file->refs++;
		*out = file;
	}
	pthread_mutex_unlock(&files_lock);
	return ret;
}

static void file_free(struct drm_file *file) {
	for (size_t i = 0; i < file->handle_count; i++) {
		if (file->handles[i].count > 0 && !file->handles[i].foreign) {
			drmCloseBufferHandle(file->fd, (uint32_t)i);
		}
	}
	close(file->fd);
	pthread_mutex_destroy(&file->lock);
	free(file->handles);
	free(file);
}

void drm_file_put(struct drm_file *file) {
	if (file == NULL) {
		return;
	}
	/* To the end under the lock: an adapter made meanwhile has to import anew. */
	pthread_mutex_lock(&files_lock);
	if (--file->refs == 0) {
		struct drm_file **at = &files;
		while (*at != file) {
			at = &(*at)->next;
		}
		*at = file->next;
		file_free(file);
	}
	pthread_mutex_unlock(&files_lock);
}

int drm_file_get_fd(const struct drm_file *file) {
	return file->fd;
}

/* ---- Handles ------------------------------------------------------------------------------ */

/*
 * The lock is held. What the application had of this memory, and has closed, is not its own any more: the
 * kernel makes a new handle at the next import, perhaps of the same number, which nobody closes but we.
 */
static int forget_closed(struct drm_file *file, uint64_t inode) {
	for (size_t i = 0; i < file->handle_count; i++) {
		struct drm_handle *at = &file->handles[i];
		if (!at->foreign || at->count > 0 || at->inode != inode) {
			continue;
		}
		int fd;
		if (drmPrimeHandleToFD(file->fd, (uint32_t)i, DRM_CLOEXEC | DRM_RDWR, &fd) == 0) {
			close(fd);
		} else if (errno == ENOENT) {
			*at = (struct drm_handle){ 0 };
		} else {
			return -errno;
		}
	}
	return 0;
}

/* The lock is held. The handle's place, NULL without memory; what stands there of another dma-buf is out of date. */
static struct drm_handle *find_handle(struct drm_file *file, uint64_t inode, uint32_t handle) {
	if (handle >= file->handle_count) {
		size_t count = (size_t)handle + 16;
		struct drm_handle *handles =
			realloc(file->handles, count * sizeof(file->handles[0]));
		if (handles == NULL) {
			return NULL;
		}
		memset(handles + file->handle_count, 0,
			(count - file->handle_count) * sizeof(handles[0]));
		file->handles = handles;
		file->handle_count = count;
	}
	struct drm_handle *at = &file->handles[handle];
	if (at->inode != inode) {
		*at = (struct drm_handle){ .inode = inode };
	}
	return at;
}

/* The lock is held. */
static int import(struct drm_file *file, int dma_buf_fd, uint64_t inode, uint32_t *handle) {
	int ret = forget_closed(file, inode);
	if (ret < 0) {
		return ret;
	}
	if (drmPrimeFDToHandle(file->fd, dma_buf_fd, handle) < 0) {
		return -errno;
	}
	struct drm_handle *at = find_handle(file, inode, *handle);
	if (at == NULL) {
		/* There was no place for it: nobody else has it. */
		drmCloseBufferHandle(file->fd, *handle);
		return -ENOMEM;
	}
	at->count++;
	return 0;
}

int drm_file_import(struct drm_file *file, int dma_buf_fd, uint32_t *handle) {
	struct stat st;
	int ret = os_fstat(dma_buf_fd, &st);
	if (ret < 0) {
		return ret;
	}
	pthread_mutex_lock(&file->lock);
	ret = import(file, dma_buf_fd, st.st_ino, handle);
	pthread_mutex_unlock(&file->lock);
	return ret;
}

void drm_file_release(struct drm_file *file, uint32_t handle) {
	pthread_mutex_lock(&file->lock);
	assert(handle < file->handle_count && file->handles[handle].count > 0);
	struct drm_handle *at = &file->handles[handle];
	at->count--;
	if (at->count == 0 && !at->foreign) {
		drmCloseBufferHandle(file->fd, handle);
		*at = (struct drm_handle){ 0 };
	}
	pthread_mutex_unlock(&file->lock);
}

int drm_file_set_foreign(struct drm_file *file, int dma_buf_fd, uint32_t handle) {
	struct stat st;
	int ret = os_fstat(dma_buf_fd, &st);
	if (ret < 0) {
		return ret;
	}
	pthread_mutex_lock(&file->lock);
	struct drm_handle *at = find_handle(file, st.st_ino, handle);
	/* One that is counted already was imported here: it is not the application's. */
	if (at != NULL && at->count == 0) {
		at->foreign = true;
	}
	pthread_mutex_unlock(&file->lock);
	return at == NULL ? -ENOMEM : 0;
}
