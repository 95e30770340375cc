/* SPDX-License-Identifier: MIT */
/* What adapters keep of imports (src/import_cache.c), and who hears of a buffer's end. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <drm_fourcc.h>

#include <stile/buffer.h>
#include <stile/device.h>
#include <stile/image.h>

#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "interop-tests/support/test_exporter.h"
#include "src/import_cache.h"
#include "src/macros.h"
#include "src/os.h"

/* What stands for a driver's object. */
struct object {
	struct import_entry entry;
	atomic_uint *destroyed; /* how often, of this one */
};

enum { OBJECTS = 1 << 20 };

static struct stile_device *device;
static struct import_cache cache;
static atomic_uint destroyed[OBJECTS];
static atomic_uint created;

static void destroy_object(struct import_entry *entry) {
	struct object *object = CONTAINER_OF(entry, struct object, entry);
	atomic_fetch_add(object->destroyed, 1);
}

static void setup(void) {
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &device), 0);
	import_cache_init(&cache, 0);
	for (unsigned i = 0; i < created; i++) {
		destroyed[i] = 0;
	}
	created = 0;
}

/* Whatever the test did: each object was destroyed, and once. */
static void teardown(void) {
	import_cache_finish(&cache);
	for (unsigned i = 0; i < created; i++) {
		ck_assert_msg(destroyed[i] == 1, "object %u of %u was destroyed %u times", i,
			(unsigned)created, (unsigned)destroyed[i]);
	}
	stile_device_destroy(device);
}

/* As an adapter does it. */
static struct import_entry *import(struct import_cache *into, const struct import_key *key) {
	struct import_entry *entry = import_cache_get(into, key);
	if (entry != NULL) {
		return entry;
	}
	struct object *object = calloc(1, sizeof(*object));
	runner_require(object != NULL && created < OBJECTS, "no room for objects");
	object->destroyed = &destroyed[atomic_fetch_add(&created, 1)];
	object->entry.destroy = destroy_object;
	return import_cache_add(into, key, &object->entry);
}

static struct stile_buffer *create_buffer(void) {
	struct stile_buffer_info info = { .size = sizeof(info), .bytes = 1 << 16 };
	struct stile_buffer *buffer;
	runner_require(stile_buffer_create(device, &info, &buffer) == 0, "a buffer");
	return buffer;
}

static struct import_key key_of(struct stile_buffer *buffer, uint64_t how) {
	struct import_key key;
	import_key_of_buffer(&key, buffer, how);
	return key;
}

/* ---- Listeners ----------------------------------------------------------------------------- */

static struct stile_buffer_listener *last_gone;
static unsigned gone;

static void note_gone(struct stile_buffer_listener *listener) {
	last_gone = listener;
	gone++;
	/* It is out of use by now. */
	ck_assert(!stile_buffer_remove_listener(listener));
}

/* Wrong code: a listener that is called twice, or one that was removed; or the others forgotten with it. */
START_TEST(listeners_hear_of_the_end_once_unless_they_were_removed) {
	struct stile_buffer *buffer = create_buffer();
	struct stile_buffer_listener listeners[4];
	gone = 0;
	for (size_t i = 0; i < ARRAY_LENGTH(listeners); i++) {
		stile_buffer_add_listener(buffer, &listeners[i], note_gone, NULL);
	}
	/* The first, the last, one between. */
	ck_assert(stile_buffer_remove_listener(&listeners[_i]));
	ck_assert(!stile_buffer_remove_listener(&listeners[_i]));
	stile_buffer_ref(buffer);
	stile_buffer_unref(buffer);
	ck_assert_uint_eq(gone, 0);
	stile_buffer_unref(buffer);
	ck_assert_uint_eq(gone, 3);
	ck_assert_ptr_ne(last_gone, &listeners[_i]);
}
END_TEST

static struct test_exporter *exporter_of_listened;
static unsigned released_before;

static void look_at_release(struct stile_buffer_listener *listener) {
	(void)listener;
	gone++;
	released_before = exporter_of_listened->count[OP_RELEASE];
}

/* Wrong code: the exporter frees what a driver's object is still made of. */
START_TEST(listeners_hear_before_the_exporter_frees_the_memory) {
	struct test_exporter exporter;
	struct stile_buffer_listener listener;
	test_exporter_init(&exporter, 4096);
	struct stile_buffer *buffer = test_exporter_export(&exporter);
	stile_buffer_add_listener(buffer, &listener, look_at_release, NULL);
	exporter_of_listened = &exporter;
	gone = 0;
	stile_buffer_unref(buffer);
	ck_assert_uint_eq(gone, 1);
	ck_assert_uint_eq(released_before, 0);
	test_exporter_finish(&exporter);
}
END_TEST

/* Takes references over, or not; once it cannot say. */
struct keeper {
	struct stile_buffer_listener listener;
	bool wants;
	unsigned asked;
};

static enum stile_buffer_keep keep_if_wanted(struct stile_buffer_listener *listener) {
	struct keeper *keeper = CONTAINER_OF(listener, struct keeper, listener);
	if (keeper->asked++ == 0) {
		return STILE_BUFFER_ASK_AGAIN;
	}
	return keeper->wants ? STILE_BUFFER_KEEP : STILE_BUFFER_LET_GO;
}

/* Wrong code: a reference that nobody has, as who wants it was not asked; or that two have. */
START_TEST(the_last_reference_goes_to_one_who_wants_it) {
	struct test_exporter exporter;
	struct keeper keepers[] = { { .wants = _i != 0 }, { .wants = false }, { .wants = true } };
	test_exporter_init(&exporter, 4096);
	struct stile_buffer *buffer = test_exporter_export(&exporter);
	gone = 0;
	for (size_t i = 0; i < ARRAY_LENGTH(keepers); i++) {
		stile_buffer_add_listener(buffer, &keepers[i].listener, note_gone, keep_if_wanted);
	}
	stile_buffer_ref(buffer);
	stile_buffer_unref(buffer);
	ck_assert_uint_eq(keepers[0].asked + keepers[1].asked + keepers[2].asked, 0);
	stile_buffer_unref(buffer);
	ck_assert_uint_eq(exporter.count[OP_RELEASE], 0);
	/* One wants it no more, and gives it up: a second one may want it then. */
	keepers[2].wants = false;
	stile_buffer_unref(buffer);
	ck_assert_uint_eq(exporter.count[OP_RELEASE], _i == 0);
	keepers[0].wants = false;
	if (_i != 0) {
		stile_buffer_unref(buffer);
	}
	ck_assert_uint_eq(exporter.count[OP_RELEASE], 1);
	ck_assert_uint_eq(gone, 3);
	test_exporter_finish(&exporter);
}
END_TEST

/* ---- Keys ---------------------------------------------------------------------------------- */

static struct stile_image *import_image(
	int fd, uint32_t width, uint32_t height, uint32_t fourcc, uint32_t pitch, uint64_t offset) {
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = width,
		.height = height,
		.fourcc = fourcc,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.modifier = DRM_FORMAT_MOD_LINEAR,
		.plane_count = 1,
		.planes[0] = { .fd = fd, .pitch = pitch, .offset = offset },
	};
	struct stile_image *image;
	ck_assert_int_eq(stile_image_import(device, &info, NULL, &image), 0);
	return image;
}

static struct import_entry *import_as_image(struct stile_image *image, uint64_t how) {
	struct import_key key;
	import_key_of_image(&key, image, how);
	return import(&cache, &key);
}

/* Wrong code: one picture shown for another one that is in the same memory. */
START_TEST(any_difference_of_layout_is_another_object) {
	static const struct {
		uint32_t width, height, fourcc, pitch;
		uint64_t offset, how;
	} cases[] = {
		{ 64, 64, DRM_FORMAT_ABGR8888, 256, 0, 0 },
		{ 60, 64, DRM_FORMAT_ABGR8888, 256, 0, 0 },
		{ 64, 60, DRM_FORMAT_ABGR8888, 256, 0, 0 },
		{ 64, 64, DRM_FORMAT_ARGB8888, 256, 0, 0 },
		{ 64, 64, DRM_FORMAT_ABGR8888, 512, 0, 0 },
		{ 64, 64, DRM_FORMAT_ABGR8888, 256, 4096, 0 },
		{ 64, 64, DRM_FORMAT_ABGR8888, 256, 0, 1 },
	};
	struct stile_buffer *buffer = create_buffer();
	struct import_entry *entries[ARRAY_LENGTH(cases)];
	int fd;
	ck_assert_int_eq(
		stile_buffer_export_fd(buffer, STILE_USAGE_READ | STILE_USAGE_WRITE, &fd), 0);
	for (size_t round = 0; round < 2; round++) {
		for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
			/* Another image each time: what counts is what it says. */
			struct stile_image *image = import_image(fd, cases[i].width,
				cases[i].height, cases[i].fourcc, cases[i].pitch, cases[i].offset);
			struct import_entry *entry = import_as_image(image, cases[i].how);
			stile_image_unref(image);
			if (round == 0) {
				entries[i] = entry;
			}
			ck_assert_ptr_eq(entry, entries[i]);
			import_cache_put(entry);
		}
	}
	ck_assert_uint_eq(created, ARRAY_LENGTH(cases));
	close(fd);
	stile_buffer_unref(buffer);
}
END_TEST

/* Wrong code: buffers compared by their contents or sizes. */
START_TEST(another_buffer_is_another_object) {
	struct stile_buffer *buffers[] = { create_buffer(), create_buffer() };
	const struct import_key keys[] = { key_of(buffers[0], 0), key_of(buffers[1], 0) };
	struct import_entry *entries[] = { import(&cache, &keys[0]), import(&cache, &keys[1]) };
	ck_assert_ptr_ne(entries[0], entries[1]);
	for (size_t i = 0; i < 2; i++) {
		import_cache_put(entries[i]);
		stile_buffer_unref(buffers[i]);
	}
}
END_TEST

/* ---- Life ---------------------------------------------------------------------------------- */

/* Wrong code: what nobody uses keeps memory; or it goes only when there is need. */
START_TEST(an_object_in_use_keeps_its_buffer_and_an_idle_one_goes_with_it) {
	struct test_exporter exporter;
	test_exporter_init(&exporter, 4096);
	struct stile_buffer *buffer = test_exporter_export(&exporter);
	const struct import_key key = key_of(buffer, 0);
	struct import_entry *entry = import(&cache, &key);
	ck_assert_ptr_eq(import(&cache, &key), entry);
	stile_buffer_unref(buffer);
	ck_assert_uint_eq(exporter.count[OP_RELEASE], 0);
	import_cache_put(entry);
	ck_assert_uint_eq(exporter.count[OP_RELEASE], 0);
	ck_assert_uint_eq(destroyed[0], 0);
	import_cache_put(entry);
	ck_assert_uint_eq(exporter.count[OP_RELEASE], 1);
	ck_assert_uint_eq(destroyed[0], 1);
	test_exporter_finish(&exporter);
}
END_TEST

/* Wrong code: the last reference, which went over to the import, is given up by each of its users from then on. */
START_TEST(a_reference_that_was_kept_is_given_up_once) {
	struct test_exporter exporter;
	test_exporter_init(&exporter, 4096);
	struct stile_buffer *buffer = test_exporter_export(&exporter);
	const struct import_key key = key_of(buffer, 0);
	struct import_entry *entry = import(&cache, &key);
	stile_buffer_unref(buffer);
	/* As whoever finds it by its file has it. */
	stile_buffer_ref(buffer);
	import_cache_put(entry);
	import_cache_put(import(&cache, &key));
	ck_assert_uint_eq(created, 1);
	ck_assert_uint_eq(exporter.count[OP_RELEASE], 0);
	stile_buffer_unref(buffer);
	ck_assert_uint_eq(exporter.count[OP_RELEASE], 1);
	test_exporter_finish(&exporter);
}
END_TEST

/* Wrong code: the one used last is dropped, or more are kept than were asked for. */
START_TEST(the_longest_unused_goes_when_there_are_too_many) {
	struct import_cache small;
	struct stile_buffer *buffer = create_buffer();
	import_cache_init(&small, 2);
	struct import_key keys[3];
	for (size_t i = 0; i < 3; i++) {
		keys[i] = key_of(buffer, i);
	}
	import_cache_put(import(&small, &keys[0]));
	import_cache_put(import(&small, &keys[1]));
	import_cache_put(import(&small, &keys[0]));
	ck_assert_uint_eq(created, 2);
	/* What is in use does not count. */
	struct import_entry *used = import(&small, &keys[2]);
	ck_assert_uint_eq(destroyed[0] + destroyed[1], 0);
	import_cache_put(used);
	ck_assert_uint_eq(destroyed[0], 0);
	ck_assert_uint_eq(destroyed[1], 1);
	ck_assert_uint_eq(destroyed[2], 0);
	import_cache_finish(&small);
	stile_buffer_unref(buffer);
}
END_TEST

/* Wrong code: a lost device's objects given to who imports afterwards; or freed under who uses them. */
START_TEST(clearing_forgets_all_and_leaves_what_is_in_use) {
	struct stile_buffer *buffer = create_buffer();
	const struct import_key used_key = key_of(buffer, 0), idle_key = key_of(buffer, 1);
	struct import_entry *used = import(&cache, &used_key);
	import_cache_put(import(&cache, &idle_key));
	import_cache_clear(&cache);
	ck_assert_uint_eq(destroyed[0], 0);
	ck_assert_uint_eq(destroyed[1], 1);
	struct import_entry *next = import(&cache, &used_key);
	ck_assert_ptr_ne(next, used);
	import_cache_put(used);
	ck_assert_uint_eq(destroyed[0], 1);
	import_cache_put(next);
	ck_assert_uint_eq(destroyed[2], 0);
	stile_buffer_unref(buffer);
}
END_TEST

/*
 * What is in use is forgotten, before its user drops the buffer or after. Wrong code: a buffer that goes under
 * him, or one that stays.
 */
START_TEST(what_was_cleared_keeps_its_buffer_while_it_is_used) {
	struct test_exporter exporter;
	test_exporter_init(&exporter, 4096);
	struct stile_buffer *buffer = test_exporter_export(&exporter);
	const struct import_key key = key_of(buffer, 0);
	struct import_entry *entry = import(&cache, &key);
	if (_i == 0) {
		stile_buffer_unref(buffer);
	}
	import_cache_clear(&cache);
	if (_i == 1) {
		stile_buffer_unref(buffer);
	}
	ck_assert_uint_eq(exporter.count[OP_RELEASE], 0);
	ck_assert_uint_eq(destroyed[0], 0);
	import_cache_put(entry);
	ck_assert_uint_eq(exporter.count[OP_RELEASE], 1);
	ck_assert_uint_eq(destroyed[0], 1);
	test_exporter_finish(&exporter);
}
END_TEST

/* Wrong code: "none" taken for the default, or for "as many as you like". */
START_TEST(without_a_cache_each_import_is_its_own) {
	struct import_cache none;
	struct stile_buffer *buffer = create_buffer();
	const struct import_key key = key_of(buffer, 0);
	import_cache_init(&none, -1);
	struct import_entry *first = import(&none, &key), *second = import(&none, &key);
	ck_assert_ptr_ne(first, second);
	import_cache_put(first);
	ck_assert_uint_eq(destroyed[0], 1);
	import_cache_put(second);
	import_cache_finish(&none);
	stile_buffer_unref(buffer);
}
END_TEST

/* Wrong code: two objects of one key, of which one is found and both are kept. */
START_TEST(who_comes_second_gets_what_the_first_made) {
	struct stile_buffer *buffer = create_buffer();
	const struct import_key key = key_of(buffer, 0);
	struct object *late = calloc(1, sizeof(*late));
	late->destroyed = &destroyed[created++];
	late->entry.destroy = destroy_object;
	struct import_entry *first = import(&cache, &key);
	ck_assert_ptr_eq(import_cache_add(&cache, &key, &late->entry), first);
	ck_assert_uint_eq(destroyed[0], 1);
	import_cache_put(first);
	import_cache_put(first);
	stile_buffer_unref(buffer);
}
END_TEST

static struct import_key key_of_three(struct stile_buffer *first, struct stile_buffer *second) {
	struct import_key key = key_of(first, 0);
	key.words += 2 * 3;
	key.planes[1].buffer = second;
	key.planes[2].buffer = first;
	return key;
}

/* Planes of two buffers, two of them in one. Wrong code: an ear left at a buffer that goes later, or lost. */
START_TEST(an_image_of_several_buffers_goes_with_the_first_of_them) {
	struct stile_buffer *buffers[] = { create_buffer(), create_buffer() };
	const struct import_key key = key_of_three(buffers[0], buffers[1]);
	import_cache_put(import(&cache, &key));
	stile_buffer_unref(buffers[_i]);
	ck_assert_uint_eq(destroyed[0], 1);
	stile_buffer_unref(buffers[1 - _i]);
}
END_TEST

/* Wrong code: one of its buffers goes while it is used; or one stays when it is not. */
START_TEST(an_image_of_several_buffers_in_use_keeps_all) {
	struct test_exporter exporters[2];
	struct stile_buffer *buffers[2];
	for (size_t i = 0; i < 2; i++) {
		test_exporter_init(&exporters[i], 4096);
		buffers[i] = test_exporter_export(&exporters[i]);
	}
	const struct import_key key = key_of_three(buffers[0], buffers[1]);
	struct import_entry *entry = import(&cache, &key);
	stile_buffer_unref(buffers[_i]);
	stile_buffer_unref(buffers[1 - _i]);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_uint_eq(exporters[i].count[OP_RELEASE], 0);
	}
	import_cache_put(entry);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_uint_eq(exporters[i].count[OP_RELEASE], 1);
		test_exporter_finish(&exporters[i]);
	}
	ck_assert_uint_eq(destroyed[0], 1);
}
END_TEST

/* ---- By chance ------------------------------------------------------------------------------ */

enum {
	THREADS = 4,
	SLOTS = 6,
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	STEPS = 4000,
#else
	STEPS = 60000,
#endif
};

static struct {
	pthread_mutex_t lock;
	struct stile_buffer *buffer;
} slots[SLOTS];

static struct import_cache shared;

/* Each has references of his own; buffers come and go under those who have them imported. */
static void step(uint64_t *random) {
	uint64_t what = runner_random(random);
	size_t slot = what % SLOTS;
	struct stile_buffer *buffer = NULL, *other = NULL;
	pthread_mutex_lock(&slots[slot].lock);
	if (slots[slot].buffer != NULL && what / SLOTS % 4 == 0) {
		other = slots[slot].buffer;
		slots[slot].buffer = NULL;
	} else {
		slots[slot].buffer =
			slots[slot].buffer == NULL ? create_buffer() : slots[slot].buffer;
		buffer = stile_buffer_ref(slots[slot].buffer);
	}
	pthread_mutex_unlock(&slots[slot].lock);
	/* Perhaps the last reference, and perhaps just now evicted or cleared by others. */
	stile_buffer_unref(other);
	if (what / (SLOTS * 4) % 256 == 0) {
		import_cache_clear(&shared);
	}
	if (buffer != NULL) {
		struct import_key key = key_of(buffer, what / 65536 % 2);
		struct import_entry *first = import(&shared, &key), *second = import(&shared, &key);
		stile_buffer_unref(buffer);
		/* It is in use. */
		runner_require(stile_buffer_get_bytes(buffer) == 1 << 16, "the buffer is gone");
		import_cache_put(first);
		import_cache_put(second);
	}
}

static void *run_steps(void *arg) {
	uint64_t random = *(uint64_t *)arg;
	for (int i = 0; i < STEPS; i++) {
		step(&random);
	}
	return NULL;
}

/* Wrong code: an object destroyed twice or never, or a buffer touched that is gone; for the sanitizers. */
START_TEST(imports_evictions_and_ends_by_chance) {
	uint64_t seed = runner_seed(), seeds[THREADS];
	pthread_t threads[THREADS];
	import_cache_init(&shared, 3);
	for (size_t i = 0; i < SLOTS; i++) {
		pthread_mutex_init(&slots[i].lock, NULL);
	}
	for (size_t i = 0; i < THREADS; i++) {
		seeds[i] = runner_random(&seed);
		ck_assert_int_eq(pthread_create(&threads[i], NULL, run_steps, &seeds[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
	}
	for (size_t i = 0; i < SLOTS; i++) {
		if (i % 2 == 0) {
			stile_buffer_unref(slots[i].buffer);
			slots[i].buffer = NULL;
		}
	}
	import_cache_finish(&shared);
	for (size_t i = 0; i < SLOTS; i++) {
		stile_buffer_unref(slots[i].buffer);
		slots[i].buffer = NULL;
		pthread_mutex_destroy(&slots[i].lock);
	}
}
END_TEST

/* Two that begin as one: the thread's part of it is to give the buffer up. */
struct duel {
	struct stile_buffer *buffer;
	atomic_uint round;
	atomic_uint ended;
	uint64_t random;
};

enum { ROUNDS = STEPS / 4, OVER = ROUNDS + 1, LONGEST_DELAY = 64 };

/* Where two wait for each other on one busy processor, a round takes a time slice. */
static const int64_t long_enough_ns = INT64_C(2000000000);

/* Neither is always the first. */
static void delay(uint64_t *random) {
	for (volatile uint64_t i = runner_random(random) % LONGEST_DELAY; i > 0; i--) {
	}
}

static void *drop_each(void *arg) {
	struct duel *duel = arg;
	for (unsigned round = 1; round <= ROUNDS; round++) {
		while (atomic_load(&duel->round) < round) {
		}
		if (atomic_load(&duel->round) == OVER) {
			break;
		}
		delay(&duel->random);
		stile_buffer_unref(duel->buffer);
		atomic_store(&duel->ended, round);
	}
	return NULL;
}

/*
 * Wrong code: each thinks that the other one has the last reference, and it stays; or that it is his, and it is
 * given up twice.
 */
START_TEST(the_last_user_and_the_last_reference_go_at_once) {
	uint64_t seed = runner_seed();
	struct duel duel = { .random = runner_random(&seed) };
	struct test_exporter exporter;
	pthread_t thread;
	int64_t until = os_clock_ns() + long_enough_ns;
	ck_assert_int_eq(pthread_create(&thread, NULL, drop_each, &duel), 0);
	for (unsigned round = 1; round <= ROUNDS && os_clock_ns() < until; round++) {
		test_exporter_init(&exporter, 4096);
		duel.buffer = test_exporter_export(&exporter);
		const struct import_key key = key_of(duel.buffer, 0);
		struct import_entry *entry = import(&cache, &key);
		atomic_store(&duel.round, round);
		delay(&seed);
		import_cache_put(entry);
		while (atomic_load(&duel.ended) != round) {
		}
		runner_require(exporter.count[OP_RELEASE] == 1, "the buffer stays, or went twice");
		runner_require(destroyed[round - 1] == 1, "the object stays, or went twice");
		test_exporter_finish(&exporter);
	}
	atomic_store(&duel.round, OVER);
	pthread_join(thread, NULL);
}
END_TEST

/* As a driver may. */
static void destroy_slowly(struct import_entry *entry) {
	runner_sleep_ms(1);
	destroy_object(entry);
}

struct race {
	struct stile_buffer *buffer;
	pthread_barrier_t start;
};

static void *drop_buffer(void *arg) {
	struct race *race = arg;
	pthread_barrier_wait(&race->start);
	stile_buffer_unref(race->buffer);
	return NULL;
}

/* Wrong code: the adapter goes while a buffer's end is still destroying what it had made. */
START_TEST(finishing_waits_for_a_buffer_that_is_just_going) {
	for (int i = 0; i < 200; i++) {
		struct import_cache *ends = calloc(1, sizeof(*ends));
		struct race race = { .buffer = create_buffer() };
		const struct import_key key = key_of(race.buffer, 0);
		pthread_t thread;
		import_cache_init(ends, 0);
		struct import_entry *entry = import(ends, &key);
		entry->destroy = destroy_slowly;
		import_cache_put(entry);
		pthread_barrier_init(&race.start, NULL, 2);
		ck_assert_int_eq(pthread_create(&thread, NULL, drop_buffer, &race), 0);
		pthread_barrier_wait(&race.start);
		import_cache_finish(ends);
		ck_assert_uint_eq(destroyed[i], 1);
		free(ends);
		pthread_join(thread, NULL);
		pthread_barrier_destroy(&race.start);
	}
}
END_TEST

/* -------------------------------------------------------------------------------------------- */

static Suite *make_suite(void) {
	Suite *suite = suite_create("import_cache");
	TCase *tcase = ledger_tcase_create("cache");
	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, listeners_hear_of_the_end_once_unless_they_were_removed, 0, 4);
	tcase_add_test(tcase, listeners_hear_before_the_exporter_frees_the_memory);
	tcase_add_loop_test(tcase, the_last_reference_goes_to_one_who_wants_it, 0, 2);
	tcase_add_test(tcase, any_difference_of_layout_is_another_object);
	tcase_add_test(tcase, another_buffer_is_another_object);
	tcase_add_test(tcase, an_object_in_use_keeps_its_buffer_and_an_idle_one_goes_with_it);
	tcase_add_test(tcase, a_reference_that_was_kept_is_given_up_once);
	tcase_add_test(tcase, the_longest_unused_goes_when_there_are_too_many);
	tcase_add_test(tcase, clearing_forgets_all_and_leaves_what_is_in_use);
	tcase_add_loop_test(tcase, what_was_cleared_keeps_its_buffer_while_it_is_used, 0, 2);
	tcase_add_test(tcase, without_a_cache_each_import_is_its_own);
	tcase_add_test(tcase, who_comes_second_gets_what_the_first_made);
	tcase_add_loop_test(tcase, an_image_of_several_buffers_goes_with_the_first_of_them, 0, 2);
	tcase_add_loop_test(tcase, an_image_of_several_buffers_in_use_keeps_all, 0, 2);
	tcase_add_test(tcase, imports_evictions_and_ends_by_chance);
	tcase_add_test(tcase, the_last_user_and_the_last_reference_go_at_once);
	tcase_add_test(tcase, finishing_waits_for_a_buffer_that_is_just_going);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make_suite, NULL);
}
