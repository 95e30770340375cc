/* SPDX-License-Identifier: MIT */
#include "interop-tests/model/blocks.h"

#include <errno.h>
#include <stddef.h>

static long count;
static bool refuses, refused;

/* The linker makes these names; nothing declares them. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t number, size_t size);
void *__real_realloc(void *memory, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t number, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void __wrap_free(void *memory);

long blocks_count(void) {
	return count;
}

void blocks_refuse(bool on) {
	refuses = on;
	refused = false;
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
	count++;
	return __real_malloc(size);
}

void *__wrap_calloc(size_t number, size_t size) {
	if (refuse()) {
		return NULL;
	}
	count++;
	return __real_calloc(number, size);
}

void *__wrap_realloc(void *memory, size_t size) {
	if (refuse()) {
		return NULL;
	}
	count += memory == NULL;
	return __real_realloc(memory, size);
}

void __wrap_free(void *memory) {
	count -= memory != NULL;
	__real_free(memory);
}
