/* SPDX-License-Identifier: MIT */
#include "interop-tests/model/buffer_twin.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <stile/check.h>
#include <stile/exporter.h>
#include <stile/swgpu_test.h>
#include <stile/wait.h>

#include "interop-tests/model/history.h"
#include "interop-tests/model/own_buffer.h"
#include "interop-tests/support/runner.h"

enum { MAX_TEXT = 400, UNTIL_MS = 5000 };

struct stile_device *devices[DEVICES];
struct stile_buffer *buffers[BUFFERS];
struct stile_resv resvs[RESVS];
struct importer importers[ATTACHMENTS];
struct mapping mappings[MAPS];
struct stile_map views[VIEWS + 1];
int fds[FDS];
struct stile_fence *gate;
struct stile_fence *op_fences[OPS];

static unsigned told;
static unsigned told_more, perhaps_told; /* than has to be */
static char told_text[MAX_TEXT];
static pthread_mutex_t told_lock = PTHREAD_MUTEX_INITIALIZER;

static void note_told(void *user, const char *text) {
	(void)user;
	pthread_mutex_lock(&told_lock);
	snprintf(told_text, sizeof(told_text), "%s", text);
	pthread_mutex_unlock(&told_lock);
	__atomic_add_fetch(&told, 1, __ATOMIC_RELEASE);
}

void same(int64_t got, int64_t wanted, const char *what, int number) {
	if (got != wanted) {
		history_differ(
			"%s of %d is %" PRId64 ", should be %" PRId64, what, number, got, wanted);
	}
}

void must(int ret, const char *what) {
	if (ret != 0) {
		history_differ("%s: %s", what, strerror(-ret));
	}
}

int status_of(struct stile_fence *fence) {
	must(stile_fence_wait(fence, INT64_MAX), "stile_fence_wait");
	int status = stile_fence_get_status(fence);
	return status == 1 ? 0 : status;
}

static bool step_devices(void) {
	bool did = false;
	for (int i = 0; i < DEVICES; i++) {
		did = did || (devices[i] != NULL && stile_swgpu_step(devices[i]) > 0);
	}
	return did;
}

/* Moves, and what is done after the end of work, may take a moment, and be done on other threads. */
bool until(bool (*done)(void)) {
	int64_t end_ns = runner_clock_ns() + UNTIL_MS * INT64_C(1000000);
	while (!done()) {
		if (runner_clock_ns() > end_ns) {
			return false;
		}
		if (!step_devices()) {
			nanosleep(&(struct timespec){ .tv_nsec = 20000 }, NULL);
		}
	}
	return true;
}

static bool is_importer(const void *priv) {
	const struct importer *importer = priv;
	return importer >= importers && importer < importers + ATTACHMENTS;
}

void twin_begin(void) {
	buffer_model_reset();
	stile_check_set_handler(note_told, NULL);
	own_buffer_is_counted = is_importer;
}

static void move_notify(struct stile_attachment *attachment) {
	struct importer *importer = stile_attachment_get_priv(attachment);
	const struct stile_buffer *buffer = stile_attachment_get_buffer(attachment);
	if (!stile_resv_is_locked(stile_buffer_get_resv(buffer))) {
		history_differ("move_notify is called without the lock");
	}
	importer->notified++;
}

const struct stile_importer_ops hearing = {
	.size = sizeof(struct stile_importer_ops),
	.move_notify = move_notify,
};

void lock(int buffer) {
	must(stile_resv_lock(stile_buffer_get_resv(buffers[buffer]), NULL, NULL), "lock");
}

void unlock(int buffer) {
	stile_resv_unlock(stile_buffer_get_resv(buffers[buffer]));
}

bool is_usable(int buffer) {
	return buffer != NONE && buffer_model_refs(buffer) > 0;
}

bool is_own(int buffer) {
	return buffer_model_origin(buffer) == BUFFER_MODEL_PLAIN ||
		buffer_model_origin(buffer) == BUFFER_MODEL_FILE;
}

/* ---- What is left open -------------------------------------------------------------------- */

unsigned count_notified(int buffer) {
	unsigned count = 0;
	for (int i = 0; i < ATTACHMENTS; i++) {
		if (buffer_model_attachment_buffer(i) == buffer) {
			count += importers[i].notified;
		}
	}
	return count;
}

/* For it, and for so many bytes more. */
bool has_room(int buffer, size_t more) {
	int device = buffer_model_device(buffer);
	struct stile_swgpu_memory memory = { .size = sizeof(memory) };
	if (device == NONE || !buffer_model_is_open(device)) {
		return false;
	}
	must(stile_swgpu_get_memory(devices[device], &memory), "get_memory");
	return memory.largest >= buffer_model_bytes(buffer) + more;
}

static enum buffer_model_place place_of(int buffer) {
	return (enum buffer_model_place)stile_swgpu_get_placement(buffers[buffer]);
}

/* `had_room`: has_room() before the call. */
struct buffer_model_seen see(int buffer, bool had_room) {
	return (struct buffer_model_seen){ place_of(buffer), had_room };
}

/* ---- Comparing ---------------------------------------------------------------------------- */

static bool is_told_enough(void) {
	unsigned wanted = buffer_model_told() + told_more;
	return __atomic_load_n(&told, __ATOMIC_ACQUIRE) >= wanted;
}

static void compare_told(void) {
	bool enough = until(is_told_enough);
	unsigned got = __atomic_load_n(&told, __ATOMIC_ACQUIRE);
	unsigned wanted = buffer_model_told() + told_more;
	unsigned may = wanted + buffer_model_perhaps_told() - perhaps_told;
	if (!enough || got > may) {
		history_differ("%u mistakes are told, should be %u to %u: %s", got, wanted, may,
			told_text);
	}
	told_more = got - buffer_model_told();
	perhaps_told = buffer_model_perhaps_told();
}

static int count_alive(void) {
	int count = 0;
	struct stile_buffer *buffer = NULL;
	while ((buffer = stile_buffer_iter_next(buffer)) != NULL) {
		count++;
	}
	return count;
}

static bool are_alive(void) {
	return count_alive() == buffer_model_alive_count();
}

static bool are_released(void) {
	for (int i = 0; i < BUFFERS; i++) {
		bool should_be = !buffer_model_is_alive(i);
		if (is_own(i) && buffers[i] != NULL &&
			__atomic_load_n(&own_buffers[i].is_released, __ATOMIC_ACQUIRE) !=
				should_be) {
			return false;
		}
	}
	return true;
}

/* B-4, B-6. */
static void compare_lives(void) {
	if (!until(are_alive)) {
		same(count_alive(), buffer_model_alive_count(), "the number", 0);
	}
	if (!until(are_released)) {
		history_differ("an application's exporter is not released, or too early");
	}
	for (int i = 0; i < BUFFERS; i++) {
		if (!buffer_model_is_alive(i)) {
			buffers[i] = NULL;
		}
	}
	for (int i = 0; i < ATTACHMENTS; i++) {
		if (!buffer_model_is_attached(i)) {
			importers[i].attachment = NULL;
		}
	}
}

/* T-8: who is told, how often. */
static void compare_notified(void) {
	for (int i = 0; i < ATTACHMENTS; i++) {
		if (buffer_model_is_attached(i)) {
			same(importers[i].notified, buffer_model_notified(i), "move_notify", i);
		}
	}
}

static void compare_calls(int number) {
	const struct buffer_model_calls *got = &own_buffers[number].calls;
	const struct buffer_model_calls *wanted = buffer_model_calls(number);
	same(got->map, wanted->map, "calls of map", number);
	same(got->unmap, wanted->unmap, "calls of unmap", number);
	if (!buffer_model_has_loose_pins(number)) {
		same(got->pin, wanted->pin, "calls of pin", number);
		same(got->unpin, wanted->unpin, "calls of unpin", number);
	}
	if (buffer_model_origin(number) != BUFFER_MODEL_FILE) {
		return;
	}
	same(got->attach, wanted->attach, "calls of attach", number);
	same(got->detach, wanted->detach, "calls of detach", number);
	same(got->begin, wanted->begin, "calls of begin_cpu_access", number);
	same(got->end, wanted->end, "calls of end_cpu_access", number);
	same(got->mmap, wanted->mmap, "calls of mmap", number);
	same(got->munmap, wanted->munmap, "calls of munmap", number);
	same(got->vmap, wanted->vmap, "calls of vmap", number);
	same(got->vunmap, wanted->vunmap, "calls of vunmap", number);
	same(got->export_fd, wanted->export_fd, "calls of export_fd", number);
}

/* The device that is not one of ours: it attached itself. */
static int find_device(struct stile_attachment *attachment) {
	const struct stile_device *device = stile_attachment_get_device(attachment);
	for (int i = 0; i < DEVICES; i++) {
		if (devices[i] == device) {
			return i;
		}
	}
	history_differ("somebody is attached whom nobody knows");
}

/* Locked. */
void list_attached(int number, bool ours[ATTACHMENTS], bool of_devices[DEVICES]) {
	struct stile_attachment *attachment = NULL;
	while ((attachment = stile_buffer_next_attachment(buffers[number], attachment)) != NULL) {
		const struct importer *importer = stile_attachment_get_priv(attachment);
		bool *seen = is_importer(importer) ? &ours[importer - importers]
						   : &of_devices[find_device(attachment)];
		if (*seen) {
			history_differ("somebody is attached twice to %d", number);
		}
		*seen = true;
	}
}

static void compare_attached(int number) {
	bool ours[ATTACHMENTS] = { false }, of_devices[DEVICES] = { false };
	list_attached(number, ours, of_devices);
	for (int i = 0; i < ATTACHMENTS; i++) {
		same(ours[i], buffer_model_attachment_buffer(i) == number, "being attached", i);
	}
	for (int i = 0; i < DEVICES; i++) {
		same(of_devices[i], buffer_model_has_device(number, i), "a device's attaching", i);
	}
}

static void compare_constraints(int number) {
	struct stile_constraints got = { .size = sizeof(got) };
	struct buffer_model_needs wanted = buffer_model_get_needs(number);
	same(stile_buffer_get_constraints(buffers[number], &got), 0, "get_constraints", number);
	same(got.address_bits != 0 && got.address_bits <= 32, wanted.low,
		"the address width needed", number);
	same(got.max_segments == 1, wanted.single, "being needed in one piece", number);
}

static void compare_movable(int number) {
	struct stile_report why = { .size = sizeof(why) };
	bool movable = buffer_model_is_movable(number);
	int ret = stile_buffer_check_movable(buffers[number], &why);
	same(ret, movable ? 0 : -EBUSY, "check_movable", number);
	same(why.error, ret, "the report's error", number);
	same(why.reason, movable ? STILE_REASON_NONE : STILE_REASON_PINNED, "the reason", number);
}

static void compare_buffer(int number) {
	struct stile_buffer *buffer = buffers[number];
	int resv = buffer_model_resv(number);
	same((int64_t)stile_buffer_get_bytes(buffer), (int64_t)buffer_model_bytes(number),
		"the size", number);
	if (resv < RESVS && stile_buffer_get_resv(buffer) != &resvs[resv]) {
		history_differ("%d has another reservation", number);
	}
	same((int)place_of(number), (int)buffer_model_place(number), "the place", number);
	lock(number);
	compare_attached(number);
	compare_constraints(number);
	compare_movable(number);
	unlock(number);
	if (is_own(number)) {
		compare_calls(number);
	}
}

/* As long as it is mapped, whoever moves. */
static void compare_mapping(int number) {
	const struct mapping *mapping = &mappings[number];
	struct stile_sg_iter iter;
	struct stile_sg_segment segment;
	size_t count = 0;
	stile_sg_iter_begin(&iter, mapping->sg);
	while (stile_sg_iter_next_segment(&iter, &segment)) {
		const struct stile_sg_segment *wanted = &mapping->segments[count];
		if (count == mapping->count || segment.address != wanted->address ||
			segment.bytes != wanted->bytes) {
			history_differ("the addresses of mapping %d have changed", number);
		}
		count++;
	}
	same((int64_t)count, (int64_t)mapping->count, "the count of segments", number);
}

void compare_world(void) {
	compare_lives();
	compare_told();
	compare_notified();
	for (int i = 0; i < BUFFERS; i++) {
		if (buffer_model_is_alive(i)) {
			compare_buffer(i);
		}
	}
	for (int i = 0; i < MAPS; i++) {
		if (buffer_model_is_mapped(i)) {
			compare_mapping(i);
		}
	}
}

void compare_bytes(int number, size_t offset, size_t bytes, const uint8_t *got) {
	const uint8_t *wanted = buffer_model_contents(number) + offset;
	for (size_t i = 0; i < bytes; i++) {
		if (got[i] != wanted[i]) {
			history_differ("byte %zu of %d is %#x, should be %#x", offset + i, number,
				(unsigned)got[i], (unsigned)wanted[i]);
		}
	}
}
