/* SPDX-License-Identifier: MIT */
/* Images of what a negotiation has found. */
#include <errno.h>
#include <stdio.h>

#include <stile/create_for.h>
#include <stile/party.h>

#include "src/abi.h"
#include "src/device.h"
#include "src/image.h"
#include "src/negotiate.h"
#include "src/report.h"

struct attempt {
	const struct stile_layout *layout;
	struct stile_device *const *devices;
	struct stile_create_for_info info;
	struct stile_report why; /* the first refusal, and the texts of all */
};

/* ---- What came ----------------------------------------------------------------------------- */

static int refuse_caller(struct stile_report *why, uint64_t actual, const char *what) {
	return report_refuse(why, -EINVAL, STILE_REASON_CALLER, 0, 0, actual, "%s", what);
}

static const struct stile_tranche *get_tranche(const struct attempt *attempt, uint32_t index) {
	const bool source = (attempt->info.flags & STILE_CREATE_FOR_SOURCE) != 0;
	return source ? stile_layout_get_source(attempt->layout)
		      : stile_layout_get_tranche(attempt->layout, index);
}

static size_t count_tranches(const struct attempt *attempt) {
	if ((attempt->info.flags & STILE_CREATE_FOR_SOURCE) != 0) {
		return stile_layout_get_source(attempt->layout) != NULL;
	}
	return attempt->layout->tranche_count;
}

static int check(struct attempt *attempt, const struct stile_pick *pick) {
	struct stile_create_for_info *info = &attempt->info;
	struct stile_report *why = &attempt->why;
	if ((info->flags & ~(uint32_t)STILE_CREATE_FOR_SOURCE) != 0) {
		return refuse_caller(why, info->flags, "unknown flag");
	}
	if (info->width == 0 && info->height == 0) {
		info->width = attempt->layout->width;
		info->height = attempt->layout->height;
	}
	if (info->width == 0 || info->height == 0) {
		return refuse_caller(why, 0, "how large is it to be? The layout says nothing");
	}
	if (attempt->layout->tranche_count == 0) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_POLICY, 0, 0, 0,
			"the negotiation has found nothing that all parties take");
	}
	if (count_tranches(attempt) == 0) {
		return refuse_caller(why, 0, "there is no source: nothing has to be copied");
	}
	if (pick->tranche >= count_tranches(attempt)) {
		return refuse_caller(why, pick->tranche, "the layout has no such tranche");
	}
	if (pick->choice >= get_tranche(attempt, pick->tranche)->choice_count) {
		return refuse_caller(why, pick->choice, "the tranche has no such choice");
	}
	return 0;
}

/* ---- One choice ---------------------------------------------------------------------------- */

/* Who allocates for a tranche. 0, or what report_refuse() gave. */
static int find_device(const struct attempt *attempt, const struct stile_tranche *tranche,
	struct stile_report *why, struct stile_device **device) {
	if (tranche->allocator == STILE_NO_PARTY) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_MEMORY_KIND, 0, 0, 0,
			"no party allocates: the memory, %s, has to come from elsewhere",
			layout_name_memory(tranche->memory).text);
	}
	*device = attempt->devices[tranche->allocator];
	if (*device == NULL) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_MEMORY_KIND, 0, 0, 0,
			"%s is to allocate the memory, %s, and no device was given for it: "
			"allocate it there, and import it",
			layout_name_party(attempt->layout, tranche->allocator).text,
			layout_name_memory(tranche->memory).text);
	}
	struct device_description own = { .gives = { .size = sizeof(own.gives) } };
	(*device)->ops->device_describe(*device, &own);
	if ((own.allocates & tranche->memory) == 0) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_MEMORY_KIND, 0, tranche->memory,
			own.allocates, "the device %s makes %s, and %s was agreed on", own.name,
			layout_name_memory(own.allocates).text,
			layout_name_memory(tranche->memory).text);
	}
	return 0;
}

static int create(const struct attempt *attempt, struct stile_device *device,
	const struct stile_tranche *tranche, const struct stile_choice *choice,
	struct stile_report *why, struct stile_image **out) {
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = attempt->info.width,
		.height = attempt->info.height,
		.fourcc = choice->fourcc,
		.usage = tranche->needs.usage | attempt->info.usage,
		.modifier = choice->modifier,
		.name = attempt->info.name,
	};
	info.usage = info.usage == 0 ? USAGE_ALL : info.usage;
	return image_create_as(device, &info, &tranche->needs, why, out);
}

/* ---- One after another --------------------------------------------------------------------- */

/* The numbers of the first refusal, and the texts of all, as far as there is room. */
static void note_refusal(
	struct attempt *attempt, const char *what, const struct stile_report *why) {
	struct stile_report *all = &attempt->why;
	const bool first = all->reason == STILE_REASON_NONE;
	if (first) {
		*all = *why;
		all->text[0] = '\0';
	}
	report_append(all, "%s%s: %s", first ? "" : "; ", what, why->text);
}

/* Is it no fault of the choice? */
static bool is_shortage(int error) {
	return error == -EMFILE || error == -ENFILE;
}

/* From pick->choice on. */
static int try_tranche(struct attempt *attempt, struct stile_pick *pick, struct stile_image **out) {
	const struct stile_tranche *tranche = get_tranche(attempt, pick->tranche);
	struct stile_device *device = NULL;
	struct stile_report why;
	char what[320];
	int ret = find_device(attempt, tranche, &why, &device);
	if (ret < 0) {
		snprintf(what, sizeof(what), "tranche %u", pick->tranche);
		note_refusal(attempt, what, &why);
		return ret;
	}
	for (; pick->choice < tranche->choice_count; pick->choice++) {
		const struct stile_choice *choice = &tranche->choices[pick->choice];
		snprintf(what, sizeof(what), "%s of tranche %u", layout_name_choice(choice).text,
			pick->tranche);
		ret = create(attempt, device, tranche, choice, &why, out);
		if (ret == 0) {
			report_prepend(&attempt->why, what);
			return 0;
		}
		note_refusal(attempt, what, &why);
		device_log(device, STILE_LOG_INFO, "image '%s' not as %s: %s",
			attempt->info.name == NULL ? "" : attempt->info.name, what, why.text);
		if (is_shortage(ret)) {
			break;
		}
	}
	return ret;
}

static int try_all(struct attempt *attempt, struct stile_pick *pick, struct stile_image **out) {
	int ret = -EOPNOTSUPP;
	for (; pick->tranche < count_tranches(attempt); pick->tranche++, pick->choice = 0) {
		ret = try_tranche(attempt, pick, out);
		if (ret == 0) {
			attempt->why.reason = STILE_REASON_NONE;
			attempt->why.error = 0;
			return 0;
		}
		if (is_shortage(ret)) {
			return ret;
		}
	}
	return attempt->why.error;
}

int stile_image_create_for(const struct stile_layout *layout, struct stile_device *const *devices,
	const struct stile_create_for_info *info, struct stile_pick *pick,
	struct stile_report *report, struct stile_image **out) {
	*out = NULL;
	static const struct stile_create_for_info negotiated = { .size = sizeof(negotiated) };
	static const struct stile_pick best = { .size = sizeof(best) };
	struct attempt attempt = { .layout = layout, .devices = devices };
	struct stile_pick at = { .size = sizeof(at) };
	int ret = report_copy_in(
		report, &attempt.info, sizeof(attempt.info), info == NULL ? &negotiated : info);
	if (ret == 0) {
		ret = report_copy_in(report, &at, sizeof(at), pick == NULL ? &best : pick);
	}
	if (ret < 0) {
		return ret;
	}
	ret = check(&attempt, &at);
	if (ret == 0) {
		ret = try_all(&attempt, &at, out);
	}
	if (ret == 0 && pick != NULL) {
		abi_copy_out(pick, &at, sizeof(at));
	}
	report_give(report, &attempt.why);
	return ret;
}
