/* SPDX-License-Identifier: MIT */
#include "interop-tests/model/blocks.h"

#include <errno.h>
#include <stddef.h>

/* By atomic access: the library may have threads. */
static long count;
static bool refuses, refused;

/* The linker makes these names; nothing declares them. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t number, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_reallocarray(void *memory, size_t number, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t number, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_reallocarray(void *memory, size_t number, size_t size);
void __wrap_free(void *memory);

long blocks_count(void) {
	return __atomic_load_n(&count, __ATOMIC_RELAXED);
}

void blocks_refuse(bool on) {
	refuses = on;
	refused = false;
}

static void add(long more) {
	__atomic_add_fetch(&count, more, __ATOMIC_RELAXED);
}

bool blocks_allow(void) {
	refuses = false;
	return refused;
}

static bool refuse(void) {
	if (refuses) {
		refused = true;
		errno = ENOMEM;
	}
	return refuses;
}

void *__wrap_malloc(size_t size) {
	if (refuse()) {
		return NULL;
	}
	add(1);
	return __real_malloc(size);
}

void *__wrap_calloc(size_t number, size_t size) {
	if (refuse()) {
		return NULL;
	}
	add(1);
	return __real_calloc(number, size);
}

void *__wrap_realloc(void *memory, size_t size) {
	if (refuse()) {
		return NULL;
	}
	add(memory == NULL);
	return __real_realloc(memory, size);
}

void *__wrap_reallocarray(void *memory, size_t number, size_t size) {
	if (refuse()) {
		return NULL;
	}
	add(memory == NULL);
	return __real_reallocarray(memory, number, size);
}

void __wrap_free(void *memory) {
	add(memory == NULL ? 0 : -1);
	__real_free(memory);
}
