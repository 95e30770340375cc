/* SPDX-License-Identifier: MIT */
#include "src/constraints.h"

#include <errno.h>
#include <stdbool.h>

#include "src/abi.h"
#include "src/os.h"

enum { ADDRESS_BITS_MIN = 12, ADDRESS_BITS_MAX = 64 };

/* 0 needs nothing, and is fine. */
static bool is_alignment(uint32_t align) {
	return (align & (align - 1)) == 0;
}

int constraints_check(const struct stile_constraints *constraints) {
	uint32_t bits = constraints->address_bits;
	if (!is_alignment(constraints->pitch_align) || !is_alignment(constraints->offset_align) ||
		!is_alignment(constraints->height_align) ||
		!is_alignment(constraints->segment_align)) {
		return -EINVAL;
	}
	if (bits != 0 && (bits < ADDRESS_BITS_MIN || bits > ADDRESS_BITS_MAX)) {
		return -EINVAL;
	}
	if (constraints->max_segment != 0 && constraints->max_segment < os_page_size()) {
		return -EINVAL;
	}
	return 0;
}

/* Of powers of two, the larger is a multiple of the smaller; 0 is less than any. */
static uint32_t stricter_align(uint32_t a, uint32_t b) {
	return a > b ? a : b;
}

/* 0 is no limit. */
static uint64_t stricter_limit(uint64_t a, uint64_t b) {
	if (a == 0 || b == 0) {
		return a | b;
	}
	return a < b ? a : b;
}

static uint32_t stricter_limit32(uint32_t a, uint32_t b) {
	return (uint32_t)stricter_limit(a, b);
}

void constraints_combine(struct stile_constraints *into, const struct stile_constraints *other) {
	into->usage |= other->usage;
	into->max_width = stricter_limit32(into->max_width, other->max_width);
	into->max_height = stricter_limit32(into->max_height, other->max_height);
	into->pitch_align = stricter_align(into->pitch_align, other->pitch_align);
	into->offset_align = stricter_align(into->offset_align, other->offset_align);
	into->height_align = stricter_align(into->height_align, other->height_align);
	into->address_bits = stricter_limit32(into->address_bits, other->address_bits);
	into->max_segments = stricter_limit32(into->max_segments, other->max_segments);
	into->segment_align = stricter_align(into->segment_align, other->segment_align);
	into->max_segment = stricter_limit(into->max_segment, other->max_segment);
}

int stile_constraints_merge(struct stile_constraints *into, const struct stile_constraints *other) {
	struct stile_constraints ours;
	int ret = abi_copy_in(&ours, sizeof(ours), into);
	if (ret < 0) {
		return ret;
	}
	/* What an older `into` has no room for would be lost: then `other` must not need it. */
	size_t room = into->size < sizeof(ours) ? into->size : sizeof(ours);
	struct stile_constraints theirs = { .size = 0 };
	ret = abi_copy_in(&theirs, room, other);
	if (ret < 0) {
		return ret;
	}
	if (constraints_check(&ours) < 0 || constraints_check(&theirs) < 0) {
		return -EINVAL;
	}
	constraints_combine(&ours, &theirs);
	abi_copy_out(into, &ours, sizeof(ours));
	return 0;
}
