/* SPDX-License-Identifier: MIT */
#include "src/party_data.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/abi.h"
#include "src/report.h"

/* What a party points to; formats, modifiers and the name follow. */
struct stile_party_data {
	struct stile_constraints needs, gives;
};

int party_begin(struct stile_report *report, struct stile_party *out) {
	/* All of it has to fit: what has no room could not be given back. */
	if (out->size < sizeof(*out) || abi_check_out(out) < 0) {
		return -EINVAL;
	}
	const struct stile_party empty = { .size = sizeof(empty) };
	abi_copy_out(out, &empty, sizeof(empty));
	return report_begin(report);
}

/* ---- Layouts ------------------------------------------------------------------------------- */

/* Room for one more at `count`. False: out of memory; the array is as it was. */
static bool grow(void **array, size_t *room, size_t count, size_t bytes) {
	if (count < *room) {
		return true;
	}
	size_t wanted = *room == 0 ? 64 : *room * 2;
	void *larger = realloc(*array, wanted * bytes);
	if (larger == NULL) {
		return false;
	}
	*array = larger;
	*room = wanted;
	return true;
}

static void add_format(struct party_layouts *layouts, uint32_t fourcc) {
	const size_t count = layouts->format_count;
	if (count > 0 && layouts->formats[count - 1].fourcc == fourcc) {
		return;
	}
	void *formats = layouts->formats;
	if (!grow(&formats, &layouts->format_room, count, sizeof(*layouts->formats))) {
		layouts->failed = true;
		return;
	}
	layouts->formats = formats;
	layouts->formats[count] = (struct stile_party_format){ .fourcc = fourcc };
	layouts->format_count++;
}

void party_add(struct party_layouts *layouts, uint32_t fourcc,
	const struct stile_party_modifier *modifier) {
	if (!layouts->failed) {
		add_format(layouts, fourcc);
	}
	if (layouts->failed || modifier == NULL) {
		return;
	}
	void *modifiers = layouts->modifiers;
	if (!grow(&modifiers, &layouts->modifier_room, layouts->modifier_count,
		    sizeof(*layouts->modifiers))) {
		layouts->failed = true;
		return;
	}
	layouts->modifiers = modifiers;
	layouts->modifiers[layouts->modifier_count++] = *modifier;
	layouts->formats[layouts->format_count - 1].modifier_count++;
}

/* ---- The party ----------------------------------------------------------------------------- */

static void *take(char **free_bytes, const void *from, size_t bytes) {
	char *to = *free_bytes;
	*free_bytes += bytes;
	if (bytes > 0) {
		memcpy(to, from, bytes);
	}
	return to;
}

/* In the order of how much is aligned. */
static void fill(const struct party_layouts *layouts, const struct stile_party *said, char *memory,
	struct stile_party *party) {
	struct stile_party_data head = { .needs = { .size = sizeof(head.needs) } };
	*party = *said;
	head.needs = said->needs == NULL ? head.needs : *said->needs;
	head.gives = said->gives == NULL ? head.gives : *said->gives;
	party->data = take(&memory, &head, sizeof(head));
	party->needs = said->needs == NULL ? NULL : &party->data->needs;
	party->gives = said->gives == NULL ? NULL : &party->data->gives;

	const struct stile_party_modifier *modifiers = take(
		&memory, layouts->modifiers, layouts->modifier_count * sizeof(*layouts->modifiers));
	struct stile_party_format *formats =
		take(&memory, layouts->formats, layouts->format_count * sizeof(*layouts->formats));
	party->formats = formats;
	party->format_count = layouts->format_count;
	for (size_t i = 0; i < layouts->format_count; i++) {
		formats[i].modifiers = formats[i].modifier_count == 0 ? NULL : modifiers;
		modifiers += formats[i].modifier_count;
	}
	party->name = take(&memory, said->name, strlen(said->name) + 1);
}

int party_make(struct party_layouts *layouts, const struct stile_party *said,
	struct stile_report *why, struct stile_party *out) {
	size_t bytes = sizeof(struct stile_party_data) +
		layouts->modifier_count * sizeof(*layouts->modifiers) +
		layouts->format_count * sizeof(*layouts->formats) + strlen(said->name) + 1;
	char *memory = layouts->failed ? NULL : malloc(bytes);
	if (memory != NULL) {
		struct stile_party party;
		fill(layouts, said, memory, &party);
		abi_copy_out(out, &party, sizeof(party));
	}
	free(layouts->formats);
	free(layouts->modifiers);
	*layouts = (struct party_layouts){ .failed = false };
	return memory != NULL
		? 0
		: report_refuse(why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
}

/* FNV-1a; the highest bit makes it what no dev_t is. */
uint64_t party_get_device(const uint8_t driver_uuid[16], const uint8_t device_uuid[16]) {
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < 32; i++) {
		hash ^= i < 16 ? driver_uuid[i] : device_uuid[i - 16];
		hash *= UINT64_C(0x100000001b3);
	}
	return hash | UINT64_C(1) << 63;
}
