/* SPDX-License-Identifier: MIT */
#ifndef MODEL_NEGOTIATE_MODEL_H
#define MODEL_NEGOTIATE_MODEL_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Negotiation once more, by trying everything: each layout of each format with each set of parties. The
 * rules are those of <stile/party.h> and <stile/negotiate.h>, of which nothing is included.
 */
enum {
	NM_PARTIES = 6,
	NM_FORMATS = 3,
	NM_LAYOUTS = 4,
	NM_WANTED = 4,
	NM_FOURCCS = 4,
	NM_MODIFIERS = 5,
	/** All layouts of all formats, and for each format that nobody names a layout. */
	NM_PAIRS = NM_FOURCCS * (NM_MODIFIERS + 1),
	NM_NOBODY = -1,
	NM_NOWHERE = -1,
};

/** What there is. Of the last format nothing is known. */
extern const uint32_t nm_fourccs[NM_FOURCCS];
/** The first is LINEAR, the last INVALID. */
extern const uint64_t nm_modifiers[NM_MODIFIERS];

struct nm_layout {
	int modifier; /* index */
	unsigned planes;
	bool external_only;
	unsigned max_width, max_height;
};

struct nm_format {
	int fourcc; /* index */
	int layout_count;
	struct nm_layout layouts[NM_LAYOUTS];
};

struct nm_needs {
	bool reads, writes;
	unsigned max_width, max_height, pitch, offset, height, address_bits, segments,
		segment_align;
	uint64_t segment;
};

struct nm_party {
	int format_count;
	struct nm_format formats[NM_FORMATS];
	struct nm_needs needs, gives;
	uint64_t device;
	unsigned memory, allocates, sync; /* by bit, the best first */
	bool optional, scanout, protects, needs_texture, can_blit, cpu, unsaid_is_linear;
};

struct nm_case {
	int party_count;
	struct nm_party parties[NM_PARTIES];
	unsigned width, height;
	bool reads, writes, is_protected;
	int ladder; /* 0 to 3 */
	int wanted_count;
	int wanted[NM_WANTED]; /* indices of fourccs */
};

/** A layout of a format; modifier -1: the format alone. */
struct nm_pair {
	int fourcc, modifier;
};

struct nm_choice {
	struct nm_pair pair;
	unsigned planes;
	unsigned external; /* parties, by bit */
	bool is_linear_step;
};

struct nm_tranche {
	unsigned parties; /* by bit */
	uint64_t device;
	bool scanout;
	int allocator;
	unsigned memory, sync;
	struct nm_needs needs;
	int choice_count;
	struct nm_choice choices[NM_PAIRS];
};

/** What is not in the best tranche: where it is, and with whom together it is refused. */
struct nm_rejection {
	struct nm_pair pair;
	int tranche;
	int offered;
	unsigned parties; /* by bit */
	bool forbidden;
};

struct nm_answer {
	int step; /* 4: none */
	int copier;
	uint64_t cost;
	int tranche_count;
	struct nm_tranche tranches[NM_PARTIES + 1];
	bool has_source;
	struct nm_tranche source;
	int rejection_count;
	struct nm_rejection rejections[NM_PAIRS];
};

void nm_negotiate(const struct nm_case *c, struct nm_answer *answer);

/* ---- Is what somebody says true? ----------------------------------------------------------- */

/** Does a party name a layout; the first time it does. NULL: it does not. */
const struct nm_layout *nm_find_layout(const struct nm_party *party, struct nm_pair pair);
/** The format, or NULL. */
const struct nm_format *nm_find_format(const struct nm_party *party, int fourcc);
bool nm_says_no_layout(const struct nm_party *party, int fourcc);
bool nm_same_device(const struct nm_case *c, unsigned parties);
unsigned nm_planes(const struct nm_case *c, struct nm_pair pair);
bool nm_fits_subsampling(const struct nm_case *c, int fourcc);
/** Can one of them make memory that all others import, of whatever quality? */
bool nm_has_memory_kind(const struct nm_case *c, unsigned parties);
bool nm_can_wait(const struct nm_case *c, unsigned parties);
/** Does what this one gives do for what that one needs? */
bool nm_promises(const struct nm_party *allocator, const struct nm_party *needy);

#endif
