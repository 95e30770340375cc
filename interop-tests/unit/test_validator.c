/* SPDX-License-Identifier: MIT */
/*
 * The handoff validator: each mistake in who hands memory over to whom is told, with names and places,
 * and nothing else is. KERNEL_CONTRACT sections 11 and 19; what accesses do: test_access.c.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/access.h>
#include <stile/array.h>
#include <stile/carrier.h>
#include <stile/chain.h>
#include <stile/check.h>
#include <stile/device.h>
#include <stile/fence.h>
#include <stile/image.h>
#include <stile/merge.h>
#include <stile/resv.h>
#include <stile/swgpu.h>
#include <stile/wait.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

#define MS INT64_C(1000000)

enum {
	READ = STILE_USAGE_READ,
	WRITE = STILE_USAGE_WRITE,
	BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE,
};

/* ---- The application ----------------------------------------------------------------------- */

/*
 * Where a complaint has to point at. What these functions do comes first, later or in between, and they
 * lie in sections of their own, so that it is known which addresses are theirs.
 */
#define EARLIER __attribute__((noinline, section("stile_earlier")))
#define BETWEEN __attribute__((noinline, section("stile_between")))
#define LATER __attribute__((noinline, section("stile_later")))

/* The linker makes these names. */
extern const char __start_stile_earlier[], __stop_stile_earlier[];
extern const char __start_stile_between[], __stop_stile_between[];
extern const char __start_stile_later[], __stop_stile_later[];

/* Keeps a call from being the last thing in a function, which hides the place. */
#define HERE() __asm__ volatile("")

static EARLIER int begins(struct stile_access *access, struct stile_image *image,
	const struct stile_access_info *info) {
	int ret = stile_access_begin(image, info, access);
	HERE();
	return ret;
}

static LATER int begins_later(struct stile_access *access, struct stile_image *image,
	const struct stile_access_info *info) {
	int ret = stile_access_begin(image, info, access);
	HERE();
	return ret;
}

static BETWEEN void cancels(struct stile_access *access) {
	stile_access_cancel(access);
	HERE();
}

static BETWEEN int ends(struct stile_access *access, struct stile_fence *fence) {
	int ret = stile_access_end(access, fence);
	HERE();
	return ret;
}

static LATER int ends_later(struct stile_access *access, struct stile_fence *fence) {
	int ret = stile_access_end(access, fence);
	HERE();
	return ret;
}

static LATER void cancels_later(struct stile_access *access) {
	stile_access_cancel(access);
	HERE();
}

static EARLIER int cpu_begins(struct stile_buffer *buffer, uint32_t usage) {
	int ret = stile_buffer_begin_cpu_access(buffer, usage, INT64_MAX, NULL);
	HERE();
	return ret;
}

static LATER int cpu_begins_later(struct stile_buffer *buffer, uint32_t usage) {
	int ret = stile_buffer_begin_cpu_access(buffer, usage, INT64_MAX, NULL);
	HERE();
	return ret;
}

static LATER int cpu_ends_later(struct stile_buffer *buffer, uint32_t usage) {
	int ret = stile_buffer_end_cpu_access(buffer, usage);
	HERE();
	return ret;
}

/* Ways to wait for a fence, or to have somebody wait. The last ones block until it is signalled. */
enum way {
	NOTE,
	EXPORT_SYNC_FILE,
	EXPORT_EVENTFD,
	GATE,
	WAIT,
	WAIT_ANY,
	WAIT_ALL,
	WAIT_ALL_CANCELLABLE,
	WAIT_RESV,
	WAYS,
};

static struct stile_device *device;

static LATER int export_later(struct stile_fence *fence, enum stile_fd_kind kind) {
	int fd;
	int ret = stile_fence_export_fd(fence, kind, 0, NULL, &fd);
	if (ret == 0) {
		close(fd);
	}
	HERE();
	return ret;
}

/* `resv`: where the fence is, as one that reads. */
static LATER int waits_later(enum way way, struct stile_fence *fence, struct stile_resv *resv) {
	struct stile_cancel cancel;
	int ret = 0;
	stile_cancel_init(&cancel);
	switch (way) {
	case NOTE:
		stile_access_note_wait(fence);
		break;
	case EXPORT_SYNC_FILE:
		return export_later(fence, STILE_FD_SOFTWARE_SYNC_FILE);
	case EXPORT_EVENTFD:
		return export_later(fence, STILE_FD_EVENTFD);
	case GATE:
		ret = stile_swgpu_gate(device, fence, NULL);
		break;
	case WAIT:
		ret = stile_fence_wait(fence, INT64_MAX);
		break;
	case WAIT_ANY:
		ret = stile_fence_wait_any(&fence, 1, INT64_MAX, NULL, NULL);
		break;
	case WAIT_ALL:
		ret = stile_fence_wait_all(&fence, 1, INT64_MAX, NULL);
		break;
	case WAIT_ALL_CANCELLABLE:
		ret = stile_fence_wait_all(&fence, 1, INT64_MAX, &cancel);
		break;
	default:
		ret = stile_resv_wait(resv, STILE_RESV_READ, INT64_MAX, NULL);
	}
	HERE();
	return ret;
}

static bool blocks(enum way way) {
	return way >= WAIT;
}

/* ---- What is heard ------------------------------------------------------------------------- */

enum { HEARD = 8, TEXT_BYTES = 2048 };

static struct {
	pthread_mutex_t mutex;
	int count;
	int expected; /* by the end of the test */
	char texts[HEARD][TEXT_BYTES];
} heard = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static void hear(void *user, const char *text) {
	(void)user;
	pthread_mutex_lock(&heard.mutex);
	if (heard.count < HEARD) {
		snprintf(heard.texts[heard.count], TEXT_BYTES, "%s", text);
	}
	heard.count++;
	pthread_mutex_unlock(&heard.mutex);
}

static void assert_silent(void) {
	ck_assert_msg(heard.count == heard.expected, "%d complaints, the first: %s", heard.count,
		heard.texts[0]);
}

/* One more has come: its text. */
static const char *next_complaint(void) {
	ck_assert_msg(heard.count == heard.expected + 1, "%d complaints instead of %d: %s",
		heard.count, heard.expected + 1, heard.texts[0]);
	return heard.texts[heard.expected++];
}

static void assert_says(const char *text, const char *part) {
	ck_assert_msg(strstr(text, part) != NULL, "no '%s' in: %s", part, text);
}

/* How many places are named that lie between these. */
static int places_in(const char *text, const char *begin, const char *end) {
	int count = 0;
	for (const char *at = text; (at = strstr(at, "[0x")) != NULL; at++) {
		uintptr_t place = (uintptr_t)strtoull(at + 1, NULL, 16);
		count += place > (uintptr_t)begin && place <= (uintptr_t)end;
	}
	return count;
}

/* How many are named as this program's. */
static int places_here(const char *text) {
	char path[256], name[260];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	ck_assert_int_gt(n, 0);
	path[n] = '\0';
	snprintf(name, sizeof(name), "%s(", strrchr(path, '/') + 1);
	int count = 0;
	for (const char *at = text; (at = strstr(at, name)) != NULL; at++) {
		count++;
	}
	return count;
}

static void assert_places(const char *text, int earlier, int between, int later) {
	ck_assert_msg(places_in(text, __start_stile_earlier, __stop_stile_earlier) == earlier,
		"the place where it had begun is not told: %s", text);
	ck_assert_msg(places_in(text, __start_stile_between, __stop_stile_between) == between,
		"the place where it had ended is not told: %s", text);
	ck_assert_msg(places_in(text, __start_stile_later, __stop_stile_later) == later,
		"the place where it happens is not told: %s", text);
	ck_assert_msg(places_here(text) == earlier + between + later, "not this program: %s", text);
}

/* ---- Fences and images, which the fixture drops --------------------------------------------- */

enum { ROOM = 128 };

struct work {
	struct stile_fence fence;
	atomic_bool wanted; /* somebody waits for it */
};

static atomic_int alive;
static struct stile_fence *owned[ROOM];
static size_t owned_count;

static struct stile_fence *own(struct stile_fence *fence) {
	runner_require(owned_count < ROOM, "no room for a fence");
	owned[owned_count++] = fence;
	return fence;
}

static struct work *work_of(struct stile_fence *fence) {
	return CONTAINER_OF(fence, struct work, fence);
}

static const char *work_driver(struct stile_fence *fence) {
	(void)fence;
	return "a driver";
}

static const char *work_timeline(struct stile_fence *fence) {
	(void)fence;
	return "a timeline";
}

static bool work_enable(struct stile_fence *fence) {
	atomic_store(&work_of(fence)->wanted, true);
	return true;
}

static void work_release(struct stile_fence *fence) {
	atomic_fetch_sub(&alive, 1);
	free(work_of(fence));
}

#define WORK_OPS \
	.size = sizeof(struct stile_fence_ops), .get_driver_name = work_driver, \
	.get_timeline_name = work_timeline, .enable_signaling = work_enable, \
	.release = work_release

static const struct stile_fence_ops work_ops = { WORK_OPS };
static const struct stile_fence_ops work64_ops = { WORK_OPS, .flags = STILE_FENCE_SEQNO64 };

/* The caller's. Any thread. */
static struct stile_fence *work_make(
	const struct stile_fence_ops *ops, uint64_t context, uint64_t seqno) {
	struct work *work = calloc(1, sizeof(*work));
	runner_require(work != NULL && stile_fence_init(&work->fence, ops, context, seqno) == 0,
		"no fence");
	atomic_fetch_add(&alive, 1);
	return &work->fence;
}

static struct stile_fence *create_in(uint64_t context, uint64_t seqno) {
	return own(work_make(&work_ops, context, seqno));
}

static struct stile_fence *create(void) {
	return create_in(stile_fence_context_alloc(1), 1);
}

/* Those that a failed test leaves open are cancelled, or the next ones would contradict them. */
enum { ACCESSES = 2 };
static struct stile_access accesses[ACCESSES];
static uint32_t begun; /* the state of one that has begun */

static struct stile_resv shared;
static struct stile_image *image, *alias, *elsewhere, *beside;
static struct stile_buffer *buffer; /* the first image's */
static bool was_enabled;

/* Of memory with this reservation. */
static struct stile_image *image_create(const char *name, struct stile_resv *resv) {
	struct stile_buffer_info memory = { .size = sizeof(memory), .bytes = 4096, .resv = resv };
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = 16,
		.height = 16,
		.fourcc = DRM_FORMAT_R8,
		.usage = BOTH,
		.name = name,
		.plane_count = 1,
		.planes = { { .pitch = 64 } },
	};
	struct stile_buffer *created_buffer;
	struct stile_image *created;
	ck_assert_int_eq(stile_buffer_create(device, &memory, &created_buffer), 0);
	ck_assert_int_eq(stile_buffer_export_fd(created_buffer, BOTH, &info.planes[0].fd), 0);
	ck_assert_int_eq(stile_image_import(device, &info, NULL, &created), 0);
	close(info.planes[0].fd);
	stile_buffer_unref(created_buffer);
	return created;
}

/* Another one of the same memory. */
static struct stile_image *image_copy(const char *name, struct stile_image *of) {
	struct stile_image_info info = { .size = sizeof(info) };
	struct stile_image *copy;
	ck_assert_int_eq(stile_image_export(of, &info), 0);
	info.name = name;
	ck_assert_int_eq(stile_image_import(device, &info, NULL, &copy), 0);
	close(info.planes[0].fd);
	return copy;
}

static void setup(void) {
	was_enabled = stile_check_is_enabled();
	heard.count = 0;
	heard.expected = 0;
	memset(heard.texts, 0, sizeof(heard.texts));
	stile_check_set_handler(hear, NULL);
	stile_check_enable(true);
	stile_resv_init(&shared);
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &device), 0);
	image = image_create("picture", &shared);
	alias = image_copy("the same memory", image);
	elsewhere = image_create("other memory", NULL);
	beside = image_create("beside it", &shared);
	buffer = stile_image_get_buffer(image, 0);
	struct stile_access_info info = { .size = sizeof(info), .usage = READ };
	ck_assert_int_eq(stile_access_begin(image, &info, &accesses[0]), 0);
	begun = accesses[0].state;
	stile_access_cancel(&accesses[0]);
	memset(accesses, 0, sizeof(accesses));
}

static void drop_fences(void) {
	for (size_t i = 0; i < owned_count; i++) {
		stile_fence_signal(owned[i]);
	}
	while (owned_count > 0) {
		stile_fence_unref(owned[--owned_count]);
	}
}

static void teardown(void) {
	for (size_t i = 0; i < ACCESSES; i++) {
		if (accesses[i].state == begun) {
			stile_access_cancel(&accesses[i]);
		}
	}
	drop_fences();
	stile_image_unref(image);
	stile_image_unref(alias);
	stile_image_unref(elsewhere);
	stile_image_unref(beside);
	stile_device_destroy(device);
	device = NULL;
	stile_resv_fini(&shared);
	stile_check_enable(was_enabled);
	stile_check_set_handler(NULL, NULL);
	ck_assert_int_eq(alive, 0);
	assert_silent();
}

/* ---- Uses ---------------------------------------------------------------------------------- */

static struct stile_access_info use_info(const char *name, uint32_t usage, uint64_t context) {
	return (struct stile_access_info){
		.size = sizeof(struct stile_access_info),
		.usage = usage,
		.context = context,
		.name = name,
	};
}

static void begin(struct stile_access *access, struct stile_image *of, uint32_t usage) {
	struct stile_access_info info = use_info("first", usage, 0);
	ck_assert_int_eq(begins(access, of, &info), 0);
}

static void begin_later(struct stile_access *access, struct stile_image *of, uint32_t usage) {
	struct stile_access_info info = use_info("second", usage, 0);
	ck_assert_int_eq(begins_later(access, of, &info), 0);
}

/* Somebody's work goes on. */
static struct stile_fence *put(struct stile_image *of, struct stile_fence *fence) {
	ck_assert_int_eq(stile_buffer_import_fence(stile_image_get_buffer(of, 0), READ, fence), 0);
	return fence;
}

static void describe_number(const struct stile_fence *fence, char text[64]) {
	snprintf(text, 64, "fence %llu:%llu", (unsigned long long)stile_fence_get_context(fence),
		(unsigned long long)stile_fence_get_seqno(fence));
}

/* ---- Begin and end ------------------------------------------------------------------------- */

/* Wrong code: taken for ended; nobody knows by whom. */
START_TEST(end_without_begin_is_told) {
	struct stile_access access = { 0 };
	if (_i == 2) {
		cancels_later(&access);
	} else {
		ck_assert_int_eq(ends_later(&access, _i == 0 ? create() : NULL), -EINVAL);
	}
	const char *text = next_complaint();
	assert_says(text, _i == 2 ? "cancelled" : "ended");
	assert_says(text, "has not begun");
	assert_places(text, 0, 0, 1);
}
END_TEST

/* Wrong code: told of the first end, or not at all since the image is known. */
START_TEST(second_end_is_told) {
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	if (_i / 2 == 0) {
		ck_assert_int_eq(ends(access, create()), 0);
	} else {
		cancels(access);
	}
	assert_silent();
	if (_i % 2 == 0) {
		ck_assert_int_eq(ends_later(access, create()), -EINVAL);
	} else {
		cancels_later(access);
	}
	const char *text = next_complaint();
	assert_says(text, "access \"first\" to image \"picture\"");
	assert_says(text, "has ended already");
	assert_places(text, 0, 1, 1);
}
END_TEST

/* Wrong code: a promise for ever, and the image's reference, that nobody hears of. */
START_TEST(use_that_was_never_ended_is_told) {
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	struct stile_access lost = *access;
	lost.fences = lost.few;
	begin_later(access, _i == 0 ? image : elsewhere, READ);
	const char *text = next_complaint();
	stile_access_cancel(&lost);
	stile_access_cancel(access);
	assert_says(text, "access \"first\" to image \"picture\"");
	assert_says(text, "never ended");
	assert_says(text, "used again");
	assert_places(text, 1, 0, 1);
}
END_TEST

/* Wrong code: a struct that is used again taken for one that was forgotten. */
START_TEST(struct_may_be_used_again) {
	struct stile_access *access = &accesses[0];
	for (int i = 0; i < 4; i++) {
		begin(access, image, WRITE);
		if (i % 2 == 0) {
			stile_access_cancel(access);
		} else {
			ck_assert_int_eq(ends(access, NULL), 0);
		}
		struct stile_access_info refused = use_info("refused", 0, 0);
		ck_assert_int_eq(begins(access, image, &refused), -EINVAL);
	}
	assert_silent();
}
END_TEST

/* ---- Contradictions ------------------------------------------------------------------------ */

static const uint32_t usages[] = { READ, WRITE, BOTH };

enum { USAGES = 3, QUEUES = 4 };

static const char *verb(uint32_t usage) {
	return usage == BOTH ? "reading and writing" : usage & WRITE ? "writing" : "reading";
}

static bool contradict(uint32_t one, uint32_t other) {
	return ((one | other) & WRITE) != 0;
}

/*
 * Wrong code: two readers told of; a writer beside a reader not, whoever comes first; one queue told
 * of; no queue taken for a queue.
 */
START_TEST(contradicting_uses_are_told) {
	uint32_t first = usages[_i % USAGES], second = usages[_i / USAGES % USAGES];
	uint64_t queue = stile_fence_context_alloc(2);
	/* No queue, one and none, the same, two. */
	const uint64_t queues[QUEUES][2] = { { 0, 0 }, { queue, 0 }, { queue, queue },
		{ queue, queue + 1 } };
	int which = _i / (USAGES * USAGES);
	struct stile_access_info first_info = use_info("first", first, queues[which][0]);
	struct stile_access_info second_info = use_info("second", second, queues[which][1]);
	struct stile_access *one = &accesses[0], *other = &accesses[1];
	ck_assert_int_eq(begins(one, image, &first_info), 0);
	ck_assert_int_eq(begins_later(other, image, &second_info), 0);
	stile_access_cancel(one);
	stile_access_cancel(other);
	if (!contradict(first, second) || which == 2) {
		return;
	}
	char begin[128], still[128];
	snprintf(begin, sizeof(begin), "access \"second\" to image \"picture\" begins %s",
		verb(second));
	snprintf(still, sizeof(still), "while access \"first\" to image \"picture\" is still %s",
		verb(first));
	const char *text = next_complaint();
	assert_says(text, begin);
	assert_says(text, still);
	assert_places(text, 1, 0, 1);
}
END_TEST

/* Wrong code: images compared, of which the same memory may have any number. */
START_TEST(same_memory_by_another_image_is_told) {
	struct stile_access *one = &accesses[0], *other = &accesses[1];
	begin(one, image, WRITE);
	begin_later(other, alias, READ);
	stile_access_cancel(other);
	stile_access_cancel(one);
	const char *text = next_complaint();
	assert_says(text, "access \"second\" to image \"the same memory\" begins reading");
	assert_says(text, "access \"first\" to image \"picture\" is still writing");
	assert_places(text, 1, 0, 1);
}
END_TEST

/* Wrong code: a use that contradicts another one told of, and not noted. */
START_TEST(use_that_contradicts_is_one_too) {
	struct stile_access *one = &accesses[0], *other = &accesses[1];
	begin(one, image, WRITE);
	begin_later(other, image, WRITE);
	assert_says(next_complaint(), "access \"second\" to image \"picture\" begins");
	stile_access_cancel(one);
	begin(one, image, WRITE);
	assert_says(next_complaint(), "while access \"second\" to image \"picture\" is still");
	stile_access_cancel(other);
	stile_access_cancel(one);
	assert_silent();
}
END_TEST

/* Two planes, in the memory of two images. */
static struct stile_image *image_of(struct stile_image *first, struct stile_image *second) {
	struct stile_image *planes[] = { first, second };
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = 16,
		.height = 16,
		.fourcc = DRM_FORMAT_NV12,
		.usage = BOTH,
		.name = "of two",
		.plane_count = 2,
	};
	struct stile_image *created;
	for (size_t i = 0; i < 2; i++) {
		info.planes[i].pitch = 64;
		ck_assert_int_eq(stile_buffer_export_fd(stile_image_get_buffer(planes[i], 0), BOTH,
					 &info.planes[i].fd),
			0);
	}
	ck_assert_int_eq(stile_image_import(device, &info, NULL, &created), 0);
	close(info.planes[0].fd);
	close(info.planes[1].fd);
	return created;
}

/* Wrong code: only first planes compared. */
START_TEST(any_plane_may_contradict) {
	struct stile_image *of_two =
		image_of(_i % 2 == 0 ? image : elsewhere, _i % 2 == 0 ? elsewhere : image);
	struct stile_access *one = &accesses[0], *other = &accesses[1];
	begin(one, _i / 2 == 0 ? of_two : alias, WRITE);
	begin_later(other, _i / 2 == 0 ? alias : of_two, WRITE);
	stile_access_cancel(other);
	stile_access_cancel(one);
	stile_image_unref(of_two);
	const char *text = next_complaint();
	assert_says(text, "image \"of two\"");
	assert_says(text, "image \"the same memory\"");
	assert_places(text, 1, 0, 1);
}
END_TEST

/* Wrong code: all uses of a thread, or of a device, or under one reservation, taken for one. */
START_TEST(uses_of_other_memory_are_no_contradiction) {
	struct stile_access *one = &accesses[0], *other = &accesses[1];
	begin(one, image, WRITE);
	begin_later(other, _i == 0 ? elsewhere : beside, WRITE);
	stile_access_cancel(other);
	stile_access_cancel(one);
	assert_silent();
}
END_TEST

/* Wrong code: a use remembered that is over, however it ended. */
START_TEST(use_that_is_over_contradicts_nobody) {
	struct stile_fence *fence = create();
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	if (_i == 0) {
		stile_access_cancel(access);
	} else {
		ck_assert_int_eq(ends(access, _i == 1 ? fence : NULL), 0);
	}
	struct stile_access *next = &accesses[1];
	begin_later(next, image, WRITE);
	ck_assert_uint_eq(next->count, _i == 1);
	stile_access_cancel(next);
	ck_assert_int_eq(cpu_begins(buffer, _i == 1 ? 0 : WRITE), _i == 1 ? -EINVAL : 0);
	if (_i != 1) {
		ck_assert_int_eq(cpu_ends_later(buffer, WRITE), 0);
	}
	assert_silent();
}
END_TEST

/* Wrong code: a use that failed to begin remembered. */
START_TEST(use_that_did_not_begin_contradicts_nobody) {
	struct stile_access *access = &accesses[0], *next = &accesses[1];
	struct stile_access_info info = use_info("first", WRITE | 4, 0);
	ck_assert_int_eq(begins(access, image, &info), -EINVAL);
	put(image, create());
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, WRITE, 0, NULL), -ETIME);
	begin_later(next, image, WRITE);
	stile_access_cancel(next);
	assert_silent();
}
END_TEST

enum { WHO = 3 };

/* P-3, section 19. Wrong code: brackets of the CPU that are no uses, or known by another name. */
START_TEST(contradicting_use_by_the_cpu_is_told) {
	uint32_t first = usages[_i % USAGES], second = usages[_i / USAGES % USAGES];
	/* Which of the two is not by the CPU; both are. */
	int who = _i / (USAGES * USAGES);
	struct stile_access *access = &accesses[0];
	if (who == 0) {
		begin(access, image, first);
	} else {
		ck_assert_int_eq(cpu_begins(buffer, first), 0);
	}
	if (who == 1) {
		begin_later(access, image, second);
	} else {
		ck_assert_int_eq(cpu_begins_later(buffer, second), 0);
	}
	bool told = contradict(first, second);
	const char *text = told ? next_complaint() : "";
	if (who != 2) {
		stile_access_cancel(access);
	}
	if (who != 0) {
		ck_assert_int_eq(cpu_ends_later(buffer, first), 0);
	}
	if (who != 1) {
		ck_assert_int_eq(cpu_ends_later(buffer, second), 0);
	}
	if (!told) {
		return;
	}
	char cpu[64];
	snprintf(cpu, sizeof(cpu), "CPU access to buffer %p", (void *)buffer);
	assert_says(text, cpu);
	assert_says(text, who == 0 ? "access \"first\" to image \"picture\" is still" : "is still");
	assert_says(text, who == 1 ? "access \"second\" to image \"picture\" begins" : "begins");
	assert_places(text, 1, 0, 1);
}
END_TEST

/* ---- Work that nobody waited for ------------------------------------------------------------ */

/* Section 19. Wrong code: only the first fence looked at; one that was waited for told instead. */
START_TEST(unwaited_fence_is_told) {
	struct stile_fence *fences[] = { put(image, create()), put(image, create()) };
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	ck_assert_uint_eq(access->count, 2);
	/* Which one is waited for; none. */
	if (_i < 2) {
		ck_assert_int_eq(waits_later(NOTE, fences[_i], NULL), 0);
	}
	ck_assert_int_eq(ends_later(access, create()), 0);
	ck_assert_int_eq(heard.count, _i < 2 ? 1 : 2);
	for (int i = 0; i < heard.count; i++) {
		char number[64];
		const char *text = heard.texts[i];
		describe_number(_i < 2 ? fences[1 - _i] : access->few[0], number);
		assert_says(text, "access \"first\" to image \"picture\" ends");
		assert_says(text, "nobody has waited");
		if (_i < 2) {
			assert_says(text, number);
		}
		assert_says(text, "a timeline");
		assert_places(text, 1, 0, 1);
	}
	heard.expected = heard.count;
}
END_TEST

/* Wrong code: work that is said to be done taken on trust, though what it needed is still going on. */
START_TEST(work_that_cannot_be_done_is_told) {
	put(image, create());
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	ck_assert_int_eq(ends_later(access, NULL), 0);
	const char *text = next_complaint();
	assert_says(text, "access \"first\" to image \"picture\" ends");
	assert_places(text, 1, 0, 1);
}
END_TEST

/* A wait that does not succeed. */
static int wait_in_vain(int how, struct stile_access *access, struct stile_fence *done) {
	struct stile_fence *both[] = { access->fences[0], done };
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	stile_cancel_raise(&cancel);
	switch (how) {
	case 0:
		return stile_fence_wait(both[0], 0);
	case 1:
		return stile_fence_wait(both[0], runner_clock_ns() + MS);
	case 2:
		return stile_fence_wait_any(both, 2, INT64_MAX, NULL, NULL);
	case 3:
		return stile_fence_wait_all(both, 2, runner_clock_ns() + MS, NULL);
	case 4:
		return stile_fence_wait_all(both, 2, INT64_MAX, &cancel);
	case 5:
		return stile_access_wait(access, 0, NULL);
	case 6:
		return stile_access_wait(access, INT64_MAX, &cancel);
	default:
		return stile_resv_wait(stile_buffer_get_resv(buffer), STILE_RESV_READ, 0, NULL);
	}
}

enum { WAITS_IN_VAIN = 8 };

/* Wrong code: a wait counted that was asked for, and gave up. */
START_TEST(wait_in_vain_is_no_wait) {
	static const int results[WAITS_IN_VAIN] = { -ETIME, -ETIME, 0, -ETIME, -EINTR, -ETIME,
		-EINTR, -ETIME };
	struct stile_fence *done = create();
	stile_fence_signal(done);
	put(image, create());
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	ck_assert_int_eq(wait_in_vain(_i, access, done), results[_i]);
	ck_assert_int_eq(ends_later(access, create()), 0);
	const char *text = next_complaint();
	assert_says(text, "nobody has waited");
	assert_places(text, 1, 0, 1);
}
END_TEST

struct signaller {
	pthread_t thread;
	struct stile_fence *fence;
};

/* The work ends once somebody waits for it. */
static void *signaller_run(void *arg) {
	struct signaller *signaller = arg;
	int64_t hangs_ns = runner_clock_ns() + 30000 * MS;
	while (!atomic_load(&work_of(signaller->fence)->wanted) && runner_clock_ns() < hangs_ns) {
		runner_sleep_ms(1);
	}
	stile_fence_signal(signaller->fence);
	return NULL;
}

/* In any way, also in one that has to be ended. */
static void wait_later(enum way way, struct stile_fence *fence) {
	struct signaller signaller = { .fence = fence };
	if (blocks(way)) {
		ck_assert_int_eq(
			pthread_create(&signaller.thread, NULL, signaller_run, &signaller), 0);
	}
	int ret = waits_later(way, fence, stile_buffer_get_resv(buffer));
	if (blocks(way)) {
		pthread_join(signaller.thread, NULL);
	}
	ck_assert_int_eq(ret, 0);
}

/* Wrong code: one way to wait that the validator does not hear of. */
START_TEST(wait_before_the_end_is_in_order) {
	struct stile_fence *fence = put(image, create());
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	wait_later((enum way)_i, fence);
	ck_assert_int_eq(ends_later(access, create()), 0);
	assert_silent();
}
END_TEST

/* Wrong code: the same for waits after the submit; told of a wait that came in time; told twice. */
START_TEST(wait_after_the_end_is_told) {
	struct stile_fence *fence = put(image, create()), *work = create();
	/* Or the wait for all that is in the reservation is one for this as well. */
	stile_fence_signal(work);
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	ck_assert_int_eq(ends(access, work), 0);
	assert_places(next_complaint(), 1, 1, 0);

	wait_later((enum way)_i, fence);
	const char *text = next_complaint();
	char number[64];
	describe_number(fence, number);
	assert_says(text, number);
	assert_says(text, "after the submit");
	assert_says(text, "access \"first\" to image \"picture\" needed it");
	assert_places(text, 0, 1, 1);
	wait_later((enum way)_i, fence);
	assert_silent();
}
END_TEST

/* Wrong code: what is said of a use that is over read from what was the caller's. */
START_TEST(names_are_remembered) {
	struct stile_fence *fence = put(image, create());
	char name[] = "first";
	struct stile_access_info info = use_info(name, WRITE, 0);
	struct stile_access *access = &accesses[0];
	ck_assert_int_eq(begins(access, image, &info), 0);
	memset(&info, 0xff, sizeof(info));
	ck_assert_int_eq(ends(access, create()), 0);
	memset(name, 'x', sizeof(name) - 1);
	memset(access, 0xff, sizeof(*access));
	assert_says(next_complaint(), "access \"first\" to image \"picture\" ends");
	wait_later(NOTE, fence);
	assert_says(next_complaint(), "access \"first\" to image \"picture\" needed it");
}
END_TEST

/* What a wait may be made of: the fence itself, and containers of it and another one. */
static struct stile_fence *wrap(int how, struct stile_fence *fence) {
	struct stile_fence *both[] = { create(), fence }, *out;
	if (how == 0) {
		return fence;
	}
	if (how == 1) {
		ck_assert_int_eq(stile_fence_merge(both, 2, &out), 0);
	} else if (how == 2) {
		ck_assert_int_eq(stile_array_create(both, 2, stile_fence_context_alloc(1), 1,
					 STILE_ARRAY_ALL, &out),
			0);
	} else {
		struct stile_chain *chain;
		ck_assert_int_eq(stile_chain_alloc(&chain), 0);
		out = stile_chain_init(chain, stile_fence_ref(fence), stile_fence_ref(both[0]), 1);
	}
	return own(out);
}

enum { WRAPS = 4 };

/* Section 4. Wrong code: only the fence itself known again. */
START_TEST(wait_for_a_container_is_one_for_its_leaves) {
	struct stile_fence *fence = put(image, create());
	bool late = _i >= WRAPS;
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	if (late) {
		ck_assert_int_eq(ends(access, create()), 0);
		next_complaint();
	}
	wait_later(EXPORT_SYNC_FILE, wrap(_i % WRAPS, fence));
	if (late) {
		assert_says(next_complaint(), "after the submit");
	} else {
		ck_assert_int_eq(ends(access, create()), 0);
	}
	assert_silent();
}
END_TEST

/* An array of any that has the fence may end without it; also as an element of a chain. */
START_TEST(wait_for_any_of_several_is_no_wait) {
	struct stile_fence *fence = put(image, create());
	struct stile_fence *both[] = { create(), fence }, *any;
	ck_assert_int_eq(
		stile_array_create(both, 2, stile_fence_context_alloc(1), 1, STILE_ARRAY_ANY, &any),
		0);
	own(any);
	if (_i == 1) {
		struct stile_chain *chain;
		ck_assert_int_eq(stile_chain_alloc(&chain), 0);
		any = own(stile_chain_init(chain, NULL, stile_fence_ref(any), 1));
	}
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	wait_later(NOTE, any);
	ck_assert_int_eq(ends_later(access, create()), 0);
	assert_says(next_complaint(), "nobody has waited");
}
END_TEST

/*
 * F-25. Wrong code: whoever waits for the later one told to have forgotten the earlier one, as when what
 * two accesses gave is merged.
 */
START_TEST(later_fence_of_the_queue_will_do) {
	static const struct {
		const struct stile_fence_ops *ops;
		uint64_t earlier, later;
	} cases[] = {
		{ &work_ops, 1, 2 },
		{ &work_ops, UINT32_MAX, 1 },
		{ &work64_ops, 1, UINT32_MAX },
	};
	const struct stile_fence_ops *ops = cases[_i / 2].ops;
	uint64_t queue = stile_fence_context_alloc(1);
	struct stile_fence *fences[] = {
		own(work_make(ops, queue, cases[_i / 2].earlier)),
		own(work_make(ops, queue, cases[_i / 2].later)),
	}, *merged;
	put(image, fences[0]);
	put(elsewhere, fences[1]);
	struct stile_access *here = &accesses[0], *there = &accesses[1];
	begin(here, image, WRITE);
	begin(there, elsewhere, WRITE);
	struct stile_fence *wanted[] = { here->fences[0], there->fences[0] };
	ck_assert_int_eq(stile_fence_merge(wanted, 2, &merged), 0);
	ck_assert_ptr_eq(merged, fences[1]);
	wait_later(_i % 2 == 0 ? NOTE : EXPORT_SYNC_FILE, merged);
	stile_fence_unref(merged);
	ck_assert_int_eq(ends_later(here, create()), 0);
	ck_assert_int_eq(ends_later(there, create()), 0);
	assert_silent();
}
END_TEST

/* F-18. Wrong code: an earlier fence of the queue taken for enough, also one before a wrap-around. */
START_TEST(earlier_fence_of_the_queue_will_not_do) {
	uint64_t queue = stile_fence_context_alloc(1);
	struct stile_fence *earlier = create_in(queue, _i == 0 ? 1 : UINT32_MAX);
	struct stile_fence *later = create_in(queue, 2);
	put(image, later);
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	wait_later(NOTE, earlier);
	ck_assert_int_eq(ends_later(access, create()), 0);
	assert_says(next_complaint(), "nobody has waited");
}
END_TEST

/* Wrong code: what others do with the same queue, frame for frame, told to come too late. */
START_TEST(other_fence_of_the_queue_is_not_late) {
	uint64_t queue = stile_fence_context_alloc(1);
	struct stile_fence *missed = create_in(queue, 2),
			   *other = create_in(queue, _i == 0 ? 1 : 3);
	put(image, missed);
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	ck_assert_int_eq(ends(access, create()), 0);
	next_complaint();
	wait_later(NOTE, other);
	assert_silent();
	wait_later(NOTE, missed);
	assert_says(next_complaint(), "after the submit");
}
END_TEST

/* Wrong code: what has ended by itself told of. */
START_TEST(work_that_is_done_need_not_be_waited_for) {
	struct stile_fence *fences[] = { put(image, create()), put(image, create()) };
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	ck_assert_int_eq(stile_fence_set_error(fences[0], -EIO), 0);
	stile_fence_signal(fences[0]);
	stile_fence_signal(fences[1]);
	ck_assert_int_eq(ends_later(access, _i == 0 ? create() : NULL), 0);
	wait_later(NOTE, fences[0]);
	assert_silent();
}
END_TEST

/* Wrong code: cancelled work told of, which waits for nobody. */
START_TEST(cancelled_work_needs_no_wait) {
	struct stile_fence *fence = put(image, create());
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	stile_access_cancel(access);
	wait_later(NOTE, fence);
	assert_silent();
}
END_TEST

/* Wrong code: the first use that wants a fence told of it, and no other; waits of one that are another's. */
START_TEST(one_wait_is_for_all_who_want_it) {
	struct stile_fence *fence = create();
	struct stile_access *reads = accesses;
	ck_assert_int_eq(stile_buffer_import_fence(buffer, WRITE, fence), 0);
	begin(&reads[0], image, READ);
	begin(&reads[1], alias, READ);
	wait_later(NOTE, fence);
	ck_assert_int_eq(ends(&reads[0], create()), 0);
	ck_assert_int_eq(ends(&reads[1], create()), 0);
	assert_silent();
}
END_TEST

/* Wrong code: the next one, who waits in time, told of what the one before did. */
START_TEST(next_user_may_wait_for_what_another_one_missed) {
	struct stile_fence *fence = create();
	struct stile_access *first = &accesses[0], *second = &accesses[1];
	ck_assert_int_eq(stile_buffer_import_fence(buffer, WRITE, fence), 0);
	begin(first, image, READ);
	ck_assert_int_eq(ends(first, create()), 0);
	next_complaint();
	begin_later(second, image, READ);
	wait_later(NOTE, fence);
	ck_assert_int_eq(ends_later(second, create()), 0);
	assert_silent();
}
END_TEST

/* Wrong code: any wait taken for late; a fence at an address that another one had. */
START_TEST(other_waits_are_nobodys_business) {
	for (int i = 0; i < 4; i++) {
		struct stile_access *access = &accesses[0];
		put(image, create());
		begin(access, image, WRITE);
		ck_assert_int_eq(ends(access, NULL), 0);
		heard.expected = heard.count;
		drop_fences();
		for (int k = 0; k < 8; k++) {
			wait_later(NOTE, create());
		}
	}
	assert_silent();
}
END_TEST

/* Wrong code: memory written behind what is remembered of so many. */
START_TEST(many_mistakes_are_remembered_or_not) {
	enum { MANY = 100 };
	struct stile_fence *fences[MANY];
	for (size_t i = 0; i < MANY; i++) {
		struct stile_access *access = &accesses[0];
		fences[i] = put(elsewhere, create());
		begin(access, elsewhere, WRITE);
		ck_assert_int_eq(ends(access, fences[i]), 0);
		stile_fence_signal(fences[i]);
	}
	drop_fences();
	struct stile_fence *fence = put(image, create());
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	ck_assert_int_eq(ends(access, fence), 0);
	int before = heard.count;
	ck_assert_int_eq(before, MANY + 1);
	wait_later(NOTE, fence);
	ck_assert_int_eq(heard.count, before + 1);
	heard.expected = heard.count;
}
END_TEST

/* ---- Brackets of the CPU -------------------------------------------------------------------- */

/* P-3. Wrong code: an end that ends nothing; the last bracket ended twice. */
START_TEST(end_of_no_cpu_access_is_told) {
	uint32_t usage = usages[_i % USAGES];
	char name[64];
	if (_i >= USAGES) {
		ck_assert_int_eq(cpu_begins(buffer, usage), 0);
		ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, usage), 0);
		assert_silent();
	}
	ck_assert_int_eq(cpu_ends_later(buffer, usage), 0);
	const char *text = next_complaint();
	snprintf(name, sizeof(name), "buffer %p", (void *)buffer);
	assert_says(text, name);
	assert_says(text, verb(usage));
	assert_says(text, "has not begun");
	assert_places(text, 0, 0, 1);
}
END_TEST

/* P-3. Wrong code: any end taken for that of any bracket; the bracket told of again when the buffer goes. */
START_TEST(end_of_cpu_access_with_another_usage_is_told) {
	uint32_t first = usages[_i % USAGES], second = usages[_i / USAGES];
	char name[64];
	ck_assert_int_eq(cpu_begins(buffer, first), 0);
	ck_assert_int_eq(cpu_ends_later(buffer, second), 0);
	if (first == second) {
		return;
	}
	const char *text = next_complaint();
	snprintf(name, sizeof(name), "buffer %p", (void *)buffer);
	assert_says(text, name);
	assert_says(text, "has begun at");
	assert_places(text, 1, 0, 1);
}
END_TEST

/* P-3. Wrong code: the bracket forgotten with the buffer; one of several told. */
START_TEST(cpu_access_that_was_never_ended_is_told) {
	struct stile_buffer_info info = { .size = sizeof(info), .bytes = 4096 };
	struct stile_buffer *going;
	char name[64];
	ck_assert_int_eq(stile_buffer_create(device, &info, &going), 0);
	snprintf(name, sizeof(name), "buffer %p", (void *)going);
	for (int i = 0; i <= _i; i++) {
		ck_assert_int_eq(cpu_begins(going, READ), 0);
	}
	assert_silent();
	stile_buffer_unref(going);
	ck_assert_int_eq(heard.count, _i + 1);
	for (int i = 0; i <= _i; i++) {
		const char *text = heard.texts[i];
		assert_says(text, name);
		assert_says(text, "reading");
		assert_says(text, "never ended");
		assert_places(text, 1, 0, 0);
	}
	heard.expected = heard.count;
}
END_TEST

/* P-3. Wrong code: brackets of two buffers mixed up; readers that may not nest. */
START_TEST(matching_cpu_accesses_are_in_order) {
	struct stile_buffer *other = stile_image_get_buffer(elsewhere, 0);
	ck_assert_int_eq(cpu_begins(buffer, READ), 0);
	ck_assert_int_eq(cpu_begins(other, WRITE), 0);
	ck_assert_int_eq(cpu_begins(buffer, READ), 0);
	ck_assert_int_eq(cpu_ends_later(buffer, READ), 0);
	ck_assert_int_eq(cpu_ends_later(other, WRITE), 0);
	ck_assert_int_eq(cpu_ends_later(buffer, READ), 0);
	ck_assert_int_eq(cpu_begins(buffer, BOTH), 0);
	ck_assert_int_eq(cpu_ends_later(buffer, BOTH), 0);
	assert_silent();
}
END_TEST

/* Wrong code: a bracket that was refused, or whose wait was in vain, told to be open. */
START_TEST(cpu_access_that_did_not_begin_is_not_open) {
	struct stile_buffer_info info = { .size = sizeof(info), .bytes = 4096 };
	struct stile_buffer *going;
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	stile_cancel_raise(&cancel);
	ck_assert_int_eq(stile_buffer_create(device, &info, &going), 0);
	ck_assert_int_eq(stile_buffer_import_fence(going, WRITE, create()), 0);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(going, READ, 0, NULL), -ETIME);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(going, READ, -1, NULL), -EINVAL);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(going, 8, INT64_MAX, NULL), -EINVAL);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(going, READ, INT64_MAX, &cancel), -EINTR);
	stile_buffer_unref(going);
	assert_silent();
}
END_TEST

/* ---- What is in order ----------------------------------------------------------------------- */

/* The whole of section 19. Wrong code: anything told of what everybody does. */
START_TEST(images_may_go_round) {
	struct stile_access *access = &accesses[0];
	struct stile_fence *last = NULL;
	for (int i = 0; i < 6; i++) {
		struct stile_fence *fence = create();
		begin(access, i % 2 == 0 ? image : alias, usages[i % USAGES]);
		/* Each waits for the one before. */
		ck_assert_uint_eq(access->count, last != NULL);
		for (size_t k = 0; k < access->count; k++) {
			wait_later(EXPORT_SYNC_FILE, access->fences[k]);
		}
		ck_assert_int_eq(ends(access, fence), 0);
		if (last != NULL) {
			stile_fence_signal(last);
		}
		last = fence;
	}
	assert_silent();
}
END_TEST

/* Wrong code: a use by the CPU that takes its time told to have missed what it waited for. */
START_TEST(use_by_the_cpu_is_in_order) {
	struct signaller signaller = { .fence = put(image, create()) };
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	ck_assert_int_eq(pthread_create(&signaller.thread, NULL, signaller_run, &signaller), 0);
	int ret = stile_access_wait(access, INT64_MAX, NULL);
	pthread_join(signaller.thread, NULL);
	ck_assert_int_eq(ret, 0);
	ck_assert_int_eq(ends(access, _i == 0 ? NULL : create()), 0);
	wait_later(NOTE, signaller.fence);
	assert_silent();
}
END_TEST

/* Section 19. Wrong code: the queue's own commands taken for ones that nobody ordered. */
START_TEST(gate_of_a_queue_is_a_wait) {
	struct stile_fence *fence = put(image, create()), *filled;
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	ck_assert_int_eq(stile_swgpu_gate(device, access->fences[0], NULL), 0);
	ck_assert_int_eq(stile_swgpu_fill(device, image, 0, 0x55, &filled), 0);
	ck_assert_int_eq(ends(access, filled), 0);
	stile_fence_signal(fence);
	int status = plain_fence_finish(filled);
	stile_fence_unref(filled);
	ck_assert_int_eq(status, 1);
	assert_silent();
}
END_TEST

/* Wrong code: whoever waits has to be whoever began, or whoever ends. */
static void *note_run(void *arg) {
	stile_access_note_wait(arg);
	return NULL;
}

static void *end_run(void *arg) {
	return ends(arg, NULL) == 0 ? arg : NULL;
}

START_TEST(threads_may_share_a_use) {
	struct stile_fence *fence = put(image, create());
	struct stile_access *access = &accesses[0];
	pthread_t thread;
	void *ended;
	begin(access, image, WRITE);
	ck_assert_int_eq(pthread_create(&thread, NULL, note_run, fence), 0);
	pthread_join(thread, NULL);
	stile_fence_signal(fence);
	ck_assert_int_eq(pthread_create(&thread, NULL, end_run, access), 0);
	pthread_join(thread, &ended);
	ck_assert_ptr_eq(ended, access);
	assert_silent();
}
END_TEST

/* Wrong code: a name of which only the beginning is told, so that the image is not known. */
START_TEST(usual_names_are_told_whole) {
	struct stile_image *named = image_copy("swap chain of window 3, image 2", image);
	struct stile_access_info info = use_info("compositor: blend all windows", WRITE, 0);
	struct stile_access *one = &accesses[0], *other = &accesses[1];
	ck_assert_int_eq(begins(one, named, &info), 0);
	begin_later(other, image, READ);
	stile_access_cancel(other);
	stile_access_cancel(one);
	stile_image_unref(named);
	const char *text = next_complaint();
	assert_says(text, "\"compositor: blend all windows\"");
	assert_says(text, "\"swap chain of window 3, image 2\"");
}
END_TEST

/* Wrong code: a name read that is not there. */
START_TEST(nameless_uses_are_told_too) {
	struct stile_image *nameless = image_copy(NULL, image);
	struct stile_access_info info = use_info(NULL, WRITE, 0);
	struct stile_access *one = &accesses[0], *other = &accesses[1];
	ck_assert_int_eq(begins(one, nameless, &info), 0);
	ck_assert_int_eq(begins_later(other, nameless, &info), 0);
	stile_access_cancel(other);
	stile_access_cancel(one);
	stile_image_unref(nameless);
	assert_places(next_complaint(), 1, 0, 1);
}
END_TEST

/* ---- Without the checker, or without memory -------------------------------------------------- */

/* All mistakes that are not misuse by themselves. */
static void make_mistakes(void) {
	struct stile_buffer *other = stile_image_get_buffer(elsewhere, 0);
	struct stile_access *one = &accesses[0], *two = &accesses[1];
	struct stile_fence *fence = put(image, create());
	begin(one, image, WRITE);
	begin(two, image, WRITE);
	ck_assert_int_eq(ends(one, create()), 0);
	ck_assert_int_eq(ends(two, NULL), 0);
	wait_later(NOTE, fence);
	wait_later(EXPORT_SYNC_FILE, fence);
	ck_assert_int_eq(cpu_begins(other, WRITE), 0);
	ck_assert_int_eq(cpu_begins(other, READ), 0);
	ck_assert_int_eq(cpu_ends_later(other, BOTH), 0);
	ck_assert_int_eq(cpu_ends_later(other, BOTH), 0);
	ck_assert_int_eq(cpu_ends_later(other, BOTH), 0);
}

/* Wrong code: work done in a release, that nobody asked for. */
START_TEST(nothing_is_told_without_the_checker) {
	stile_check_enable(false);
	make_mistakes();
	assert_silent();
}
END_TEST

/* Wrong code: told of what was begun while somebody looked, and ends where nobody does. */
START_TEST(nothing_is_told_once_the_checker_is_off) {
	struct stile_buffer_info info = { .size = sizeof(info), .bytes = 4096 };
	struct stile_buffer *going;
	struct stile_access *access = &accesses[0];
	put(image, create());
	begin(access, image, WRITE);
	ck_assert_int_eq(stile_buffer_create(device, &info, &going), 0);
	ck_assert_int_eq(cpu_begins(going, READ), 0);
	ck_assert_int_eq(cpu_begins(going, READ), 0);
	stile_check_enable(false);
	ck_assert_int_eq(ends_later(access, _i == 0 ? create() : NULL), 0);
	ck_assert_int_eq(cpu_ends_later(going, WRITE), 0);
	stile_buffer_unref(going);
	assert_silent();
}
END_TEST

/* Wrong code: misuse that gives -EINVAL, and is silent in a release. */
START_TEST(misuse_is_told_without_the_checker) {
	struct stile_access access = { 0 };
	stile_check_enable(false);
	ck_assert_int_eq(ends_later(&access, NULL), -EINVAL);
	assert_places(next_complaint(), 0, 0, 1);
}
END_TEST

/* Wrong code: told of a use whose beginning was not seen, or whose end was not. */
START_TEST(what_was_not_seen_is_not_told) {
	struct stile_access *access = &accesses[0], *next = &accesses[1];
	stile_check_enable(_i % 2 == 0);
	begin(access, image, WRITE);
	ck_assert_int_eq(cpu_begins(stile_image_get_buffer(elsewhere, 0), WRITE), 0);
	stile_check_enable(_i % 2 == 1);
	stile_access_cancel(access);
	ck_assert_int_eq(cpu_ends_later(stile_image_get_buffer(elsewhere, 0), WRITE), 0);
	stile_check_enable(true);
	/* The same memory for the image, and for the struct. */
	begin(access, image, READ);
	begin_later(next, elsewhere, WRITE);
	stile_access_cancel(next);
	stile_access_cancel(access);
	assert_silent();
}
END_TEST

/* Wrong code: told of a use that could not be written down. */
START_TEST(what_could_not_be_noted_is_not_told) {
	struct stile_fence *fence = put(image, create());
	struct stile_access *access = &accesses[0], *next = &accesses[1];
	struct stile_access_info info = use_info("first", WRITE, 0);
	/* Only the validator needs memory here: the room is there, and the fences are few. */
	begin(access, image, WRITE);
	stile_access_cancel(access);
	struct stile_resv *resv = stile_buffer_get_resv(buffer);
	stile_check_enable(false);
	ck_assert_int_eq(stile_resv_lock(resv, NULL, NULL), 0);
	ck_assert_int_eq(stile_resv_reserve_fences(resv, 8), 0);
	stile_resv_unlock(resv);
	stile_check_enable(true);
	failing_begin(1);
	int ret = begins(access, image, &info);
	ck_assert_ptr_nonnull(failing_end());
	ck_assert_int_eq(ret, 0);
	begin_later(next, image, WRITE);
	stile_access_cancel(next);
	ck_assert_int_eq(ends(access, create()), 0);
	wait_later(NOTE, fence);
	assert_silent();
}
END_TEST

/* Wrong code: an end that is told to have had no beginning, as that could not be written down. */
START_TEST(cpu_access_that_could_not_be_noted_is_not_told) {
	stile_might_wait();
	failing_begin(1);
	int ret = cpu_begins(buffer, WRITE);
	const char *call = failing_end();
	ck_assert_ptr_nonnull(call);
	ck_assert_int_eq(ret, 0);
	ck_assert_int_eq(cpu_ends_later(buffer, WRITE), 0);
	assert_silent();
}
END_TEST

/* ---- Threads -------------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 500 };

struct user {
	pthread_t thread;
	struct stile_image *own, *common;
	int wrong;
};

/* An image of its own is written, one that all have is read. */
static void user_round(struct user *user) {
	struct stile_access_info writes = use_info("writer", WRITE, 0);
	struct stile_access_info reads = use_info("reader", READ, 0);
	struct stile_buffer *memory = stile_image_get_buffer(user->common, 0);
	struct stile_access write, read;
	user->wrong += begins(&write, user->own, &writes) != 0;
	user->wrong += begins(&read, user->common, &reads) != 0;
	user->wrong += cpu_begins(memory, READ) != 0;
	user->wrong += cpu_ends_later(memory, READ) != 0;
	for (size_t i = 0; i < write.count; i++) {
		stile_access_note_wait(write.fences[i]);
	}
	struct stile_fence *fence = work_make(&work_ops, stile_fence_context_alloc(1), 1);
	user->wrong += ends(&write, fence) != 0;
	user->wrong += ends(&read, fence) != 0;
	stile_fence_signal(fence);
	stile_fence_unref(fence);
}

static void *user_run(void *arg) {
	for (int i = 0; i < ROUNDS; i++) {
		user_round(arg);
	}
	return NULL;
}

/* Wrong code: records that threads take for one another's, or that are freed while they are read. */
START_TEST(threads_in_order_are_silent) {
	struct user users[THREADS];
	for (int i = 0; i < THREADS; i++) {
		users[i] = (struct user){ .own = image_create("own", NULL), .common = image };
		ck_assert_int_eq(pthread_create(&users[i].thread, NULL, user_run, &users[i]), 0);
	}
	int wrong = 0;
	for (int i = 0; i < THREADS; i++) {
		pthread_join(users[i].thread, NULL);
		stile_image_unref(users[i].own);
		wrong += users[i].wrong;
	}
	ck_assert_int_eq(wrong, 0);
	assert_silent();
}
END_TEST

/* All at once what must not be: writing one image, and not waiting. */
static void *rival_run(void *arg) {
	struct user *user = arg;
	struct stile_access_info info = use_info("rival", WRITE, 0);
	for (int i = 0; i < ROUNDS; i++) {
		struct stile_access access;
		struct stile_fence *fence = work_make(&work_ops, stile_fence_context_alloc(1), 1);
		user->wrong += begins(&access, user->common, &info) != 0;
		user->wrong += ends(&access, i % 4 == 0 ? NULL : fence) != 0;
		stile_access_note_wait(fence);
		stile_fence_signal(fence);
		stile_fence_unref(fence);
	}
	return NULL;
}

/* Wrong code: a complaint of what another thread is freeing. */
START_TEST(threads_that_contradict_are_told) {
	struct user users[THREADS];
	struct stile_access *access = &accesses[0];
	int wrong = 0;
	begin(access, image, READ);
	for (int i = 0; i < THREADS; i++) {
		users[i] = (struct user){ .common = image };
		ck_assert_int_eq(pthread_create(&users[i].thread, NULL, rival_run, &users[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(users[i].thread, NULL);
		wrong += users[i].wrong;
	}
	stile_access_cancel(access);
	ck_assert_int_eq(wrong, 0);
	/* Each of them contradicts at least the one that was there before. */
	ck_assert_int_ge(heard.count, THREADS * ROUNDS);
	heard.expected = heard.count;
}
END_TEST

/* ---- The suite ----------------------------------------------------------------------------- */

static TCase *tcase(Suite *s, const char *name) {
	TCase *tcase = ledger_tcase_create(name);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(s, tcase);
	return tcase;
}

static void add_use_tests(Suite *s) {
	TCase *ends = tcase(s, "begin and end");
	tcase_add_loop_test(ends, end_without_begin_is_told, 0, 3);
	tcase_add_loop_test(ends, second_end_is_told, 0, 4);
	tcase_add_loop_test(ends, use_that_was_never_ended_is_told, 0, 2);
	tcase_add_test(ends, struct_may_be_used_again);

	TCase *contradictions = tcase(s, "contradictions");
	tcase_add_loop_test(
		contradictions, contradicting_uses_are_told, 0, USAGES * USAGES * QUEUES);
	tcase_add_test(contradictions, same_memory_by_another_image_is_told);
	tcase_add_test(contradictions, use_that_contradicts_is_one_too);
	tcase_add_loop_test(contradictions, any_plane_may_contradict, 0, 4);
	tcase_add_loop_test(contradictions, uses_of_other_memory_are_no_contradiction, 0, 2);
	tcase_add_loop_test(contradictions, use_that_is_over_contradicts_nobody, 0, 3);
	tcase_add_test(contradictions, use_that_did_not_begin_contradicts_nobody);
	tcase_add_loop_test(
		contradictions, contradicting_use_by_the_cpu_is_told, 0, USAGES * USAGES * WHO);
}

static void add_wait_tests(Suite *s) {
	TCase *waits = tcase(s, "waits");
	tcase_add_loop_test(waits, unwaited_fence_is_told, 0, 3);
	tcase_add_test(waits, work_that_cannot_be_done_is_told);
	tcase_add_loop_test(waits, wait_in_vain_is_no_wait, 0, WAITS_IN_VAIN);
	tcase_add_loop_test(waits, wait_before_the_end_is_in_order, 0, WAYS);
	tcase_add_loop_test(waits, wait_after_the_end_is_told, 0, WAYS);
	tcase_add_test(waits, names_are_remembered);
	tcase_add_loop_test(waits, wait_for_a_container_is_one_for_its_leaves, 0, 2 * WRAPS);
	tcase_add_loop_test(waits, wait_for_any_of_several_is_no_wait, 0, 2);
	tcase_add_loop_test(waits, later_fence_of_the_queue_will_do, 0, 6);
	tcase_add_loop_test(waits, earlier_fence_of_the_queue_will_not_do, 0, 2);
	tcase_add_loop_test(waits, other_fence_of_the_queue_is_not_late, 0, 2);
	tcase_add_loop_test(waits, work_that_is_done_need_not_be_waited_for, 0, 2);
	tcase_add_test(waits, cancelled_work_needs_no_wait);
	tcase_add_test(waits, one_wait_is_for_all_who_want_it);
	tcase_add_test(waits, next_user_may_wait_for_what_another_one_missed);
	tcase_add_test(waits, other_waits_are_nobodys_business);
	tcase_add_test(waits, many_mistakes_are_remembered_or_not);
}

static void add_cpu_tests(Suite *s) {
	TCase *cpu = tcase(s, "brackets of the CPU");
	tcase_add_loop_test(cpu, end_of_no_cpu_access_is_told, 0, 2 * USAGES);
	tcase_add_loop_test(cpu, end_of_cpu_access_with_another_usage_is_told, 0, USAGES * USAGES);
	tcase_add_loop_test(cpu, cpu_access_that_was_never_ended_is_told, 0, 3);
	tcase_add_test(cpu, matching_cpu_accesses_are_in_order);
	tcase_add_test(cpu, cpu_access_that_did_not_begin_is_not_open);
}

static void add_other_tests(Suite *s) {
	TCase *order = tcase(s, "what is in order");
	tcase_add_test(order, images_may_go_round);
	tcase_add_loop_test(order, use_by_the_cpu_is_in_order, 0, 2);
	tcase_add_test(order, gate_of_a_queue_is_a_wait);
	tcase_add_test(order, threads_may_share_a_use);

	TCase *names = tcase(s, "names");
	tcase_add_test(names, usual_names_are_told_whole);
	tcase_add_test(names, nameless_uses_are_told_too);

	TCase *without = tcase(s, "without the checker, or without memory");
	tcase_add_test(without, nothing_is_told_without_the_checker);
	tcase_add_loop_test(without, nothing_is_told_once_the_checker_is_off, 0, 2);
	tcase_add_test(without, misuse_is_told_without_the_checker);
	tcase_add_loop_test(without, what_was_not_seen_is_not_told, 0, 2);
	tcase_add_test(without, what_could_not_be_noted_is_not_told);
	tcase_add_test(without, cpu_access_that_could_not_be_noted_is_not_told);

	TCase *threads = tcase(s, "threads");
	tcase_add_test(threads, threads_in_order_are_silent);
	tcase_add_test(threads, threads_that_contradict_are_told);
}

static Suite *suite(void) {
	Suite *s = suite_create("validator");
	add_use_tests(s);
	add_wait_tests(s);
	add_cpu_tests(s);
	add_other_tests(s);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
