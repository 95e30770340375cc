/* SPDX-License-Identifier: MIT */
#include "src/negotiate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "src/abi.h"
#include "src/report.h"

/* ---- What came ----------------------------------------------------------------------------- */

static int refuse_want(uint64_t actual, const char *what, struct stile_report *why) {
	return report_refuse(why, -EINVAL, STILE_REASON_CALLER, 0, 0, actual, "%s", what);
}

static int check_want(const struct stile_want *want, size_t count, struct stile_report *why) {
	if (count == 0 || count > STILE_MAX_PARTIES) {
		return refuse_want(count, "there are no parties, or too many", why);
	}
	if ((want->width == 0) != (want->height == 0)) {
		return refuse_want(0, "only one of width and height is given", why);
	}
	if ((want->usage & ~(uint32_t)USAGE_ALL) != 0) {
		return refuse_want(want->usage, "unknown usage", why);
	}
	if ((uint32_t)want->ladder > STILE_STEP_CPU_COPY) {
		return refuse_want(want->ladder, "the ladder has no such step", why);
	}
	return 0;
}

/* ---- Why not ------------------------------------------------------------------------------- */

/* Of what is out, the one that most of the required parties take, the first of these. */
static size_t find_decisive(const struct negotiation *n) {
	size_t decisive = 0;
	int most = -1;
	for (size_t i = 0; i < n->offer_count; i++) {
		int accept =
			__builtin_popcountll(n->offers[i].accepts & party_first(n->required_count));
		if (accept > most) {
			most = accept;
			decisive = i;
		}
	}
	return decisive;
}

/* Each offer is a rejection, in the same order. */
static int refuse(
	const struct negotiation *n, const struct stile_layout *layout, struct stile_report *why) {
	char reason[640] = "no party names a format", step[128];
	struct stile_rejection rejection = { .reason = STILE_REASON_FORMAT };
	layout_describe_step(layout, step, sizeof(step));
	if (layout->rejection_count > 0) {
		size_t decisive = find_decisive(n);
		rejection = *stile_layout_get_rejection(layout, decisive);
		stile_layout_describe_rejection(layout, decisive, reason, sizeof(reason));
	}
	return report_refuse(why, -EOPNOTSUPP, rejection.reason, 0, rejection.needed,
		rejection.actual, "%s; %s", reason, step);
}

/* ---- Negotiating --------------------------------------------------------------------------- */

static int refuse_memory(struct stile_report *why) {
	return report_refuse(why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
}

static bool nobody_allocates(const struct negotiation *n) {
	uint32_t kinds = 0;
	for (uint32_t p = 0; p < n->party_count; p++) {
		kinds |= n->parties[p].said.allocates;
	}
	return kinds == 0;
}

/* With parties. */
static int answer(struct negotiation *n, struct stile_layout *layout, struct stile_report *why) {
	struct plan plan;
	int ret = offer_init(n);
	if (ret < 0) {
		return refuse_memory(why);
	}
	n->from_outside = nobody_allocates(n);
	ret = offer_collect(n);
	if (ret == 0) {
		ladder_climb(n, &plan);
		ret = layout_make(n, &plan, layout);
	}
	if (ret < 0) {
		refuse_memory(why);
	} else if (layout->tranche_count == 0) {
		ret = refuse(n, layout, why);
	}
	offer_fini(n);
	return ret;
}

static int negotiate(const struct stile_party *parties, size_t count, struct negotiation *n,
	struct stile_layout *layout, struct stile_report *why) {
	int ret = check_want(&n->want, count, why);
	if (ret < 0) {
		return ret;
	}
	n->parties = malloc(count * sizeof(*n->parties));
	if (n->parties == NULL) {
		return refuse_memory(why);
	}
	ret = party_read_all(n, parties, (uint32_t)count, why);
	if (ret == 0) {
		ret = answer(n, layout, why);
	}
	free(n->parties);
	return ret;
}

int stile_negotiate(const struct stile_party *parties, size_t count, const struct stile_want *want,
	struct stile_layout *layout, struct stile_report *report) {
	struct stile_layout made = { .size = sizeof(made), .step = STILE_STEP_NONE };
	struct negotiation n = { .party_count = 0 };
	struct stile_report why = { .reason = STILE_REASON_NONE };
	/* All of it has to fit: what has no room could not be given back. */
	if (layout->size < sizeof(made) || abi_check_out(layout) < 0) {
		return -EINVAL;
	}
	made.copier = STILE_NO_PARTY;
	abi_copy_out(layout, &made, sizeof(made));
	int ret = report_copy_in(report, &n.want, sizeof(n.want), want);
	if (ret < 0) {
		return ret;
	}
	ret = negotiate(parties, count, &n, &made, &why);
	abi_copy_out(layout, &made, sizeof(made));
	report_give(report, &why);
	return ret;
}
