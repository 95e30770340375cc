/* SPDX-License-Identifier: MIT */
#include "demos/pass.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stile/access.h>
#include <stile/carrier.h>
#include <stile/fence.h>
#include <stile/merge.h>

int pass_send(int socket, const void *data, size_t bytes, const int *fds, size_t fd_count) {
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int) * PASS_MAX_FDS)];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = bytes };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	if (fd_count > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
	}
	return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Whatever came with the message is ours, wanted or not. */
static size_t take_fds(struct msghdr *message, int *fds) {
	size_t count = 0;
	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
		header = CMSG_NXTHDR(message, header)) {
		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		size_t n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n && count < PASS_MAX_FDS; i++) {
			memcpy(&fds[count++], CMSG_DATA(header) + i * sizeof(int), sizeof(int));
		}
	}
	return count;
}

static void close_all(const int *fds, size_t count) {
	for (size_t i = 0; i < count; i++) {
		close(fds[i]);
	}
}

int pass_receive(int socket, void *data, size_t bytes, int *fds, size_t *fd_count) {
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int) * PASS_MAX_FDS)];
	} control;
	struct iovec iov = { .iov_base = data, .iov_len = bytes };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		/* Not its padding too, which has room for one more than there is room for in `fds`. */
		.msg_controllen = CMSG_LEN(sizeof(int) * PASS_MAX_FDS),
	};
	*fd_count = 0;
	ssize_t n;
	do {
		n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		return -errno;
	}
	if (n == 0) {
		return -ECONNRESET;
	}
	size_t count = take_fds(&message, fds);
	if ((size_t)n != bytes || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
		close_all(fds, count);
		return -EBADMSG;
	}
	*fd_count = count;
	return 0;
}

/* ---- Images ------------------------------------------------------------------------------- */

/* What goes over the wire. Both sides are the same program, so its layout may be the machine's. */
struct image_message {
	struct stile_image_info info; /* without a name, and with descriptors that mean nothing */
	char name[32];
};

/* What a reader of the image has to wait for, as one fence; a new reference. */
static int get_work(struct stile_image *image, struct stile_fence **work) {
	struct stile_access_info use = { .size = sizeof(use), .usage = STILE_USAGE_READ };
	struct stile_access access;
	int ret = stile_access_begin(image, &use, &access);
	if (ret < 0) {
		return ret;
	}
	ret = stile_access_get_error(&access);
	if (ret == 0) {
		ret = stile_fence_merge(access.fences, access.count, work);
	}
	stile_access_cancel(&access);
	return ret;
}

int pass_send_image(int socket, struct stile_image *image) {
	struct image_message message = { .info = { .size = sizeof(message.info) } };
	int fds[PASS_MAX_FDS];
	size_t count = 0;
	struct stile_fence *work;
	int ret = get_work(image, &work);
	if (ret < 0) {
		return ret;
	}
	ret = stile_image_export(image, &message.info);
	while (ret == 0 && count < message.info.plane_count) {
		fds[count] = message.info.planes[count].fd;
		count++;
	}
	if (ret == 0) {
		ret = stile_fence_export_fd(
			work, STILE_FD_SOFTWARE_SYNC_FILE, 0, NULL, &fds[count]);
		count += ret == 0;
	}
	if (ret == 0) {
		snprintf(message.name, sizeof(message.name), "%s", message.info.name);
		message.info.name = NULL;
		ret = pass_send(socket, &message, sizeof(message), fds, count);
	}
	close_all(fds, count);
	stile_fence_unref(work);
	return ret;
}

/* Whoever uses the image from here on comes after the work. */
static int import_work(struct stile_device *device, struct stile_image *image, int fd) {
	struct stile_fence *work;
	int ret = stile_fence_import_fd(device, STILE_FD_SOFTWARE_SYNC_FILE, 0, fd, &work);
	for (uint32_t i = 0; ret == 0 && i < stile_image_get_info(image)->plane_count; i++) {
		ret = stile_buffer_import_fence(
			stile_image_get_buffer(image, i), STILE_USAGE_WRITE, work);
	}
	stile_fence_unref(work);
	return ret;
}

static int import_described(struct stile_device *device, struct image_message *message,
	const int *fds, size_t count, struct stile_image **image) {
	struct stile_image_info *info = &message->info;
	if (info->plane_count > STILE_MAX_PLANES || count != info->plane_count + 1) {
		return -EBADMSG;
	}
	message->name[sizeof(message->name) - 1] = '\0';
	info->size = sizeof(*info);
	info->name = message->name;
	for (uint32_t i = 0; i < info->plane_count; i++) {
		info->planes[i].fd = fds[i];
	}
	struct stile_report why = { .size = sizeof(why) };
	int ret = stile_image_import(device, info, &why, image);
	if (ret < 0) {
		fprintf(stderr, "received image: %s\n", why.text);
		return ret;
	}
	ret = import_work(device, *image, fds[info->plane_count]);
	if (ret < 0) {
		stile_image_unref(*image);
		*image = NULL;
	}
	return ret;
}

int pass_receive_image(int socket, struct stile_device *device, struct stile_image **image) {
	*image = NULL;
	struct image_message message;
	int fds[PASS_MAX_FDS];
	size_t count;
	int ret = pass_receive(socket, &message, sizeof(message), fds, &count);
	if (ret < 0) {
		return ret;
	}
	ret = import_described(device, &message, fds, count, image);
	close_all(fds, count);
	return ret;
}

/* ---- Processes ----------------------------------------------------------------------------- */

int pass_spawn(char *const arguments[], int *socket, pid_t *pid) {
	extern char **environ;
	int ends[2];
	*socket = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		return -errno;
	}
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDIN_FILENO);
	int error = posix_spawn(pid, "/proc/self/exe", &actions, NULL, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	if (error != 0) {
		close(ends[0]);
		return -error;
	}
	*socket = ends[0];
	return 0;
}

int pass_join(pid_t pid) {
	int status;
	if (waitpid(pid, &status, 0) < 0) {
		return -errno;
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EOWNERDEAD;
}
