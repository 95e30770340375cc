/* SPDX-License-Identifier: MIT */
#include "demos/pass.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stile/carrier.h>
#include <stile/fence.h>

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
	uint32_t width, height, fourcc, usage, plane_count, has_fence;
	uint64_t modifier;
	uint32_t pitches[STILE_MAX_PLANES];
	uint64_t offsets[STILE_MAX_PLANES];
	char name[32];
};

static int send_described(
	int socket, const struct stile_image_info *info, struct stile_fence *fence) {
	struct image_message message = {
		.width = info->width,
		.height = info->height,
		.fourcc = info->fourcc,
		.usage = info->usage,
		.plane_count = info->plane_count,
		.has_fence = fence != NULL,
		.modifier = info->modifier,
	};
	snprintf(message.name, sizeof(message.name), "%s", info->name);
	int fds[PASS_MAX_FDS];
	size_t count = info->plane_count;
	for (uint32_t i = 0; i < info->plane_count; i++) {
		message.pitches[i] = info->planes[i].pitch;
		message.offsets[i] = info->planes[i].offset;
		fds[i] = info->planes[i].fd;
	}
	if (fence == NULL) {
		return pass_send(socket, &message, sizeof(message), fds, count);
	}
	int ret = stile_fence_export_fd(fence, STILE_FD_SOFTWARE_SYNC_FILE, 0, NULL, &fds[count]);
	if (ret == 0) {
		ret = pass_send(socket, &message, sizeof(message), fds, count + 1);
		close(fds[count]);
	}
	return ret;
}

int pass_send_image(int socket, struct stile_image *image, struct stile_fence *fence) {
	struct stile_image_info info = { .size = sizeof(info) };
	int ret = stile_image_export(image, &info);
	if (ret < 0) {
		return ret;
	}
	ret = send_described(socket, &info, fence);
	for (uint32_t i = 0; i < info.plane_count; i++) {
		close(info.planes[i].fd);
	}
	return ret;
}

static int import_described(struct stile_device *device, struct image_message *message,
	const int *fds, size_t count, struct stile_image **image, struct stile_fence **fence) {
	if (message->plane_count > STILE_MAX_PLANES || message->has_fence > 1 ||
		count != message->plane_count + message->has_fence) {
		return -EBADMSG;
	}
	message->name[sizeof(message->name) - 1] = '\0';
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = message->width,
		.height = message->height,
		.fourcc = message->fourcc,
		.usage = message->usage,
		.modifier = message->modifier,
		.name = message->name,
		.plane_count = message->plane_count,
	};
	for (uint32_t i = 0; i < info.plane_count; i++) {
		info.planes[i] = (struct stile_image_plane){
			.fd = fds[i],
			.pitch = message->pitches[i],
			.offset = message->offsets[i],
		};
	}
	struct stile_report why = { .size = sizeof(why) };
	int ret = stile_image_import(device, &info, &why, image);
	if (ret < 0) {
		fprintf(stderr, "received image: %s\n", why.text);
		return ret;
	}
	if (message->has_fence) {
		ret = stile_fence_import_fd(
			device, STILE_FD_SOFTWARE_SYNC_FILE, 0, fds[info.plane_count], fence);
	}
	if (ret < 0) {
		stile_image_unref(*image);
		*image = NULL;
	}
	return ret;
}

int pass_receive_image(int socket, struct stile_device *device, struct stile_image **image,
	struct stile_fence **fence) {
	*image = NULL;
	*fence = NULL;
	struct image_message message;
	int fds[PASS_MAX_FDS];
	size_t count;
	int ret = pass_receive(socket, &message, sizeof(message), fds, &count);
	if (ret < 0) {
		return ret;
	}
	ret = import_described(device, &message, fds, count, image, fence);
	close_all(fds, count);
	return ret;
}
