/* SPDX-License-Identifier: MIT */
/* What one party says, and what it takes. */
#include <errno.h>
#include <stdlib.h>

#include <stile/buffer.h>

#include "src/abi.h"
#include "src/constraints.h"
#include "src/negotiate.h"
#include "src/report.h"

enum {
	FLAGS_ALL = STILE_PARTY_UNSAID_IS_LINEAR * 2 - 1,
};

/* ---- Reading ------------------------------------------------------------------------------- */

static const char *get_name(const struct party *party) {
	return party->said.name == NULL ? "<none>" : party->said.name;
}

static int refuse_caller(
	const struct party *party, uint64_t actual, const char *what, struct stile_report *why) {
	return report_refuse(why, -EINVAL, STILE_REASON_CALLER, 0, 0, actual, "party %u, %s: %s",
		party->index, get_name(party), what);
}

static int read_constraints(const struct party *party, const struct stile_constraints *from,
	struct stile_constraints *into, struct stile_report *why) {
	*into = (struct stile_constraints){ .size = sizeof(*into) };
	int ret = from == NULL ? 0 : abi_copy_in(into, sizeof(*into), from);
	if (ret == -E2BIG) {
		refuse_caller(
			party, from->size, "it has needs that this library does not know", why);
		return ret;
	}
	if (ret < 0 || constraints_check(into) < 0 || (into->usage & ~(uint32_t)USAGE_ALL) != 0) {
		return refuse_caller(party, 0, "nobody can need that", why);
	}
	if (into->modifier_count != 0) {
		return refuse_caller(
			party, into->modifier_count, "modifiers belong to its formats", why);
	}
	return 0;
}

static int check_format(const struct party *party, const struct stile_party_format *format,
	struct stile_report *why) {
	for (size_t i = 0; i < format->modifier_count; i++) {
		const struct stile_party_modifier *modifier = &format->modifiers[i];
		if ((modifier->flags & ~(uint32_t)STILE_PARTY_EXTERNAL_ONLY) != 0) {
			return refuse_caller(
				party, modifier->flags, "unknown flag of a modifier", why);
		}
		if (modifier->plane_count > STILE_MAX_PLANES) {
			return refuse_caller(party, modifier->plane_count, "too many planes", why);
		}
	}
	return 0;
}

static int check_party(const struct party *party, struct stile_report *why) {
	const struct stile_party *said = &party->said;
	if ((said->flags & ~(uint32_t)FLAGS_ALL) != 0) {
		return refuse_caller(party, said->flags, "unknown flag", why);
	}
	if (((said->memory | said->allocates) & ~(uint32_t)MEMORY_ALL) != 0) {
		return refuse_caller(
			party, said->memory | said->allocates, "unknown kind of memory", why);
	}
	if ((said->sync & ~(uint32_t)SYNC_ALL) != 0) {
		return refuse_caller(party, said->sync, "unknown way of waiting", why);
	}
	int ret = 0;
	for (size_t i = 0; i < said->format_count && ret == 0; i++) {
		ret = check_format(party, &said->formats[i], why);
	}
	return ret;
}

static int read_one(struct party *party, const void *from, struct stile_report *why) {
	int ret = abi_copy_in(&party->said, sizeof(party->said), from);
	if (ret < 0) {
		return report_refuse(why, ret, STILE_REASON_CALLER, 0, sizeof(party->said),
			*(const size_t *)from,
			ret == -E2BIG ? "party %u uses fields that this library does not know"
				      : "the size field of party %u makes no sense",
			party->index);
	}
	ret = read_constraints(party, party->said.needs, &party->needs, why);
	if (ret == 0) {
		ret = read_constraints(party, party->said.gives, &party->gives, why);
	}
	return ret;
}

/* ---- What it takes ------------------------------------------------------------------------- */

static bool exceeds(uint32_t wanted, uint32_t max) {
	return max != 0 && wanted > max;
}

static struct refusal refuse_extent(
	const struct negotiation *n, uint32_t max_width, uint32_t max_height) {
	if (exceeds(n->want.width, max_width)) {
		return (struct refusal){
			.reason = STILE_REASON_EXTENT,
			.needed = max_width,
			.actual = n->want.width,
			.what = "pixels across",
		};
	}
	if (exceeds(n->want.height, max_height)) {
		return (struct refusal){
			.reason = STILE_REASON_EXTENT,
			.needed = max_height,
			.actual = n->want.height,
			.what = "pixels down",
		};
	}
	return (struct refusal){ .reason = STILE_REASON_NONE };
}

static struct refusal refuse_all(const struct negotiation *n, const struct party *party) {
	if (n->want.is_protected && !party_says(party, STILE_PARTY_PROTECTED)) {
		return (struct refusal){ .reason = STILE_REASON_PROTECTED };
	}
	return refuse_extent(n, party->needs.max_width, party->needs.max_height);
}

/* Those that are optional or those that are not, behind those that are there already. */
static int read_some(struct negotiation *n, const struct stile_party *parties, uint32_t count,
	bool optional, struct stile_report *why) {
	for (uint32_t i = 0; i < count; i++) {
		const void *from = (const char *)parties + i * parties->size;
		struct party party = { .index = i };
		int ret = read_one(&party, from, why);
		if (ret < 0) {
			return ret;
		}
		if (*(const size_t *)from != parties->size) {
			return refuse_caller(
				&party, 0, "it is of another size than the first", why);
		}
		if (party_says(&party, STILE_PARTY_OPTIONAL) != optional) {
			continue;
		}
		ret = check_party(&party, why);
		if (ret < 0) {
			return ret;
		}
		party.refusal = refuse_all(n, &party);
		party.needs_more_than_external = party_says(&party, STILE_PARTY_NEEDS_TEXTURE_2D) ||
			(party.needs.usage & STILE_USAGE_WRITE) != 0;
		n->parties[n->party_count++] = party;
	}
	return 0;
}

int party_read_all(struct negotiation *n, const struct stile_party *parties, uint32_t count,
	struct stile_report *why) {
	int ret = read_some(n, parties, count, false, why);
	if (ret < 0) {
		return ret;
	}
	n->required_count = n->party_count;
	if (n->required_count == 0) {
		return report_refuse(why, -EINVAL, STILE_REASON_CALLER, 0, 1, 0,
			"each of %u parties is optional: nobody needs the image", count);
	}
	return read_some(n, parties, count, true, why);
}

const struct stile_party_modifier *party_get_modifiers(
	const struct party *party, const struct stile_party_format *format, size_t *count) {
	static const struct stile_party_modifier linear = { .modifier = DRM_FORMAT_MOD_LINEAR };
	if (format->modifier_count == 0 && party_says(party, STILE_PARTY_UNSAID_IS_LINEAR)) {
		*count = 1;
		return &linear;
	}
	*count = format->modifier_count;
	return format->modifiers;
}

/* It names the layout, but does not take it. */
static struct refusal refuse_modifier(const struct negotiation *n,
	const struct stile_party_modifier *modifier, uint32_t plane_count) {
	struct refusal refusal = refuse_extent(n, modifier->max_width, modifier->max_height);
	if (refusal.reason != STILE_REASON_NONE) {
		return refusal;
	}
	if (modifier->plane_count != 0 && modifier->plane_count != plane_count) {
		return (struct refusal){
			.reason = STILE_REASON_PLANE_COUNT,
			.needed = modifier->plane_count,
			.actual = plane_count,
			.what = "planes",
		};
	}
	return (struct refusal){ .reason = STILE_REASON_EXTERNAL_ONLY };
}

static const struct stile_party_modifier *find_modifier(
	const struct stile_party_modifier *modifiers, uint64_t modifier) {
	while (modifiers->modifier != modifier) {
		modifiers++;
	}
	return modifiers;
}

/* It takes the format. */
static struct refusal refuse_layout(const struct negotiation *n, uint32_t index,
	const struct stile_party_format *format, const struct offer *offer) {
	size_t count;
	const struct stile_party_modifier *modifiers =
		party_get_modifiers(&n->parties[index], format, &count);
	if (count == 0) {
		return (struct refusal){
			.reason = STILE_REASON_MODIFIER_UNSAID,
			.party = index,
			.actual = offer->modifier,
		};
	}
	if ((offer->has & party_bit(index)) != 0) {
		struct refusal refusal = refuse_modifier(
			n, find_modifier(modifiers, offer->modifier), offer->plane_count);
		refusal.party = index;
		return refusal;
	}
	return (struct refusal){
		.reason = STILE_REASON_MODIFIER,
		.party = index,
		.taken = (uint32_t)count,
		.needed = modifiers[0].modifier,
		.actual = offer->modifier,
	};
}

struct refusal party_refuse(
	const struct negotiation *n, uint32_t index, const struct offer *offer) {
	const struct party *party = &n->parties[index];
	const struct stile_party_format *format = n->said[offer->wanted * n->party_count + index];
	if (party->refusal.reason != STILE_REASON_NONE) {
		struct refusal refusal = party->refusal;
		refusal.party = index;
		return refusal;
	}
	/* There may be thousands of these: each is written once, where the caller has it. */
	if (format != NULL) {
		return refuse_layout(n, index, format, offer);
	}
	return (struct refusal){
		.reason = STILE_REASON_FORMAT,
		.party = index,
		.actual = n->wanted[offer->wanted].fourcc,
	};
}

/* ---- What an adapter has said -------------------------------------------------------------- */

void stile_party_fini(struct stile_party *party) {
	free(party->data);
	*party = (struct stile_party){ .size = party->size };
}
