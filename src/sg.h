/* SPDX-License-Identifier: MIT */
#ifndef SRC_SG_H
#define SRC_SG_H

#include <stile/sg.h>

/*
 * The ranges are fixed once the table is mapped for the first time. From then on the segments and
 * `bus` are the backend's, made in its sg_map op and freed in sg_free; how often it is mapped for the
 * device to read and to write is counted here, and looked at by the bus with each access.
 */
struct stile_sg {
	void *owner; /* a backend's that exports it */

	struct stile_sg_range *ranges;
	size_t range_count;
	size_t range_capacity;
	uint64_t bytes;

	struct stile_device *device; /* a reference, once mapped */
	struct stile_sg_segment *segments;
	size_t segment_count;
	void *bus; /* the backend's; not NULL once the segments are made */

	/* By atomic access: maps that let the device read, write. */
	uint32_t readers;
	uint32_t writers;
};

#endif
