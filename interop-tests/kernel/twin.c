/* SPDX-License-Identifier: MIT */
#include "interop-tests/kernel/twin.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"

enum { WORLDS = 16 };

static struct {
	const struct twin_world *world;
	uint32_t can;
} here[WORLDS];
static size_t here_count;
static const struct twin_world *current; /* NULL: no test has begun one */

const struct twin_ops *ops;

static void look_at(const struct twin_world *world) {
	const char *why = "";
	uint32_t can = world->probe(world->fences, world->memory, &why);
	if (can == 0) {
		printf("    %s: not here: %s\n", world->name, why);
		return;
	}
	runner_require(here_count < WORLDS, "too many worlds");
	printf("%3zu %s:%s%s%s%s%s%s%s%s\n", here_count, world->name,
		(can & TWIN_FAILS) != 0 ? " errors" : "",
		(can & TWIN_ORDERED) != 0 ? " contexts" : "",
		(can & TWIN_DEADLINES) != 0 ? " deadlines" : "",
		(can & TWIN_TELLS) != 0 ? " that are told" : "",
		(can & TWIN_BUFFERS) != 0 ? " buffers" : "",
		(can & TWIN_PARTS) != 0 ? " parts" : "", (can & TWIN_MEMFDS) != 0 ? " memfds" : "",
		(can & TWIN_TIMELINES) != 0 ? " timelines" : "");
	here[here_count].world = world;
	here[here_count++].can = can;
}

size_t twin_find_worlds(void) {
	struct utsname name;
	if (uname(&name) == 0) {
		printf("kernel %s\n", name.release);
	}
	here_count = 0;
	for (size_t i = 0; i < twin_stile_world_count; i++) {
		look_at(&twin_stile_worlds[i]);
	}
	for (size_t i = 0; i < twin_kernel_world_count; i++) {
		look_at(&twin_kernel_worlds[i]);
	}
	fflush(stdout);
	return here_count;
}

const struct twin_world *twin_get_world(size_t index) {
	return here[index].world;
}

uint32_t twin_get_abilities(size_t index) {
	return here[index].can;
}

static void end_current(void) {
	if (current != NULL) {
		current->ops->end();
		current = NULL;
	}
}

TCase *twin_tcase_create(const char *name) {
	TCase *tcase = ledger_tcase_create(name);
	tcase_add_checked_fixture(tcase, NULL, end_current);
	return tcase;
}

void twin_add(TCase *tcase, const TTest *test, uint32_t can) {
	for (size_t i = 0; i < here_count; i++) {
		if ((here[i].can & can) == can) {
			tcase_add_loop_test(tcase, test, (int)i, (int)i + 1);
		}
	}
}

void twin_begin(int world) {
	current = here[world].world;
	ops = current->ops;
	ops->begin(current->fences, current->memory);
}

int twin_either(int kernel, int stile) {
	return current->is_kernel ? kernel : stile;
}

int twin_poll(int fd, int events, int timeout_ms) {
	struct pollfd at = { .fd = fd, .events = (short)events };
	int ret;
	do {
		ret = poll(&at, 1, timeout_ms);
	} while (ret < 0 && errno == EINTR);
	runner_require(ret >= 0, "poll: %s", strerror(errno));
	return at.revents;
}

bool twin_is_done(struct twin_fence *fence) {
	return (ops->fence_poll(fence, POLLIN, 0) & POLLIN) != 0;
}

int twin_finish(struct twin_fence *fence) {
	int got = ops->fence_poll(fence, POLLIN, TWIN_HANG_MS);
	ck_assert_msg((got & POLLIN) != 0, "a fence that should be signalled is not");
	return ops->fence_get_status(fence);
}
