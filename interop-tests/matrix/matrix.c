/* SPDX-License-Identifier: MIT */
#include "interop-tests/matrix/matrix.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "demos/pass.h"
#include "interop-tests/interop/images.h"
#include "interop-tests/interop/require.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"

static const struct matrix *matrix;
static struct workshop here, opposite; /* who paints; who looks, in this process */
static struct stile_device *memory;    /* makes the images */
static pid_t peer;                     /* who looks, in the other process */
static int to_peer;
static struct table table;

/* One picture that somebody paints for somebody. */
struct trial {
	size_t producer, consumer, format; /* by number */
	const struct sheet *sheet;
	bool is_apart; /* each plane of it in memory of its own */
	unsigned processes;
	bool waits;
};

enum outcome { RIGHT, WRONG, NOT_PAINTED, NOT_TAKEN };

/* ---- The other process -------------------------------------------------------------------- */

struct order {
	uint32_t consumer;
	uint32_t waits;
};

struct answer {
	/* The first answer tells no more than this, and that what looks is submitted. */
	uint32_t taken;
	struct sight sight;
};

static struct answer answer;

static void send_answer(int socket) {
	require(pass_send(socket, &answer, sizeof(answer), NULL, 0) == 0);
}

static void tell_submitted(void *user) {
	int *socket = user;
	answer.taken = true;
	send_answer(*socket);
}

static void obey(struct workshop *workshop, int socket, const struct order *order) {
	struct look look = {
		.waits = order->waits != 0,
		.submitted = tell_submitted,
		.user = &socket,
		.sight.path = { .size = sizeof(look.sight.path) },
	};
	require(pass_receive_image(socket, workshop->device, &look.image) == 0);
	answer = (struct answer){ 0 };
	if (!matrix->consumers[order->consumer]->look(workshop, &look)) {
		send_answer(socket);
	}
	answer.sight = look.sight;
	send_answer(socket);
	stile_image_unref(look.image);
}

static int play_consumer(void) {
	int socket = RUNNER_FIRST_FD, fds[PASS_MAX_FDS];
	size_t count;
	struct workshop workshop;
	struct order order;
	workshop_open(&workshop, !matrix->is_in_guest, true);
	while (pass_receive(socket, &order, sizeof(order), fds, &count) == 0) {
		obey(&workshop, socket, &order);
	}
	gles_close(&workshop);
	workshop_close(&workshop);
	return EXIT_SUCCESS;
}

static void receive_answer(void) {
	int fds[PASS_MAX_FDS];
	size_t count;
	ck_assert_int_eq(pass_receive(to_peer, &answer, sizeof(answer), fds, &count), 0);
}

/* The gate is open afterwards. */
static bool look_there(struct painting *painting, size_t consumer, struct look *look) {
	const struct order order = { .consumer = (uint32_t)consumer, .waits = look->waits };
	ck_assert_int_eq(pass_send(to_peer, &order, sizeof(order), NULL, 0), 0);
	ck_assert_int_eq(pass_send_image(to_peer, painting->image), 0);
	gate_open_later(&painting->gate);
	receive_answer();
	gate_submitted(&painting->gate);
	gate_join(&painting->gate);
	bool taken = answer.taken != 0;
	receive_answer();
	look->sight = answer.sight;
	return taken;
}

/* ---- One trial ----------------------------------------------------------------------------- */

static void submitted_here(void *user) {
	gate_submitted(user);
}

/* The gate is open afterwards. */
static bool look_here(struct painting *painting, size_t consumer, struct look *look) {
	look->submitted = submitted_here;
	look->user = &painting->gate;
	gate_open_later(&painting->gate);
	bool taken = matrix->consumers[consumer]->look(&opposite, look);
	if (!taken) {
		gate_submitted(&painting->gate);
	}
	gate_join(&painting->gate);
	return taken;
}

static void wait_until_painted(struct stile_image *image) {
	struct stile_fence *painted = images_get_work(image);
	ck_assert_int_eq(
		stile_fence_wait(painted, runner_clock_ns() + 30 * (int64_t)1000000000), 0);
	ck_assert_int_eq(stile_fence_get_status(painted), 1);
	stile_fence_unref(painted);
}

static enum outcome run(const struct trial *trial, struct painting *painting, struct look *look) {
	const struct producer *producer = matrix->producers[trial->producer];
	if (!producer->begin(&here, painting)) {
		return NOT_PAINTED;
	}
	bool taken = trial->processes == 1 ? look_here(painting, trial->consumer, look)
					   : look_there(painting, trial->consumer, look);
	wait_until_painted(painting->image);
	if (producer->end != NULL) {
		producer->end(&here, painting);
	}
	if (!taken) {
		return NOT_TAKEN;
	}
	return sheet_is_right(painting->sheet, &look->sight) ? RIGHT : WRONG;
}

static void note_refusal(struct table_actor *actor, size_t format, const char *why) {
	char *first = actor->why[stile_format_get_nth(format)->is_yuv];
	ck_assert_str_ne(why, "");
	actor->refuses[format] = true;
	if (first[0] == '\0') {
		snprintf(first, sizeof(actor->why[0]), "%s", why);
	}
}

static void note_way(struct table_actor *actor, size_t format, enum table_way way) {
	ck_assert(actor->takes[format] == TABLE_NO || actor->takes[format] == way);
	actor->takes[format] = way;
}

static void note(const struct trial *trial, enum outcome outcome, const struct painting *painting,
	const struct look *look) {
	struct table_actor *producer = &table.producers[trial->producer];
	struct table_actor *consumer = &table.consumers[trial->consumer];
	struct table_cell *cell =
		&table.cells[trial->producer][trial->consumer][trial->processes - 1];
	if (outcome == NOT_PAINTED) {
		note_refusal(producer, trial->format, painting->why);
	} else if (outcome == NOT_TAKEN) {
		note_refusal(consumer, trial->format, look->sight.why);
	} else if (look->waits) {
		note_way(producer, trial->format, painting->way);
		note_way(consumer, trial->format, look->sight.way);
		cell->right[painting->sheet->format->is_yuv] += !trial->is_apart;
		/* It was painted before the thread came to wait, if that was long on its way. */
		bool was_late = look->sight.path.kind == STILE_PATH_NONE;
		cell->paths |= was_late ? 0 : 1u << look->sight.path.kind;
	}
}

static struct stile_image *create_image(const struct stile_format *format, bool is_apart) {
	const struct stile_colour colour =
		format->is_yuv ? sheet_colour : (struct stile_colour){ 0 };
	return (is_apart ? images_create_apart : images_create_coloured)(
		memory, matrix->width, matrix->height, format->fourcc, colour);
}

static void check(const struct trial *trial, enum outcome outcome) {
	ck_assert_msg(outcome != (trial->waits ? WRONG : RIGHT),
		"%s%s, %s to %s, %u process%s: the picture is %s", trial->sheet->format->name,
		trial->is_apart ? " with its planes apart" : "",
		matrix->producers[trial->producer]->name, matrix->consumers[trial->consumer]->name,
		trial->processes, trial->processes == 1 ? "" : "es",
		trial->waits ? "wrong" : "right, though nobody waited");
}

static enum outcome run_trial(const struct trial *trial) {
	struct painting painting = {
		.sheet = trial->sheet,
		.image = create_image(trial->sheet->format, trial->is_apart),
	};
	struct look look = {
		.image = painting.image,
		.waits = trial->waits,
		.sight.path = { .size = sizeof(look.sight.path) },
	};
	gate_init(&painting.gate);
	if (!trial->waits) {
		/* They have looked when they say so. */
		painting.gate.delay_ms = 0;
	}
	enum outcome outcome = run(trial, &painting, &look);
	check(trial, outcome);
	note(trial, outcome, &painting, &look);
	stile_fence_unref(painting.gate.fence);
	stile_image_unref(painting.image);
	return outcome;
}

/* ---- Tests -------------------------------------------------------------------------------- */

/* What is refused, is so in two processes, too. */
static enum outcome run_memory(struct trial trial) {
	enum outcome outcomes[2];
	for (trial.processes = 1; trial.processes <= 2; trial.processes++) {
		trial.waits = true;
		outcomes[trial.processes - 1] = run_trial(&trial);
		trial.waits = false;
		if (outcomes[trial.processes - 1] == RIGHT) {
			run_trial(&trial);
		}
	}
	ck_assert_int_eq(outcomes[0], outcomes[1]);
	return outcomes[0];
}

/* Where its planes are makes no difference. */
static void run_format(size_t producer, size_t consumer, size_t format) {
	const struct stile_format *known = stile_format_get_nth(format);
	struct sheet sheet;
	struct trial trial = {
		.producer = producer,
		.consumer = consumer,
		.format = format,
		.sheet = &sheet,
	};
	sheet_make(known, &sheet);
	enum outcome together = run_memory(trial);
	trial.is_apart = true;
	if (matrix->is_tried(known, matrix->producers[producer], true)) {
		ck_assert_int_eq(run_memory(trial), together);
	}
}

/*
 * Wrong code: a fence that one side does not hear of, or is taken for signalled; a barrier or layout that loses pixels;
 * one plane's buffer or offset taken for another's; and a test in which nobody has to wait.
 */
START_TEST(picture_is_right_if_and_only_if_waited_for) {
	size_t producer = (size_t)_i / matrix->consumer_count,
	       consumer = (size_t)_i % matrix->consumer_count;
	const struct stile_format *format;
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		if (matrix->is_tried(format, matrix->producers[producer], false)) {
			run_format(producer, consumer, i);
		}
	}
	/* An empty place in the matrix would be no proof of anything. */
	const struct table_cell *cells = table.cells[producer][consumer];
	ck_assert(cells[0].right[0] > 0 ||
		(matrix->is_in_guest && matrix->producers[producer] == &gles_draws));
	/* Nor of YUV; but painters of planes may make none of those that drivers take as external textures. */
	ck_assert(cells[0].right[1] > 0 || matrix->is_in_guest ||
		matrix->consumers[consumer] == &gles_samples_external);
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(cells[0].right[i], cells[1].right[i]);
	}
}
END_TEST

/* ---- Before and after --------------------------------------------------------------------- */

static void name_actors(void) {
	table.producer_count = (unsigned)matrix->producer_count;
	table.consumer_count = (unsigned)matrix->consumer_count;
	for (size_t i = 0; i < matrix->producer_count; i++) {
		table.producers[i].name = matrix->producers[i]->name;
	}
	for (size_t i = 0; i < matrix->consumer_count; i++) {
		table.consumers[i].name = matrix->consumers[i]->name;
	}
	table.is_in_guest = matrix->is_in_guest;
}

static void name_drivers(void) {
	VkPhysicalDeviceDriverProperties driver = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES,
	};
	VkPhysicalDeviceProperties2 device = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
		.pNext = &driver,
	};
	vkGetPhysicalDeviceProperties2(here.vulkan.physical_device, &device);
	gles_enter(&here);
	snprintf(table.machine, sizeof(table.machine), "Vulkan: %s, %s; EGL: %s, %s.",
		driver.driverName, driver.driverInfo, (const char *)glGetString(GL_RENDERER),
		(const char *)glGetString(GL_VERSION));
}

static void close_contexts(void) {
	gles_close(&here);
	gles_close(&opposite);
}

/* What drivers keep from their first context on is there before the ledger looks. */
static void warm_up(void) {
	if (!matrix->is_in_guest) {
		gles_enter(&opposite);
	}
	name_drivers();
	close_contexts();
}

static void open_all(void) {
	int ends[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	to_peer = ends[0];
	peer = runner_spawn("consumer", &ends[1], 1);
	close(ends[1]);
	workshop_open(&opposite, !matrix->is_in_guest, true);
	workshop_open(&here, true, false);
	name_actors();
	warm_up();
}

/* It watches for the kernel's fences from the first one on. */
static void open_memory(void) {
	ck_assert_int_eq(stile_device_open(matrix->memory, NULL, &memory), 0);
}

static void close_memory(void) {
	stile_device_destroy(memory);
}

static void print_table(void) {
	const char *path = getenv("STILE_MATRIX");
	FILE *to = path == NULL ? stdout : fopen(path, "w");
	ck_assert_ptr_nonnull(to);
	table_print(&table, to);
	if (path != NULL) {
		ck_assert_int_eq(fclose(to), 0);
	}
}

static void close_all(void) {
	close(to_peer);
	ck_assert_int_eq(runner_reap(peer), 0);
	print_table();
	workshop_close(&here);
	workshop_close(&opposite);
}

static Suite *make_suite(void) {
	Suite *suite = suite_create("matrix");
	TCase *tcase = tcase_create("pairs");
	tcase_set_timeout(tcase, 120);
	tcase_add_unchecked_fixture(tcase, open_all, close_all);
	tcase_add_checked_fixture(tcase, ledger_open, ledger_close);
	tcase_add_checked_fixture(tcase, open_memory, close_memory);
	tcase_add_checked_fixture(tcase, NULL, close_contexts);
	tcase_add_loop_test(tcase, picture_is_right_if_and_only_if_waited_for, 0,
		(int)(matrix->producer_count * matrix->consumer_count));
	suite_add_tcase(suite, tcase);
	return suite;
}

int matrix_main(int argc, char **argv, const struct matrix *chosen) {
	matrix = chosen;
	static const struct runner_role roles[] = { { "consumer", play_consumer }, { 0 } };
	return runner_main(argc, argv, make_suite, roles);
}
