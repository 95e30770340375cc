/* SPDX-License-Identifier: MIT */
/* What holds for several parties together, whatever the layout: whose memory, and who waits how. */
#include <stddef.h>

#include "src/constraints.h"
#include "src/negotiate.h"
#include "src/os.h"

/* Are they known to be? One alone is of its own device. */
static bool is_same_device(const struct negotiation *n, uint64_t parties) {
	const uint32_t first = party_lowest(parties);
	const uint64_t device = n->parties[first].said.device;
	for (uint64_t left = parties & (parties - 1); left != 0; left &= left - 1) {
		if (device == 0 || n->parties[party_lowest(left)].said.device != device) {
			return false;
		}
	}
	return true;
}

struct refusal terms_refuse_device(const struct negotiation *n, const struct terms *terms) {
	uint32_t party = party_lowest(terms->parties);
	const uint64_t device = n->parties[party].said.device;
	for (uint64_t left = terms->parties; left != 0; left &= left - 1) {
		party = party_lowest(left);
		if (device == 0 || n->parties[party].said.device != device) {
			break;
		}
	}
	return (struct refusal){
		.reason = STILE_REASON_DEVICE,
		.party = party,
		.needed = device,
		.actual = n->parties[party].said.device,
		.what = "device",
	};
}

/* ---- Waiting ------------------------------------------------------------------------------- */

/* Take from `bits` what some party lacks; if that leaves none, it refuses. */
static struct refusal narrow(const struct negotiation *n, uint64_t parties,
	uint32_t (*get)(const struct party *party), enum stile_reason reason, uint32_t *bits) {
	for (; parties != 0; parties &= parties - 1) {
		uint32_t p = party_lowest(parties);
		uint32_t mine = get(&n->parties[p]);
		if ((*bits & mine) == 0) {
			return (struct refusal){
				.reason = reason,
				.party = p,
				.needed = mine,
				.actual = *bits,
				.what = "kinds, as bits",
			};
		}
		*bits &= mine;
	}
	return (struct refusal){ .reason = STILE_REASON_NONE };
}

static uint32_t get_sync(const struct party *party) {
	return party->said.sync;
}

static uint32_t get_memory(const struct party *party) {
	return party->said.memory;
}

static struct refusal find_sync(const struct negotiation *n, struct terms *terms) {
	terms->sync = terms->same_device ? SYNC_ALL : SYNC_ALL & ~STILE_SYNC_SEMAPHORE;
	return narrow(n, terms->parties, get_sync, STILE_REASON_SYNC, &terms->sync);
}

/* ---- Memory -------------------------------------------------------------------------------- */

/* A number that is needed and not promised. */
static struct refusal compare(
	const struct stile_constraints *needs, const struct stile_constraints *gives) {
	const struct {
		uint64_t needed, given;
		bool fits;
		const char *what;
	} numbers[] = {
		{ needs->address_bits, gives->address_bits,
			needs->address_bits == 0 || needs->address_bits == 64 ||
				(gives->address_bits != 0 &&
					gives->address_bits <= needs->address_bits),
			"bits of an address" },
		{ needs->max_segments, gives->max_segments,
			needs->max_segments == 0 ||
				(gives->max_segments != 0 &&
					gives->max_segments <= needs->max_segments),
			needs->max_segments == 1 ? "piece" : "pieces" },
		{ needs->segment_align, gives->segment_align,
			needs->segment_align <= os_page_size() ||
				gives->segment_align >= needs->segment_align,
			"bytes of alignment of a piece" },
	};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (!numbers[i].fits) {
			return (struct refusal){
				.reason = STILE_REASON_MEMORY,
				.needed = numbers[i].needed,
				.actual = numbers[i].given,
				.what = numbers[i].what,
			};
		}
	}
	return (struct refusal){ .reason = STILE_REASON_NONE };
}

/* Kinds that these parties can share at all. */
static uint32_t get_kinds(const struct terms *terms) {
	return terms->same_device ? MEMORY_ALL : MEMORY_ALL & ~STILE_MEMORY_OPAQUE_FD;
}

/* The first whose needs are not met by what the allocator gives. */
static struct refusal refuse_memory(
	const struct negotiation *n, const struct terms *terms, uint32_t allocator) {
	struct refusal refusal = { .reason = STILE_REASON_NONE };
	for (uint64_t left = terms->parties; left != 0 && refusal.reason == STILE_REASON_NONE;
		left &= left - 1) {
		uint32_t p = party_lowest(left);
		refusal = compare(&n->parties[p].needs, &n->parties[allocator].gives);
		refusal.party = p;
	}
	return refusal;
}

/* Can this one allocate for all? `kinds` that it makes, of which some have to be left. */
static struct refusal try_allocator(const struct negotiation *n, const struct terms *terms,
	uint32_t allocator, uint32_t *kinds) {
	struct refusal refusal = narrow(n, terms->parties & ~party_bit(allocator), get_memory,
		STILE_REASON_MEMORY_KIND, kinds);
	return refusal.reason == STILE_REASON_NONE ? refuse_memory(n, terms, allocator) : refusal;
}

/*
 * The best kind of memory, and of those who can allocate it the first. If there is none: what is
 * refused to who came furthest.
 */
static struct refusal find_allocator(const struct negotiation *n, struct terms *terms) {
	struct refusal why = { .reason = STILE_REASON_MEMORY_KIND, .party = STILE_NO_PARTY };
	for (uint64_t left = terms->parties; left != 0; left &= left - 1) {
		uint32_t p = party_lowest(left);
		uint32_t kinds = n->parties[p].said.allocates & get_kinds(terms);
		if (kinds == 0) {
			continue;
		}
		struct refusal refusal = try_allocator(n, terms, p, &kinds);
		uint32_t best = kinds & -kinds;
		if (refusal.reason == STILE_REASON_NONE) {
			if (terms->memory == 0 || best < terms->memory) {
				terms->allocator = p;
				terms->memory = best;
			}
		} else if (why.party == STILE_NO_PARTY ||
			(why.reason == STILE_REASON_MEMORY_KIND &&
				refusal.reason == STILE_REASON_MEMORY)) {
			why = refusal;
		}
	}
	return terms->memory == 0 ? why : (struct refusal){ .reason = STILE_REASON_NONE };
}

static struct refusal find_memory(const struct negotiation *n, struct terms *terms) {
	if (!n->from_outside) {
		return find_allocator(n, terms);
	}
	uint32_t kinds = get_kinds(terms);
	struct refusal refusal =
		narrow(n, terms->parties, get_memory, STILE_REASON_MEMORY_KIND, &kinds);
	terms->memory = kinds & -kinds;
	return refusal;
}

/* ---- All of it ----------------------------------------------------------------------------- */

void terms_find(const struct negotiation *n, uint64_t parties, struct terms *terms) {
	*terms = (struct terms){
		.parties = parties,
		.same_device = is_same_device(n, parties),
		.allocator = STILE_NO_PARTY,
		.needs = { .size = sizeof(terms->needs), .usage = n->want.usage },
	};
	for (uint64_t left = parties; left != 0; left &= left - 1) {
		constraints_combine(&terms->needs, &n->parties[party_lowest(left)].needs);
	}
	terms->refusal = find_memory(n, terms);
	if (terms->refusal.reason == STILE_REASON_NONE) {
		terms->refusal = find_sync(n, terms);
	}
}
