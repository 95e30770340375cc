/* SPDX-License-Identifier: MIT */
#ifndef SRC_RESV_POLL_H
#define SRC_RESV_POLL_H

struct stile_resv;
struct stile_resv_poll;

/** Descriptors for one reservation. 0, -EMFILE, -ENFILE or -ENOMEM. */
int resv_poll_create(struct stile_resv *resv, struct stile_resv_poll **out);

/** The reservation ends; fences may still know of it. */
void resv_poll_destroy(struct stile_resv_poll *poll);

/** What the reservation has was changed. Never blocks. */
void resv_poll_update(struct stile_resv_poll *poll);

/** One to poll: a new descriptor, or -EMFILE. */
int resv_poll_get_fd(const struct stile_resv_poll *poll);

#endif
