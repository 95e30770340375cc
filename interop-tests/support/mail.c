/* SPDX-License-Identifier: MIT */
#include "interop-tests/support/mail.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "interop-tests/support/runner.h"

enum { MAX_FDS = 8 };

void mail_pair(int ends[2]) {
	runner_require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0,
		"socketpair: %s", strerror(errno));
}

void mail_send(int socket, const void *bytes, size_t byte_count, const int *fds, size_t fd_count) {
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * MAX_FDS)];
	} control;
	memset(&control, 0, sizeof(control));
	char copy[256];
	runner_require(byte_count <= sizeof(copy) && fd_count <= MAX_FDS, "too much for a mail");
	memcpy(copy, bytes, byte_count);
	struct iovec part = { .iov_base = copy, .iov_len = byte_count };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	if (fd_count > 0) {
		message.msg_control = control.space;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
	}
	ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);
	runner_require(sent == (ssize_t)byte_count, "sendmsg: %s", strerror(errno));
}

int mail_receive(int socket, void *bytes, size_t byte_count, int *fds, size_t fd_count) {
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * MAX_FDS)];
	} control;
	struct iovec part = { .iov_base = bytes, .iov_len = byte_count };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space),
	};
	ssize_t got;
	do {
		got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got == 0 || (got < 0 && errno == ECONNRESET)) {
		return 0;
	}
	runner_require(got == (ssize_t)byte_count, "recvmsg: %zd, %s", got, strerror(errno));
	if (fd_count > 0) {
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		runner_require(
			header != NULL && header->cmsg_len == CMSG_LEN(sizeof(int) * fd_count),
			"not %zu descriptors", fd_count);
		memcpy(fds, CMSG_DATA(header), sizeof(int) * fd_count);
	}
	return 1;
}

void mail_tell(int socket, char what) {
	mail_send(socket, &what, 1, NULL, 0);
}

char mail_hear(int socket) {
	char what;
	return mail_receive(socket, &what, 1, NULL, 0) == 0 ? '\0' : what;
}
