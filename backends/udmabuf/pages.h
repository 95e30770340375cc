/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_UDMABUF_PAGES_H
#define BACKENDS_UDMABUF_PAGES_H

/* Pages of files in memory, and what the kernel needs of them: KERNEL_CONTRACT section 13. */

#include <stddef.h>
#include <stdint.h>

#include <stile/udmabuf.h>

struct stile_report;

/** What the kernel takes at most; whoever runs the machine may change it at any time. */
struct pages_limits {
	uint64_t ranges; /* of one buffer */
	uint64_t bytes;  /* of one buffer */
};

void pages_get_limits(struct pages_limits *limits);

/** What a range is called to whoever asks: "range", "plane", and its number. */
struct pages_place {
	const char *noun;
	uint32_t number; /* of the first */
};

/** Is it a file in memory at all, whose descriptor allows everything? 0, or what report_refuse() gave. */
int pages_check_kind(int fd, struct pages_place at, struct stile_report *why);

/**
 * Would the kernel take them? In its order, and with its reasons in words. 0, or what report_refuse() gave.
 */
int pages_check(const struct stile_udmabuf_range *ranges, size_t count, struct pages_place at,
	struct stile_report *why);

/** Have the kernel make a dma-buf, CLOEXEC, of ranges that were checked. 0 or -errno. */
int pages_create(int device, const struct stile_udmabuf_range *ranges, size_t count, int *out);

#endif
