/* SPDX-License-Identifier: MIT */
#ifndef SRC_PARTY_DATA_H
#define SRC_PARTY_DATA_H

/*
 * How an adapter describes itself: it names layouts one after another, says the rest, and what comes out
 * is one piece of memory that belongs to the party. Adapters have this code of their own, as they have
 * src/report.c; who gives the memory back is the core, by free().
 */

#include <stdbool.h>

#include <stile/party.h>

/** Layouts that are being named. Begins with zeroes. */
struct party_layouts {
	struct stile_party_format *formats;
	size_t format_count, format_room;
	struct stile_party_modifier *modifiers; /* of all formats, one after the other */
	size_t modifier_count, modifier_room;
	bool failed; /* memory ran out: told by party_make() */
};

/** Empty what a call is to fill in, and its report. 0, or -EINVAL for an impossible size. */
int party_begin(struct stile_report *report, struct stile_party *out);

/** One more layout; of one format after the other. NULL: the format, of which no layout is known. */
void party_add(struct party_layouts *layouts, uint32_t fourcc,
	const struct stile_party_modifier *modifier);

/**
 * Fill in *out, with a copy of all that `said` points to and of the layouts, which are gone afterwards.
 * 0, or what report_refuse() gave: -ENOMEM; then *out is as it was.
 */
int party_make(struct party_layouts *layouts, const struct stile_party *said,
	struct stile_report *why, struct stile_party *out);

/** struct stile_party's device of one that has no DRM node. */
uint64_t party_get_device(const uint8_t driver_uuid[16], const uint8_t device_uuid[16]);

#endif
