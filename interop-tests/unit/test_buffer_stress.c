/* SPDX-License-Identifier: MIT */
/*
 * Buffers by chance: threads that make, fill, copy, map, export, import, attach, move and drop the same few
 * buffers, on devices of several kinds which come and go. What each finds: thread n alone changes page n of
 * any buffer, so it knows what has to be there, whoever moved the buffer or used its other pages meanwhile.
 * The rest is for the sanitizers, the lock-order checker, and the count at the end: nothing is left.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/attachment.h>
#include <stile/buffer.h>
#include <stile/check.h>
#include <stile/device.h>
#include <stile/exporter.h>
#include <stile/fence.h>
#include <stile/resv.h>
#include <stile/sg.h>
#include <stile/swgpu.h>
#include <stile/swgpu_list.h>
#include <stile/swgpu_test.h>
#include <stile/wait.h>

#include "interop-tests/support/gpu_work.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

enum {
	THREADS = 4,
	SLOTS = 5,
	SHARED_RESVS = 2,
	PATIENCE_MS = 30000,
/* Either so long, or so many steps of each thread. */
#if defined(__SANITIZE_THREAD__)
	RUN_MS = 0,
	STEPS = 1500,
#elif defined(__SANITIZE_ADDRESS__)
	RUN_MS = 0,
	STEPS = 6000,
#else
	RUN_MS = 1000,
	STEPS = INT32_MAX,
#endif
};

/* ---- What there is ------------------------------------------------------------------------- */

static const struct kind {
	const char *options;
	bool is_explicit; /* lists say what they wait for, and others have to wait for them */
} kinds[] = {
	{ .options = "engines=1" },
	{ .options = "profile=non-coherent" },
	/* Room for a few buffers only, so that there is none from time to time. */
	{ .options = "profile=local-memory local_memory=64K engines=1" },
	{ .options = "profile=local-memory local_memory=1M coherent=no" },
	{ .options = "profile=address-32 coherent=no engines=1" },
	{ .options = "profile=scattered frame_run=1" },
	{ .options = "profile=contiguous engines=1" },
	{ .options = "profile=iommu frame_run=1" },
	{ .options = "profile=no-implicit-sync", .is_explicit = true },
	{ .options = "seed=1" },
};

/* Used by readers of the lock; replaced by a writer. */
static struct place {
	pthread_rwlock_t lock;
	struct stile_device *device;
} places[ARRAY_LENGTH(kinds)];

/* What one thread knows of its page. */
struct page {
	uint32_t value;
	bool is_known;
};

/* A buffer, and what is in it. */
struct thing {
	atomic_uint refs;
	struct stile_buffer *buffer;
	struct page pages[THREADS];
};

static struct slot {
	pthread_mutex_t lock;
	struct thing *thing; /* a reference */
} slots[SLOTS];

static struct stile_resv resvs[SHARED_RESVS];
static atomic_bool stop;
static atomic_ulong checked;
static atomic_int own_count; /* of the application's buffers that live */

struct player {
	pthread_t thread;
	uint64_t dice;
	size_t page; /* its number */
};

/* Check can end a test from its own thread only. */
static void __attribute__((format(printf, 2, 3))) require(bool ok, const char *fmt, ...) {
	if (ok) {
		return;
	}
	va_list args;
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, " (seed 0x%" PRIx64 ")\n", runner_seed());
	abort();
}

static size_t roll(struct player *player, size_t below) {
	return (size_t)(runner_random(&player->dice) % below);
}

static size_t page_bytes(void) {
	return (size_t)sysconf(_SC_PAGESIZE);
}

static int64_t patience_end(void) {
	return runner_clock_ns() + (int64_t)PATIENCE_MS * 1000000;
}

/* What the storage of others, or the lack of some, may be the reason of. */
static bool is_refusal(int ret) {
	return ret == -EBUSY || ret == -ENOSPC || ret == -ERANGE || ret == -ETIME;
}

/* Whether it worked; anything but what may be is the end. */
static bool worked(int ret, const char *what) {
	require(ret >= 0 || is_refusal(ret), "%s gives %d", what, ret);
	return ret >= 0;
}

/* ---- An application's own buffers ---------------------------------------------------------- */

static int own_map(struct stile_attachment *attachment, enum stile_direction direction,
	struct stile_sg **out) {
	struct stile_buffer *buffer = stile_attachment_get_buffer(attachment);
	const struct stile_sg_range range = {
		.memory = stile_buffer_get_priv(buffer),
		.address = STILE_ADDRESS_UNKNOWN,
		.bytes = stile_buffer_get_bytes(buffer),
	};
	struct stile_sg *sg;
	int ret = stile_sg_create(&sg);
	if (ret < 0) {
		return ret;
	}
	ret = stile_sg_append(sg, &range);
	if (ret == 0) {
		ret = stile_sg_map(sg, stile_attachment_get_device(attachment), direction);
	}
	if (ret < 0) {
		stile_sg_destroy(sg);
		return ret;
	}
	*out = sg;
	return 0;
}

static void own_unmap(
	struct stile_attachment *attachment, struct stile_sg *sg, enum stile_direction direction) {
	(void)attachment;
	stile_sg_unmap(sg, direction);
	stile_sg_destroy(sg);
}

static int own_mmap(struct stile_buffer *buffer, uint32_t usage, uint64_t offset, uint64_t bytes,
	void **address) {
	(void)usage;
	(void)bytes;
	*address = (uint8_t *)stile_buffer_get_priv(buffer) + offset;
	return 0;
}

static int own_vmap(struct stile_buffer *buffer, struct stile_map *map) {
	map->address = stile_buffer_get_priv(buffer);
	return 0;
}

static void own_release(struct stile_buffer *buffer) {
	free(stile_buffer_get_priv(buffer));
	atomic_fetch_sub(&own_count, 1);
}

static const struct stile_exporter_ops own_ops = {
	.size = sizeof(own_ops),
	.map = own_map,
	.unmap = own_unmap,
	.mmap = own_mmap,
	.vmap = own_vmap,
	.release = own_release,
};

static struct stile_buffer *own_create(uint64_t bytes, struct stile_resv *resv) {
	void *memory = aligned_alloc(page_bytes(), (size_t)bytes);
	require(memory != NULL, "no memory");
	memset(memory, 0, (size_t)bytes);
	const struct stile_exporter_info info = {
		.size = sizeof(info),
		.ops = &own_ops,
		.priv = memory,
		.bytes = bytes,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.resv = resv,
	};
	struct stile_buffer *buffer;
	int ret = stile_buffer_export(&info, &buffer);
	require(ret == 0, "export gives %d", ret);
	atomic_fetch_add(&own_count, 1);
	return buffer;
}

/* ---- Things and devices -------------------------------------------------------------------- */

static struct stile_buffer *device_buffer(
	struct stile_device *device, uint64_t bytes, struct stile_resv *resv) {
	const struct stile_buffer_info info = {
		.size = sizeof(info), .bytes = bytes, .resv = resv
	};
	struct stile_buffer *buffer;
	int ret = stile_buffer_create(device, &info, &buffer);
	require(ret == 0, "create gives %d", ret);
	return buffer;
}

static void thing_unref(struct thing *thing) {
	if (thing != NULL && atomic_fetch_sub(&thing->refs, 1) == 1) {
		stile_buffer_unref(thing->buffer);
		free(thing);
	}
}

/* A reference, or NULL. */
static struct thing *thing_get(struct player *player) {
	struct slot *slot = &slots[roll(player, SLOTS)];
	pthread_mutex_lock(&slot->lock);
	struct thing *thing = slot->thing;
	if (thing != NULL) {
		atomic_fetch_add(&thing->refs, 1);
	}
	pthread_mutex_unlock(&slot->lock);
	return thing;
}

/* Takes over the reference; may be NULL. */
static void thing_put(struct player *player, struct thing *thing) {
	struct slot *slot = &slots[roll(player, SLOTS)];
	pthread_mutex_lock(&slot->lock);
	struct thing *before = slot->thing;
	slot->thing = thing;
	pthread_mutex_unlock(&slot->lock);
	thing_unref(before);
}

/* A device that stays until it is given back. */
static size_t place_get(struct player *player) {
	size_t i = roll(player, ARRAY_LENGTH(places));
	pthread_rwlock_rdlock(&places[i].lock);
	return i;
}

static void place_give(size_t i) {
	pthread_rwlock_unlock(&places[i].lock);
}

/* ---- What a page holds --------------------------------------------------------------------- */

static void page_check(struct player *player, const struct page *page, const void *memory) {
	const uint32_t *words = memory;
	for (size_t i = 0; page->is_known && i < page_bytes() / sizeof(*words); i++) {
		require(words[i] == page->value, "page %zu, word %zu: 0x%08x instead of 0x%08x",
			player->page, i, words[i], page->value);
	}
	atomic_fetch_add(&checked, page->is_known);
}

static void page_write(struct page *page, void *memory, uint32_t value) {
	uint32_t *words = memory;
	for (size_t i = 0; i < page_bytes() / sizeof(*words); i++) {
		words[i] = value;
	}
	page->value = value;
	page->is_known = true;
}

/*
 * One at a time with the checker on, which knows of no parts of buffers, and tells of two who use one without
 * waiting for each other.
 */
static pthread_mutex_t cpu = PTHREAD_MUTEX_INITIALIZER;

static void cpu_begin(struct player *player, struct stile_buffer *buffer, uint32_t usage) {
	if (stile_check_is_enabled()) {
		pthread_mutex_lock(&cpu);
	}
	int ret = stile_buffer_begin_cpu_access_range(
		buffer, usage, player->page * page_bytes(), page_bytes(), patience_end(), NULL);
	require(ret == 0, "CPU access begins with %d", ret);
}

static void cpu_end(struct player *player, struct stile_buffer *buffer, uint32_t usage) {
	int ret = stile_buffer_end_cpu_access_range(
		buffer, usage, player->page * page_bytes(), page_bytes());
	require(ret == 0, "CPU access ends with %d", ret);
	if (stile_check_is_enabled()) {
		pthread_mutex_unlock(&cpu);
	}
}

/* Look at one's page, mapped alone. */
static void look_at(struct player *player, struct stile_buffer *buffer, const struct page *page) {
	void *memory;
	int ret = stile_buffer_mmap_range(
		buffer, STILE_USAGE_READ, player->page * page_bytes(), page_bytes(), &memory);
	if (!worked(ret, "mmap")) {
		return;
	}
	cpu_begin(player, buffer, STILE_USAGE_READ);
	page_check(player, page, memory);
	cpu_end(player, buffer, STILE_USAGE_READ);
	stile_buffer_munmap(buffer, memory);
}

/* ---- Moves of the CPU ---------------------------------------------------------------------- */

static void do_drop(struct player *player) {
	thing_put(player, NULL);
}

static void do_look(struct player *player, struct thing *thing) {
	look_at(player, thing->buffer, &thing->pages[player->page]);
}

static void do_write(struct player *player, struct thing *thing) {
	uint32_t usage = STILE_USAGE_READ | STILE_USAGE_WRITE;
	struct page *page = &thing->pages[player->page];
	void *memory;
	if (!worked(stile_buffer_mmap(thing->buffer, usage, &memory), "mmap")) {
		return;
	}
	uint8_t *mine = (uint8_t *)memory + player->page * page_bytes();
	cpu_begin(player, thing->buffer, usage);
	page_check(player, page, mine);
	page_write(page, mine, (uint32_t)runner_random(&player->dice));
	cpu_end(player, thing->buffer, usage);
	stile_buffer_munmap(thing->buffer, memory);
}

static void do_vmap(struct player *player, struct thing *thing) {
	struct stile_map map;
	if (!worked(stile_buffer_vmap_unlocked(thing->buffer, &map), "vmap")) {
		return;
	}
	cpu_begin(player, thing->buffer, STILE_USAGE_READ);
	page_check(player, &thing->pages[player->page],
		(uint8_t *)map.address + player->page * page_bytes());
	cpu_end(player, thing->buffer, STILE_USAGE_READ);
	stile_buffer_vunmap_unlocked(thing->buffer, &map);
}

/* ---- Moves of devices ---------------------------------------------------------------------- */

/* Submit, behind what a writer has to wait for if the device does not do that. Consumes the list. */
static bool submit(struct stile_device *device, bool is_explicit, struct stile_buffer *buffer,
	struct stile_swgpu_list *list, struct stile_fence **fence) {
	struct stile_fence *before = NULL;
	if (is_explicit) {
		int ret = stile_buffer_export_fence(buffer, STILE_USAGE_WRITE, &before);
		require(ret == 0, "export of a fence gives %d", ret);
	}
	const struct stile_swgpu_submit_info info = {
		.size = sizeof(info), .waits = &before, .wait_count = is_explicit
	};
	int ret = stile_swgpu_submit(stile_swgpu_get_queue(device), list, &info, fence);
	stile_fence_unref(before);
	if (ret < 0) {
		stile_swgpu_list_destroy(list);
	}
	return worked(ret, "submit");
}

/*
 * What a list does to a page is known when it is done. One that says what it waits for may end with the
 * error of what another thread left pending on a device that has gone.
 */
static void finish(struct page *page, uint32_t value, struct stile_fence *fence, bool is_explicit) {
	int ret = stile_fence_wait(fence, patience_end());
	require(ret == 0, "a list does not end: %d", ret);
	ret = stile_fence_get_status(fence);
	require(ret > 0 || (is_explicit && (ret == -ECANCELED || ret == -EIO)),
		"a list ends with %d", ret);
	page->value = value;
	page->is_known = ret > 0;
}

static void fill_on(struct player *player, struct thing *thing, size_t i) {
	struct page *page = &thing->pages[player->page];
	struct stile_device *device = places[i].device;
	uint32_t value = (uint32_t)runner_random(&player->dice);
	struct stile_swgpu_list *list;
	struct stile_fence *fence;
	int ret = stile_swgpu_list_create(device, &list);
	require(ret == 0, "no list: %d", ret);
	ret = stile_swgpu_list_fill_buffer(
		list, thing->buffer, player->page * page_bytes(), page_bytes(), value);
	if (!worked(ret, "fill")) {
		stile_swgpu_list_destroy(list);
		return;
	}
	if (!submit(device, kinds[i].is_explicit, thing->buffer, list, &fence)) {
		return;
	}
	page->is_known = false;
	if (kinds[i].is_explicit || roll(player, 4) > 0) {
		finish(page, value, fence, kinds[i].is_explicit);
	}
	stile_fence_unref(fence);
}

static void do_fill(struct player *player, struct thing *thing) {
	size_t i = place_get(player);
	fill_on(player, thing, i);
	place_give(i);
}

/* Often its device uses it at once: it begins in local memory then, where there is some. */
static void create_on_device(
	struct player *player, struct thing *thing, uint64_t bytes, struct stile_resv *resv) {
	size_t i = place_get(player);
	thing->buffer = device_buffer(places[i].device, bytes, resv);
	if (roll(player, 4) > 0) {
		fill_on(player, thing, i);
	}
	place_give(i);
}

static void do_create(struct player *player) {
	struct thing *thing = calloc(1, sizeof(*thing));
	require(thing != NULL, "no memory");
	for (size_t i = 0; i < THREADS; i++) {
		thing->pages[i].is_known = true; /* Zeros. */
	}
	size_t which = roll(player, 2 * SHARED_RESVS);
	struct stile_resv *resv = which < SHARED_RESVS ? &resvs[which] : NULL;
	uint64_t bytes = (THREADS + roll(player, 3)) * page_bytes();
	if (roll(player, 4) == 0) {
		thing->buffer = own_create(bytes, resv);
	} else {
		create_on_device(player, thing, bytes, resv);
	}
	atomic_init(&thing->refs, 1);
	thing_put(player, thing);
}

static void copy_on(struct player *player, struct thing *from, struct thing *to, size_t i) {
	struct page *page = &to->pages[player->page];
	struct stile_device *device = places[i].device;
	uint64_t offset = player->page * page_bytes();
	const struct stile_swgpu_strided copy = {
		.size = sizeof(copy),
		.from = from->buffer,
		.to = to->buffer,
		.from_offset = offset,
		.to_offset = offset,
		.row_bytes = page_bytes(),
		.rows = 1,
	};
	struct stile_swgpu_list *list;
	struct stile_fence *fence;
	int ret = stile_swgpu_list_create(device, &list);
	require(ret == 0, "no list: %d", ret);
	ret = stile_swgpu_list_copy_buffer(list, &copy);
	if (!worked(ret, "copy")) {
		stile_swgpu_list_destroy(list);
		return;
	}
	if (submit(device, kinds[i].is_explicit, to->buffer, list, &fence)) {
		page->is_known = false;
		finish(page, from->pages[player->page].value, fence, kinds[i].is_explicit);
		stile_fence_unref(fence);
	}
}

static void do_copy(struct player *player, struct thing *to) {
	struct thing *from = thing_get(player);
	if (from != NULL && from != to && from->pages[player->page].is_known) {
		size_t i = place_get(player);
		copy_on(player, from, to, i);
		place_give(i);
	}
	thing_unref(from);
}

/* A device goes, or is lost and goes, and another comes: what is pending ends, buffers stay. */
static void do_reopen(struct player *player) {
	size_t i = roll(player, ARRAY_LENGTH(places));
	/* Rarely, so that there is something between. */
	if (roll(player, 8) == 0 && pthread_rwlock_trywrlock(&places[i].lock) == 0) {
		if (roll(player, 2) == 0) {
			int ret = stile_swgpu_lose(places[i].device);
			require(ret == 0, "lose gives %d", ret);
		}
		stile_device_destroy(places[i].device);
		places[i].device = gpu_open(kinds[i].options);
		pthread_rwlock_unlock(&places[i].lock);
	}
}

static void do_defragment(struct player *player) {
	size_t i = place_get(player);
	(void)worked(stile_swgpu_defragment(places[i].device), "defragment");
	place_give(i);
}

/* ---- Moves of importers -------------------------------------------------------------------- */

static void on_move(struct stile_attachment *attachment) {
	(void)attachment;
}

static const struct stile_importer_ops importer = {
	.size = sizeof(importer),
	.move_notify = on_move,
};

/* What is mapped has to be mapped as a whole; the storage may be moved for it. */
static void use_attachment(struct player *player, struct stile_attachment *attachment) {
	const struct stile_sg *sg;
	int ret = stile_attachment_map_unlocked(
		attachment, STILE_BIDIRECTIONAL, patience_end(), NULL, &sg);
	/* Its device may have been lost. */
	if (ret == -EIO || !worked(ret, "map")) {
		return;
	}
	uint64_t bytes = 0;
	struct stile_sg_iter iter;
	struct stile_sg_segment segment;
	stile_sg_iter_begin(&iter, sg);
	while (stile_sg_iter_next_segment(&iter, &segment)) {
		bytes += segment.bytes;
	}
	require(bytes == stile_buffer_get_bytes(stile_attachment_get_buffer(attachment)),
		"%zu bytes are mapped", (size_t)bytes);
	if (roll(player, 2) == 0) {
		runner_sleep_ms(0);
	}
	stile_attachment_unmap_unlocked(attachment, sg, STILE_BIDIRECTIONAL);
}

static void use_pin(struct stile_attachment *attachment) {
	struct stile_resv *resv = stile_buffer_get_resv(stile_attachment_get_buffer(attachment));
	int ret = stile_resv_lock(resv, NULL, NULL);
	require(ret == 0, "lock gives %d", ret);
	if (worked(stile_attachment_pin(attachment), "pin")) {
		stile_attachment_unpin(attachment);
	}
	stile_resv_unlock(resv);
}

static void do_attach(struct player *player, struct thing *thing) {
	size_t i = place_get(player);
	bool is_dynamic = roll(player, 2) == 0;
	/* More than the device needs, now and then. */
	const struct stile_constraints one_piece = { .size = sizeof(one_piece), .max_segments = 1 };
	const struct stile_attach_info info = {
		.size = sizeof(info),
		.device = places[i].device,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.constraints = roll(player, 3) == 0 ? &one_piece : NULL,
		.importer = is_dynamic ? &importer : NULL,
	};
	struct stile_attachment *attachment;
	int ret = stile_buffer_attach(thing->buffer, &info, NULL, &attachment);
	/* Attachments keep their devices themselves. */
	place_give(i);
	if (!worked(ret, "attach")) {
		return;
	}
	if (is_dynamic && roll(player, 3) == 0) {
		use_pin(attachment);
	}
	use_attachment(player, attachment);
	stile_buffer_detach(thing->buffer, attachment);
}

/* ---- Moves by descriptor, and others ------------------------------------------------------- */

static struct stile_buffer *import(struct player *player, int fd, uint32_t usage) {
	size_t i = place_get(player);
	struct stile_buffer *buffer;
	int ret = stile_buffer_import_fd(places[i].device, fd, usage, NULL, &buffer);
	require(ret == 0, "import gives %d", ret);
	place_give(i);
	return buffer;
}

/* Consumes the reference. The descriptor alone is enough to see what was there. */
static void do_hand_over(struct player *player, struct thing *thing) {
	uint32_t usage = STILE_USAGE_READ | STILE_USAGE_WRITE;
	int fd, ret = stile_buffer_export_fd(thing->buffer, usage, &fd);
	/* The application's have no descriptors. */
	if (ret == -EOPNOTSUPP || !worked(ret, "export of a descriptor")) {
		thing_unref(thing);
		return;
	}
	struct stile_buffer *same = import(player, fd, usage);
	require(same == thing->buffer, "there are two buffers of the same memory");
	stile_buffer_unref(same);
	const struct page page = thing->pages[player->page];
	/* Perhaps the last one, perhaps the one before. */
	thing_unref(thing);
	struct stile_buffer *buffer = import(player, fd, STILE_USAGE_READ);
	look_at(player, buffer, &page);
	stile_buffer_unref(buffer);
	close(fd);
}

static void do_wait_locked(struct player *player, struct thing *thing) {
	(void)player;
	struct stile_resv *resv = stile_buffer_get_resv(thing->buffer);
	int ret = stile_resv_lock(resv, NULL, NULL);
	require(ret == 0, "lock gives %d", ret);
	ret = stile_resv_wait(resv, STILE_RESV_BOOKKEEP, patience_end(), NULL);
	require(ret == 0, "a wait with the reservation locked gives %d", ret);
	stile_resv_unlock(resv);
}

static void do_poll(struct player *player, struct thing *thing) {
	(void)player;
	int fd, ret = stile_buffer_get_poll_fd(thing->buffer, &fd);
	require(ret == 0, "no descriptor to poll: %d", ret);
	close(fd);
}

static void do_describe(struct player *player) {
	(void)player;
	char *text;
	int ret = stile_buffer_describe_all(&text);
	require(ret == 0, "describe_all gives %d", ret);
	free(text);
}

/* ---- By chance ----------------------------------------------------------------------------- */

typedef void (*thing_move)(struct player *player, struct thing *thing);
typedef void (*other_move)(struct player *player);

static void move_with_thing(struct player *player, thing_move move) {
	struct thing *thing = thing_get(player);
	if (thing != NULL) {
		move(player, thing);
		thing_unref(thing);
	}
}

static void hand_over(struct player *player) {
	struct thing *thing = thing_get(player);
	if (thing != NULL) {
		/* Often it is the last one then. */
		if (roll(player, 2) == 0) {
			do_drop(player);
		}
		do_hand_over(player, thing);
	}
}

static void *play(void *arg) {
	static const thing_move with_thing[] = { do_look, do_write, do_vmap, do_fill, do_fill,
		do_fill, do_copy, do_copy, do_attach, do_attach, do_wait_locked, do_poll };
	static const other_move others[] = { do_create, do_create, do_create, do_drop, do_reopen,
		do_defragment, do_describe, hand_over };
	struct player *player = arg;
	for (size_t i = 0; i < STEPS && !atomic_load(&stop); i++) {
		if (roll(player, 3) > 0) {
			move_with_thing(player, with_thing[roll(player, ARRAY_LENGTH(with_thing))]);
		} else {
			others[roll(player, ARRAY_LENGTH(others))](player);
		}
	}
	return NULL;
}

static void set_up(void) {
	atomic_store(&stop, false);
	for (size_t i = 0; i < SHARED_RESVS; i++) {
		stile_resv_init(&resvs[i]);
	}
	for (size_t i = 0; i < SLOTS; i++) {
		pthread_mutex_init(&slots[i].lock, NULL);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(places); i++) {
		pthread_rwlock_init(&places[i].lock, NULL);
		places[i].device = gpu_open(kinds[i].options);
	}
}

/* Buffers go where their last user ends, which may be a thread of the library's. */
static void await_no_buffers(void) {
	struct stile_buffer *buffer;
	int64_t end_ns = patience_end();
	while ((buffer = stile_buffer_iter_next(NULL)) != NULL || atomic_load(&own_count) > 0) {
		stile_buffer_unref(buffer);
		ck_assert_msg(runner_clock_ns() < end_ns, "buffers are left over");
		/* A device without threads is to end what is pending, too. */
		for (size_t i = 0; i < ARRAY_LENGTH(places); i++) {
			stile_device_dispatch(places[i].device);
		}
		runner_sleep_ms(1);
	}
}

static void check_local_memory(struct stile_device *device, const char *options) {
	struct stile_swgpu_memory memory = { .size = sizeof(memory) };
	int64_t end_ns = patience_end();
	do {
		runner_sleep_ms(1);
		ck_assert_int_eq(stile_swgpu_get_memory(device, &memory), 0);
	} while (memory.used > 0 && runner_clock_ns() < end_ns);
	ck_assert_msg(memory.used == 0, "%s: %zu bytes of local memory are taken for ever", options,
		(size_t)memory.used);
}

static void tear_down(void) {
	for (size_t i = 0; i < SLOTS; i++) {
		thing_unref(slots[i].thing);
		slots[i].thing = NULL;
		pthread_mutex_destroy(&slots[i].lock);
	}
	await_no_buffers();
	for (size_t i = 0; i < ARRAY_LENGTH(places); i++) {
		check_local_memory(places[i].device, kinds[i].options);
		stile_device_destroy(places[i].device);
		pthread_rwlock_destroy(&places[i].lock);
	}
	for (size_t i = 0; i < SHARED_RESVS; i++) {
		stile_resv_fini(&resvs[i]);
	}
}

/*
 * B-4, B-5, T-8, P-3. Wrong code: bytes lost by a move or with a device's cache; a buffer, or what a device
 * knows of it, used after its end; two buffers of one memory; a last reference dropped where somebody is
 * waited for; locks in two orders; local memory that nobody gives back.
 */
START_TEST(chance_loses_no_bytes) {
	bool was_enabled = stile_check_is_enabled();
	stile_check_enable(_i == 1);
	uint64_t seed = runner_seed() + (uint64_t)_i;
	struct player players[THREADS];
	set_up();
	for (size_t i = 0; i < THREADS; i++) {
		players[i].dice = runner_random(&seed);
		players[i].page = i;
		ck_assert_int_eq(pthread_create(&players[i].thread, NULL, play, &players[i]), 0);
	}
	if (RUN_MS > 0) {
		runner_sleep_ms(RUN_MS);
		atomic_store(&stop, true);
	}
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(players[i].thread, NULL);
	}
	tear_down();
	stile_check_enable(was_enabled);
	ck_assert_uint_gt(atomic_exchange(&checked, 0), 10);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("buffer stress");
	TCase *tcase = ledger_tcase_create("everything at once");
	tcase_set_timeout(tcase, 110);
	tcase_add_loop_test(tcase, chance_loses_no_bytes, 0, 2);
	suite_add_tcase(s, tcase);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
