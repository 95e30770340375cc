/* SPDX-License-Identifier: MIT */
/* Random histories of buffers that are attached, mapped and moved: history.h, buffer_model.h, buffer_steps.h. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <stile/buffer.h>
#include <stile/device.h>
#include <stile/resv.h>

#include "interop-tests/model/blocks.h"
#include "interop-tests/model/buffer_model.h"
#include "interop-tests/model/buffer_steps.h"
#include "interop-tests/model/buffer_twin.h"
#include "interop-tests/model/history.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"

#if defined(__SANITIZE_THREAD__)
enum { ROUNDS = 60 };
#elif defined(__SANITIZE_ADDRESS__)
enum { ROUNDS = 200 };
#else
enum { ROUNDS = 1000 };
#endif

enum { MAX_FDS = 128 };

static const char *const usage_names[] = { "no usage", "READ", "WRITE", "READ|WRITE" };
static const char *const direction_names[] = { "BIDIRECTIONAL", "TO_DEVICE", "FROM_DEVICE",
	"NO_DIRECTION" };
static const char *const mistake_names[] = { "munmap", "vunmap", "detach" };
static const char *const manner_names[] = { "static", "dynamic", "deaf" };
static const char *const way_names[] = { "by a view", "by mmap", "by vmap", "by kmap", "by fd",
	"by its exporter" };

static long blocks_at_first;
static int fds_at_first;

/* ---- Printing ----------------------------------------------------------------------------- */

static void print_how(unsigned how) {
	static const char *const names[] = { "locked", "mistaken", "polls", "range", "low",
		"single", "veto", "read-only", "two pieces", "deterministic", "fails" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (how & 1u << i) {
			printf(", %s", names[i]);
		}
	}
}

static void print_work(const struct history_step *step) {
	printf(" device %d: to %d", step->a, step->b);
	if (step->kind == STEP_COPY) {
		printf(" from %d", step->c);
	} else {
		printf(", %#" PRIx64, step->number);
	}
	printf(", parts %d %d %d", step->list[1], step->list[2], step->list[3]);
}

static void print_at(const struct history_step *step) {
	printf(" map %d", step->a);
	if (step->kind == STEP_COPY_AT) {
		printf(" from map %d", step->b);
	}
	printf(", parts %d %d %d", step->list[1], step->list[2], step->list[3]);
}

static void print_access(const struct history_step *step) {
	printf(" %d, %s %s", step->a, usage_names[step->c], way_names[step->b]);
	if (step->b == WAY_VIEW) {
		printf(" %d", step->list[0]);
	} else if (step->b == WAY_FD) {
		printf(" %d", step->list[0] % FDS);
	}
	printf(", parts %d %d", step->list[1], step->list[2]);
}

static void print_buffer(const struct history_step *step) {
	if (step->kind == STEP_CREATE) {
		printf(" %d: device %d", step->a, step->b);
	} else {
		printf(" %d: %s", step->a, step->b == BUFFER_MODEL_FILE ? "file" : "plain");
	}
	printf(", %zu bytes", step->count);
	if (step->c != NONE) {
		printf(", resv %d", step->c);
	}
}

static void step_print(const struct history_step *step) {
	switch (step->kind) {
	case STEP_OPEN:
		printf(" device %d: %s", step->a, profiles[step->b].options);
		break;
	case STEP_DESTROY:
	case STEP_DEFRAGMENT:
		printf(" device %d", step->a);
		break;
	case STEP_CREATE:
	case STEP_EXPORT:
		print_buffer(step);
		break;
	case STEP_ATTACH:
		printf(" %d: buffer %d to device %d, %s, %s", step->a, step->b, step->c,
			manner_names[step->list[0]], usage_names[step->list[1]]);
		break;
	case STEP_MAP:
		printf(" %d: attachment %d, %s", step->a, step->b, direction_names[step->c]);
		break;
	case STEP_EXPORT_FD:
		printf(" fd %d of %d, %s", step->a, step->b, usage_names[step->c]);
		break;
	case STEP_IMPORT_FD:
		printf(" fd %d by device %d, %s", step->a, step->b, usage_names[step->c]);
		break;
	case STEP_IMPORT:
		printf(" %d by device %d, %s", step->a, step->b, usage_names[step->c]);
		break;
	case STEP_MMAP:
		printf(" view %d of %d, %s, pages %d %d", step->a, step->b, usage_names[step->c],
			step->list[0], step->list[1]);
		break;
	case STEP_VMAP:
		printf(" view %d of %d", step->a, step->b);
		break;
	case STEP_POLL:
		printf(" %d, %s", step->a, usage_names[step->c]);
		break;
	case STEP_ACCESS:
		print_access(step);
		break;
	case STEP_FILL:
	case STEP_COPY:
		print_work(step);
		break;
	case STEP_FILL_AT:
	case STEP_COPY_AT:
		print_at(step);
		break;
	case STEP_MISTAKE:
		printf(" %d: %s", step->a, mistake_names[step->c]);
		break;
	case STEP_CLOSE_GATE:
	case STEP_OPEN_GATE:
		break;
	default:
		printf(" %d", step->a);
	}
	print_how(step->how);
}

/* ---- Making steps ------------------------------------------------------------------------- */

/* One that `is`, NONE if there is none. */
static int pick(int count, bool (*is)(int number)) {
	int first = history_below(count);
	for (int i = 0; i < count; i++) {
		if (is((first + i) % count)) {
			return (first + i) % count;
		}
	}
	return NONE;
}

static bool is_unattached(int number) {
	return !buffer_model_is_attached(number);
}

static bool is_unmapped(int number) {
	return !buffer_model_is_mapped(number);
}

static bool is_no_view(int number) {
	return !buffer_model_is_view(number);
}

static bool is_no_fd(int number) {
	return !buffer_model_is_fd(number);
}

static bool is_unknown(int number) {
	return !buffer_model_is_known(number);
}

static bool has_local(int device) {
	return buffer_model_is_open(device) && buffer_model_get_traits(device)->has_local;
}

static unsigned flag(int chance, unsigned how) {
	return history_percent(chance) ? how : 0;
}

/* Mostly both. */
static int fill_usage(void) {
	return history_percent(70) ? BUFFER_MODEL_BOTH : history_below(BUFFER_MODEL_BOTH + 1);
}

static void fill_parts(struct history_step *step) {
	step->number = history_random() & UINT32_MAX;
	for (int i = 1; i < HISTORY_LIST; i++) {
		step->list[i] = history_below(BUFFER_MODEL_BYTES);
	}
	if (history_percent(30)) {
		step->list[1] = 0;
		step->list[2] = BUFFER_MODEL_BYTES - 1;
	}
}

static void fill_open(struct history_step *step) {
	/* Mostly those between which there are moves. */
	static const int chosen[] = { 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 5, 6, 6 };
	step->a = pick(DEVICES, buffer_model_is_device_free);
	step->b = chosen[history_below((int)(sizeof(chosen) / sizeof(chosen[0])))];
	step->number = history_random() % 1000;
	/* Most rounds have no threads at all. */
	static enum { UNDECIDED, QUIET, MIXED } kind = UNDECIDED;
	if (kind == UNDECIDED) {
		kind = history_percent(60) ? QUIET : MIXED;
	}
	step->how = kind == QUIET || history_percent(30) ? HOW_DETERMINISTIC : 0;
}

static void fill_buffer(struct history_step *step) {
	step->a = pick(BUFFERS, is_unknown);
	step->c = history_percent(70) ? NONE : history_below(RESVS);
	step->count = (size_t)(1 + history_below(BUFFER_MODEL_PAGES)) * PAGE;
	step->number = history_random() & UINT32_MAX;
	if (step->kind == STEP_CREATE) {
		step->b = pick(DEVICES, buffer_model_is_open);
		step->count -= (size_t)history_below(3);
		return;
	}
	step->b = history_percent(50) ? BUFFER_MODEL_PLAIN : BUFFER_MODEL_FILE;
	step->how = flag(15, HOW_READ_ONLY) | flag(40, HOW_TWO_PIECES);
	if (step->b == BUFFER_MODEL_PLAIN) {
		step->count -= (size_t)(history_percent(30) ? history_below(PAGE - 4) : 0);
	}
}

/* Often the one that made the buffer: others may have it leave its memory. */
static int pick_device(int buffer) {
	int owner = buffer == NONE ? NONE : buffer_model_device(buffer);
	bool is_there = owner != NONE && buffer_model_is_open(owner);
	return is_there && history_percent(50) ? owner : pick(DEVICES, buffer_model_is_open);
}

static void fill_attach(struct history_step *step) {
	step->a = pick(ATTACHMENTS, is_unattached);
	step->b = pick(BUFFERS, is_usable);
	step->c = pick(DEVICES, buffer_model_is_open);
	step->list[0] =
		history_percent(70) ? BUFFER_MODEL_DYNAMIC : history_below(BUFFER_MODEL_DEAF + 1);
	step->list[1] = fill_usage();
	step->how = flag(2, HOW_MISTAKEN) | flag(4, HOW_VETO) | flag(15, HOW_LOW) |
		flag(15, HOW_SINGLE);
}

static void fill_map(struct history_step *step) {
	step->a = pick(MAPS, is_unmapped);
	step->b = pick(ATTACHMENTS, buffer_model_is_attached);
	step->c = history_percent(60) ? BUFFER_MODEL_BIDIRECTIONAL
				      : history_below(BUFFER_MODEL_NO_DIRECTION + 1);
	step->how = flag(50, HOW_LOCKED) | flag(2, HOW_MISTAKEN) | flag(20, HOW_POLLS);
}

static void fill_view(struct history_step *step) {
	step->a = pick(VIEWS, is_no_view);
	step->b = pick(BUFFERS, is_usable);
	step->c = fill_usage();
	step->list[0] = history_below(BUFFER_MODEL_PAGES);
	step->list[1] = history_below(BUFFER_MODEL_PAGES + 1);
	if (step->list[1] == 0) {
		step->list[0] = 0;
	}
	step->how = flag(50, HOW_LOCKED);
}

static void fill_access(struct history_step *step) {
	static const int ways[] = { WAY_VIEW, WAY_VIEW, WAY_MMAP, WAY_VMAP, WAY_KMAP, WAY_FD,
		WAY_OWN };
	fill_parts(step);
	step->a = pick(BUFFERS, buffer_model_is_known);
	step->b = ways[history_below((int)(sizeof(ways) / sizeof(ways[0])))];
	step->c = 1 + history_below(BUFFER_MODEL_BOTH);
	step->how = flag(50, HOW_RANGE);
	if (step->b == WAY_VIEW) {
		step->list[0] = pick(VIEWS, buffer_model_is_view);
		step->a = step->list[0] == NONE ? NONE : buffer_model_view_buffer(step->list[0]);
	} else if (step->b == WAY_FD) {
		step->list[0] = pick(FDS, buffer_model_is_fd);
		step->a = step->list[0] == NONE ? NONE : buffer_model_fd_buffer(step->list[0]);
	}
}

static void fill_work(struct history_step *step) {
	fill_parts(step);
	step->b = pick(BUFFERS, is_usable);
	step->c = pick(BUFFERS, is_usable);
	step->a = pick_device(step->b);
}

static void fill_at(struct history_step *step) {
	fill_parts(step);
	step->a = pick(MAPS, buffer_model_is_mapped);
	for (int tries = 0; step->kind == STEP_COPY_AT && tries < MAPS; tries++) {
		step->b = pick(MAPS, buffer_model_is_mapped);
		if (step->b != NONE && map_device(step->b) == map_device(step->a) &&
			map_buffer(step->b) != map_buffer(step->a)) {
			break;
		}
	}
}

static void fill_fd(struct history_step *step) {
	step->c = fill_usage();
	if (step->kind == STEP_EXPORT_FD) {
		step->c = history_percent(40) ? BUFFER_MODEL_READ : step->c;
		step->a = pick(FDS, is_no_fd);
		step->b = pick(BUFFERS, is_usable);
		step->how = flag(4, HOW_MISTAKEN);
		return;
	}
	step->a = pick(FDS, buffer_model_is_fd);
	step->b = pick(DEVICES, buffer_model_is_open);
	if (step->a != NONE && !buffer_model_fd_is_writable(step->a) && history_percent(60)) {
		step->c = BUFFER_MODEL_READ;
	}
}

/* To leave attachments or mappings behind is a mistake, which is made now and then. */
static bool is_left_behind(const struct history_step *step) {
	if (step->kind == STEP_DETACH) {
		for (int i = 0; i < MAPS; i++) {
			if (buffer_model_is_mapped(i) && map_buffer(i) >= 0 &&
				buffer_model_map_attachment(i) == step->a) {
				return true;
			}
		}
		return buffer_model_pins(step->a) > 0;
	}
	for (int i = 0; i < ATTACHMENTS; i++) {
		if (buffer_model_attachment_buffer(i) == step->a &&
			buffer_model_refs(step->a) == 1) {
			return true;
		}
	}
	return false;
}

static bool fill_one(struct history_step *step) {
	switch (step->kind) {
	case STEP_DETACH:
	case STEP_PIN:
	case STEP_UNPIN:
		step->a = pick(ATTACHMENTS, buffer_model_is_attached);
		step->how = flag(step->kind == STEP_PIN ? 5 : 0, HOW_MISTAKEN);
		break;
	case STEP_UNMAP:
		step->a = pick(MAPS, buffer_model_is_mapped);
		step->how = flag(50, HOW_LOCKED);
		break;
	case STEP_CLOSE:
		step->a = pick(FDS, buffer_model_is_fd);
		break;
	case STEP_UNVIEW:
		step->a = pick(VIEWS, buffer_model_is_view);
		step->how = flag(50, HOW_LOCKED);
		break;
	case STEP_DESTROY:
		step->a = pick(DEVICES, buffer_model_is_open);
		break;
	case STEP_DEFRAGMENT:
		step->a = pick(DEVICES, history_percent(90) ? has_local : buffer_model_is_open);
		break;
	case STEP_MISTAKE:
		step->a = pick(BUFFERS, is_usable);
		step->b = history_below(ATTACHMENTS);
		step->c = history_below(MISTAKES);
		break;
	case STEP_OPEN_GATE:
		step->how = flag(20, HOW_FAILS);
		break;
	case STEP_IMPORT:
	case STEP_POLL:
	case STEP_REF:
	case STEP_UNREF:
	case STEP_MOVE:
		step->a = pick(BUFFERS, is_usable);
		step->b = pick(DEVICES, buffer_model_is_open);
		step->c = step->kind == STEP_POLL ? history_below(4) : fill_usage();
		break;
	default:
		break;
	}
	bool leaves = step->kind == STEP_DETACH || step->kind == STEP_UNREF;
	return step->a != NONE && (!leaves || !is_left_behind(step) || history_percent(5));
}

/* In some rounds the CPU looks rarely, for to look is to wait, and to have caches written back. */
static bool is_looked_away(void) {
	static enum { UNDECIDED, RARELY, OFTEN } kind = UNDECIDED;
	if (kind == UNDECIDED) {
		kind = history_percent(40) ? RARELY : OFTEN;
	}
	return kind == RARELY && history_percent(85);
}

/* Before a device has used it: that would decide where it is, as a rule too early to be interesting. */
static bool is_too_early(const struct history_step *step) {
	int buffer = step->kind == STEP_ACCESS ? step->a : step->b;
	bool is_need = step->kind == STEP_ACCESS || step->kind == STEP_MMAP ||
		step->kind == STEP_VMAP || step->kind == STEP_EXPORT_FD;
	return is_need && buffer_model_place(buffer) == BUFFER_MODEL_NOWHERE && history_percent(85);
}

static bool step_fill(struct history_step *step) {
	if ((step->kind == STEP_ACCESS || step->kind == STEP_POLL) && is_looked_away()) {
		return false;
	}
	switch (step->kind) {
	case STEP_OPEN:
		fill_open(step);
		break;
	case STEP_CREATE:
	case STEP_EXPORT:
		fill_buffer(step);
		break;
	case STEP_ATTACH:
		fill_attach(step);
		break;
	case STEP_MAP:
		fill_map(step);
		break;
	case STEP_EXPORT_FD:
	case STEP_IMPORT_FD:
		fill_fd(step);
		break;
	case STEP_MMAP:
	case STEP_VMAP:
		fill_view(step);
		break;
	case STEP_ACCESS:
		fill_access(step);
		break;
	case STEP_FILL:
	case STEP_COPY:
		fill_work(step);
		break;
	case STEP_FILL_AT:
	case STEP_COPY_AT:
		fill_at(step);
		break;
	default:
		return fill_one(step);
	}
	bool has_free_c = step->kind == STEP_CREATE || step->kind == STEP_EXPORT;
	return step->a != NONE && step->b != NONE && (has_free_c || step->c != NONE) &&
		!is_too_early(step);
}

static const struct history_kind kinds[STEP_KINDS] = {
	[STEP_OPEN] = { "open", 60, do_open, open_fits },
	[STEP_DESTROY] = { "destroy", 4, do_destroy, destroy_fits },
	[STEP_CREATE] = { "create", 90, do_create, create_fits },
	[STEP_EXPORT] = { "export", 25, do_export, export_fits },
	[STEP_REF] = { "ref", 2, do_ref, buffer_fits },
	[STEP_UNREF] = { "unref", 90, do_unref, unref_fits },
	[STEP_ATTACH] = { "attach", 70, do_attach, attach_fits },
	[STEP_DETACH] = { "detach", 100, do_detach, attached_fits },
	[STEP_MAP] = { "map", 60, do_map, map_fits },
	[STEP_UNMAP] = { "unmap", 120, do_unmap, mapped_fits },
	[STEP_PIN] = { "pin", 6, do_pin, pin_fits },
	[STEP_UNPIN] = { "unpin", 40, do_unpin, unpin_fits },
	[STEP_EXPORT_FD] = { "export_fd", 5, do_export_fd, export_fd_fits },
	[STEP_IMPORT_FD] = { "import_fd", 14, do_import_fd, import_fd_fits },
	[STEP_IMPORT] = { "import", 2, do_import, import_fits },
	[STEP_CLOSE] = { "close", 12, do_close, fd_fits },
	[STEP_MMAP] = { "mmap", 8, do_mmap, view_fits },
	[STEP_VMAP] = { "vmap", 8, do_vmap, view_fits },
	[STEP_UNVIEW] = { "munmap or vunmap", 60, do_unview, unview_fits },
	[STEP_POLL] = { "begin_cpu_access", 15, do_poll, buffer_fits },
	[STEP_ACCESS] = { "cpu_access", 110, do_access, access_fits },
	[STEP_FILL] = { "fill", 55, do_work, work_fits },
	[STEP_COPY] = { "copy", 55, do_work, work_fits },
	[STEP_FILL_AT] = { "fill_address", 40, do_fill_at, fill_at_fits },
	[STEP_COPY_AT] = { "copy_address", 30, do_copy_at, copy_at_fits },
	[STEP_MOVE] = { "move", 8, do_move, move_fits },
	[STEP_DEFRAGMENT] = { "defragment", 25, do_defragment, device_fits },
	[STEP_MISTAKE] = { "mistake", 6, do_mistake, mistake_fits },
	[STEP_CLOSE_GATE] = { "close the gate", 10, do_close_gate, close_gate_fits },
	[STEP_OPEN_GATE] = { "open the gate", 25, do_open_gate, open_gate_fits },
};

/* Make one step a plainer one. */
static void step_simplify(struct history_step *step, int way) {
	if (way == 0) {
		step->how &= HOW_DETERMINISTIC;
	} else if (way == 1) {
		step->list[1] = step->kind == STEP_ATTACH ? BUFFER_MODEL_BOTH : 0;
	} else if (way == 2 && step->kind == STEP_OPEN) {
		step->how = HOW_DETERMINISTIC;
	} else if (way == 3 && step->kind == STEP_OPEN) {
		step->b = 0;
	} else if (way == 3 && (step->kind == STEP_CREATE || step->kind == STEP_EXPORT)) {
		step->count = PAGE;
	}
}

/* ---- Rounds ------------------------------------------------------------------------------- */

static int count_fds(void) {
	int count = 0;
	for (int fd = 0; fd < MAX_FDS; fd++) {
		count += fcntl(fd, F_GETFD) >= 0;
	}
	return count;
}

/* What is allocated once, for good: the one stub, the one machine's frames. */
static void warm_up(void) {
	struct stile_device *device;
	struct stile_buffer *buffer;
	struct stile_buffer_info info = { .size = sizeof(info), .bytes = PAGE };
	struct stile_map map;
	must(stile_device_open("swgpu", NULL, &device), "stile_device_open");
	must(stile_buffer_create(device, &info, &buffer), "create");
	must(stile_buffer_vmap_unlocked(buffer, &map), "vmap");
	stile_buffer_vunmap_unlocked(buffer, &map);
	stile_buffer_unref(buffer);
	stile_device_destroy(device);
	stile_fence_unref(stile_fence_get_stub());
}

static void world_begin(void) {
	twin_begin();
	warm_up();
	for (int i = 0; i < RESVS; i++) {
		stile_resv_init(&resvs[i]);
	}
	blocks_at_first = blocks_count();
	fds_at_first = count_fds();
}

static void do_all(int kind, int count) {
	for (int i = 0; i < count; i++) {
		struct history_step step = { .kind = kind, .a = i };
		while (kinds[kind].fits(&step)) {
			history_do(&step);
		}
	}
}

/* By whatever way there is. */
static void check_all(void) {
	for (int i = 0; i < BUFFERS; i++) {
		bool is_plain = buffer_model_origin(i) == BUFFER_MODEL_PLAIN;
		struct history_step step = { .kind = STEP_ACCESS, .a = i, .c = BUFFER_MODEL_READ };
		step.b = is_plain ? WAY_OWN : WAY_VMAP;
		step.list[2] = BUFFER_MODEL_BYTES - 1;
		if (access_fits(&step)) {
			history_do(&step);
		}
	}
}

static bool are_blocks_gone(void) {
	return blocks_count() == blocks_at_first;
}

/* Give everything back: nothing may be left then. */
static void world_end(void) {
	do_all(STEP_OPEN_GATE, 1);
	check_all();
	do_all(STEP_UNMAP, MAPS);
	do_all(STEP_UNPIN, ATTACHMENTS);
	do_all(STEP_DETACH, ATTACHMENTS);
	do_all(STEP_UNVIEW, VIEWS);
	check_all();
	do_all(STEP_UNREF, BUFFERS);
	do_all(STEP_CLOSE, FDS);
	do_all(STEP_DESTROY, DEVICES);
	for (int i = 0; i < RESVS; i++) {
		stile_resv_fini(&resvs[i]);
	}
	if (!until(are_blocks_gone)) {
		history_differ("%ld objects are left at the end", blocks_count() - blocks_at_first);
	}
	if (count_fds() != fds_at_first) {
		history_differ("%d descriptors are left at the end", count_fds() - fds_at_first);
	}
}

static const struct history_world world = {
	.rounds = ROUNDS,
	.kind_count = STEP_KINDS,
	.kinds = kinds,
	.begin = world_begin,
	.fill = step_fill,
	.compare = compare_world,
	.end = world_end,
	.print = step_print,
	.simplify = step_simplify,
};

/* Wrong code: any answer of buffers, attachments or the software GPU's memory that the headers do not allow. */
START_TEST(library_does_what_the_model_does) {
	ck_assert_msg(history_agrees(&world, false),
		"STILE_TEST_SEED=0x%" PRIx64 ": they differ: %s", runner_seed(),
		history_difference());
}
END_TEST

/* Wrong code: a comparison that sees nothing; a shrinker that stops early or loses the fault. */
START_TEST(wrong_answer_is_found_and_made_short) {
	lies = true;
	bool agree = history_agrees(&world, true);
	lies = false;
	ck_assert(!agree);
	/* A device, a buffer, a fill that is forgotten, and a look; not always the least. */
	ck_assert_msg(
		history_length() >= 3 && history_length() <= 20, "%zu steps", history_length());
}
END_TEST

static Suite *suite(void) {
	Suite *made = suite_create("buffer_model");
	TCase *tcase = ledger_tcase_create("histories");
	tcase_set_timeout(tcase, 0);
	tcase_add_test(tcase, library_does_what_the_model_does);
	tcase_add_test(tcase, wrong_answer_is_found_and_made_short);
	suite_add_tcase(made, tcase);
	return made;
}

int main(int argc, char **argv) {
	if (!history_setup()) {
		return EXIT_FAILURE;
	}
	return runner_main(argc, argv, suite, NULL);
}
