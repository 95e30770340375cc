/* SPDX-License-Identifier: MIT */
/* The answer of a negotiation: tranches of choices, and rejections, in one piece of memory. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/negotiate.h"

/* The piece of memory while it is filled. */
struct making {
	const struct negotiation *n;
	const struct plan *plan;
	bool copies; /* there are two layouts, and no levels */
	uint32_t tranche_count;
	size_t choice_count, rejection_count, name_bytes;
	uint32_t level_tranche[STILE_MAX_PARTIES + 1]; /* or STILE_NO_TRANCHE */
	size_t level_choices[STILE_MAX_PARTIES + 1];
	size_t written, read;
	char *free; /* what is left of it */
	struct stile_layout_data *data;
};

/* ---- How much it is ------------------------------------------------------------------------ */

static bool is_rejected(const struct plan *plan, const struct offer *offer) {
	return offer->level + 1 < (int)plan->level_count;
}

static void count_offers(struct making *making) {
	for (size_t i = 0; i < making->n->offer_count; i++) {
		const struct offer *offer = &making->n->offers[i];
		making->rejection_count += is_rejected(making->plan, offer);
		if (offer->level >= 0) {
			making->level_choices[offer->level]++;
		}
		making->written += making->copies && offer->to_write;
		making->read += making->copies && offer->to_read;
	}
}

/* The more parties, the better. */
static void count_tranches(struct making *making) {
	for (uint32_t level = making->plan->level_count; level-- > 0;) {
		bool any = making->level_choices[level] != 0;
		making->level_tranche[level] = any ? making->tranche_count++ : STILE_NO_TRANCHE;
		making->choice_count += making->level_choices[level];
	}
	if (making->copies) {
		making->tranche_count = 1;
		making->choice_count = making->written + making->read;
	}
}

static size_t count_bytes(struct making *making) {
	for (uint32_t p = 0; p < making->n->party_count; p++) {
		const char *name = making->n->parties[p].said.name;
		making->name_bytes += name == NULL ? 0 : strlen(name) + 1;
	}
	return sizeof(struct stile_layout_data) +
		(making->tranche_count + making->copies) * sizeof(struct stile_tranche) +
		making->choice_count * sizeof(struct stile_choice) +
		making->rejection_count * sizeof(struct stile_rejection) +
		making->n->party_count * sizeof(const char *) + making->name_bytes;
}

/* In the order of count_bytes(): what is aligned most comes first. */
static void *take(struct making *making, size_t bytes) {
	void *taken = making->free;
	making->free += bytes;
	return taken;
}

/* ---- As the caller counts parties ---------------------------------------------------------- */

static uint32_t get_index(const struct negotiation *n, uint32_t party) {
	return party == STILE_NO_PARTY ? STILE_NO_PARTY : n->parties[party].index;
}

static uint64_t get_indices(const struct negotiation *n, uint64_t parties) {
	uint64_t indices = 0;
	for (; parties != 0; parties &= parties - 1) {
		indices |= party_bit(n->parties[party_lowest(parties)].index);
	}
	return indices;
}

/* ---- Tranches ------------------------------------------------------------------------------ */

static void set_device(
	const struct negotiation *n, uint64_t parties, struct stile_tranche *tranche) {
	for (; parties != 0; parties &= parties - 1) {
		const struct party *party = &n->parties[party_lowest(parties)];
		if (party_says(party, STILE_PARTY_SCANOUT)) {
			tranche->flags |= STILE_TRANCHE_SCANOUT;
			tranche->device = party->said.device;
		} else if ((tranche->flags & STILE_TRANCHE_SCANOUT) == 0 && tranche->device == 0) {
			tranche->device = party->said.device;
		}
	}
}

/* Without its choices. */
static void make_tranche(
	const struct negotiation *n, const struct terms *terms, struct stile_tranche *tranche) {
	*tranche = (struct stile_tranche){
		.parties = get_indices(n, terms->parties),
		.allocator = get_index(n, terms->allocator),
		.memory = terms->memory,
		.sync = terms->sync,
		.needs = terms->needs,
	};
	set_device(n, terms->parties, tranche);
}

static void make_choice(const struct negotiation *n, const struct offer *offer,
	const struct terms *terms, struct stile_choice *choice) {
	const struct wanted *wanted = &n->wanted[offer->wanted];
	uint32_t usual = wanted->known == NULL ? 0 : wanted->known->plane_count;
	*choice = (struct stile_choice){
		.fourcc = wanted->fourcc,
		.plane_count = offer->plane_count == 0 ? usual : offer->plane_count,
		.modifier = offer->modifier,
		.external_only = get_indices(n, offer->external & terms->parties),
		.step = ladder_get_step(n, offer, terms->parties),
	};
}

static void make_levels(struct making *making) {
	struct stile_choice *next[STILE_MAX_PARTIES + 1];
	for (uint32_t level = making->plan->level_count; level-- > 0;) {
		if (making->level_choices[level] != 0) {
			struct stile_tranche *tranche =
				&making->data->tranches[making->level_tranche[level]];
			const size_t count = making->level_choices[level];
			make_tranche(making->n, &making->plan->levels[level], tranche);
			next[level] = take(making, count * sizeof(struct stile_choice));
			tranche->choices = next[level];
			tranche->choice_count = count;
		}
	}
	for (size_t i = 0; i < making->n->offer_count; i++) {
		const struct offer *offer = &making->n->offers[i];
		if (offer->level >= 0) {
			make_choice(making->n, offer, &making->plan->levels[offer->level],
				next[offer->level]++);
		}
	}
}

static void make_side(struct making *making, bool writes, struct stile_tranche *tranche) {
	const struct terms *terms = writes ? &making->plan->producers : &making->plan->consumers;
	const size_t count = writes ? making->written : making->read;
	struct stile_choice *choice = take(making, count * sizeof(*choice));
	make_tranche(making->n, terms, tranche);
	tranche->choices = choice;
	tranche->choice_count = count;
	for (size_t i = 0; i < making->n->offer_count; i++) {
		const struct offer *offer = &making->n->offers[i];
		if (writes ? offer->to_write : offer->to_read) {
			make_choice(making->n, offer, terms, choice++);
		}
	}
}

/* ---- Rejections ---------------------------------------------------------------------------- */

static void make_rejection(
	const struct making *making, const struct offer *offer, struct stile_rejection *rejection) {
	const struct negotiation *n = making->n;
	struct refusal refusal = ladder_get_obstacle(n, making->plan, offer);
	*rejection = (struct stile_rejection){
		.fourcc = n->wanted[offer->wanted].fourcc,
		.tranche =
			offer->level < 0 ? STILE_NO_TRANCHE : making->level_tranche[offer->level],
		.modifier = offer->modifier,
		.offered =
			offer->has == 0 ? STILE_NO_PARTY : get_index(n, party_lowest(offer->has)),
		.party = get_index(n, refusal.party),
		.reason = refusal.reason,
		.taken = refusal.taken,
		.needed = refusal.needed,
		.actual = refusal.actual,
		.what = refusal.what == NULL ? "" : refusal.what,
	};
}

static void make_rejections(struct making *making) {
	struct stile_rejection *rejection =
		take(making, making->rejection_count * sizeof(*rejection));
	making->data->rejections = rejection;
	for (size_t i = 0; i < making->n->offer_count; i++) {
		if (is_rejected(making->plan, &making->n->offers[i])) {
			make_rejection(making, &making->n->offers[i], rejection++);
		}
	}
}

/* ---- The whole ----------------------------------------------------------------------------- */

static void make_names(struct making *making) {
	const struct negotiation *n = making->n;
	const char **names = take(making, n->party_count * sizeof(*names));
	for (uint32_t p = 0; p < n->party_count; p++) {
		const struct party *party = &n->parties[p];
		const char *name = party->said.name;
		if (name != NULL) {
			size_t bytes = strlen(name) + 1;
			name = memcpy(take(making, bytes), name, bytes);
		}
		names[party->index] = name;
		if (party_says(party, STILE_PARTY_OPTIONAL)) {
			making->data->optional |= party_bit(party->index);
		}
	}
	making->data->names = names;
}

static void fill(struct making *making) {
	const size_t tranches = making->tranche_count + making->copies;
	making->data = take(making, sizeof(*making->data));
	*making->data = (struct stile_layout_data){
		.party_count = making->n->party_count,
		.tranches = take(making, tranches * sizeof(struct stile_tranche)),
	};
	if (making->copies) {
		making->data->source = &making->data->tranches[1];
		make_side(making, false, &making->data->tranches[0]);
		make_side(making, true, making->data->source);
	} else {
		make_levels(making);
	}
	make_rejections(making);
	make_names(making);
}

int layout_make(const struct negotiation *n, const struct plan *plan, struct stile_layout *layout) {
	struct making making = {
		.n = n,
		.plan = plan,
		.copies = (plan->step == STILE_STEP_BLIT || plan->step == STILE_STEP_CPU_COPY) &&
			plan->step <= n->want.ladder,
	};
	count_offers(&making);
	count_tranches(&making);
	size_t bytes = count_bytes(&making);
	making.free = malloc(bytes);
	if (making.free == NULL) {
		return -ENOMEM;
	}
	fill(&making);
	layout->data = making.data;
	layout->width = n->want.width;
	layout->height = n->want.height;
	layout->step = plan->step;
	layout->copier = get_index(n, plan->copier);
	layout->cost = plan->cost;
	layout->tranche_count = making.tranche_count;
	layout->rejection_count = making.rejection_count;
	return 0;
}

void stile_layout_fini(struct stile_layout *layout) {
	free(layout->data);
	*layout = (struct stile_layout){
		.size = layout->size,
		.step = STILE_STEP_NONE,
		.copier = STILE_NO_PARTY,
	};
}

const struct stile_tranche *stile_layout_get_tranche(
	const struct stile_layout *layout, size_t index) {
	assert(index < layout->tranche_count);
	return &layout->data->tranches[index];
}

const struct stile_tranche *stile_layout_get_source(const struct stile_layout *layout) {
	return layout->data == NULL ? NULL : layout->data->source;
}

const struct stile_rejection *stile_layout_get_rejection(
	const struct stile_layout *layout, size_t index) {
	assert(index < layout->rejection_count);
	return &layout->data->rejections[index];
}
