/* SPDX-License-Identifier: MIT */
/*
 * The fence is what makes the picture right. For each hop: the producer is held at a gate, the
 * consumer is submitted behind the fence, then the gate is opened, and the picture has to be right.
 * The same with the consumer's wait left out, everything else equal: the picture has to be wrong.
 * A fence that does not hold, of whatever kind, fails the first; a test that proves nothing, the
 * second.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stile/carrier.h>
#include <stile/swgpu.h>
#include <stile/wait.h>

#include "demos/gles_drawer.h"
#include "demos/job.h"
#include "demos/pass.h"
#include "demos/vulkan_drawer.h"
#include "interop-tests/interop/gate.h"
#include "interop-tests/interop/gl_hold.h"
#include "interop-tests/interop/images.h"
#include "interop-tests/interop/require.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Which hop's producer is held; HOP_UPLOAD has none: nothing is held. */
struct variant {
	const char *name;
	int held;
	bool skip_wait;
};

static const struct variant variants[] = {
	{ "nothing held", HOP_UPLOAD, false },
	{ "swgpu held, Vulkan waits", HOP_VULKAN, false },
	{ "swgpu held, Vulkan does not wait", HOP_VULKAN, true },
	{ "Vulkan held, GLES waits", HOP_GLES, false },
	{ "Vulkan held, GLES does not wait", HOP_GLES, true },
	{ "GLES held, the CPU waits", HOP_CPU, false },
	{ "GLES held, the CPU does not wait", HOP_CPU, true },
};

static const struct {
	uint32_t width, height;
} sizes[] = {
	{ 512, 512 },
	{ 200, 100 }, /* pitch is not width */
	{ 1920, 1080 },
	{ 67, 13 },
};

struct scene {
	const struct variant *variant;
	struct picture picture;
	struct job job;
	struct gate gate;
	struct stile_image *hold; /* the memory that GL is held by */
};

static bool scene_skips(const struct scene *scene, int hop) {
	return scene->variant->skip_wait && scene->variant->held == hop;
}

static bool scene_holds(const struct scene *scene, int hop) {
	return scene->variant->held == hop;
}

static void scene_init(struct scene *scene, const struct variant *variant) {
	scene->variant = variant;
	ck_assert_int_eq(job_init(&scene->job, &scene->picture, NULL), 0);
	gate_init(&scene->gate);
	scene->hold = gl_hold_create_image(scene->job.device);
	if (variant->held == HOP_CPU) {
		scene->gate.open = gl_hold_open;
		scene->gate.user = scene->hold;
	}
}

static void scene_finish(struct scene *scene) {
	stile_image_unref(scene->hold);
	job_finish(&scene->job);
	stile_fence_unref(scene->gate.fence);
	picture_finish(&scene->picture);
}

static void wait_until_done(struct stile_fence *fence) {
	ck_assert_int_eq(stile_fence_wait(fence, job_deadline()), 0);
	ck_assert_int_eq(stile_fence_get_status(fence), 1);
}

/* The gate is closed: what is behind it cannot be done, or the fence lies. */
static void assert_held(struct stile_fence *fence) {
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
}

/* ---- Each hop ----------------------------------------------------------------------------- */

/*
 * Who waits draws as the demo does, by accesses: what it waits for is in the reservations alone. Who
 * does not wait draws the same without them.
 */

static void upload(struct scene *scene) {
	if (scene_holds(scene, HOP_VULKAN)) {
		ck_assert_int_eq(stile_swgpu_gate(scene->job.device, scene->gate.fence, NULL), 0);
	}
	ck_assert_int_eq(job_upload(&scene->job), 0);
}

/* The fence of the work on B. */
static struct stile_fence *draw_vulkan(struct scene *scene, struct vulkan_drawer *drawer) {
	struct job *job = &scene->job;
	struct hop *hop = &job->hops[HOP_VULKAN];
	struct stile_fence *drawn;
	upload(scene);
	struct stile_fence *uploaded = images_get_work(job->a);
	if (scene_holds(scene, HOP_GLES)) {
		/* Somebody still reads B, for whom Vulkan waits. */
		images_add_work(job->b, STILE_USAGE_READ, scene->gate.fence);
	}
	if (scene_skips(scene, HOP_VULKAN)) {
		ck_assert_int_eq(vulkan_drawer_draw(drawer, &transform_vulkan, &drawn), 0);
		wait_until_done(drawn);
	} else {
		ck_assert_int_eq(job_draw(hop, drawer, NULL, job->a, job->b), 0);
		drawn = images_get_work(job->b);
	}
	if (scene_holds(scene, HOP_VULKAN)) {
		assert_held(uploaded);
		if (!scene_skips(scene, HOP_VULKAN)) {
			ck_assert_int_eq(hop->path.kind, STILE_PATH_BRIDGE);
			assert_held(drawn);
		}
		gate_open(&scene->gate);
	}
	stile_fence_unref(uploaded);
	return drawn;
}

/* In this process. `drawn_b` is the work on B, and is consumed. */
static void draw_gles(
	struct scene *scene, struct gles_drawer *drawer, struct stile_fence *drawn_b) {
	struct job *job = &scene->job;
	struct hop *hop = &job->hops[HOP_GLES];
	bool holds = scene_holds(scene, HOP_GLES);
	if (holds) {
		assert_held(drawn_b);
	}
	if (scene_skips(scene, HOP_GLES)) {
		struct stile_fence *drawn;
		ck_assert_int_eq(gles_drawer_draw(drawer, &transform_gles, &drawn), 0);
		wait_until_done(drawn);
		stile_fence_unref(drawn);
		assert_held(drawn_b);
		gate_open(&scene->gate);
	} else {
		if (holds) {
			gate_open_later(&scene->gate);
			gate_submitted(&scene->gate);
		}
		ck_assert_int_eq(job_draw(hop, NULL, drawer, job->b, job->c), 0);
		if (holds) {
			ck_assert_int_eq(hop->path.kind, STILE_PATH_CPU_WAIT);
			ck_assert_int_gt(hop->path.blocked_ns, 0);
			gate_join(&scene->gate);
		}
	}
	/* Vulkan may be drawing still where nobody waited for it. */
	wait_until_done(drawn_b);
	stile_fence_unref(drawn_b);
}

/* True if the picture is right. */
static bool read_cpu(struct scene *scene) {
	struct job *job = &scene->job;
	struct stile_fence *drawn = images_get_work(job->c);
	bool holds = scene_holds(scene, HOP_CPU);
	if (holds) {
		assert_held(drawn);
	}
	if (scene_skips(scene, HOP_CPU)) {
		images_read(job->c, &job->result);
		assert_held(drawn);
		gate_open(&scene->gate);
		wait_until_done(drawn);
	} else {
		if (holds) {
			gate_open_later(&scene->gate);
			gate_submitted(&scene->gate);
		}
		ck_assert_int_eq(job_read(job), 0);
		if (holds) {
			ck_assert_int_eq(job->hops[HOP_CPU].path.kind, STILE_PATH_CPU_WAIT);
			gate_join(&scene->gate);
		}
	}
	stile_fence_unref(drawn);
	unsigned largest = 256;
	ck_assert_int_eq(job_compare(job, &largest), 0);
	return largest <= 1;
}

/* ---- One process -------------------------------------------------------------------------- */

static bool run_here(struct scene *scene) {
	struct vulkan_drawer vulkan;
	struct gles_drawer gles;
	struct gl_hold hold;
	ck_assert_int_eq(vulkan_drawer_init(&vulkan, false), 0);
	ck_assert_int_eq(gles_drawer_init(&gles), 0);
	ck_assert_int_eq(vulkan_drawer_set_images(&vulkan, scene->job.a, scene->job.b), 0);
	ck_assert_int_eq(gles_drawer_set_images(&gles, scene->job.b, scene->job.c), 0);

	struct stile_fence *drawn_b = draw_vulkan(scene, &vulkan);
	if (scene_holds(scene, HOP_CPU)) {
		gl_hold_begin(&hold, &gles, scene->hold);
	}
	draw_gles(scene, &gles, drawn_b);
	bool right = read_cpu(scene);

	if (scene_holds(scene, HOP_CPU)) {
		gl_hold_finish(&hold);
	}
	gles_drawer_finish(&gles);
	vulkan_drawer_finish(&vulkan);
	return right;
}

/* ---- Two processes ------------------------------------------------------------------------ */

/* What the second process is told, and what it tells. */
struct order {
	uint32_t skip_wait;
	uint32_t hold;
};

struct note {
	uint32_t submitted;
};

static void send_order(int socket, const struct scene *scene) {
	struct order order = {
		.skip_wait = scene_skips(scene, HOP_GLES),
		.hold = scene_holds(scene, HOP_CPU),
	};
	ck_assert_int_eq(pass_send(socket, &order, sizeof(order), NULL, 0), 0);
	ck_assert_int_eq(pass_send_image(socket, scene->job.b), 0);
	ck_assert_int_eq(pass_send_image(socket, scene->job.c), 0);
	ck_assert_int_eq(pass_send_image(socket, scene->hold), 0);
}

static void receive_note(int socket) {
	struct note note;
	int fds[PASS_MAX_FDS];
	size_t count;
	ck_assert_int_eq(pass_receive(socket, &note, sizeof(note), fds, &count), 0);
	ck_assert_uint_eq(note.submitted, 1);
	ck_assert_uint_eq(count, 0);
}

static void send_note(int socket) {
	struct note note = { .submitted = 1 };
	require(pass_send(socket, &note, sizeof(note), NULL, 0) == 0);
}

static bool run_with_peer(struct scene *scene) {
	int ends[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	pid_t pid = runner_spawn("gles", &ends[1], 1);
	close(ends[1]);
	send_order(ends[0], scene);

	struct vulkan_drawer vulkan;
	ck_assert_int_eq(vulkan_drawer_init(&vulkan, false), 0);
	ck_assert_int_eq(vulkan_drawer_set_images(&vulkan, scene->job.a, scene->job.b), 0);
	struct stile_fence *drawn_b = draw_vulkan(scene, &vulkan);
	struct stile_image *c;
	ck_assert_int_eq(pass_send_image(ends[0], scene->job.b), 0);
	receive_note(ends[0]);
	if (scene_holds(scene, HOP_GLES)) {
		assert_held(drawn_b);
		gate_open(&scene->gate);
	}
	ck_assert_int_eq(pass_receive_image(ends[0], scene->job.device, &c), 0);
	/* The same memory came back, so it is the same buffer. */
	ck_assert_ptr_eq(stile_image_get_buffer(c, 0), stile_image_get_buffer(scene->job.c, 0));
	stile_image_unref(c);
	wait_until_done(drawn_b);
	stile_fence_unref(drawn_b);
	bool right = read_cpu(scene);

	vulkan_drawer_finish(&vulkan);
	close(ends[0]);
	ck_assert_int_eq(runner_reap(pid), 0);
	return right;
}

/* The second process. */
static int play_gles(void) {
	int socket = RUNNER_FIRST_FD, fds[PASS_MAX_FDS];
	size_t count;
	struct order order;
	struct stile_device *device;
	struct stile_image *b, *c, *hold_image, *b_drawn;
	struct stile_fence *done;
	struct gles_drawer drawer;
	struct gl_hold hold;
	struct hop hop = { 0 };
	require(stile_device_open("swgpu", NULL, &device) == 0);
	require(gles_drawer_init(&drawer) == 0);
	require(pass_receive(socket, &order, sizeof(order), fds, &count) == 0);
	require(pass_receive_image(socket, device, &b) == 0);
	require(pass_receive_image(socket, device, &c) == 0);
	require(pass_receive_image(socket, device, &hold_image) == 0);
	require(gles_drawer_set_images(&drawer, b, c) == 0);
	require(pass_receive_image(socket, device, &b_drawn) == 0);
	require(stile_image_get_buffer(b, 0) == stile_image_get_buffer(b_drawn, 0));

	if (order.hold) {
		gl_hold_begin(&hold, &drawer, hold_image);
	}
	if (order.skip_wait) {
		require(gles_drawer_draw(&drawer, &transform_gles, &done) == 0);
		require(stile_fence_wait(done, job_deadline()) == 0);
		send_note(socket);
	} else {
		send_note(socket);
		require(job_draw(&hop, NULL, &drawer, b, c) == 0);
		done = images_get_work(c);
	}
	require(pass_send_image(socket, c) == 0);
	require(stile_fence_wait(done, job_deadline()) == 0);

	if (order.hold) {
		gl_hold_finish(&hold);
	}
	stile_fence_unref(done);
	gles_drawer_finish(&drawer);
	stile_image_unref(b_drawn);
	stile_image_unref(hold_image);
	stile_image_unref(c);
	stile_image_unref(b);
	stile_device_destroy(device);
	return EXIT_SUCCESS;
}

/* ---- Tests -------------------------------------------------------------------------------- */

/* What drivers open once and keep is not a leak. */
static void warm_drivers_up(void) {
	struct vulkan_drawer vulkan;
	struct gles_drawer gles;
	ck_assert_int_eq(vulkan_drawer_init(&vulkan, false), 0);
	ck_assert_int_eq(gles_drawer_init(&gles), 0);
	gles_drawer_finish(&gles);
	vulkan_drawer_finish(&vulkan);
}

static void check(
	struct scene *scene, const char *picture, const struct variant *variant, bool with_peer) {
	scene_init(scene, variant);
	bool right = with_peer ? run_with_peer(scene) : run_here(scene);
	ck_assert_msg(right == !variant->skip_wait,
		"%s, %ux%u, %d processes, %s: the picture is %s", picture, scene->picture.width,
		scene->picture.height, with_peer ? 2 : 1, variant->name,
		right ? "right, though nobody waited" : "wrong");
	scene_finish(scene);
}

static void check_card(int i, bool with_peer) {
	size_t size = (size_t)i / LENGTH(variants), variant = (size_t)i % LENGTH(variants);
	struct scene scene;
	ck_assert_int_eq(
		picture_draw_test_card(sizes[size].width, sizes[size].height, &scene.picture), 0);
	check(&scene, "test card", &variants[variant], with_peer);
}

START_TEST(test_card_in_one_process_is_right_if_and_only_if_waited_for) {
	check_card(_i, false);
}
END_TEST

START_TEST(test_card_in_two_processes_is_right_if_and_only_if_waited_for) {
	check_card(_i, true);
}
END_TEST

/* A piece of the real picture, of the size that is tried; repeated where it is smaller. */
static void load_real_picture(uint32_t width, uint32_t height, struct picture *out) {
	struct picture whole;
	char why[256] = "";
	int ret = picture_load(getenv("STILE_TEST_PICTURE"), &whole, why);
	ck_assert_msg(ret == 0, "%s", why);
	ck_assert_int_eq(picture_create(width, height, out), 0);
	for (uint32_t y = 0; y < height; y++) {
		for (uint32_t x = 0; x < width; x++) {
			memcpy(picture_at(out, x, y),
				picture_at(&whole, x % whole.width, y % whole.height), 4);
		}
	}
	picture_finish(&whole);
}

static void check_real(int i, bool with_peer) {
	size_t size = (size_t)i / LENGTH(variants), variant = (size_t)i % LENGTH(variants);
	struct scene scene;
	load_real_picture(sizes[size].width, sizes[size].height, &scene.picture);
	check(&scene, "real picture", &variants[variant], with_peer);
}

START_TEST(real_picture_in_one_process_is_right_if_and_only_if_waited_for) {
	check_real(_i, false);
}
END_TEST

START_TEST(real_picture_in_two_processes_is_right_if_and_only_if_waited_for) {
	check_real(_i, true);
}
END_TEST

/* Death is an error for whoever waits, never success, and no hang. */
START_TEST(a_process_that_dies_before_its_drawing_is_done_ends_its_fence_with_an_error) {
	static const struct variant held = { "GLES held", HOP_CPU, false };
	int ends[2];
	struct scene scene;
	struct stile_image *c;
	ck_assert_int_eq(picture_draw_test_card(200, 100, &scene.picture), 0);
	scene_init(&scene, &held);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	pid_t pid = runner_spawn("gles", &ends[1], 1);
	close(ends[1]);
	send_order(ends[0], &scene);
	/* B counts as drawn; it is the drawing of C that never ends. */
	ck_assert_int_eq(pass_send_image(ends[0], scene.job.b), 0);
	receive_note(ends[0]);
	ck_assert_int_eq(pass_receive_image(ends[0], scene.job.device, &c), 0);
	struct stile_fence *drawn_c = images_get_work(c);
	assert_held(drawn_c);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(stile_fence_wait(drawn_c, job_deadline()), 0);
	ck_assert_int_eq(stile_fence_get_status(drawn_c), -EOWNERDEAD);
	ck_assert_int_eq(job_read(&scene.job), -EIO);
	stile_fence_unref(drawn_c);
	ck_assert_int_eq(runner_reap(pid), -SIGKILL);
	stile_image_unref(c);
	close(ends[0]);
	scene_finish(&scene);
}
END_TEST

/* Set by ctest for the test that is about a real picture instead of the card. */
static const char use_real_picture[] = "STILE_TEST_REAL_PICTURE";

static void add_case(Suite *suite, const char *name, const TTest *test) {
	TCase *tcase = tcase_create(name);
	tcase_set_timeout(tcase, 60);
	tcase_add_unchecked_fixture(tcase, warm_drivers_up, NULL);
	tcase_add_checked_fixture(tcase, ledger_open, ledger_close);
	tcase_add_loop_test(tcase, test, 0, (int)(LENGTH(sizes) * LENGTH(variants)));
	suite_add_tcase(suite, tcase);
}

static Suite *make_suite(void) {
	Suite *suite = suite_create("handoff");
	if (getenv(use_real_picture) == NULL) {
		add_case(suite, "card, one process",
			test_card_in_one_process_is_right_if_and_only_if_waited_for);
		add_case(suite, "card, two processes",
			test_card_in_two_processes_is_right_if_and_only_if_waited_for);
		TCase *death = ledger_tcase_create("death");
		tcase_set_timeout(death, 60);
		tcase_add_test(death,
			a_process_that_dies_before_its_drawing_is_done_ends_its_fence_with_an_error);
		suite_add_tcase(suite, death);
	} else {
		add_case(suite, "real picture, one process",
			real_picture_in_one_process_is_right_if_and_only_if_waited_for);
		add_case(suite, "real picture, two processes",
			real_picture_in_two_processes_is_right_if_and_only_if_waited_for);
	}
	return suite;
}

int main(int argc, char **argv) {
	static const struct runner_role roles[] = { { "gles", play_gles }, { NULL, NULL } };
	if (getenv(use_real_picture) != NULL && getenv("STILE_TEST_PICTURE") == NULL) {
		printf("skipped: STILE_TEST_PICTURE does not name a picture; ./run test fetches one\n");
		return RUNNER_SKIP;
	}
	return runner_main(argc, argv, make_suite, roles);
}
