/* SPDX-License-Identifier: MIT */
/* Which formats are wanted, in which layouts the parties name them, and who takes which. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/format.h"
#include "src/negotiate.h"

/* ---- Room ---------------------------------------------------------------------------------- */

static size_t count_layouts(const struct party *party) {
	size_t count = 0;
	for (size_t i = 0; i < party->said.format_count; i++) {
		size_t modifiers = party->said.formats[i].modifier_count;
		count += modifiers == 0 ? 1 : modifiers;
	}
	return count;
}

/* Of formats as many as there can be; of offers as many as are likely, if parties have much in common. */
int offer_init(struct negotiation *n) {
	size_t formats = 0;
	n->offer_room = 1;
	for (uint32_t p = 0; p < n->party_count; p++) {
		size_t layouts = count_layouts(&n->parties[p]);
		formats += n->parties[p].said.format_count;
		n->offer_room = layouts > n->offer_room ? layouts : n->offer_room;
	}
	formats = n->want.fourcc_count != 0 ? n->want.fourcc_count : formats;
	/* There may be none. */
	n->wanted = calloc(formats + 1, sizeof(*n->wanted));
	n->said = calloc(formats * n->party_count + 1, sizeof(const struct stile_party_format *));
	n->offers = malloc(n->offer_room * sizeof(*n->offers));
	if (n->wanted != NULL && n->said != NULL && n->offers != NULL) {
		return 0;
	}
	offer_fini(n);
	return -ENOMEM;
}

void offer_fini(struct negotiation *n) {
	free(n->wanted);
	free(n->said);
	free(n->offers);
}

/* ---- What is wanted ------------------------------------------------------------------------ */

/* Subsampled formats have whole samples only, as stile_image_create() has it. */
static struct refusal refuse_subsampled(
	const struct negotiation *n, const struct stile_format *format) {
	for (uint32_t i = 0; i < format->plane_count; i++) {
		const struct stile_format_plane *plane = &format->planes[i];
		bool across = n->want.width % plane->hsub != 0;
		if (across || n->want.height % plane->vsub != 0) {
			return (struct refusal){
				.reason = STILE_REASON_EXTENT,
				.party = STILE_NO_PARTY,
				.needed = across ? plane->hsub : plane->vsub,
				.actual = across ? n->want.width : n->want.height,
				.what = across ? "pixels across" : "pixels down",
			};
		}
	}
	return (struct refusal){ .reason = STILE_REASON_NONE };
}

static const struct stile_party_format *find_format(const struct party *party, uint32_t fourcc) {
	for (size_t i = 0; i < party->said.format_count; i++) {
		if (party->said.formats[i].fourcc == fourcc) {
			return &party->said.formats[i];
		}
	}
	return NULL;
}

/* The first of those that are named twice counts. */
static void add_wanted(struct negotiation *n, uint32_t fourcc) {
	for (size_t i = 0; i < n->wanted_count; i++) {
		if (n->wanted[i].fourcc == fourcc) {
			return;
		}
	}
	struct wanted *wanted = &n->wanted[n->wanted_count];
	const struct stile_party_format **said = &n->said[n->wanted_count * n->party_count];
	n->wanted_count++;
	wanted->fourcc = fourcc;
	wanted->known = stile_format_get(fourcc);
	if (wanted->known != NULL) {
		wanted->refusal = refuse_subsampled(n, wanted->known);
	}
	for (uint32_t p = 0; p < n->party_count; p++) {
		said[p] = find_format(&n->parties[p], fourcc);
	}
}

static void collect_wanted(struct negotiation *n) {
	for (size_t i = 0; i < n->want.fourcc_count; i++) {
		add_wanted(n, n->want.fourccs[i]);
	}
	for (uint32_t p = 0; p < n->party_count && n->want.fourcc_count == 0; p++) {
		for (size_t i = 0; i < n->parties[p].said.format_count; i++) {
			add_wanted(n, n->parties[p].said.formats[i].fourcc);
		}
	}
}

/* ---- What is offered ----------------------------------------------------------------------- */

/* Its word in `named`, and the bit in that. */
static uint64_t *find_named(struct negotiation *n, uint64_t modifier, uint64_t *bit) {
	const uint64_t hash = modifier * 0x9e3779b97f4a7c15 >> 32;
	*bit = UINT64_C(1) << hash % NAMED_WORD;
	return &n->named[hash / NAMED_WORD % (NAMED_BITS / NAMED_WORD)];
}

/* NULL: out of memory. */
static struct offer *add_offer(struct negotiation *n, uint32_t wanted, uint64_t modifier) {
	if (n->offer_count == n->offer_room) {
		struct offer *more = realloc(n->offers, 2 * n->offer_room * sizeof(*more));
		if (more == NULL) {
			return NULL;
		}
		n->offers = more;
		n->offer_room *= 2;
	}
	uint64_t bit;
	*find_named(n, modifier, &bit) |= bit;
	struct offer *offer = &n->offers[n->offer_count++];
	*offer = (struct offer){ .modifier = modifier, .wanted = wanted, .level = -1 };
	return offer;
}

/* Of those from `first` on. Parties often name the same in the same order: begins at `likely`. */
static struct offer *find_offer(
	struct negotiation *n, size_t first, uint64_t modifier, size_t likely) {
	struct offer *const offers = n->offers;
	const size_t count = n->offer_count;
	uint64_t bit;
	if (likely < count && offers[likely].modifier == modifier) {
		return &offers[likely];
	}
	if ((*find_named(n, modifier, &bit) & bit) == 0) {
		return NULL;
	}
	for (size_t i = likely; i < count; i++) {
		if (offers[i].modifier == modifier) {
			return &offers[i];
		}
	}
	for (size_t i = first; i < likely; i++) {
		if (offers[i].modifier == modifier) {
			return &offers[i];
		}
	}
	return NULL;
}

static bool has_conditions(const struct stile_party_modifier *modifier) {
	return (modifier->plane_count | modifier->flags | modifier->max_width |
		       modifier->max_height) != 0;
}

/* Does a party that is not against everything take it on these conditions? */
static bool takes(const struct negotiation *n, const struct party *party,
	const struct stile_party_modifier *modifier, uint32_t plane_count) {
	return (modifier->max_width == 0 || n->want.width <= modifier->max_width) &&
		(modifier->max_height == 0 || n->want.height <= modifier->max_height) &&
		(modifier->plane_count == 0 || modifier->plane_count == plane_count) &&
		((modifier->flags & STILE_PARTY_EXTERNAL_ONLY) == 0 ||
			!party->needs_more_than_external);
}

/* A party names it. `accepts`: its bit, unless it is against everything. */
static void note(const struct negotiation *n, uint32_t p, uint64_t accepts,
	const struct stile_party_modifier *modifier, struct offer *offer) {
	const uint64_t bit = party_bit(p);
	if ((offer->has & bit) != 0) {
		return; /* named twice */
	}
	offer->has |= bit;
	if (has_conditions(modifier)) {
		if (offer->plane_count == 0) {
			offer->plane_count = (uint8_t)modifier->plane_count;
		}
		if ((modifier->flags & STILE_PARTY_EXTERNAL_ONLY) != 0) {
			offer->external |= bit;
		}
		if (!takes(n, &n->parties[p], modifier, offer->plane_count)) {
			return;
		}
	}
	offer->accepts |= accepts;
}

/* What one party says of a format. 0 or -ENOMEM. */
static int collect_said(struct negotiation *n, uint32_t index, uint32_t p,
	const struct stile_party_format *format) {
	struct wanted *wanted = &n->wanted[index];
	const struct party *party = &n->parties[p];
	const bool accepts = party->refusal.reason == STILE_REASON_NONE &&
		wanted->refusal.reason == STILE_REASON_NONE;
	size_t likely = wanted->first_offer, count;
	bool tiled = false;
	const struct stile_party_modifier *modifiers = party_get_modifiers(party, format, &count);
	for (size_t i = 0; i < count; i++) {
		const uint64_t modifier = modifiers[i].modifier;
		struct offer *offer = find_offer(n, wanted->first_offer, modifier, likely);
		if (offer == NULL) {
			offer = add_offer(n, index, modifier);
			if (offer == NULL) {
				return -ENOMEM;
			}
		}
		likely = (size_t)(offer - n->offers) + 1;
		note(n, p, accepts ? party_bit(p) : 0, &modifiers[i], offer);
		tiled = tiled ||
			(modifier != DRM_FORMAT_MOD_LINEAR && modifier != DRM_FORMAT_MOD_INVALID);
	}
	if (tiled) {
		wanted->tiled |= party_bit(p);
	}
	return 0;
}

/* Make it the last one of its format. */
static void move_to_end(struct negotiation *n, const struct wanted *wanted, uint64_t modifier) {
	struct offer *offers = &n->offers[wanted->first_offer];
	for (size_t i = 0; i + 1 < wanted->offer_count; i++) {
		if (offers[i].modifier == modifier) {
			struct offer last = offers[i];
			for (; i + 1 < wanted->offer_count; i++) {
				offers[i] = offers[i + 1];
			}
			offers[i] = last;
		}
	}
}

static int collect_offers(struct negotiation *n, uint32_t index) {
	struct wanted *wanted = &n->wanted[index];
	wanted->first_offer = n->offer_count;
	memset(n->named, 0, sizeof(n->named));
	for (uint32_t p = 0; p < n->party_count; p++) {
		const struct stile_party_format *format = n->said[index * n->party_count + p];
		if (format != NULL && collect_said(n, index, p, format) < 0) {
			return -ENOMEM;
		}
	}
	if (n->offer_count == wanted->first_offer &&
		add_offer(n, index, DRM_FORMAT_MOD_INVALID) == NULL) {
		return -ENOMEM;
	}
	wanted->offer_count = n->offer_count - wanted->first_offer;
	move_to_end(n, wanted, DRM_FORMAT_MOD_LINEAR);
	move_to_end(n, wanted, DRM_FORMAT_MOD_INVALID);
	return 0;
}

int offer_collect(struct negotiation *n) {
	int ret = 0;
	collect_wanted(n);
	for (uint32_t i = 0; i < n->wanted_count && ret == 0; i++) {
		ret = collect_offers(n, i);
	}
	return ret;
}

bool offer_suits(const struct offer *offer, const struct terms *terms) {
	return (offer->accepts & terms->parties) == terms->parties &&
		(offer->modifier != DRM_FORMAT_MOD_INVALID || terms->same_device);
}
