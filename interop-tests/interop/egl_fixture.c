/* SPDX-License-Identifier: MIT */
#include "interop-tests/interop/egl_fixture.h"

#include "interop-tests/interop/fence_checks.h"
#include "interop-tests/support/gpu_work.h"
#include "interop-tests/support/runner.h"

struct stile_device *device;
struct stile_egl *egl;
static bool is_running; /* the fake */

static void start_fake(const struct fake_egl_traits *traits) {
	fake_gpu_begin();
	fake_egl_create(traits);
	is_running = true;
	struct stile_egl_info info = fake_egl_describe();
	info.log = note_log;
	forget_log();
	ck_assert_int_eq(stile_egl_create(&info, NULL, &egl), 0);
}

/* A complaint ends the test in here: what is gone then, is not stopped again. */
static void stop_fake(void) {
	stile_egl_destroy(egl);
	egl = NULL;
	if (is_running) {
		is_running = false;
		fake_egl_destroy();
		fake_gpu_end();
	}
}

void start(const struct fake_egl_traits *traits) {
	device = gpu_open(NULL);
	start_fake(traits);
}

void restart(const struct fake_egl_traits *traits) {
	stop_fake();
	start_fake(traits);
}

void stop(void) {
	stop_fake();
	stile_device_destroy(device);
}
