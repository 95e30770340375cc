/* SPDX-License-Identifier: MIT */
/* From what is offered to what is done: nothing, or else the cheapest copy. */
#include "src/format.h"
#include "src/negotiate.h"

/* ---- The same memory ----------------------------------------------------------------------- */

enum stile_step ladder_get_step(
	const struct negotiation *n, const struct offer *offer, uint64_t parties) {
	bool all_have_better = (n->wanted[offer->wanted].tiled & parties) == parties;
	return offer->modifier == DRM_FORMAT_MOD_LINEAR && all_have_better ? STILE_STEP_LINEAR
									   : STILE_STEP_DIRECT;
}

static bool suits(const struct offer *offer, const struct terms *terms) {
	return terms->refusal.reason == STILE_REASON_NONE && offer_suits(offer, terms);
}

/* The most parties that it can be shared by, and whether it may. */
static void place(const struct negotiation *n, const struct plan *plan, struct offer *offer) {
	int level = (int)plan->level_count - 1;
	while (level >= 0 && !suits(offer, &plan->levels[level])) {
		level--;
	}
	offer->forbidden = level >= 0 &&
		ladder_get_step(n, offer, plan->levels[level].parties) > n->want.ladder;
	offer->level = (int8_t)(offer->forbidden ? -1 : level);
}

/* What the first choice of the best tranche needs, or any that is forbidden would. */
static enum stile_step place_all(struct negotiation *n, const struct plan *plan) {
	const struct offer *best = NULL;
	enum stile_step step = STILE_STEP_NONE;
	for (size_t i = 0; i < n->offer_count; i++) {
		struct offer *offer = &n->offers[i];
		place(n, plan, offer);
		if (offer->level >= 0 && (best == NULL || offer->level > best->level)) {
			best = offer;
		}
		if (offer->forbidden) {
			step = STILE_STEP_LINEAR;
		}
	}
	return best == NULL ? step : ladder_get_step(n, best, plan->levels[best->level].parties);
}

/* ---- A copy -------------------------------------------------------------------------------- */

/* 0: it is not known, or more than can be told. */
static uint64_t get_frame_bytes(const struct negotiation *n, const struct wanted *wanted) {
	uint64_t bytes = 0;
	for (uint32_t i = 0; wanted->known != NULL && i < wanted->known->plane_count; i++) {
		uint64_t pitch = format_row_bytes(wanted->known, i, n->want.width);
		uint64_t rows = format_plane_height(wanted->known, i, n->want.height);
		if (rows == 0 || !format_rows_end(bytes, pitch, rows, 1, &bytes)) {
			return 0;
		}
	}
	return bytes;
}

/* Mark the layouts of a format that producers write and consumers read; there have to be both. */
static bool mark(struct negotiation *n, const struct plan *plan, const struct wanted *wanted,
	uint64_t copier) {
	struct offer *offers = &n->offers[wanted->first_offer];
	bool written = false, read = false;
	for (size_t i = 0; i < wanted->offer_count; i++) {
		bool fits = copier != 0 || offers[i].modifier == DRM_FORMAT_MOD_LINEAR;
		offers[i].to_write = fits && offer_suits(&offers[i], &plan->producers);
		/* Nobody draws to an external texture. */
		offers[i].to_read = fits && offer_suits(&offers[i], &plan->consumers) &&
			(offers[i].external & copier) == 0;
		written = written || offers[i].to_write;
		read = read || offers[i].to_read;
	}
	for (size_t i = 0; i < wanted->offer_count && !(written && read); i++) {
		offers[i].to_write = offers[i].to_read = false;
	}
	return written && read;
}

/* Can this party, or the CPU if it is none, do it between these? Then the plan says how. */
static bool try_copy(struct negotiation *n, struct plan *plan, uint64_t producers,
	uint64_t consumers, uint64_t copier) {
	const struct wanted *first = NULL;
	terms_find(n, producers | copier, &plan->producers);
	terms_find(n, consumers | copier, &plan->consumers);
	if (plan->producers.refusal.reason != STILE_REASON_NONE ||
		plan->consumers.refusal.reason != STILE_REASON_NONE) {
		return false;
	}
	plan->producers.needs.usage |= STILE_USAGE_READ;
	plan->consumers.needs.usage |= STILE_USAGE_WRITE;
	for (size_t i = 0; i < n->wanted_count; i++) {
		if (mark(n, plan, &n->wanted[i], copier) && first == NULL) {
			first = &n->wanted[i];
		}
	}
	if (first != NULL) {
		uint64_t bytes = get_frame_bytes(n, first);
		plan->cost = bytes > UINT64_MAX / 2 ? 0 : 2 * bytes;
		plan->step = copier == 0 ? STILE_STEP_CPU_COPY : STILE_STEP_BLIT;
		plan->copier = copier == 0 ? STILE_NO_PARTY : party_lowest(copier);
	}
	return first != NULL;
}

/* Of the first `count` parties, those that say so. */
static uint64_t find_parties(const struct negotiation *n, uint32_t count, uint32_t flag) {
	uint64_t found = 0;
	for (uint32_t p = 0; p < count; p++) {
		found |= party_says(&n->parties[p], flag) ? party_bit(p) : 0;
	}
	return found;
}

static void plan_copy(struct negotiation *n, struct plan *plan) {
	uint64_t producers = 0;
	for (uint32_t p = 0; p < n->required_count; p++) {
		bool writes = (n->parties[p].needs.usage & STILE_USAGE_WRITE) != 0;
		producers |= writes ? party_bit(p) : 0;
	}
	const uint64_t consumers = party_first(n->required_count) & ~producers;
	if (producers == 0 || consumers == 0) {
		return;
	}
	uint64_t left = find_parties(n, n->party_count, STILE_PARTY_CAN_BLIT);
	for (; left != 0; left &= left - 1) {
		if (try_copy(n, plan, producers, consumers, left & -left)) {
			return;
		}
	}
	const uint64_t mapped = find_parties(n, n->required_count, STILE_PARTY_CPU);
	if ((producers & mapped) != 0 && (consumers & mapped) != 0 && !n->want.is_protected) {
		(void)try_copy(n, plan, producers, consumers, 0);
	}
}

/* ---- All of it ----------------------------------------------------------------------------- */

void ladder_climb(struct negotiation *n, struct plan *plan) {
	plan->copier = STILE_NO_PARTY;
	plan->cost = 0;
	plan->level_count = n->party_count - n->required_count + 1;
	for (uint32_t i = 0; i < plan->level_count; i++) {
		terms_find(n, party_first(n->required_count + i), &plan->levels[i]);
	}
	plan->step = place_all(n, plan);
	if (plan->step == STILE_STEP_NONE) {
		plan_copy(n, plan);
	}
}

struct refusal ladder_get_obstacle(
	const struct negotiation *n, const struct plan *plan, const struct offer *offer) {
	const struct wanted *wanted = &n->wanted[offer->wanted];
	const struct terms *terms = &plan->levels[offer->level + 1];
	if (offer->forbidden) {
		return (struct refusal){
			.reason = STILE_REASON_POLICY,
			.party = STILE_NO_PARTY,
			.needed = STILE_STEP_LINEAR,
			.actual = n->want.ladder,
			.what = "step",
		};
	}
	if (wanted->refusal.reason != STILE_REASON_NONE) {
		return wanted->refusal;
	}
	uint64_t refusing = terms->parties & ~offer->accepts;
	if (refusing != 0) {
		return party_refuse(n, party_lowest(refusing), offer);
	}
	return offer_suits(offer, terms) ? terms->refusal : terms_refuse_device(n, terms);
}
