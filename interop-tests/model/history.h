/* SPDX-License-Identifier: MIT */
#ifndef MODEL_HISTORY_H
#define MODEL_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Random histories: made step by step, each step done to the library and to a model, which are compared.
 * Each round begins in an empty world, in a process of its own, so that a crash or a hang is found and
 * made short like any other difference.
 */
enum {
	HISTORY_STEPS = 400, /* of a round */
	HISTORY_LIST = 6,
	HISTORY_WAYS = 4,
};

/* All is decided when it is made, so that it means the same with steps before it left out. */
struct history_step {
	int kind;
	int a, b, c; /* what a kind makes of them: the world's print() */
	unsigned how;
	uint64_t number;
	size_t count;
	int list[HISTORY_LIST];
};

struct history_kind {
	const char *name;
	unsigned weight; /* how often, among all */
	/** Do it to both sides, if it makes sense now, and compare what comes out. */
	void (*act)(const struct history_step *step);
	/** Optional: does it make sense now? If not, it is neither made nor done. */
	bool (*fits)(const struct history_step *step);
};

struct history_world {
	int rounds;
	size_t kind_count;
	const struct history_kind *kinds;
	void (*begin)(void);
	/** Decide the rest of a step of some kind; false: there is no such step now. */
	bool (*fill)(struct history_step *step);
	/** Compare all that can be seen, after each step. */
	void (*compare)(void);
	/** Give everything back, by history_do(): nothing may be left then. */
	void (*end)(void);
	/** What follows the name of the kind. */
	void (*print)(const struct history_step *step);
	/** Make a step a plainer one, in one of HISTORY_WAYS ways, or leave it as it is. */
	void (*simplify)(struct history_step *step, int way);
};

/** Once, in main(). False: it cannot work here. */
bool history_setup(void);

/**
 * Rounds until one fails; true if none does. What fails is printed with the last steps, and again as
 * short as it can be made, unless `quiet`.
 */
bool history_agrees(const struct history_world *world, bool quiet);

/** Of what failed last: how many steps are left of it, and how the two differ. */
size_t history_length(void);
const char *history_difference(void);

/* ---- For a world, in a round -------------------------------------------------------------- */

/** Do a step and compare. */
void history_do(const struct history_step *step);

/** When the step began, CLOCK_MONOTONIC in ns. */
int64_t history_step_time(void);

/** They differ: the end of this process. */
void history_differ(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/** Both only to make steps, not to do them. */
uint64_t history_random(void);
int history_below(int limit);
bool history_percent(int chance);

#endif
