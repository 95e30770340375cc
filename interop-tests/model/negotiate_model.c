/* SPDX-License-Identifier: MIT */
#include "interop-tests/model/negotiate_model.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

enum { LINEAR = 0, INVALID = NM_MODIFIERS - 1, UNKNOWN = NM_FOURCCS - 1, NV12 = 2 };
enum { OPAQUE_FD = 1u << 2, SEMAPHORE = 1u << 3, KINDS = 5 };
enum { STEP_DIRECT, STEP_LINEAR, STEP_BLIT, STEP_CPU_COPY, STEP_NONE };

#define CODE(a, b, c, d) \
	((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

/* XRGB8888, ABGR8888, NV12. */
const uint32_t nm_fourccs[NM_FOURCCS] = { CODE('X', 'R', '2', '4'), CODE('A', 'B', '2', '4'),
	CODE('N', 'V', '1', '2'), CODE('?', '?', '?', '1') };
const uint64_t nm_modifiers[NM_MODIFIERS] = { 0, UINT64_C(0x0100000000000002),
	UINT64_C(0x0100000000000004), UINT64_C(0x0300000000606014), UINT64_C(0x00ffffffffffffff) };

static bool has(unsigned parties, int party) {
	return (parties >> party & 1) != 0;
}

/* ---- One party ----------------------------------------------------------------------------- */

const struct nm_format *nm_find_format(const struct nm_party *party, int fourcc) {
	for (int i = 0; i < party->format_count; i++) {
		if (party->formats[i].fourcc == fourcc) {
			return &party->formats[i];
		}
	}
	return NULL;
}

bool nm_says_no_layout(const struct nm_party *party, int fourcc) {
	const struct nm_format *format = nm_find_format(party, fourcc);
	return format != NULL && format->layout_count == 0 && !party->unsaid_is_linear;
}

const struct nm_layout *nm_find_layout(const struct nm_party *party, struct nm_pair pair) {
	static const struct nm_layout linear = { .modifier = LINEAR };
	const struct nm_format *format = nm_find_format(party, pair.fourcc);
	if (format == NULL) {
		return NULL;
	}
	if (format->layout_count == 0 && party->unsaid_is_linear && pair.modifier == LINEAR) {
		return &linear;
	}
	for (int i = 0; i < format->layout_count; i++) {
		if (format->layouts[i].modifier == pair.modifier) {
			return &format->layouts[i];
		}
	}
	return NULL;
}

static bool is_within(unsigned value, unsigned max) {
	return max == 0 || value <= max;
}

bool nm_fits_subsampling(const struct nm_case *c, int fourcc) {
	return fourcc != NV12 || (c->width % 2 == 0 && c->height % 2 == 0);
}

static bool takes(const struct nm_case *c, const struct nm_party *party, struct nm_pair pair) {
	const struct nm_layout *layout = nm_find_layout(party, pair);
	if (layout == NULL || !nm_fits_subsampling(c, pair.fourcc)) {
		return false;
	}
	bool sampled_only = !party->needs.writes && !party->needs_texture;
	return is_within(c->width, layout->max_width) && is_within(c->height, layout->max_height) &&
		is_within(c->width, party->needs.max_width) &&
		is_within(c->height, party->needs.max_height) &&
		(party->protects || !c->is_protected) && (sampled_only || !layout->external_only) &&
		(layout->planes == 0 || layout->planes == nm_planes(c, pair));
}

/* ---- Several ------------------------------------------------------------------------------- */

/* The i-th of all, required ones first. */
static int in_order(const struct nm_case *c, int i) {
	for (int optional = 0; optional < 2; optional++) {
		for (int p = 0; p < c->party_count; p++) {
			if (c->parties[p].optional == (optional == 1) && i-- == 0) {
				return p;
			}
		}
	}
	return NM_NOBODY;
}

unsigned nm_planes(const struct nm_case *c, struct nm_pair pair) {
	for (int i = 0; i < c->party_count; i++) {
		const struct nm_layout *layout = nm_find_layout(&c->parties[in_order(c, i)], pair);
		if (layout != NULL && layout->planes != 0) {
			return layout->planes;
		}
	}
	if (pair.fourcc == UNKNOWN) {
		return 0;
	}
	return pair.fourcc == NV12 ? 2 : 1;
}

bool nm_same_device(const struct nm_case *c, unsigned parties) {
	int count = 0;
	uint64_t device = 0;
	bool same = true;
	for (int p = 0; p < c->party_count; p++) {
		if (has(parties, p)) {
			device = count++ == 0 ? c->parties[p].device : device;
			same = same && c->parties[p].device == device && device != 0;
		}
	}
	return same || count == 1;
}

bool nm_can_wait(const struct nm_case *c, unsigned parties) {
	for (unsigned way = 0; way < KINDS; way++) {
		bool all = 1u << way != SEMAPHORE || nm_same_device(c, parties);
		for (int p = 0; p < c->party_count; p++) {
			all = all && (!has(parties, p) || has(c->parties[p].sync, (int)way));
		}
		if (all) {
			return true;
		}
	}
	return false;
}

bool nm_promises(const struct nm_party *allocator, const struct nm_party *needy) {
	const struct nm_needs *needs = &needy->needs, *gives = &allocator->gives;
	bool address = needs->address_bits == 0 || needs->address_bits == 64 ||
		(gives->address_bits != 0 && gives->address_bits <= needs->address_bits);
	bool pieces = needs->segments == 0 ||
		(gives->segments != 0 && gives->segments <= needs->segments);
	bool aligned = needs->segment_align <= (unsigned long)sysconf(_SC_PAGESIZE) ||
		gives->segment_align >= needs->segment_align;
	return address && pieces && aligned;
}

static bool from_outside(const struct nm_case *c) {
	for (int p = 0; p < c->party_count; p++) {
		if (c->parties[p].allocates != 0) {
			return false;
		}
	}
	return true;
}

/* Can this one, or nobody of them, bring memory of a kind to all the others? */
static bool brings(
	const struct nm_case *c, unsigned parties, int from, int kind, bool with_promises) {
	if (1u << kind == OPAQUE_FD && !nm_same_device(c, parties)) {
		return false;
	}
	if (from != NM_NOBODY && !has(c->parties[from].allocates, kind)) {
		return false;
	}
	for (int p = 0; p < c->party_count; p++) {
		if (has(parties, p) && p != from && !has(c->parties[p].memory, kind)) {
			return false;
		}
		if (has(parties, p) && from != NM_NOBODY && with_promises &&
			!nm_promises(&c->parties[from], &c->parties[p])) {
			return false;
		}
	}
	return true;
}

static bool find_memory(const struct nm_case *c, unsigned parties, bool with_promises,
	int *allocator, unsigned *memory) {
	for (int kind = 0; kind < KINDS; kind++) {
		*memory = 1u << kind;
		*allocator = NM_NOBODY;
		if (from_outside(c) && brings(c, parties, NM_NOBODY, kind, with_promises)) {
			return true;
		}
		for (int i = 0; i < c->party_count; i++) {
			*allocator = in_order(c, i);
			if (has(parties, *allocator) &&
				brings(c, parties, *allocator, kind, with_promises)) {
				return true;
			}
		}
	}
	return false;
}

bool nm_has_memory_kind(const struct nm_case *c, unsigned parties) {
	int allocator;
	unsigned memory;
	return find_memory(c, parties, false, &allocator, &memory);
}

static bool can_be_together(const struct nm_case *c, unsigned parties) {
	int allocator;
	unsigned memory;
	return find_memory(c, parties, true, &allocator, &memory) && nm_can_wait(c, parties);
}

/* All of them, and there are no reasons against these parties together. */
static bool share(const struct nm_case *c, unsigned parties, struct nm_pair pair) {
	if (!can_be_together(c, parties) ||
		(pair.modifier == INVALID && !nm_same_device(c, parties))) {
		return false;
	}
	for (int p = 0; p < c->party_count; p++) {
		if (has(parties, p) && !takes(c, &c->parties[p], pair)) {
			return false;
		}
	}
	return true;
}

static bool is_linear_step(const struct nm_case *c, unsigned parties, struct nm_pair pair) {
	for (int p = 0; p < c->party_count; p++) {
		bool better = false;
		for (int m = LINEAR + 1; m < INVALID; m++) {
			struct nm_pair other = { pair.fourcc, m };
			better = better || nm_find_layout(&c->parties[p], other) != NULL;
		}
		if (has(parties, p) && !better) {
			return false;
		}
	}
	return pair.modifier == LINEAR;
}

/* ---- All layouts, in order ----------------------------------------------------------------- */

struct list {
	int count;
	struct nm_pair pairs[NM_PAIRS];
};

static void add(struct list *list, int fourcc, int modifier) {
	for (int i = 0; i < list->count; i++) {
		if (list->pairs[i].fourcc == fourcc && list->pairs[i].modifier == modifier) {
			return;
		}
	}
	list->pairs[list->count++] = (struct nm_pair){ fourcc, modifier };
}

static void list_format(const struct nm_case *c, int fourcc, struct list *list) {
	int before = list->count;
	for (int kind = 0; kind < 3; kind++) {
		for (int i = 0; i < c->party_count; i++) {
			const struct nm_party *party = &c->parties[in_order(c, i)];
			const struct nm_format *format = nm_find_format(party, fourcc);
			for (int l = 0; kind == 0 && format != NULL && l < format->layout_count;
				l++) {
				int modifier = format->layouts[l].modifier;
				if (modifier != LINEAR && modifier != INVALID) {
					add(list, fourcc, modifier);
				}
			}
			struct nm_pair late = { fourcc, kind == 1 ? LINEAR : INVALID };
			if (kind != 0 && nm_find_layout(party, late) != NULL) {
				add(list, fourcc, late.modifier);
			}
		}
	}
	if (list->count == before) {
		add(list, fourcc, -1);
	}
}

static void list_all(const struct nm_case *c, struct list *list) {
	bool done[NM_FOURCCS] = { false };
	list->count = 0;
	for (int i = 0; i < c->wanted_count; i++) {
		if (!done[c->wanted[i]]) {
			done[c->wanted[i]] = true;
			list_format(c, c->wanted[i], list);
		}
	}
	for (int i = 0; c->wanted_count == 0 && i < c->party_count; i++) {
		const struct nm_party *party = &c->parties[in_order(c, i)];
		for (int f = 0; f < party->format_count; f++) {
			int fourcc = party->formats[f].fourcc;
			if (!done[fourcc]) {
				done[fourcc] = true;
				list_format(c, fourcc, list);
			}
		}
	}
}

/* ---- The answer ---------------------------------------------------------------------------- */

static unsigned smaller(unsigned a, unsigned b) {
	if (a == 0 || b == 0) {
		return a + b;
	}
	return a < b ? a : b;
}

static unsigned larger(unsigned a, unsigned b) {
	return a > b ? a : b;
}

static void add_needs(struct nm_needs *to, const struct nm_needs *from) {
	to->reads = to->reads || from->reads;
	to->writes = to->writes || from->writes;
	to->max_width = smaller(to->max_width, from->max_width);
	to->max_height = smaller(to->max_height, from->max_height);
	to->pitch = larger(to->pitch, from->pitch);
	to->offset = larger(to->offset, from->offset);
	to->height = larger(to->height, from->height);
	to->address_bits = smaller(to->address_bits, from->address_bits);
	to->segments = smaller(to->segments, from->segments);
	to->segment_align = larger(to->segment_align, from->segment_align);
	if (to->segment == 0 || (from->segment != 0 && from->segment < to->segment)) {
		to->segment = from->segment;
	}
}

static void make_tranche(const struct nm_case *c, unsigned parties, struct nm_tranche *tranche) {
	memset(tranche, 0, sizeof(*tranche));
	tranche->parties = parties;
	tranche->needs = (struct nm_needs){ .reads = c->reads, .writes = c->writes };
	tranche->sync = nm_same_device(c, parties) ? ~0u : ~(unsigned)SEMAPHORE;
	find_memory(c, parties, true, &tranche->allocator, &tranche->memory);
	for (int i = 0; i < c->party_count; i++) {
		const struct nm_party *party = &c->parties[in_order(c, i)];
		if (has(parties, in_order(c, i))) {
			add_needs(&tranche->needs, &party->needs);
			tranche->sync &= party->sync;
			tranche->scanout = tranche->scanout || party->scanout;
			if (party->scanout || (!tranche->scanout && tranche->device == 0)) {
				tranche->device = party->device;
			}
		}
	}
}

static void add_choice(const struct nm_case *c, struct nm_tranche *tranche, struct nm_pair pair) {
	struct nm_choice *choice = &tranche->choices[tranche->choice_count++];
	*choice = (struct nm_choice){ .pair = pair, .planes = nm_planes(c, pair) };
	choice->is_linear_step = is_linear_step(c, tranche->parties, pair);
	for (int p = 0; p < c->party_count; p++) {
		const struct nm_layout *layout = nm_find_layout(&c->parties[p], pair);
		if (has(tranche->parties, p) && layout->external_only) {
			choice->external |= 1u << p;
		}
	}
}

/* The required parties, and so many optional ones. */
static unsigned get_set(const struct nm_case *c, int optional) {
	unsigned set = 0;
	for (int p = 0; p < c->party_count; p++) {
		if (!c->parties[p].optional || optional-- > 0) {
			set |= 1u << p;
		}
	}
	return set;
}

static int count_optional(const struct nm_case *c) {
	int count = 0;
	for (int p = 0; p < c->party_count; p++) {
		count += c->parties[p].optional;
	}
	return count;
}

/* The most optional parties with which it can be shared, or -1. */
static int get_level(const struct nm_case *c, struct nm_pair pair) {
	for (int optional = count_optional(c); optional >= 0; optional--) {
		if (share(c, get_set(c, optional), pair)) {
			return optional;
		}
	}
	return -1;
}

static bool is_forbidden(const struct nm_case *c, struct nm_pair pair) {
	int level = get_level(c, pair);
	return level >= 0 && c->ladder < STEP_LINEAR && is_linear_step(c, get_set(c, level), pair);
}

static void make_tranches(
	const struct nm_case *c, const struct list *list, struct nm_answer *answer) {
	for (int level = count_optional(c); level >= 0; level--) {
		struct nm_tranche *tranche = &answer->tranches[answer->tranche_count];
		make_tranche(c, get_set(c, level), tranche);
		for (int i = 0; i < list->count; i++) {
			if (get_level(c, list->pairs[i]) == level &&
				!is_forbidden(c, list->pairs[i])) {
				add_choice(c, tranche, list->pairs[i]);
			}
		}
		answer->tranche_count += tranche->choice_count > 0;
	}
}

static int find_tranche(const struct nm_answer *answer, struct nm_pair pair) {
	for (int t = 0; t < answer->tranche_count; t++) {
		for (int i = 0; i < answer->tranches[t].choice_count; i++) {
			const struct nm_pair *other = &answer->tranches[t].choices[i].pair;
			if (other->fourcc == pair.fourcc && other->modifier == pair.modifier) {
				return t;
			}
		}
	}
	return NM_NOWHERE;
}

static void make_rejections(
	const struct nm_case *c, const struct list *list, struct nm_answer *answer) {
	for (int i = 0; i < list->count; i++) {
		struct nm_pair pair = list->pairs[i];
		int level = is_forbidden(c, pair) ? -1 : get_level(c, pair);
		if (level < count_optional(c)) {
			struct nm_rejection *rejection =
				&answer->rejections[answer->rejection_count++];
			*rejection = (struct nm_rejection){
				.pair = pair,
				.tranche = find_tranche(answer, pair),
				.offered = NM_NOBODY,
				.parties = get_set(c, level + 1),
				.forbidden = is_forbidden(c, pair),
			};
			for (int p = c->party_count - 1; p >= 0; p--) {
				if (nm_find_layout(&c->parties[in_order(c, p)], pair) != NULL) {
					rejection->offered = in_order(c, p);
				}
			}
		}
	}
}

static uint64_t get_bytes(const struct nm_case *c, int fourcc) {
	uint64_t pixels = (uint64_t)c->width * c->height;
	if (fourcc == UNKNOWN) {
		return 0;
	}
	return fourcc == NV12 ? pixels * 3 / 2 : pixels * 4;
}

/* Who copies draws to it. */
static bool copier_draws(const struct nm_case *c, int copier, struct nm_pair pair) {
	const struct nm_layout *layout =
		copier == NM_NOBODY ? NULL : nm_find_layout(&c->parties[copier], pair);
	return layout == NULL || !layout->external_only;
}

static bool try_copy(const struct nm_case *c, const struct list *list, unsigned from, unsigned to,
	int copier, struct nm_answer *answer) {
	bool linear_only = copier == NM_NOBODY;
	make_tranche(c, from, &answer->source);
	make_tranche(c, to, &answer->tranches[0]);
	answer->source.needs.reads = answer->tranches[0].needs.writes = true;
	for (int i = 0; i < list->count; i++) {
		bool written = false, read = false;
		for (int k = 0; k < list->count; k++) {
			if (list->pairs[k].fourcc == list->pairs[i].fourcc &&
				(!linear_only || list->pairs[k].modifier == LINEAR)) {
				written = written || share(c, from, list->pairs[k]);
				read = read ||
					(share(c, to, list->pairs[k]) &&
						copier_draws(c, copier, list->pairs[k]));
			}
		}
		if (!written || !read || (linear_only && list->pairs[i].modifier != LINEAR)) {
			continue;
		}
		if (share(c, from, list->pairs[i])) {
			add_choice(c, &answer->source, list->pairs[i]);
		}
		if (share(c, to, list->pairs[i]) && copier_draws(c, copier, list->pairs[i])) {
			add_choice(c, &answer->tranches[0], list->pairs[i]);
		}
	}
	if (answer->source.choice_count > 0) {
		answer->cost = 2 * get_bytes(c, answer->source.choices[0].pair.fourcc);
	}
	return answer->source.choice_count > 0;
}

static int copy(const struct nm_case *c, const struct list *list, struct nm_answer *answer) {
	unsigned from = 0, to = 0;
	bool from_mapped = false, to_mapped = false;
	for (int p = 0; p < c->party_count; p++) {
		const struct nm_party *party = &c->parties[p];
		if (!party->optional && party->needs.writes) {
			from |= 1u << p;
			from_mapped = from_mapped || party->cpu;
		} else if (!party->optional) {
			to |= 1u << p;
			to_mapped = to_mapped || party->cpu;
		}
	}
	for (int i = 0; i < c->party_count && from != 0 && to != 0; i++) {
		int p = in_order(c, i);
		if (c->parties[p].can_blit &&
			try_copy(c, list, from | 1u << p, to | 1u << p, p, answer)) {
			answer->copier = p;
			return STEP_BLIT;
		}
	}
	if (from != 0 && to != 0 && from_mapped && to_mapped && !c->is_protected &&
		try_copy(c, list, from, to, NM_NOBODY, answer)) {
		return STEP_CPU_COPY;
	}
	return STEP_NONE;
}

void nm_negotiate(const struct nm_case *c, struct nm_answer *answer) {
	struct list list;
	memset(answer, 0, sizeof(*answer));
	answer->copier = NM_NOBODY;
	list_all(c, &list);
	make_tranches(c, &list, answer);
	make_rejections(c, &list, answer);
	if (answer->tranche_count > 0) {
		answer->step =
			answer->tranches[0].choices[0].is_linear_step ? STEP_LINEAR : STEP_DIRECT;
		return;
	}
	for (int i = 0; i < list.count; i++) {
		if (is_forbidden(c, list.pairs[i])) {
			answer->step = STEP_LINEAR;
			return;
		}
	}
	answer->step = copy(c, &list, answer);
	answer->has_source = answer->step != STEP_NONE && answer->step <= c->ladder;
	answer->tranche_count = answer->has_source ? 1 : 0;
}
