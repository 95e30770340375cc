/* SPDX-License-Identifier: MIT */
#include "interop-tests/support/fake_sync_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sync_file.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/runner.h"

enum { MAX_FILES = 64, MAX_LEAVES = 256, REQUESTS = 16 };

struct deadline {
	uint64_t deadline_ns;
	uint64_t pad;
};

const unsigned long fake_sync_file_set_deadline = _IOW(SYNC_IOC_MAGIC, 5, struct deadline);

struct leaf {
	int status;
	int64_t timestamp_ns;
	int64_t deadline_ns;
};

/*
 * The reading end of a pipe is what the test and the library have; a byte that nobody takes out
 * makes it readable for ever. All duplicates have the pipe's inode. The writing end stays with us, so
 * there is no hang-up, and the inode is not used again.
 */
struct file {
	ino_t inode;
	int write_fd;
	char name[32];
	bool readable;
	int whole; /* status, where it is not that of the leaves */
	size_t count;
	size_t leaves[MAX_LEAVES];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* All below is under the lock. */
static struct leaf all_leaves[MAX_LEAVES];
static size_t leaf_count;
static struct file files[MAX_FILES];
static size_t file_count;
static unsigned calls[REQUESTS];
static unsigned failures[REQUESTS];
static int failure_errors[REQUESTS];

static struct file *file_find(int fd) {
	struct stat at;
	if (fstat(fd, &at) < 0 || !S_ISFIFO(at.st_mode)) {
		return NULL;
	}
	for (size_t i = 0; i < file_count; i++) {
		if (files[i].inode == at.st_ino) {
			return &files[i];
		}
	}
	return NULL;
}

/* F-13 of the whole: 0 while pending. */
static int file_status(const struct file *file) {
	if (file->whole != 0) {
		return file->whole;
	}
	int status = 1;
	for (size_t i = 0; i < file->count; i++) {
		int leaf = all_leaves[file->leaves[i]].status;
		if (leaf == 0) {
			return 0;
		}
		status = status < 0 ? status : leaf;
	}
	return status;
}

/* Whoever has the file may close it at any moment: EPIPE then, and no signal for it (fake_sync_file_begin()). */
static void file_show(struct file *file) {
	if (!file->readable && file_status(file) != 0) {
		file->readable = true;
		runner_require(write(file->write_fd, "", 1) == 1 || errno == EPIPE,
			"a fake cannot be written to");
	}
}

/* The descriptor, or -1 with errno. */
static int file_open(struct file **out) {
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0) {
		return -1;
	}
	struct stat at;
	runner_require(file_count < MAX_FILES && fstat(ends[0], &at) == 0, "too many fakes");
	struct file *file = &files[file_count++];
	*file = (struct file){ .inode = at.st_ino, .write_fd = ends[1] };
	*out = file;
	return ends[0];
}

static void file_add_leaf(struct file *file, size_t leaf) {
	for (size_t i = 0; i < file->count; i++) {
		if (file->leaves[i] == leaf) {
			return;
		}
	}
	file->leaves[file->count++] = leaf;
}

static size_t leaf_make(int status) {
	runner_require(leaf_count < MAX_LEAVES, "too many leaves");
	all_leaves[leaf_count] = (struct leaf){ .status = status, .deadline_ns = INT64_MAX };
	return leaf_count++;
}

static int refuse(int error) {
	errno = error;
	return -1;
}

static void add_pending(struct file *to, const struct file *from) {
	for (size_t i = 0; i < from->count; i++) {
		if (all_leaves[from->leaves[i]].status == 0) {
			file_add_leaf(to, from->leaves[i]);
		}
	}
}

/* S-4, and U-3: what is signalled is left out, with its error. */
static int merge(const struct file *file, struct sync_merge_data *data) {
	if (data->flags != 0 || data->pad != 0) {
		return refuse(EINVAL);
	}
	const struct file *other = file_find(data->fd2);
	if (other == NULL) {
		return refuse(ENOENT);
	}
	struct file *merged;
	int fd = file_open(&merged);
	if (fd < 0) {
		return -1;
	}
	data->name[sizeof(data->name) - 1] = '\0';
	snprintf(merged->name, sizeof(merged->name), "%s", data->name);
	add_pending(merged, file);
	add_pending(merged, other);
	if (merged->count == 0) {
		file_add_leaf(merged, leaf_make(1));
	}
	file_show(merged);
	data->fence = fd;
	return 0;
}

static void fill_leaf(struct sync_fence_info *to, size_t number) {
	const struct leaf *leaf = &all_leaves[number];
	*to = (struct sync_fence_info){
		.driver_name = "fake driver",
		.status = leaf->status,
		.timestamp_ns = (uint64_t)leaf->timestamp_ns,
	};
	snprintf(to->obj_name, sizeof(to->obj_name), "fake timeline %zu", number);
}

/* S-5. */
static int file_info(const struct file *file, struct sync_file_info *info) {
	if (info->flags != 0 || info->pad != 0) {
		return refuse(EINVAL);
	}
	if (info->num_fences == 0) {
		info->status = file_status(file);
	} else if (info->num_fences < file->count) {
		return refuse(EINVAL);
	} else {
		struct sync_fence_info *to = (void *)(uintptr_t)info->sync_fence_info;
		if (to == NULL) {
			return refuse(EFAULT);
		}
		info->status = 1;
		for (size_t i = 0; i < file->count; i++) {
			fill_leaf(&to[i], file->leaves[i]);
			info->status = info->status <= 0 ? info->status : to[i].status;
		}
	}
	memcpy(info->name, file->name, sizeof(info->name));
	info->num_fences = (uint32_t)file->count;
	return 0;
}

/* S-7. */
static int set_deadline(const struct file *file, const struct deadline *deadline) {
	if (deadline->pad != 0) {
		return refuse(EINVAL);
	}
	for (size_t i = 0; i < file->count; i++) {
		struct leaf *leaf = &all_leaves[file->leaves[i]];
		int64_t at_ns = (int64_t)deadline->deadline_ns;
		leaf->deadline_ns = at_ns < leaf->deadline_ns ? at_ns : leaf->deadline_ns;
	}
	return 0;
}

/* The lock is held. */
static int answer(const struct file *file, unsigned long request, void *arg) {
	unsigned number = _IOC_NR(request);
	if (_IOC_TYPE(request) == (unsigned)SYNC_IOC_MAGIC && number < REQUESTS) {
		calls[number]++;
		if (failures[number] > 0) {
			failures[number]--;
			return refuse(failure_errors[number]);
		}
	}
	if (request == SYNC_IOC_MERGE) {
		return merge(file, arg);
	}
	if (request == SYNC_IOC_FILE_INFO) {
		return file_info(file, arg);
	}
	if (request == fake_sync_file_set_deadline) {
		return set_deadline(file, arg);
	}
	return refuse(ENOTTY);
}

static int fake_ioctl(int fd, unsigned long request, void *arg) {
	pthread_mutex_lock(&lock);
	const struct file *file = file_find(fd);
	int ret = file == NULL ? 0 : answer(file, request, arg);
	int error = errno;
	pthread_mutex_unlock(&lock);
	errno = error;
	return file == NULL ? failing_real_ioctl(fd, request, arg) : ret;
}

void fake_sync_file_begin(void) {
	leaf_count = 0;
	file_count = 0;
	memset(calls, 0, sizeof(calls));
	memset(failures, 0, sizeof(failures));
	signal(SIGPIPE, SIG_IGN);
	failing_set_ioctl(fake_ioctl);
}

void fake_sync_file_end(void) {
	failing_set_ioctl(NULL);
	for (size_t i = 0; i < file_count; i++) {
		close(files[i].write_fd);
	}
	file_count = 0;
}

int fake_sync_file_create(size_t leaves) {
	pthread_mutex_lock(&lock);
	struct file *file;
	int fd = file_open(&file);
	runner_require(fd >= 0, "no fake: %s", strerror(errno));
	for (size_t i = 0; i < leaves; i++) {
		file_add_leaf(file, leaf_make(0));
	}
	snprintf(file->name, sizeof(file->name), "fake %zu", file->leaves[0]);
	pthread_mutex_unlock(&lock);
	return fd;
}

size_t fake_sync_file_first_leaf(int fd) {
	pthread_mutex_lock(&lock);
	const struct file *file = file_find(fd);
	runner_require(file != NULL, "%d is no fake", fd);
	size_t leaf = file->leaves[0];
	pthread_mutex_unlock(&lock);
	return leaf;
}

void fake_sync_file_signal(size_t leaf, int status, int64_t timestamp_ns) {
	pthread_mutex_lock(&lock);
	all_leaves[leaf].status = status;
	all_leaves[leaf].timestamp_ns = timestamp_ns;
	for (size_t i = 0; i < file_count; i++) {
		file_show(&files[i]);
	}
	pthread_mutex_unlock(&lock);
}

void fake_sync_file_signal_whole(int fd, int status) {
	pthread_mutex_lock(&lock);
	struct file *file = file_find(fd);
	runner_require(file != NULL, "%d is no fake", fd);
	file->whole = status;
	file_show(file);
	pthread_mutex_unlock(&lock);
}

size_t fake_sync_file_count(int fd) {
	pthread_mutex_lock(&lock);
	const struct file *file = file_find(fd);
	runner_require(file != NULL, "%d is no fake", fd);
	size_t count = file->count;
	pthread_mutex_unlock(&lock);
	return count;
}

int64_t fake_sync_file_deadline(size_t leaf) {
	pthread_mutex_lock(&lock);
	int64_t deadline_ns = all_leaves[leaf].deadline_ns;
	pthread_mutex_unlock(&lock);
	return deadline_ns;
}

void fake_sync_file_fail(unsigned long request, int error, unsigned times) {
	pthread_mutex_lock(&lock);
	failures[_IOC_NR(request)] = times;
	failure_errors[_IOC_NR(request)] = error;
	pthread_mutex_unlock(&lock);
}

unsigned fake_sync_file_calls(unsigned long request) {
	pthread_mutex_lock(&lock);
	unsigned count = calls[_IOC_NR(request)];
	pthread_mutex_unlock(&lock);
	return count;
}

/* The linker makes these names; nothing declares them. */
ssize_t __real_readlink(const char *path, char *target, size_t bytes);
ssize_t __wrap_readlink(const char *path, char *target, size_t bytes);

/* In /proc, a fake, which is a pipe, is called as the kernel calls its own. */
ssize_t __wrap_readlink(const char *path, char *target, size_t bytes) {
	static const char name[] = "anon_inode:sync_file";
	int fd = -1;
	ssize_t n = __real_readlink(path, target, bytes);
	if (n > 5 && memcmp(target, "pipe:", 5) == 0 && bytes >= sizeof(name) &&
		sscanf(path, "/proc/self/fd/%d", &fd) == 1) {
		pthread_mutex_lock(&lock);
		if (file_find(fd) != NULL) {
			n = sizeof(name) - 1;
			memcpy(target, name, (size_t)n);
		}
		pthread_mutex_unlock(&lock);
	}
	return n;
}
