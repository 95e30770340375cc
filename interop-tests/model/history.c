/* SPDX-License-Identifier: MIT */
#include "interop-tests/model/history.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "interop-tests/support/runner.h"

enum {
	SHOWN_STEPS = 30,
	ROUND_MS = 20000,
	SHRINK_MS = 20000, /* for all of it */
	REPLAY_MS = 1000,
	MESSAGE_BYTES = 400,
};

struct history {
	size_t count;
	struct history_step steps[HISTORY_STEPS];
};

/* What a round leaves behind: shared with the process that began it. */
static struct report {
	struct history history;
	size_t failed_at;
	char message[MESSAGE_BYTES];
} * report;

static const struct history_world *world;
static struct history found;
static uint64_t random_state;
static size_t step_index;
static int64_t step_began_ns;

bool history_setup(void) {
	report = mmap(
		NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return report != MAP_FAILED;
}

size_t history_length(void) {
	return found.count;
}

const char *history_difference(void) {
	return report->message;
}

void history_differ(const char *fmt, ...) {
	va_list args;
	va_start(args, fmt);
	vsnprintf(report->message, sizeof(report->message), fmt, args);
	va_end(args);
	_exit(EXIT_FAILURE);
}

/* ---- Steps -------------------------------------------------------------------------------- */

uint64_t history_random(void) {
	return runner_random(&random_state);
}

int history_below(int limit) {
	return (int)(history_random() % (uint64_t)limit);
}

bool history_percent(int chance) {
	return history_below(100) < chance;
}

int64_t history_step_time(void) {
	return step_began_ns;
}

static bool step_fits(const struct history_step *step) {
	const struct history_kind *kind = &world->kinds[step->kind];
	return kind->fits == NULL || kind->fits(step);
}

void history_do(const struct history_step *step) {
	report->failed_at = step_index;
	step_began_ns = runner_clock_ns();
	if (step_fits(step)) {
		world->kinds[step->kind].act(step);
	}
	world->compare();
	step_index++;
}

static unsigned weight_of_all(void) {
	unsigned weight = 0;
	for (size_t i = 0; i < world->kind_count; i++) {
		weight += world->kinds[i].weight;
	}
	return weight;
}

static struct history_step step_make(void) {
	int all = (int)weight_of_all();
	for (;;) {
		unsigned chance = (unsigned)history_below(all);
		struct history_step step = { .kind = 0 };
		while (chance >= world->kinds[step.kind].weight) {
			chance -= world->kinds[step.kind].weight;
			step.kind++;
		}
		if (world->fill(&step) && step_fits(&step)) {
			return step;
		}
	}
}

/* ---- Rounds ------------------------------------------------------------------------------- */

/* In a process of its own: make and do all steps, or do those that are given. */
static void round_run(const struct history *given) {
	size_t count = given == NULL ? HISTORY_STEPS : given->count;
	world->begin();
	while (step_index < count) {
		struct history_step step;
		if (given == NULL) {
			step = step_make();
			report->history.steps[step_index] = step;
			report->history.count = step_index + 1;
		} else {
			step = given->steps[step_index];
		}
		history_do(&step);
	}
	world->end();
	_exit(EXIT_SUCCESS);
}

/* True if the model and the library agree. */
static bool round_agrees(const struct history *given, int limit_ms) {
	report->message[0] = '\0';
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		/* Check's handlers would kill the parent as well. */
		signal(SIGALRM, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		signal(SIGINT, SIG_DFL);
		struct itimerval limit = { .it_value.tv_sec = limit_ms / 1000 };
		setitimer(ITIMER_REAL, &limit, NULL);
		round_run(given);
	}
	runner_require(child > 0, "cannot fork");
	int status = runner_reap(child);
	if (status < 0) {
		snprintf(report->message, sizeof(report->message), "%s",
			status == -SIGALRM ? "hangs" : strsignal(-status));
	}
	return status == EXIT_SUCCESS;
}

/* ---- Making a history short --------------------------------------------------------------- */

static void history_leave_out(
	struct history *to, const struct history *from, size_t first, size_t count) {
	to->count = 0;
	for (size_t i = 0; i < from->count; i++) {
		if (i < first || i >= first + count) {
			to->steps[to->count++] = from->steps[i];
		}
	}
}

/* Leave out `size` steps wherever they are not needed. True if some were not. */
static bool history_thin(struct history *history, size_t size, int64_t until_ns) {
	static struct history shorter;
	bool thinner = false;
	size_t first = history->count;
	while (first > 0 && runner_clock_ns() < until_ns) {
		first = first > size ? first - size : 0;
		history_leave_out(&shorter, history, first, size);
		if (!round_agrees(&shorter, REPLAY_MS)) {
			*history = shorter;
			thinner = true;
		}
	}
	return thinner;
}

/* True if a step has become plainer. */
static bool history_simplify(struct history *history, int64_t until_ns) {
	static struct history plainer;
	bool simpler = false;
	for (size_t i = 0; i < history->count * HISTORY_WAYS && runner_clock_ns() < until_ns; i++) {
		plainer = *history;
		struct history_step *step = &plainer.steps[i / HISTORY_WAYS], before = *step;
		world->simplify(step, (int)(i % HISTORY_WAYS));
		if (memcmp(&before, step, sizeof(before)) != 0 &&
			!round_agrees(&plainer, REPLAY_MS)) {
			*history = plainer;
			simpler = true;
		}
	}
	return simpler;
}

static void history_shrink(struct history *history) {
	int64_t until_ns = runner_clock_ns() + SHRINK_MS * INT64_C(1000000);
	for (size_t size = history->count / 2; size > 0; size /= 2) {
		history_thin(history, size, until_ns);
	}
	while (history_thin(history, 1, until_ns) || history_simplify(history, until_ns)) {
	}
}

static void history_print(const struct history *history, size_t from) {
	for (size_t i = from; i < history->count; i++) {
		const struct history_step *step = &history->steps[i];
		printf("  %3zu: %-16s", i, world->kinds[step->kind].name);
		world->print(step);
		printf("\n");
	}
}

/* What failed: now in `found`, as short as it gets. */
static void round_explain(int number, bool quiet) {
	found = report->history;
	if (!quiet) {
		printf("round %d, step %zu (%d in all): %s\nthe last steps:\n", number,
			report->failed_at, number * HISTORY_STEPS + (int)report->failed_at,
			report->message);
		history_print(&found, found.count > SHOWN_STEPS ? found.count - SHOWN_STEPS : 0);
	}
	history_shrink(&found);
	bool agrees = round_agrees(&found, REPLAY_MS);
	if (!quiet) {
		printf("the shortest that fails%s, at step %zu: %s\n",
			agrees ? " (not always)" : "", report->failed_at, report->message);
		history_print(&found, 0);
		fflush(stdout);
	}
}

bool history_agrees(const struct history_world *of, bool quiet) {
	uint64_t seed = runner_seed();
	world = of;
	for (int i = 0; i < world->rounds; i++) {
		random_state = runner_random(&seed);
		report->history.count = 0;
		if (!round_agrees(NULL, ROUND_MS)) {
			round_explain(i, quiet);
			return false;
		}
	}
	return true;
}
