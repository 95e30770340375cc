/* SPDX-License-Identifier: MIT */
/*
 * The same steps by chance in two worlds at once, the kernel's and the library's: whatever can be
 * seen is the same after each. KERNEL_CONTRACT sections 3, 4, 5, 12 and 15.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "interop-tests/kernel/twin.h"
#include "interop-tests/support/runner.h"

enum { KERNEL, STILE, SIDES };

/* vgem's fences end by themselves after 10 s: a round has to be over by then. */
enum { ROUNDS = 3, STEPS = 60, SLOTS = 10, BUFFERS = 3, TIMELINES = 2, VALUES = 6, PAGE = 4096 };

struct slot {
	struct twin_fence *fence[SIDES]; /* NULL: free */
	bool is_point;                   /* it came from a timeline */
	bool is_gathered;                /* it came from a buffer or a timeline */
};

/* What was made, whether somebody has the fence or not. */
struct work {
	struct twin_fence *fence[SIDES];
	size_t context; /* the number of the first one of it */
	bool is_lost;
};

static const struct twin_ops *sides[SIDES];
static uint32_t can; /* both of them */
static struct slot slots[SLOTS];
static struct work works[STEPS];
static size_t work_count;
static struct twin_buffer *buffers[BUFFERS][SIDES];
static struct twin_timeline *timelines[TIMELINES][SIDES];

static uint64_t state;
static char trail[16384]; /* what was done */

static size_t choose(size_t count) {
	return runner_random(&state) % count;
}

static void note(const char *what, size_t a, size_t b, size_t c) {
	size_t used = strlen(trail);
	snprintf(trail + used, sizeof(trail) - used, "%s %zu %zu %zu\n", what, a, b, c);
}

/* ---- What can be seen ---------------------------------------------------------------------- */

static void same(int64_t kernel, int64_t stile, const char *what, size_t which) {
	ck_assert_msg(kernel == stile, "%s %zu: kernel %" PRId64 ", Stile %" PRId64 ", after\n%s",
		what, which, kernel, stile, trail);
}

static void leave_pending(struct twin_info *info) {
	size_t count = 0;
	for (size_t i = 0; i < info->count; i++) {
		if (info->leaves[i].status == 0) {
			info->leaves[count++] = info->leaves[i];
		}
	}
	info->count = count;
}

/*
 * when a list of a buffer's grows, and forgets what is done, is the allocator's matter; with that, which
 * place a fence gets, and whether it is there twice. A merge has it once (U-2).
 */
static void get_distinct(const struct slot *slot, struct twin_info info[SIDES]) {
	for (int i = 0; i < SIDES; i++) {
		struct twin_fence *merged = sides[i]->fence_merge(slot->fence[i], slot->fence[i]);
		sides[i]->fence_get_info(merged, &info[i]);
		sides[i]->fence_close(merged);
		leave_pending(&info[i]);
	}
}

static void compare_fence(size_t at) {
	struct twin_info info[SIDES];
	int status[SIDES];
	for (int i = 0; i < SIDES; i++) {
		status[i] = sides[i]->fence_get_status(slots[at].fence[i]);
		sides[i]->fence_get_info(slots[at].fence[i], &info[i]);
	}
	if (slots[at].is_point) {
		/*
		 * U-1: what is done may have been collected; there is a stub for a point that is
		 * done.
		 */
		leave_pending(&info[KERNEL]);
		leave_pending(&info[STILE]);
	}
	if (slots[at].is_gathered && info[KERNEL].count != info[STILE].count) {
		get_distinct(&slots[at], info);
	}
	same(status[KERNEL], status[STILE], "status of fence", at);
	same((int64_t)info[KERNEL].count, (int64_t)info[STILE].count, "leaves of fence", at);
	for (size_t i = 0; i < info[KERNEL].count; i++) {
		same(info[KERNEL].leaves[i].status, info[STILE].leaves[i].status,
			"status of a leaf of fence", at);
		same(info[KERNEL].leaves[i].timestamp_ns != 0,
			info[STILE].leaves[i].timestamp_ns != 0, "time of a leaf of fence", at);
	}
}

static void compare_buffer(size_t at) {
	int got[SIDES];
	for (int i = 0; i < SIDES; i++) {
		got[i] = sides[i]->buffer_poll(buffers[at][i], POLLIN | POLLOUT, 0);
	}
	same(got[KERNEL], got[STILE], "readiness of buffer", at);
}

static void compare_timeline(size_t at) {
	for (uint64_t value = 1; value <= VALUES; value++) {
		enum twin_state got[SIDES];
		for (int i = 0; i < SIDES; i++) {
			got[i] = sides[i]->timeline_get_state(timelines[at][i], value);
		}
		same(got[KERNEL], got[STILE],
			value == 1 ? "first point of timeline" : "points of timeline", at);
	}
}

static void compare(void) {
	for (size_t i = 0; i < SLOTS; i++) {
		if (slots[i].fence[KERNEL] != NULL) {
			compare_fence(i);
		}
	}
	for (size_t i = 0; i < BUFFERS; i++) {
		compare_buffer(i);
	}
	for (size_t i = 0; i < TIMELINES && (can & TWIN_TIMELINES) != 0; i++) {
		compare_timeline(i);
	}
}

/* ---- Steps --------------------------------------------------------------------------------- */

static struct slot *choose_used(void) {
	struct slot *slot = &slots[choose(SLOTS)];
	return slot->fence[KERNEL] == NULL ? NULL : slot;
}

static size_t number(const struct slot *slot) {
	return (size_t)(slot - slots);
}

/* Make room for something new. */
static struct slot *empty(void) {
	struct slot *slot = &slots[choose(SLOTS)];
	for (int i = 0; i < SIDES && slot->fence[KERNEL] != NULL; i++) {
		sides[i]->fence_close(slot->fence[i]);
	}
	memset(slot, 0, sizeof(*slot));
	return slot;
}

static void step_create(void) {
	struct slot *slot = empty();
	size_t context = work_count;
	if ((can & TWIN_ORDERED) != 0 && work_count > 0 && choose(2) == 0) {
		const struct work *before = &works[choose(work_count)];
		context = before->is_lost ? work_count : before->context;
	}
	note("create", number(slot), work_count, context);
	for (int i = 0; i < SIDES; i++) {
		slot->fence[i] = context == work_count
			? sides[i]->fence_create()
			: sides[i]->fence_create_after(works[context].fence[i]);
		works[work_count].fence[i] = slot->fence[i];
	}
	works[work_count].context = context;
	works[work_count++].is_lost = false;
}

static void step_signal(void) {
	if (work_count == 0) {
		return;
	}
	size_t at = choose(work_count);
	note("signal", at, 0, 0);
	for (int i = 0; i < SIDES; i++) {
		sides[i]->fence_signal(works[at].fence[i]);
	}
}

static void step_fail(void) {
	if (work_count == 0 || (can & TWIN_FAILS) == 0) {
		return;
	}
	const struct work *lost = &works[choose(work_count)];
	note("fail", (size_t)(lost - works), lost->context, 0);
	for (int i = 0; i < SIDES && !lost->is_lost; i++) {
		sides[i]->fence_fail(lost->fence[i]);
	}
	for (size_t i = 0; i < work_count; i++) {
		works[i].is_lost |= works[i].context == lost->context;
	}
}

static void step_merge(void) {
	const struct slot *a = choose_used(), *b = choose_used();
	struct slot *slot = empty();
	if (a == NULL || b == NULL || slot == a || slot == b) {
		return;
	}
	note("merge", number(a), number(b), number(slot));
	for (int i = 0; i < SIDES; i++) {
		slot->fence[i] = sides[i]->fence_merge(a->fence[i], b->fence[i]);
	}
}

static void step_listen(void) {
	struct slot *slot = choose_used();
	if (slot == NULL) {
		return;
	}
	note("listen", number(slot), 0, 0);
	int got[SIDES];
	for (int i = 0; i < SIDES; i++) {
		got[i] = sides[i]->fence_poll(slot->fence[i], POLLIN, 0) & POLLIN;
	}
	same(got[KERNEL], got[STILE], "readiness of fence", number(slot));
}

static void step_import(void) {
	const struct slot *slot = choose_used();
	size_t at = choose(BUFFERS), usage = 1 + choose(TWIN_BOTH);
	if (slot == NULL) {
		return;
	}
	note("import", number(slot), at, usage);
	int ret[SIDES];
	for (int i = 0; i < SIDES; i++) {
		ret[i] = sides[i]->buffer_import(buffers[at][i], (uint32_t)usage, slot->fence[i]);
	}
	same(ret[KERNEL], ret[STILE], "import to buffer", at);
}

static void step_export(void) {
	struct slot *slot = empty();
	size_t at = choose(BUFFERS), usage = 1 + choose(TWIN_BOTH);
	note("export", at, usage, number(slot));
	int ret[SIDES];
	for (int i = 0; i < SIDES; i++) {
		ret[i] = sides[i]->buffer_export(buffers[at][i], (uint32_t)usage, &slot->fence[i]);
	}
	slot->is_gathered = true;
	same(ret[KERNEL], ret[STILE], "export from buffer", at);
}

static void step_submit(void) {
	const struct slot *slot = choose_used();
	size_t at = choose(TIMELINES), value = 1 + choose(VALUES);
	if (slot == NULL) {
		return;
	}
	note("submit", number(slot), at, value);
	int ret[SIDES];
	for (int i = 0; i < SIDES; i++) {
		ret[i] = sides[i]->timeline_submit(timelines[at][i], value, slot->fence[i]);
	}
	same(ret[KERNEL], ret[STILE], "submission to timeline", at);
}

static void step_transfer(void) {
	size_t to = choose(TIMELINES), from = choose(TIMELINES);
	size_t to_value = 1 + choose(VALUES), from_value = 1 + choose(VALUES);
	note("transfer", to, to_value, from * 100 + from_value);
	int ret[SIDES];
	for (int i = 0; i < SIDES; i++) {
		ret[i] = sides[i]->timeline_transfer(
			timelines[to][i], to_value, timelines[from][i], from_value);
	}
	same(ret[KERNEL] == 0, ret[STILE] == 0, "transfer to timeline", to);
}

static void step_get_fence(void) {
	struct slot *slot = empty();
	size_t at = choose(TIMELINES), value = 1 + choose(VALUES);
	note("fence of a point", at, value, number(slot));
	int ret[SIDES];
	for (int i = 0; i < SIDES; i++) {
		ret[i] = sides[i]->timeline_get_fence(timelines[at][i], value, &slot->fence[i]);
	}
	slot->is_point = slot->is_gathered = true;
	same(ret[KERNEL] == 0, ret[STILE] == 0, "fence of timeline", at);
}

static void step(void) {
	bool has_timelines = (can & TWIN_TIMELINES) != 0;
	switch (choose(has_timelines ? 16 : 12)) {
	case 0:
	case 1:
	case 2:
		step_create();
		break;
	case 3:
	case 4:
		step_signal();
		break;
	case 5:
		step_fail();
		break;
	case 6:
		step_merge();
		break;
	case 7:
		step_listen();
		break;
	case 8:
	case 9:
		step_import();
		break;
	case 10:
	case 11:
		step_export();
		break;
	case 12:
	case 13:
		step_submit();
		break;
	case 14:
		step_transfer();
		break;
	default:
		step_get_fence();
		break;
	}
}

/* ---- Rounds -------------------------------------------------------------------------------- */

static void round_begin(const struct twin_world *const worlds[SIDES]) {
	memset(slots, 0, sizeof(slots));
	work_count = 0;
	trail[0] = '\0';
	for (int i = 0; i < SIDES; i++) {
		sides[i] = worlds[i]->ops;
		sides[i]->begin(worlds[i]->fences, worlds[i]->memory);
		for (size_t at = 0; at < BUFFERS; at++) {
			ck_assert_int_eq(sides[i]->buffer_create(PAGE, &buffers[at][i]), 0);
		}
		for (size_t at = 0; at < TIMELINES && (can & TWIN_TIMELINES) != 0; at++) {
			timelines[at][i] = sides[i]->timeline_create();
		}
	}
}

static void round_end(void) {
	for (int i = 0; i < SIDES; i++) {
		if (sides[i] != NULL) {
			sides[i]->end();
		}
		sides[i] = NULL;
	}
}

static size_t world_count;

/* Each world of the kernel's with each of the library's that has no descriptors between. */
static bool is_pair(size_t kernel, size_t stile) {
	return twin_get_world(kernel)->is_kernel && !twin_get_world(stile)->is_kernel &&
		(twin_get_abilities(stile) & TWIN_ORDERED) != 0;
}

/*
 * Wrong code: any of what the other tests of this folder know, in a combination that they do not;
 * order of leaves; what a look at one thing does to another.
 */
START_TEST(chance_finds_no_difference) {
	const struct twin_world *worlds[SIDES] = {
		[KERNEL] = twin_get_world((size_t)_i / world_count),
		[STILE] = twin_get_world((size_t)_i % world_count),
	};
	can = twin_get_abilities((size_t)_i / world_count) &
		twin_get_abilities((size_t)_i % world_count);
	for (uint64_t round = 0; round < ROUNDS; round++) {
		state = runner_seed() + (uint64_t)_i * ROUNDS + round;
		round_begin(worlds);
		for (int i = 0; i < STEPS; i++) {
			step();
			/* Looking changes things as well: not always. */
			if (choose(3) == 0 || i == STEPS - 1) {
				compare();
			}
		}
		round_end();
	}
}
END_TEST

static Suite *make(void) {
	Suite *suite = suite_create("twin_random");
	TCase *tcase = twin_tcase_create("pairs");
	tcase_add_checked_fixture(tcase, NULL, round_end);
	tcase_set_timeout(tcase, 100);
	for (size_t kernel = 0; kernel < world_count; kernel++) {
		for (size_t stile = 0; stile < world_count; stile++) {
			if (is_pair(kernel, stile)) {
				int at = (int)(kernel * world_count + stile);
				tcase_add_loop_test(tcase, chance_finds_no_difference, at, at + 1);
			}
		}
	}
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	bool has_kernel = false;
	world_count = twin_find_worlds();
	for (size_t i = 0; i < world_count; i++) {
		has_kernel |= twin_get_world(i)->is_kernel;
	}
	if (!has_kernel) {
		printf("nothing of a kernel's to compare with\n");
		return RUNNER_SKIP;
	}
	return runner_main(argc, argv, make, NULL);
}
