/* SPDX-License-Identifier: MIT */
#ifndef SRC_NEGOTIATE_H
#define SRC_NEGOTIATE_H

#include <stdbool.h>

#include <stile/buffer.h>
#include <stile/format.h>
#include <stile/negotiate.h>

/*
 * A negotiation: parties and what they take are read (party.c), the layouts that they name are put
 * together (offer.c); who can be together at all is for terms.c to say. From that ladder.c makes a
 * plan, and layout.c the answer, for which layout_text.c has the words.
 *
 * Within, parties are counted with the required ones first: then the parties of each tranche are the
 * first few, and a set of parties, by bit, is such a set if it has no gap.
 */

/* All that there are. */
enum {
	USAGE_ALL = STILE_USAGE_READ | STILE_USAGE_WRITE,
	MEMORY_ALL = STILE_MEMORY_HOST_POINTER * 2 - 1,
	SYNC_ALL = STILE_SYNC_CPU * 2 - 1,
};

/** Why not. A party within, or STILE_NO_PARTY; reason NONE: there is no such refusal. */
struct refusal {
	enum stile_reason reason;
	uint32_t party;
	uint32_t taken;
	uint64_t needed, actual;
	const char *what;
};

/** A party, read and checked. */
struct party {
	struct stile_party said; /* complete */
	struct stile_constraints needs, gives;
	uint32_t index;                /* as the caller counts it */
	struct refusal refusal;        /* of all that is wanted */
	bool needs_more_than_external; /* texture: that can be sampled, no more */
};

/** A format that is wanted, or that a party names if all are. */
struct wanted {
	uint32_t fourcc;
	const struct stile_format *known; /* or NULL */
	uint64_t tiled;         /* parties that name a layout that is neither LINEAR nor INVALID */
	struct refusal refusal; /* by its own nature */
	size_t first_offer, offer_count;
};

/** A wanted format in a layout that somebody names; with no `has`, the format that has no such layout. */
struct offer {
	uint64_t modifier;
	uint64_t has;        /* parties that name it */
	uint64_t accepts;    /* those of them that take it */
	uint64_t external;   /* those of them that take it as external texture only */
	uint32_t wanted;     /* index of its format */
	uint8_t plane_count; /* as the first party says that does; 0: none does */
	/* The plan: */
	int8_t level;   /* how many optional parties take it, from the first on; -1: it is out */
	bool forbidden; /* it is out because it is too high on the ladder */
	bool to_read, to_write; /* a copy: it is for consumers, for producers */
};

/** What holds for some parties together, whatever the layout. */
struct terms {
	uint64_t parties;
	struct refusal refusal; /* they cannot be together */
	bool same_device;
	uint32_t allocator, memory, sync;
	struct stile_constraints needs;
};

enum { NAMED_BITS = 1024, NAMED_WORD = 64 };

struct negotiation {
	struct stile_want want;
	uint32_t party_count, required_count;
	struct party *parties;
	bool from_outside; /* nobody allocates */
	size_t wanted_count;
	struct wanted *wanted;
	size_t offer_count, offer_room;
	struct offer *offers; /* one format after another */
	/* Of the format at hand: hashes of what was named; without its bit, a modifier was not. */
	uint64_t named[NAMED_BITS / NAMED_WORD];
	/* What a party says of a format: its struct stile_party_format, or NULL. Rows are formats. */
	const struct stile_party_format **said;
};

/** What is to be done. */
struct plan {
	enum stile_step step; /* at least */
	uint32_t copier;      /* party within, or STILE_NO_PARTY */
	uint64_t cost;
	uint32_t level_count;                       /* with and without optional parties */
	struct terms levels[STILE_MAX_PARTIES + 1]; /* by the number of optional ones */
	struct terms producers, consumers;          /* of a copy */
};

static inline uint64_t party_bit(uint32_t party) {
	return UINT64_C(1) << party;
}

/** The first so many parties. */
static inline uint64_t party_first(uint32_t count) {
	return count >= STILE_MAX_PARTIES ? UINT64_MAX : party_bit(count) - 1;
}

/** The first of a set that is not empty. */
static inline uint32_t party_lowest(uint64_t parties) {
	return (uint32_t)__builtin_ctzll(parties);
}

static inline bool party_says(const struct party *party, uint32_t flag) {
	return (party->said.flags & flag) != 0;
}

/* ---- party.c ------------------------------------------------------------------------------- */

/**
 * Read them, required ones first, into n->parties, which has room. 0, or -EINVAL or -E2BIG with the
 * reason in `why`.
 */
int party_read_all(struct negotiation *n, const struct stile_party *parties, uint32_t count,
	struct stile_report *why);

/** The layouts that a party takes of a format; none: it does not say. */
const struct stile_party_modifier *party_get_modifiers(
	const struct party *party, const struct stile_party_format *format, size_t *count);

/** Why does this party not accept it? It does not. */
struct refusal party_refuse(const struct negotiation *n, uint32_t index, const struct offer *offer);

/* ---- offer.c ------------------------------------------------------------------------------- */

/** Memory for what is wanted and offered. 0 or -ENOMEM; offer_fini(). */
int offer_init(struct negotiation *n);
void offer_fini(struct negotiation *n);

/** Find out what is wanted, and what is offered of that. 0 or -ENOMEM. */
int offer_collect(struct negotiation *n);

/** Do these parties all take it? */
bool offer_suits(const struct offer *offer, const struct terms *terms);

/* ---- terms.c ------------------------------------------------------------------------------- */

/** Can these parties, at least one, be together? */
void terms_find(const struct negotiation *n, uint64_t parties, struct terms *terms);

/** The first of them that is of another device than the others; they are not of the same. */
struct refusal terms_refuse_device(const struct negotiation *n, const struct terms *terms);

/* ---- ladder.c ------------------------------------------------------------------------------ */

/** Decide of each offer what becomes of it. */
void ladder_climb(struct negotiation *n, struct plan *plan);

/** DIRECT or LINEAR: what it is that these parties share. */
enum stile_step ladder_get_step(
	const struct negotiation *n, const struct offer *offer, uint64_t parties);

/** Why is an offer not in a tranche with one more party? It is not in the one with all. */
struct refusal ladder_get_obstacle(
	const struct negotiation *n, const struct plan *plan, const struct offer *offer);

/* ---- layout.c ------------------------------------------------------------------------------ */

/** What a struct stile_layout points to: one piece of memory. */
struct stile_layout_data {
	uint32_t party_count;
	uint64_t optional;        /* parties, by bit */
	const char *const *names; /* of parties */
	struct stile_tranche *tranches;
	struct stile_tranche *source; /* or NULL */
	struct stile_rejection *rejections;
};

/** Make the answer; with a plan that is more than allowed, without tranches. 0 or -ENOMEM. */
int layout_make(const struct negotiation *n, const struct plan *plan, struct stile_layout *layout);

/* ---- layout_text.c ------------------------------------------------------------------------- */

/** A part of a sentence; what is longer is cut. */
struct label {
	char text[128];
};

struct label layout_name_party(const struct stile_layout *layout, uint32_t party);
struct label layout_name_memory(uint64_t kinds);
struct choice_label {
	char text[288];
};

/** Its format and its modifier. */
struct choice_label layout_name_choice(const struct stile_choice *choice);

/** Which step would have done, for a report: ends a sentence. */
void layout_describe_step(const struct stile_layout *layout, char *text, size_t size);

#endif
