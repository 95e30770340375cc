/* SPDX-License-Identifier: MIT */
#ifndef SRC_RESV_POLL_H
#define SRC_RESV_POLL_H

struct stile_buffer;
struct stile_resv;
struct stile_resv_poll;

/** Descriptors for one reservation. 0, -EMFILE, -ENFILE or -ENOMEM. */
int resv_poll_create(struct stile_resv *resv, struct stile_resv_poll **out);

/** The reservation ends; fences may still know of it. */
void resv_poll_destroy(struct stile_resv_poll *poll);

/** The reservation is in this buffer, which is to stay as long as somebody may be told of a fence. */
void resv_poll_set_buffer(struct stile_resv_poll *poll, struct stile_buffer *buffer);

/** What the reservation has was changed. Never blocks. */
void resv_poll_update(struct stile_resv_poll *poll);

/** One to poll: a new descriptor, or -EMFILE. */
int resv_poll_get_fd(const struct stile_resv_poll *poll);

#endif
