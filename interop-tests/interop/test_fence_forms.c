/* SPDX-License-Identifier: MIT */
/*
 * Every form of fence: fence -> form -> fence, with the producer held until the consumer is there. Forms that need
 * hardware are those of the fakes (support/fake_gpu.h), sync_files those of support/fake_sync_file.h. Prints the
 * table that docs/fence-forms.md shows, and compares.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/access.h>
#include <stile/carrier.h>
#include <stile/check.h>
#include <stile/egl_sync.h>
#include <stile/image.h>
#include <stile/timeline.h>
#include <stile/vulkan_sync.h>
#include <stile/wait.h>

#include "interop-tests/interop/fence_checks.h"
#include "interop-tests/interop/vulkan_fixture.h"
#include "interop-tests/support/fake_egl.h"
#include "interop-tests/support/fake_sync_file.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"

static struct fake_vulkan *other;
static struct stile_vulkan *other_vulkan;
static struct stile_egl *egl;

static void set_up(void) {
	const struct fake_egl_traits egl_traits = {
		.native_fences = true, .semaphores = true, .uuid = has_all.uuid
	};
	start(&has_all);
	fake_egl_create(&egl_traits);
	struct stile_egl_info egl_info = fake_egl_describe();
	other = fake_vulkan_create(&has_all);
	struct stile_vulkan_info vulkan_info = fake_vulkan_describe(other);
	ck_assert_int_eq(stile_vulkan_create(&vulkan_info, NULL, &other_vulkan), 0);
	ck_assert_int_eq(stile_egl_create(&egl_info, NULL, &egl), 0);
}

static void tear_down(void) {
	stile_egl_destroy(egl);
	stile_vulkan_destroy(other_vulkan);
	fake_egl_destroy();
	fake_vulkan_destroy(other);
	stop();
}

/* ---- Producers ------------------------------------------------------------------------------- */

enum producer {
	PROGRAM, /* a fence that a program signals */
	KERNEL,  /* one that the kernel has */
	QUEUE,   /* of work of the Vulkan queue */
	GL,      /* of work of GL */
};

struct gate {
	enum producer producer;
	struct stile_fence *fence;
	size_t leaf;
	VkSemaphore hold;
};

static void gate_close(struct gate *gate, enum producer producer) {
	*gate = (struct gate){ .producer = producer };
	if (producer == PROGRAM) {
		gate->fence = plain_fence_create();
	} else if (producer == KERNEL) {
		gate->fence = kernels_fence(device, &gate->leaf);
	} else if (producer == GL) {
		fake_egl_hold();
		ck_assert_int_eq(stile_egl_fence_create(egl, &gate->fence), 0);
	} else {
		gate->hold = hold_queue();
		ck_assert_int_eq(stile_vulkan_fence_create(vulkan, &gate->fence), 0);
	}
}

/* An error of 0: none. Work of a queue has none to tell. */
static void gate_open(struct gate *gate, int error) {
	if (gate->producer == PROGRAM) {
		if (error != 0) {
			stile_fence_set_error(gate->fence, error);
		}
		stile_fence_signal(gate->fence);
	} else if (gate->producer == KERNEL) {
		fake_sync_file_signal(gate->leaf, error != 0 ? error : 1, 1);
	} else if (gate->producer == GL) {
		fake_egl_let_go();
	} else {
		fake_vulkan_signal(fake, gate->hold, 1);
	}
	plain_fence_finish(gate->fence);
	if (gate->hold != VK_NULL_HANDLE) {
		fake_vulkan_wait_idle(fake);
		fake_vulkan_destroy_semaphore(fake, gate->hold);
	}
	stile_fence_unref(gate->fence);
}

/* ---- Forms ----------------------------------------------------------------------------------- */

/* One fence there and back. */
struct trip {
	struct stile_fence *in;  /* borrowed */
	struct stile_fence *out; /* a new reference */
	struct stile_path to, from;
	/* What has to stay until the end. */
	struct stile_timeline *timeline;
	VkSemaphore semaphore, shared;
	VkFence vk_fence;
	EGLSync sync;
	struct stile_egl_semaphore *gl_semaphore;
};

/* 0, or what keeps it from crossing without the calling thread. */
typedef int (*cross_fn)(struct trip *trip);

static int cross_fd(struct trip *trip, enum stile_fd_kind kind) {
	int fd;
	int ret = stile_fence_export_fd(trip->in, kind,
		kind == STILE_FD_SYNC_FILE ? STILE_FD_ALLOW_SIGNALED : 0, &trip->to, &fd);
	if (ret < 0) {
		return ret;
	}
	ret = stile_fence_import_fd(device, kind, STILE_FD_ALLOW_SIGNALED, fd, &trip->out);
	trip->from.kind = kind == STILE_FD_SYNC_FILE ? STILE_PATH_KERNEL : STILE_PATH_BRIDGE;
	if (fd >= 0) {
		close(fd);
	}
	return ret;
}

static int cross_sync_file(struct trip *trip) {
	return cross_fd(trip, STILE_FD_SYNC_FILE);
}

static int cross_software_sync_file(struct trip *trip) {
	return cross_fd(trip, STILE_FD_SOFTWARE_SYNC_FILE);
}

static int cross_eventfd(struct trip *trip) {
	return cross_fd(trip, STILE_FD_EVENTFD);
}

static int cross_timeline(struct trip *trip) {
	trip->to.kind = trip->from.kind = STILE_PATH_BRIDGE;
	trip->semaphore = fake_vulkan_timeline(fake);
	int ret = stile_vulkan_timeline_create(vulkan, "theirs", trip->semaphore, &trip->timeline);
	if (ret == 0) {
		ret = stile_timeline_submit(trip->timeline, 1, trip->in);
	}
	return ret < 0 ? ret : stile_timeline_create_fence(trip->timeline, 1, &trip->out);
}

static struct stile_vulkan_form form_of(struct trip *trip, bool exportable) {
	return (struct stile_vulkan_form){
		.size = sizeof(struct stile_vulkan_form),
		.semaphore = trip->semaphore,
		.fence = trip->vk_fence,
		.flags = exportable ? STILE_VULKAN_EXPORTABLE : 0,
		.device = device,
		.user_fences = STILE_USER_FENCES_REFUSE,
	};
}

static int cross_form(struct trip *trip, bool exportable) {
	struct stile_vulkan_form form = form_of(trip, exportable);
	int ret = stile_vulkan_export_fence(vulkan, trip->in, &form, &trip->to, NULL);
	return ret < 0 ? ret
		       : stile_vulkan_import_fence(vulkan, &form, &trip->from, NULL, &trip->out);
}

static int cross_binary_sync_fd(struct trip *trip) {
	trip->semaphore = fake_vulkan_binary(fake, VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT);
	return cross_form(trip, true);
}

static int cross_binary_submitted(struct trip *trip) {
	trip->semaphore = fake_vulkan_binary(fake, 0);
	return cross_form(trip, false);
}

static int cross_vk_fence_sync_fd(struct trip *trip) {
	trip->vk_fence = fake_vulkan_fence(fake, true);
	return cross_form(trip, true);
}

static int cross_vk_fence_looked_at(struct trip *trip) {
	trip->vk_fence = fake_vulkan_fence(fake, false);
	return cross_form(trip, false);
}

/* What the adapter gives a submission to wait for. */
static int cross_work(struct trip *trip) {
	struct stile_vulkan_wait wait = { .size = sizeof(wait) };
	int ret = stile_vulkan_wait_fence(vulkan, trip->in, &trip->to, &wait);
	if (ret < 0) {
		return ret;
	}
	fake_vulkan_submit(fake,
		&(struct fake_vulkan_submit){ .wait = wait.semaphore, .wait_value = wait.value });
	trip->from.kind = STILE_PATH_HANDLE;
	return stile_vulkan_fence_create(vulkan, &trip->out);
}

static int cross_work_sync_file(struct trip *trip) {
	trip->semaphore = fake_vulkan_binary(fake, 0);
	struct stile_vulkan_wait wait = { .size = sizeof(wait), .binary = trip->semaphore };
	int ret = stile_vulkan_wait_fence(vulkan, trip->in, &trip->to, &wait);
	if (ret < 0) {
		return ret;
	}
	fake_vulkan_submit(fake,
		&(struct fake_vulkan_submit){ .wait = wait.semaphore, .wait_value = wait.value });
	return stile_vulkan_fence_create_sync_file(
		vulkan, device, STILE_USER_FENCES_REFUSE, &trip->from, &trip->out);
}

/* A timeline semaphore here, and the same one on another VkDevice. */
static int cross_opaque(struct trip *trip) {
	struct stile_vulkan_shared shared = { .size = sizeof(shared) };
	struct stile_timeline *mine;
	trip->to.kind = trip->from.kind = STILE_PATH_BRIDGE;
	trip->shared = fake_vulkan_opaque_timeline(fake);
	int ret = stile_vulkan_timeline_create(vulkan, "mine", trip->shared, &mine);
	if (ret < 0) {
		return ret;
	}
	ret = stile_timeline_submit(mine, 1, trip->in);
	stile_timeline_unref(mine);
	if (ret == 0) {
		ret = stile_vulkan_export_semaphore(
			vulkan, trip->shared, VK_SEMAPHORE_TYPE_TIMELINE, NULL, &shared);
	}
	if (ret == 0) {
		ret = stile_vulkan_import_semaphore(other_vulkan, &shared, NULL, &trip->semaphore);
		close(shared.fd);
	}
	if (ret == 0) {
		ret = stile_vulkan_timeline_create(
			other_vulkan, "theirs", trip->semaphore, &trip->timeline);
	}
	return ret < 0 ? ret : stile_timeline_create_fence(trip->timeline, 1, &trip->out);
}

static int cross_gl_semaphore(struct trip *trip) {
	struct stile_vulkan_shared shared = { .size = sizeof(shared) };
	struct stile_egl_semaphore_info info = { .size = sizeof(info) };
	trip->semaphore = fake_vulkan_binary(fake, VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_OPAQUE_FD_BIT);
	int ret = stile_vulkan_export_semaphore(
		vulkan, trip->semaphore, VK_SEMAPHORE_TYPE_BINARY, NULL, &shared);
	if (ret < 0) {
		return ret;
	}
	info.fd = shared.fd;
	memcpy(info.device_uuid, shared.device_uuid, sizeof(info.device_uuid));
	memcpy(info.driver_uuid, shared.driver_uuid, sizeof(info.driver_uuid));
	ret = stile_egl_semaphore_import(egl, &info, NULL, &trip->gl_semaphore);
	close(shared.fd);
	if (ret < 0) {
		return ret;
	}
	struct stile_vulkan_form form = form_of(trip, false);
	ret = stile_vulkan_export_fence(vulkan, trip->in, &form, &trip->to, NULL);
	if (ret == 0) {
		ret = stile_egl_semaphore_wait(trip->gl_semaphore, 0, NULL, NULL);
	}
	trip->from.kind = STILE_PATH_HANDLE;
	return ret < 0 ? ret : stile_egl_fence_create(egl, &trip->out);
}

static int cross_gl(struct trip *trip) {
	int ret = stile_egl_wait_fence(egl, trip->in, 0, &trip->to);
	trip->from.kind = STILE_PATH_HANDLE;
	return ret < 0 ? ret : stile_egl_fence_create(egl, &trip->out);
}

static int cross_gl_native(struct trip *trip) {
	int ret = stile_egl_wait_fence(egl, trip->in, 0, &trip->to);
	return ret < 0 ? ret
		       : stile_egl_fence_create_sync_file(
				 egl, device, STILE_USER_FENCES_REFUSE, &trip->from, &trip->out);
}

static int cross_egl_sync(struct trip *trip) {
	int ret = stile_egl_export_fence(egl, trip->in, &trip->sync);
	trip->to.kind = STILE_PATH_KERNEL;
	trip->from.kind = STILE_PATH_BRIDGE;
	if (ret < 0) {
		return ret;
	}
	if (trip->sync == EGL_NO_SYNC) {
		trip->out = stile_fence_get_stub();
		return 0;
	}
	return stile_egl_import_fence(egl, trip->sync, &trip->out);
}

static int cross_cpu(struct trip *trip) {
	int ret = stile_fence_wait(trip->in, 0);
	trip->to.kind = STILE_PATH_CPU_WAIT;
	trip->from.kind = STILE_PATH_NONE;
	trip->out = ret == 0 ? stile_fence_ref(trip->in) : NULL;
	return ret;
}

struct row {
	const char *form;
	cross_fn cross;
	enum producer producer;
	enum stile_path_kind to, from;
	bool blocks; /* the calling thread has to wait: -ETIME instead */
	bool carries_error;
};

static const struct row rows[] = {
	{ "sync_file", cross_sync_file, KERNEL, STILE_PATH_HANDLE, STILE_PATH_KERNEL, false, true },
	{ "software sync file", cross_software_sync_file, PROGRAM, STILE_PATH_BRIDGE,
		STILE_PATH_BRIDGE, false, true },
	{ "eventfd", cross_eventfd, PROGRAM, STILE_PATH_BRIDGE, STILE_PATH_BRIDGE, false, false },
	{ "VkSemaphore, timeline", cross_timeline, PROGRAM, STILE_PATH_BRIDGE, STILE_PATH_BRIDGE,
		false, false },
	{ "VkSemaphore, binary, by SYNC_FD", cross_binary_sync_fd, KERNEL, STILE_PATH_KERNEL,
		STILE_PATH_KERNEL, false, true },
	{ "VkSemaphore, binary, by a submission", cross_binary_submitted, QUEUE, STILE_PATH_HANDLE,
		STILE_PATH_HANDLE, false, false },
	{ "VkFence, by SYNC_FD", cross_vk_fence_sync_fd, KERNEL, STILE_PATH_KERNEL,
		STILE_PATH_KERNEL, false, true },
	{ "VkFence, looked at", cross_vk_fence_looked_at, PROGRAM, STILE_PATH_BRIDGE,
		STILE_PATH_BRIDGE, false, false },
	{ "work of a VkQueue", cross_work, PROGRAM, STILE_PATH_BRIDGE, STILE_PATH_HANDLE, false,
		false },
	{ "work of a VkQueue, by SYNC_FD", cross_work_sync_file, KERNEL, STILE_PATH_KERNEL,
		STILE_PATH_KERNEL, false, false },
	{ "VkSemaphore, timeline, by OPAQUE_FD on another VkDevice", cross_opaque, PROGRAM,
		STILE_PATH_BRIDGE, STILE_PATH_BRIDGE, false, false },
	{ "GL semaphore, by OPAQUE_FD", cross_gl_semaphore, QUEUE, STILE_PATH_HANDLE,
		STILE_PATH_HANDLE, false, false },
	{ "EGLSync, native", cross_egl_sync, KERNEL, STILE_PATH_KERNEL, STILE_PATH_BRIDGE, false,
		false },
	{ "work of GL", cross_gl, PROGRAM, STILE_PATH_CPU_WAIT, STILE_PATH_HANDLE, true, false },
	{ "work of GL, by a native fence", cross_gl_native, KERNEL, STILE_PATH_KERNEL,
		STILE_PATH_KERNEL, false, false },
	{ "wait by the CPU", cross_cpu, PROGRAM, STILE_PATH_CPU_WAIT, STILE_PATH_NONE, true, true },
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static void trip_begin(struct trip *trip, struct stile_fence *in) {
	*trip = (struct trip){
		.in = in,
		.to.size = sizeof(trip->to),
		.from.size = sizeof(trip->from),
	};
}

static void trip_finish(struct trip *trip) {
	stile_fence_unref(trip->out);
	stile_timeline_unref(trip->timeline);
	fake_vulkan_wait_idle(fake);
	stile_egl_semaphore_destroy(trip->gl_semaphore);
	fake_vulkan_destroy_semaphore(fake, trip->semaphore);
	fake_vulkan_destroy_semaphore(fake, trip->shared);
	fake_vulkan_destroy_fence(fake, trip->vk_fence);
	if (trip->sync != EGL_NO_SYNC) {
		fake_egl_destroy_sync(trip->sync);
	}
}

/* ---- The tests ------------------------------------------------------------------------------- */

static void check_crosses(const struct row *row, int error) {
	struct gate gate;
	struct trip trip;
	gate_close(&gate, row->producer);
	trip_begin(&trip, gate.fence);
	int ret = row->cross(&trip);
	ck_assert_msg(ret == (row->blocks ? -ETIME : 0), "%s: %d", row->form, ret);
	ck_assert_msg(trip.to.kind == row->to, "%s: the path to it is %d", row->form, trip.to.kind);
	if (!row->blocks) {
		ck_assert_msg(trip.from.kind == row->from, "%s: the path from it is %d", row->form,
			trip.from.kind);
		ck_assert_int_eq(trip.to.blocked_ns, 0);
		ck_assert_int_eq(trip.from.blocked_ns, 0);
		runner_sleep_ms(10);
		ck_assert_msg(stile_fence_get_status(trip.out) == 0, "%s: over before its producer",
			row->form);
	}
	stile_fence_ref(gate.fence);
	gate_open(&gate, error);
	if (row->blocks) {
		ck_assert_int_eq(row->cross(&trip), 0);
	}
	int status = plain_fence_finish(trip.out);
	ck_assert_msg(status == (row->carries_error && error != 0 ? error : 1), "%s: ends with %d",
		row->form, status);
	stile_fence_unref(gate.fence);
	trip_finish(&trip);
}

/*
 * Wrong code: a dependency lost, on any way; a path that is not the one promised; a thread that blocks where none
 * has to; an error lost where the form has it, or a consumer left waiting for ever where not.
 */
START_TEST(fence_crosses_every_form_and_keeps_its_dependency) {
	check_crosses(&rows[_i / 2], _i % 2 == 0 || rows[_i / 2].producer == QUEUE ? 0 : -EIO);
}
END_TEST

/*
 * The test above can fail: if the wait is left out, which is what a fence that is over stands for, the consumer is
 * done with the gate closed. Also -1, and what else says so. Wrong code: what is over is waited for.
 */
START_TEST(without_its_wait_the_consumer_is_done_before_the_producer) {
	const struct row *row = &rows[_i];
	struct gate gate;
	struct trip trip;
	struct stile_fence *stub = stile_fence_get_stub();
	gate_close(&gate, PROGRAM);
	trip_begin(&trip, stub);
	ck_assert_msg(row->cross(&trip) == 0, "%s", row->form);
	ck_assert_msg(plain_fence_finish(trip.out) == 1, "%s", row->form);
	ck_assert_int_eq(stile_fence_get_status(gate.fence), 0);
	gate_open(&gate, 0);
	stile_fence_unref(stub);
	trip_finish(&trip);
}
END_TEST

/* ---- Accesses -------------------------------------------------------------------------------- */

/* Of an image that the producer writes to, with its fence among those to wait for. */
static struct stile_image *access_begin(struct gate *gate, struct stile_access *access) {
	const struct stile_image_info info = {
		.size = sizeof(info),
		.width = 16,
		.height = 16,
		.fourcc = DRM_FORMAT_ABGR8888,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
	};
	struct stile_access_info use = { .size = sizeof(use), .usage = STILE_USAGE_WRITE };
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
	ck_assert_int_eq(stile_access_begin(image, &use, access), 0);
	ck_assert_int_eq(stile_access_end(access, gate->fence), 0);
	use.usage = STILE_USAGE_READ;
	ck_assert_int_eq(stile_access_begin(image, &use, access), 0);
	ck_assert_uint_eq(access->count, 1);
	return image;
}

static void check_access(const struct row *row) {
	struct stile_access access;
	struct gate gate;
	struct trip trip;
	gate_close(&gate, row->producer);
	struct stile_image *image = access_begin(&gate, &access);
	trip_begin(&trip, access.fences[0]);
	ck_assert_msg(row->cross(&trip) == 0, "%s", row->form);
	ck_assert_int_eq(trip.to.kind, row->to);
	/* Here it would be said that nobody has waited: the ledger hears it. */
	ck_assert_int_eq(stile_access_end(&access, trip.out), 0);
	gate_open(&gate, 0);
	ck_assert_int_eq(plain_fence_finish(trip.out), 1);
	stile_image_unref(image);
	trip_finish(&trip);
}

/*
 * Wrong code: an adapter that has a queue wait for a fence, and does not say so (stile_access_note_wait()): in debug
 * builds, an access that was used as it should be is then complained of.
 */
START_TEST(who_gives_the_fences_of_an_access_to_an_api_has_waited) {
	static const struct row on_its_own_display = { "work of GL, after its own", cross_gl, GL,
		STILE_PATH_HANDLE, STILE_PATH_HANDLE, false, false };
	const struct row *row = _i < ROWS ? &rows[_i] : &on_its_own_display;
	if (!row->blocks) {
		check_access(row);
	}
}
END_TEST

/* The test above can fail: what is given to nobody is told. */
START_TEST(who_gives_the_fences_of_an_access_to_nobody_is_told) {
	struct stile_access access;
	struct gate gate;
	ledger_expect_complaint("nobody has waited for fence");
	gate_close(&gate, PROGRAM);
	struct stile_image *image = access_begin(&gate, &access);
	ck_assert_int_eq(stile_access_end(&access, NULL), 0);
	gate_open(&gate, 0);
	stile_image_unref(image);
}
END_TEST

static bool was_checked;

static void check_on(void) {
	was_checked = stile_check_is_enabled();
	stile_check_enable(true);
}

static void check_as_before(void) {
	stile_check_enable(was_checked);
}

/* ---- The table ------------------------------------------------------------------------------- */

static const char *path_name(enum stile_path_kind kind) {
	static const char *const names[] = { "none", "handle", "kernel", "bridge", "held",
		"CPU wait" };
	return names[kind];
}

static const char *producer_name(enum producer producer) {
	static const char *const names[] = { "a program's", "the kernel's", "the queue's" };
	return names[producer];
}

static void row_print(const struct row *row, char *line, size_t size) {
	snprintf(line, size, "| %s | %s | %s | %s | %s |\n", row->form,
		producer_name(row->producer), path_name(row->to), path_name(row->from),
		row->carries_error ? "yes" : "no");
}

/* Wrong code: documentation that says what is not so. */
START_TEST(documentation_has_the_table) {
	char *text = calloc(1, 65536), line[256];
	FILE *file = fopen(FENCE_FORMS_MD, "r");
	ck_assert_msg(file != NULL, "there is no %s", FENCE_FORMS_MD);
	size_t n = fread(text, 1, 65535, file);
	fclose(file);
	ck_assert_uint_gt(n, 0);
	for (size_t i = 0; i < ROWS; i++) {
		row_print(&rows[i], line, sizeof(line));
		printf("%s", line);
		ck_assert_msg(strstr(text, line) != NULL, "%s lacks: %s", FENCE_FORMS_MD, line);
	}
	free(text);
}
END_TEST

static Suite *make_suite(void) {
	Suite *suite = suite_create("fence_forms");
	TCase *tcase = ledger_tcase_create("table");
	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_loop_test(tcase, fence_crosses_every_form_and_keeps_its_dependency, 0, 2 * ROWS);
	tcase_add_loop_test(
		tcase, without_its_wait_the_consumer_is_done_before_the_producer, 0, ROWS);
	tcase_add_test(tcase, documentation_has_the_table);
	suite_add_tcase(suite, tcase);
	TCase *accesses = ledger_tcase_create("accesses");
	tcase_add_checked_fixture(accesses, set_up, tear_down);
	tcase_add_checked_fixture(accesses, check_on, check_as_before);
	tcase_add_loop_test(
		accesses, who_gives_the_fences_of_an_access_to_an_api_has_waited, 0, ROWS + 1);
	tcase_add_test(accesses, who_gives_the_fences_of_an_access_to_nobody_is_told);
	suite_add_tcase(suite, accesses);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make_suite, NULL);
}
