/* SPDX-License-Identifier: MIT */
/*
 * The software sync file: a fence on the way to other processes where no kernel sync_file can be
 * made. It is a pair of connected SOCK_SEQPACKET sockets. The producer keeps the sending end; at
 * signalling it sends one record and closes. The other end, whose write side is shut down before
 * anybody gets it, is what travels. Holders look with MSG_PEEK, so the record stays for all of
 * them and the descriptor is readable from then on for ever.
 *
 * Nothing but a whole, valid record means success. When the producer dies the kernel closes the
 * sending end, and holders see the end of the stream: -EOWNERDEAD.
 */
#include "src/sync_file.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stile/fence.h>

#include "src/fd_fence.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/own_end.h"

enum {
	RECORD_MAGIC = 0x53464331, /* "SFC1": a new number if the layout changes */
	NAME_BYTES = FD_FENCE_NAME_BYTES,
	MAX_ERRNO = 4095,
};

struct record {
	uint32_t magic;
	int32_t status; /* 1 or a negative errno: as stile_fence_get_status() */
	int64_t timestamp_ns;
	uint64_t context;
	uint64_t seqno;
	struct fd_fence_names names;
};

/* ---- The producer's side ------------------------------------------------------------------ */

struct sender {
	struct stile_callback callback;
	struct own_end end;
};

/* Into zeroed memory; cut if it is too long. */
static void copy_name(char *to, const char *name) {
	memcpy(to, name, strnlen(name, NAME_BYTES - 1));
}

/* Under the fence's lock. */
static void sender_finish(struct stile_fence *fence, struct stile_callback *callback) {
	struct sender *sender = CONTAINER_OF(callback, struct sender, callback);
	struct record record = {
		.magic = RECORD_MAGIC,
		.status = stile_fence_get_status(fence),
		.timestamp_ns = stile_fence_get_timestamp(fence),
		.context = stile_fence_get_context(fence),
		.seqno = stile_fence_get_seqno(fence),
	};
	if (record.timestamp_ns <= 0) {
		/* A stub may have no time, which a record must: it was done, at the latest, now. */
		record.timestamp_ns = os_clock_ns();
	}
	copy_name(record.names.driver, stile_fence_get_driver_name(fence));
	copy_name(record.names.timeline, stile_fence_get_timeline_name(fence));
	own_end_close(&sender->end, &record, sizeof(record));
	free(sender);
}

/* A stream of our own. */
static int sender_create(struct stile_fence *fence, int *out) {
	struct sender *sender = calloc(1, sizeof(*sender));
	if (sender == NULL) {
		return -ENOMEM;
	}
	int ret = own_end_open(&sender->end, out);
	if (ret < 0) {
		free(sender);
		return ret;
	}
	if (stile_fence_add_callback(fence, &sender->callback, sender_finish) < 0) {
		sender_finish(fence, &sender->callback);
	}
	return 0;
}

/* ---- The holder's side -------------------------------------------------------------------- */

static bool record_is_valid(const struct record *record) {
	return record->magic == RECORD_MAGIC &&
		(record->status == 1 || (record->status < 0 && record->status >= -MAX_ERRNO)) &&
		record->timestamp_ns > 0 &&
		memchr(record->names.driver, '\0', NAME_BYTES) != NULL &&
		memchr(record->names.timeline, '\0', NAME_BYTES) != NULL;
}

/*
 * Is there something to read that cannot be read? Some holder has made the socket useless for all
 * (by SO_PEEK_OFF, say). A record that comes between the first look and this one is not that.
 */
static bool is_mute(int fd) {
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	char byte;
	return poll(&poll_fd, 1, 0) == 1 && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
		errno == EAGAIN;
}

/* The end of the stream, or a record of no bytes? */
static bool is_hung_up(int fd) {
	struct pollfd at = { .fd = fd };
	return poll(&at, 1, 0) == 1 && (at.revents & POLLHUP) != 0;
}

/* What the socket says by now: 0 for nothing yet, 1, or a negative errno. */
static int peek(int fd, struct record *record) {
	/* With MSG_TRUNC the answer is the true length, also of what is too long. */
	ssize_t n = recv(fd, record, sizeof(*record), MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0) {
		switch (errno) {
		case EAGAIN:
			return is_mute(fd) ? -EBADMSG : 0;
		case EINTR:
		case ENOMEM:
		case ENOBUFS:
			return 0;
		case ECONNRESET:
			return -EOWNERDEAD;
		default:
			return -EBADMSG;
		}
	}
	if (n == 0) {
		return is_hung_up(fd) ? -EOWNERDEAD : -EBADMSG;
	}
	if ((size_t)n != sizeof(*record) || !record_is_valid(record)) {
		return -EBADMSG;
	}
	return record->status;
}

/* The producer's names travel in the record, so they are known at the end only. */
static int sync_file_look(int fd, void *data, struct fd_fence_end *end) {
	(void)data;
	struct record record = { 0 };
	int verdict = peek(fd, &record);
	if (verdict == 0) {
		return 0;
	}
	if (record_is_valid(&record)) {
		end->timestamp_ns = record.timestamp_ns;
		end->names = record.names;
		fd_fence_clean_names(&end->names);
	} else {
		end->names = (struct fd_fence_names){ "unknown", "unknown" };
	}
	return verdict;
}

static const struct fd_fence_kind software_kind = { .look = sync_file_look, .user = true };

static const struct fd_fence_names pending_names = { "software-sync-file", "pending" };

int sync_file_check(int fd) {
	int domain = 0, type = 0, listening = 0;
	socklen_t size = sizeof(int);
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0) {
		return errno == EBADF ? -EBADF : -EINVAL;
	}
	return domain == AF_UNIX && type == SOCK_SEQPACKET && !listening ? 0 : -EINVAL;
}

/* The process that made the pair: the one that owes the end. 0: of a name space we do not see. */
static int32_t socket_owner(int fd) {
	struct ucred peer;
	socklen_t size = sizeof(peer);
	int ret = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
	return ret < 0 || peer.pid < 0 ? 0 : peer.pid;
}

static bool is_seqpacket(int fd) {
	int type = 0;
	socklen_t size = sizeof(type);
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

int sync_file_import_over(int fd, struct stile_fence **out) {
	*out = NULL;
	struct record record = { 0 };
	int verdict = peek(fd, &record);
	if (verdict == 0 || !record_is_valid(&record) || !is_seqpacket(fd)) {
		return 0;
	}
	fd_fence_clean_names(&record.names);
	struct fd_fence_info info = { .kind = &software_kind, .names = &pending_names };
	struct fd_fence_end end = { .timestamp_ns = record.timestamp_ns, .names = record.names };
	return fd_fence_create_over(&info, verdict, &end, out);
}

int sync_file_import(struct watch *watch, int fd, struct stile_fence **out) {
	struct fd_fence_info info = {
		.kind = &software_kind,
		.fd = fd,
		.owner = socket_owner(fd),
		.names = &pending_names,
	};
	return fd_fence_create(watch, &info, out);
}

int sync_file_export(struct stile_fence *fence, enum stile_path_kind *path, int *out) {
	*out = -1;
	if (stile_fence_is_signaled(fence)) {
		*path = STILE_PATH_NONE;
		return sender_create(fence, out);
	}
	int own = fd_fence_get_fd(fence, &software_kind);
	if (own < 0) {
		*path = STILE_PATH_BRIDGE;
		return sender_create(fence, out);
	}
	/* Its producer ends it, whatever becomes of this process's fence. */
	*path = STILE_PATH_HANDLE;
	int copy = os_dup(own);
	*out = copy < 0 ? -1 : copy;
	return copy < 0 ? copy : 0;
}
