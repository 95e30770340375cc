/* SPDX-License-Identifier: MIT */
#include "interop-tests/model/twin.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stile/check.h>

#include "interop-tests/support/runner.h"
#include "src/macros.h"

struct plain {
	struct stile_fence base;
	int number;
};

struct twin twins[MODEL_FENCES];
bool twins_muted;

static unsigned told;
static char told_text[400];

static void note_told(void *user, const char *text) {
	(void)user;
	told++;
	snprintf(told_text, sizeof(told_text), "%s", text);
}

void twins_reset(void) {
	model_reset();
	stile_check_set_handler(note_told, NULL);
}

unsigned twins_told(void) {
	return told;
}

const char *twins_told_text(void) {
	return told_text;
}

/* ---- Plain fences ------------------------------------------------------------------------- */

static struct twin *twin_of(struct stile_fence *fence) {
	return &twins[CONTAINER_OF(fence, struct plain, base)->number];
}

static const char *get_name(struct stile_fence *fence) {
	(void)fence;
	return "model";
}

static bool plain_enable_signaling(struct stile_fence *fence) {
	struct twin *twin = twin_of(fence);
	twin->enable_count++;
	if (twin->traits.enable_ends && twin->traits.error != 0) {
		stile_fence_set_error(fence, twin->traits.error);
	}
	return !twin->traits.enable_ends;
}

static bool plain_signaled(struct stile_fence *fence) {
	const struct twin *twin = twin_of(fence);
	if (twins_muted || !twin->work_done) {
		return false;
	}
	if (twin->traits.error != 0) {
		stile_fence_set_error(fence, twin->traits.error);
	}
	return true;
}

static void plain_set_deadline(struct stile_fence *fence, int64_t deadline_ns) {
	struct twin *twin = twin_of(fence);
	twin->deadline_count++;
	twin->deadline_ns = deadline_ns;
}

static void plain_release(struct stile_fence *fence) {
	struct twin *twin = twin_of(fence);
	if (twin->released || twin->fence != fence) {
		history_differ("a fence is released that is gone");
	}
	twin->released = true;
	memset(fence, 0x5a, sizeof(struct plain));
	free(fence);
}

static const struct stile_fence_ops *plain_ops(unsigned how) {
	static struct stile_fence_ops tables[TWIN_HAS_DEADLINE << 1];
	tables[how] = (struct stile_fence_ops){
		.size = sizeof(struct stile_fence_ops),
		.get_driver_name = get_name,
		.get_timeline_name = get_name,
		.enable_signaling = how & TWIN_CAN_ENABLE ? plain_enable_signaling : NULL,
		.signaled = how & TWIN_CAN_LOOK ? plain_signaled : NULL,
		.set_deadline = how & TWIN_HAS_DEADLINE ? plain_set_deadline : NULL,
		.release = plain_release,
		.flags = how & TWIN_SEQNO64 ? STILE_FENCE_SEQNO64 : 0,
	};
	return &tables[how];
}

void twin_add_plain(int number, uint64_t context, uint64_t seqno, unsigned how,
	struct stile_lock *lock, int lock_number) {
	struct plain *plain = malloc(sizeof(*plain));
	if (plain == NULL) {
		history_differ("out of memory");
	}
	plain->number = number;
	twins[number] = (struct twin){ .fence = &plain->base, .lock = lock_number };
	twins[number].has_deadlines = (how & TWIN_HAS_DEADLINE) != 0;
	twins[number].traits = (struct model_traits){
		.can_enable = (how & TWIN_CAN_ENABLE) != 0,
		.enable_ends = (how & TWIN_ENABLING_ENDS) != 0,
		.can_look = (how & TWIN_CAN_LOOK) != 0,
		.error = (how & TWIN_FAILS) != 0 ? -EIO : 0,
	};
	int ret = stile_fence_init_shared(&plain->base, plain_ops(how), lock, context, seqno);
	twin_compare(ret, 0, "init", number);
	model_add_plain(number, context, seqno, (how & TWIN_SEQNO64) != 0, twins[number].traits);
}

void twin_print_how(unsigned how) {
	printf("%s%s%s%s%s%s", how & TWIN_CAN_ENABLE ? ", can enable" : "",
		how & TWIN_ENABLING_ENDS ? ", enabling ends it" : "",
		how & TWIN_CAN_LOOK ? ", can look" : "", how & TWIN_FAILS ? ", fails" : "",
		how & TWIN_SEQNO64 ? ", 64 bits" : "",
		how & TWIN_HAS_DEADLINE ? ", has deadlines" : "");
}

/* ---- Which there are ---------------------------------------------------------------------- */

bool twin_is_free(int number) {
	return model_kind(number) == MODEL_NOTHING;
}

bool twin_is_usable(int number) {
	return model_kind(number) != MODEL_NOTHING && model_refs(number) > 0;
}

bool twin_is_container(int number) {
	return model_kind(number) == MODEL_ARRAY || model_kind(number) == MODEL_CHAIN;
}

bool twin_is_plain_alive(int number) {
	return model_kind(number) == MODEL_PLAIN && model_must_live(number);
}

void twin_ref(int number) {
	twin_compare_fence(stile_fence_ref(twins[number].fence), number, "ref");
	model_ref(number);
}

void twin_unref(int number) {
	struct stile_fence *fence = twins[number].fence;
	model_unref(number);
	stile_fence_unref(fence);
}

int twin_error(uint64_t number) {
	return -(int)(number % 4095) - 1;
}

int twin_pick(bool (*fits)(int number)) {
	int first = history_below(MODEL_FENCES);
	for (int i = 0; i < MODEL_FENCES; i++) {
		int number = (first + i) % MODEL_FENCES;
		if (fits(number)) {
			return number;
		}
	}
	return MODEL_NONE;
}

/* ---- Comparing ---------------------------------------------------------------------------- */

void twin_compare(int64_t got, int64_t wanted, const char *what, int number) {
	if (got != wanted) {
		history_differ(
			"%s of #%d is %" PRId64 ", should be %" PRId64, what, number, got, wanted);
	}
}

void twin_compare_fence(const struct stile_fence *got, int wanted, const char *what) {
	if (got != (wanted == MODEL_NONE ? NULL : twins[wanted].fence)) {
		history_differ("%s does not give #%d", what, wanted);
	}
}

/* It ends in the very step in which the model does; or at the time that was given. */
static void compare_time(int number) {
	struct twin *twin = &twins[number];
	if (twin->end_seen) {
		return;
	}
	twin->end_seen = true;
	twin->ended_ns = stile_fence_get_timestamp(twin->fence);
	if (twin->exact_ns != 0) {
		twin_compare(twin->ended_ns, twin->exact_ns, "the time", number);
	} else if (twin->ended_ns < history_step_time() || twin->ended_ns > runner_clock_ns()) {
		history_differ("#%d has not ended in this step", number);
	}
}

static void compare_standing(int number) {
	struct twin *twin = &twins[number];
	enum model_kind kind = model_kind(number);
	twin_compare(twin->enable_count, model_enable_count(number),
		"the count of enable_signaling", number);
	bool asking_is_harmless = model_has_ended(number) || kind == MODEL_PLAIN ||
		(kind == MODEL_ARRAY && model_is_enabled(number));
	if (asking_is_harmless) {
		twin_compare(stile_fence_get_status(twin->fence), model_status(number),
			"the status", number);
	}
	if (model_has_ended(number)) {
		compare_time(number);
	}
}

void twins_compare_standings(void) {
	twins_muted = true;
	for (int i = 0; i < MODEL_FENCES; i++) {
		if (model_must_live(i)) {
			compare_standing(i);
		}
	}
	twins_muted = false;
}

void twins_compare_releases(bool (*may_live)(int number)) {
	for (int i = 0; i < MODEL_FENCES; i++) {
		if (twins[i].released && model_must_live(i)) {
			history_differ("#%d was released too early", i);
		}
		if (model_kind(i) == MODEL_PLAIN && !twins[i].released && !may_live(i)) {
			history_differ("#%d was not released", i);
		}
	}
	for (int i = 0; i < MODEL_FENCES; i++) {
		if (model_kind(i) != MODEL_NOTHING && (twins[i].released || !may_live(i))) {
			model_forget(i);
		}
	}
}

void twins_forget(void) {
	for (int i = 0; i < MODEL_FENCES; i++) {
		if (model_kind(i) == MODEL_NOTHING) {
			twins[i] = (struct twin){ .lock = MODEL_NONE };
		}
	}
}
