/* SPDX-License-Identifier: MIT */
/* Fences in slots, and when they are released: KERNEL_CONTRACT F-3 (get_rcu_safe), F-26. */
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <stile/fence.h>

#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/fence.h"
#include "src/macros.h"
#include "src/reclaim.h"

/* Long enough that a failure means a hang. */
#define HANG_NS INT64_C(30000000000)

static const char *slot_name(struct stile_fence *fence) {
	(void)fence;
	return "slot";
}

/* ---- One thread ---------------------------------------------------------------------------- */

/* A fence that notes when it was released. */
struct item {
	struct stile_fence fence;
	unsigned released; /* how often */
	unsigned died;     /* when its last reference went; 0: it lives */
};

static void item_release(struct stile_fence *fence) {
	CONTAINER_OF(fence, struct item, fence)->released++;
}

static const struct stile_fence_ops item_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = slot_name,
	.get_timeline_name = slot_name,
	.release = item_release,
};

static void item_init(struct item *item) {
	*item = (struct item){ 0 };
	ck_assert_int_eq(stile_fence_init(&item->fence, &item_ops, 1, 1), 0);
	/* As if it had been in a slot. */
	fence_enter_slot(&item->fence);
}

/* F-3. Wrong code: NULL taken for a fence. */
START_TEST(empty_slot_gives_null) {
	struct stile_fence *slot = NULL;
	ck_assert_ptr_null(stile_fence_ref_slot(&slot));
	ck_assert_ptr_null(stile_fence_exchange_slot(&slot, NULL));
	ck_assert_ptr_null(slot);
}
END_TEST

/* Wrong code: ref_slot that borrows; exchange that drops what was there, or refers to what comes. */
START_TEST(slot_has_a_reference_of_its_own) {
	struct item one, other;
	item_init(&one);
	item_init(&other);
	struct stile_fence *slot = NULL;
	ck_assert_ptr_null(stile_fence_exchange_slot(&slot, &one.fence));
	struct stile_fence *mine = stile_fence_ref_slot(&slot);
	ck_assert_ptr_eq(mine, &one.fence);

	struct stile_fence *old = stile_fence_exchange_slot(&slot, &other.fence);
	ck_assert_ptr_eq(old, &one.fence);
	stile_fence_unref(old);
	ck_assert_uint_eq(one.released, 0);
	stile_fence_unref(mine);
	ck_assert_uint_eq(one.released, 1);

	stile_fence_unref(stile_fence_exchange_slot(&slot, NULL));
	ck_assert_uint_eq(other.released, 1);
	ck_assert_ptr_null(stile_fence_ref_slot(&slot));
}
END_TEST

/* Wrong code: every release put off until somebody happens to leave a section. */
START_TEST(fence_that_nobody_looks_at_is_released_at_once) {
	struct item item;
	item_init(&item);
	reclaim_end(reclaim_begin());
	stile_fence_unref(&item.fence);
	ck_assert_uint_eq(item.released, 1);
}
END_TEST

/* Wrong code: everything that dies pays for those who look at slots; or what was in one does not wait. */
START_TEST(only_what_was_in_a_slot_waits) {
	struct item never, once;
	item_init(&never);
	item_init(&once);
	ck_assert_int_eq(stile_fence_init(&never.fence, &item_ops, 1, 1), 0);
	ck_assert_int_eq(stile_fence_init(&once.fence, &item_ops, 1, 1), 0);
	struct stile_fence *slot = NULL;
	ck_assert_ptr_null(stile_fence_exchange_slot(&slot, &once.fence));
	ck_assert_ptr_eq(stile_fence_exchange_slot(&slot, NULL), &once.fence);

	unsigned section = reclaim_begin();
	stile_fence_unref(&never.fence);
	stile_fence_unref(&once.fence);
	ck_assert_uint_eq(never.released, 1);
	ck_assert_uint_eq(once.released, 0);
	reclaim_end(section);
	ck_assert_uint_eq(once.released, 1);
}
END_TEST

/* Wrong code: released in the section, or forgotten when it ends; an inner end taken for the end. */
START_TEST(release_waits_for_the_end_of_a_section) {
	struct item items[3];
	unsigned outer = reclaim_begin();
	for (size_t i = 0; i < ARRAY_LENGTH(items); i++) {
		item_init(&items[i]);
		unsigned inner = reclaim_begin();
		stile_fence_unref(&items[i].fence);
		reclaim_end(inner);
		ck_assert_uint_eq(items[i].released, 0);
	}
	reclaim_end(outer);
	for (size_t i = 0; i < ARRAY_LENGTH(items); i++) {
		ck_assert_uint_eq(items[i].released, 1);
	}
}
END_TEST

static void *unref_run(void *arg) {
	stile_fence_unref(arg);
	return NULL;
}

/* Wrong code: only the thread's own sections looked at. */
START_TEST(release_waits_for_sections_of_other_threads) {
	struct item item;
	item_init(&item);
	unsigned section = reclaim_begin();
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, unref_run, &item.fence), 0);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(item.released, 0);
	reclaim_end(section);
	ck_assert_uint_eq(item.released, 1);
}
END_TEST

/*
 * One section always begins before the one before it ends. Wrong code: waits for a moment when
 * nobody is in a section, which never comes.
 */
START_TEST(overlapping_sections_hold_nothing_up) {
	enum { STEPS = 200, MAX_LATE = 4 };
	struct item items[STEPS];
	unsigned section = reclaim_begin();
	for (unsigned i = 0; i < STEPS; i++) {
		item_init(&items[i]);
		stile_fence_unref(&items[i].fence);
		ck_assert_uint_eq(items[i].released, 0);
		unsigned next = reclaim_begin();
		reclaim_end(section);
		section = next;
		ck_assert_msg(i < MAX_LATE || items[i - MAX_LATE].released == 1,
			"what died %d sections ago is still there", MAX_LATE);
	}
	reclaim_end(section);
	for (unsigned i = 0; i < STEPS; i++) {
		ck_assert_uint_eq(items[i].released, 1);
	}
}
END_TEST

enum { MODEL_SECTIONS = 5, MODEL_STEPS = 20000 };

/* Sections that are open, by the time at which they began; 0: this one is not. */
struct model {
	unsigned now;
	unsigned began[MODEL_SECTIONS];
	unsigned cookie[MODEL_SECTIONS];
};

/* Begin a section that is not open, or end one that is. */
static void model_turn(struct model *model, size_t which) {
	if (model->began[which] == 0) {
		model->began[which] = model->now;
		model->cookie[which] = reclaim_begin();
		return;
	}
	model->began[which] = 0;
	reclaim_end(model->cookie[which]);
}

static unsigned model_oldest(const struct model *model) {
	unsigned oldest = model->now + 1;
	for (size_t i = 0; i < MODEL_SECTIONS; i++) {
		if (model->began[i] != 0 && model->began[i] < oldest) {
			oldest = model->began[i];
		}
	}
	return oldest;
}

static bool model_is_idle(const struct model *model) {
	return model_oldest(model) > model->now;
}

/*
 * Random sections and deaths. Nothing is released that a section which is still open may have seen;
 * all is released once when none is open. Wrong code: a batch closed late, so that it takes in what
 * died after the phase was seen empty; one phase looked at instead of both.
 */
START_TEST(random_sections_see_no_release) {
	uint64_t random = runner_seed();
	struct model model = { 0 };
	struct item *items = calloc(MODEL_STEPS, sizeof(*items));
	ck_assert_ptr_nonnull(items);
	unsigned first = 0, count = 0; /* those from `first` on may be there still */
	for (model.now = 1; model.now <= MODEL_STEPS; model.now++) {
		if (runner_random(&random) % 3 == 0) {
			struct item *item = &items[count++];
			item_init(item);
			item->died = model.now;
			stile_fence_unref(&item->fence);
		} else {
			model_turn(&model, runner_random(&random) % MODEL_SECTIONS);
		}
		unsigned oldest = model_oldest(&model);
		while (first < count && items[first].died < oldest && items[first].released > 0) {
			first++;
		}
		for (unsigned i = first; i < count; i++) {
			ck_assert_msg(items[i].released == 0 || items[i].died < oldest,
				"released under the eyes of a section");
			ck_assert(items[i].released == 1 || !model_is_idle(&model));
		}
	}
	for (size_t i = 0; i < MODEL_SECTIONS; i++) {
		if (model.began[i] != 0) {
			model_turn(&model, i);
		}
	}
	for (unsigned i = 0; i < count; i++) {
		ck_assert_uint_eq(items[i].released, 1);
	}
	free(items);
}
END_TEST

struct release_chain {
	struct stile_fence fence;
	struct stile_fence *next;
	int *released;
};

static void chain_release(struct stile_fence *fence) {
	struct release_chain *link = CONTAINER_OF(fence, struct release_chain, fence);
	++*link->released;
	stile_fence_unref(link->next);
}

static const struct stile_fence_ops chain_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = slot_name,
	.get_timeline_name = slot_name,
	.release = chain_release,
};

/* Wrong code: release ops called under the lock that the next dead fence needs. */
START_TEST(release_may_drop_the_last_reference_of_another) {
	int released = 0;
	struct release_chain links[3];
	for (size_t i = 0; i < ARRAY_LENGTH(links); i++) {
		links[i].next = i == 0 ? NULL : &links[i - 1].fence;
		links[i].released = &released;
		ck_assert_int_eq(stile_fence_init(&links[i].fence, &chain_ops, 1, 1), 0);
		fence_enter_slot(&links[i].fence);
	}
	unsigned section = reclaim_begin();
	stile_fence_unref(&links[2].fence);
	ck_assert_int_eq(released, 0);
	reclaim_end(section);
	ck_assert_int_eq(released, 3);
}
END_TEST

/* ---- Many threads -------------------------------------------------------------------------- */

enum { SLOTS = 3, WRITERS = 2, MAX_READERS = 16, PAGES = 12000, RACE_MS = 1200 };

/*
 * Each fence has a page of its own, which nothing can touch any more once the fence was released:
 * whoever does ends the program.
 */
struct page {
	struct stile_fence fence;
	size_t number;
};

struct race {
	struct stile_fence *slots[SLOTS];
	unsigned char *arena;
	size_t page_bytes;
	atomic_size_t used;
	atomic_size_t released;
	atomic_bool stop;
	atomic_int bad;
};

struct race_thread {
	struct race *race;
	uint64_t random;
	pthread_t thread;
};

static struct race race;
static atomic_uchar page_releases[PAGES];

static void page_release(struct stile_fence *fence) {
	struct page *page = CONTAINER_OF(fence, struct page, fence);
	if (atomic_fetch_add(&page_releases[page->number], 1) != 0) {
		atomic_fetch_add(&race.bad, 1);
	}
	if (mprotect(page, race.page_bytes, PROT_NONE) != 0) {
		atomic_fetch_add(&race.bad, 1);
	}
	atomic_fetch_add(&race.released, 1);
}

static const struct stile_fence_ops page_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = slot_name,
	.get_timeline_name = slot_name,
	.release = page_release,
};

/* NULL: all pages are used up. */
static struct stile_fence *page_create(void) {
	size_t number = atomic_fetch_add(&race.used, 1);
	if (number >= PAGES) {
		return NULL;
	}
	struct page *page = (struct page *)(void *)(race.arena + number * race.page_bytes);
	page->number = number;
	if (stile_fence_init(&page->fence, &page_ops, 1, number) != 0) {
		atomic_fetch_add(&race.bad, 1);
	}
	return &page->fence;
}

static void *reader_run(void *arg) {
	struct race_thread *self = arg;
	while (!race.stop) {
		struct stile_fence **slot = &race.slots[runner_random(&self->random) % SLOTS];
		struct stile_fence *fence = stile_fence_ref_slot(slot);
		if (fence == NULL) {
			continue;
		}
		const struct page *page = CONTAINER_OF(fence, struct page, fence);
		if (page->number != stile_fence_get_seqno(fence) ||
			page_releases[page->number] != 0) {
			atomic_fetch_add(&race.bad, 1);
		}
		stile_fence_unref(fence);
	}
	return NULL;
}

static void *writer_run(void *arg) {
	struct race_thread *self = arg;
	int64_t until = runner_clock_ns() + RACE_MS * INT64_C(1000000);
	while (runner_clock_ns() < until) {
		struct stile_fence *fence = NULL;
		if (runner_random(&self->random) % 16 != 0) {
			fence = page_create();
			if (fence == NULL) {
				break;
			}
		}
		struct stile_fence **slot = &race.slots[runner_random(&self->random) % SLOTS];
		stile_fence_unref(stile_fence_exchange_slot(slot, fence));
	}
	return NULL;
}

static void race_begin(void) {
	memset(&race, 0, sizeof(race));
	memset(page_releases, 0, sizeof(page_releases));
	race.page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	race.arena = mmap(NULL, PAGES * race.page_bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert(race.arena != MAP_FAILED);
}

static void race_end(void) {
	munmap(race.arena, PAGES * race.page_bytes);
}

static void threads_start(
	struct race_thread *threads, size_t count, void *(*run)(void *), uint64_t *random) {
	for (size_t i = 0; i < count; i++) {
		threads[i] = (struct race_thread){ .race = &race, .random = runner_random(random) };
		ck_assert_int_eq(pthread_create(&threads[i].thread, NULL, run, &threads[i]), 0);
	}
}

static void threads_join(struct race_thread *threads, size_t count) {
	for (size_t i = 0; i < count; i++) {
		pthread_join(threads[i].thread, NULL);
	}
}

static size_t race_used(void) {
	size_t used = race.used;
	return used < PAGES ? used : PAGES;
}

/*
 * Writers replace what is in the slots, readers take references at the same time, at full speed.
 * Wrong code: a release while a reader is between the look at the slot and the reference; one that
 * gives what has left the slot in between; a fence released twice or never; dead ones kept as long
 * as there is always some reader.
 */
START_TEST(readers_and_writers_of_slots_do_not_meet_a_dead_fence) {
	static const size_t readers[] = { 2, MAX_READERS };
	uint64_t random = runner_seed();
	race_begin();
	struct race_thread reading[MAX_READERS], writing[WRITERS];
	threads_start(reading, readers[_i], reader_run, &random);
	threads_start(writing, WRITERS, writer_run, &random);
	threads_join(writing, WRITERS);
	for (size_t i = 0; i < SLOTS; i++) {
		stile_fence_unref(stile_fence_exchange_slot(&race.slots[i], NULL));
	}
	/* The readers go on: what has died has to go all the same. */
	int64_t until = runner_clock_ns() + HANG_NS;
	while (race.released < race_used() && runner_clock_ns() < until) {
		runner_sleep_ms(1);
	}
	size_t released_by_then = race.released;
	race.stop = true;
	threads_join(reading, readers[_i]);
	ck_assert_int_eq(race.bad, 0);
	ck_assert_uint_gt(race_used(), 100);
	ck_assert_uint_eq(released_by_then, race_used());
	ck_assert_uint_eq(race.released, race_used());
	race_end();
}
END_TEST

static void *section_run(void *arg) {
	const struct race_thread *self = arg;
	while (!self->race->stop) {
		unsigned outer = reclaim_begin();
		unsigned inner = reclaim_begin();
		reclaim_end(outer);
		reclaim_end(inner);
	}
	return NULL;
}

/* Wrong code: memory that piles up as long as sections of several threads overlap. */
START_TEST(dead_fences_go_while_sections_overlap_all_the_time) {
	enum { SECTIONS = 6, ROUNDS = 50 };
	uint64_t random = runner_seed();
	race_begin();
	struct race_thread threads[SECTIONS];
	threads_start(threads, SECTIONS, section_run, &random);
	bool late = false;
	for (int round = 0; round < ROUNDS && !late; round++) {
		stile_fence_unref(page_create());
		int64_t until = runner_clock_ns() + HANG_NS;
		while (race.released < race_used() && !late) {
			late = runner_clock_ns() > until;
		}
	}
	race.stop = true;
	threads_join(threads, SECTIONS);
	ck_assert(!late);
	ck_assert_int_eq(race.bad, 0);
	race_end();
}
END_TEST

/* ---- Fork ---------------------------------------------------------------------------------- */

static atomic_int reading; /* 1: in a section; 2: it is to end */

static void *read_on(void *arg) {
	unsigned section = reclaim_begin();
	reading = 1;
	while (reading != 2) {
		runner_sleep_ms(1);
	}
	reclaim_end(section);
	return arg;
}

static int release_one(void) {
	struct item item = { 0 };
	if (stile_fence_init(&item.fence, &item_ops, 1, 1) != 0) {
		return 1;
	}
	fence_enter_slot(&item.fence);
	stile_fence_unref(&item.fence);
	return item.released == 1 ? 0 : 2;
}

/* A parent with a thread that looks at slots, and its child. */
static int forker(void) {
	pthread_t thread;
	runner_require(pthread_create(&thread, NULL, read_on, NULL) == 0, "no thread");
	while (reading != 1) {
		runner_sleep_ms(1);
	}
	pid_t pid = fork();
	runner_require(pid >= 0, "no child");
	if (pid == 0) {
		_exit(release_one());
	}
	int in_child = runner_reap(pid);
	reading = 2;
	pthread_join(thread, NULL);
	return in_child;
}

/* Wrong code: a child that waits for threads that it has not. */
START_TEST(forked_child_has_no_readers) {
	ck_assert_int_eq(runner_reap(runner_spawn("forker", NULL, 0)), 0);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("slot");
	TCase *one = ledger_tcase_create("one thread");
	tcase_add_test(one, empty_slot_gives_null);
	tcase_add_test(one, slot_has_a_reference_of_its_own);
	tcase_add_test(one, fence_that_nobody_looks_at_is_released_at_once);
	tcase_add_test(one, only_what_was_in_a_slot_waits);
	tcase_add_test(one, release_waits_for_the_end_of_a_section);
	tcase_add_test(one, release_waits_for_sections_of_other_threads);
	tcase_add_test(one, overlapping_sections_hold_nothing_up);
	tcase_add_test(one, random_sections_see_no_release);
	tcase_add_test(one, release_may_drop_the_last_reference_of_another);
	suite_add_tcase(s, one);

	TCase *threads = ledger_tcase_create("threads");
	tcase_add_loop_test(threads, readers_and_writers_of_slots_do_not_meet_a_dead_fence, 0, 2);
	tcase_add_test(threads, dead_fences_go_while_sections_overlap_all_the_time);
	suite_add_tcase(s, threads);

	TCase *fork_case = ledger_tcase_create("fork");
	tcase_add_test(fork_case, forked_child_has_no_readers);
	suite_add_tcase(s, fork_case);
	return s;
}

static const struct runner_role roles[] = {
	{ "forker", forker },
	{ NULL, NULL },
};

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, roles);
}
