/* SPDX-License-Identifier: MIT */
#ifndef SRC_FD_FENCE_H
#define SRC_FD_FENCE_H

#include <stdbool.h>
#include <stdint.h>

struct stile_fence;
struct watch;

enum { FD_FENCE_NAME_BYTES = 32 };

struct fd_fence_names {
	char driver[FD_FENCE_NAME_BYTES];
	char timeline[FD_FENCE_NAME_BYTES];
};

/** They come from others, and go to logs and terminals: nothing but what can be printed. */
void fd_fence_clean_names(struct fd_fence_names *names);

/** What a look found out about the end, as far as it is known. Zero before. */
struct fd_fence_end {
	int64_t timestamp_ns;        /* 0: the time of the look */
	struct fd_fence_names names; /* empty: as before */
};

/** How a kind of descriptor is read. */
struct fd_fence_kind {
	/** What it says by now: 0 for nothing yet, 1, or a negative errno. The first answer stands. */
	int (*look)(int fd, void *data, struct fd_fence_end *end);
	/** Pass a hint on. Optional. */
	void (*set_deadline)(int fd, int64_t deadline_ns);
	/** A program owes the end, not the kernel. */
	bool user;
	/** Of poll(): when there is something to see. 0: POLLIN. */
	short events;
};

struct fd_fence_info {
	const struct fd_fence_kind *kind;
	int fd;                             /* borrowed */
	int32_t owner;                      /* of a user fence; 0: not known */
	const struct fd_fence_names *names; /* until the end is known; static, or in `data` */
	void *data;                         /* for look(); taken over, on success */
	bool is_fresh; /* it is pending, or was just now: who asks first is told so */
};

/** A fence that follows a descriptor. 0, -ECHILD, -EMFILE or -ENOMEM; it refers to the watch. */
int fd_fence_create(
	struct watch *watch, const struct fd_fence_info *info, struct stile_fence **out);

/** The same; consumes the descriptor on success. */
int fd_fence_take(struct watch *watch, const struct fd_fence_info *info, struct stile_fence **out);

/** One that is over, as a look has found out: it needs no descriptor and no watch. 0 or -ENOMEM. */
int fd_fence_create_over(const struct fd_fence_info *info, int verdict,
	const struct fd_fence_end *end, struct stile_fence **out);

/** The descriptor of a fence of this kind, borrowed; -1 for any other fence. */
int fd_fence_get_fd(struct stile_fence *fence, const struct fd_fence_kind *kind);

#endif
