/* SPDX-License-Identifier: MIT */
#include <endian.h>
#include <string.h>
#include <wchar.h>

#include "backends/swgpu/command.h"

enum {
	/*
	 * Some 10 ms. Not less: memcpy() goes past the caches for long copies only, which makes them half
	 * as fast again.
	 */
	COPY_STEP_BYTES = 128 << 20,
};

_Static_assert(sizeof(wchar_t) == sizeof(uint32_t), "wmemset() sets 32 bits");

/*
 * memset() for 32 bits. On x86, a long one is left to the processor, which then writes memory without
 * reading it before, as memset() does too; wmemset() is a fifth slower. The sanitizers would not see it.
 */
static void set_words(uint8_t *to, uint32_t word, size_t count) {
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	if (count >= 1024) {
		__asm__ volatile("rep stosl" : "+D"(to), "+c"(count) : "a"(word) : "memory");
		return;
	}
#endif
	wmemset((wchar_t *)(void *)to, (wchar_t)word, count);
}

/* Samples of 2 or 4 bytes, of which `word` is full; aligned to them. */
static void set_span(uint8_t *to, size_t bytes, uint32_t word) {
	if ((uintptr_t)to % sizeof(word) != 0) {
		memcpy(to, &word, sizeof(uint16_t));
		to += sizeof(uint16_t);
		bytes -= sizeof(uint16_t);
	}
	size_t whole = bytes - bytes % sizeof(word);
	set_words(to, word, whole / sizeof(word));
	memcpy(to + whole, &word, bytes - whole);
}

/* Four bytes of samples. */
static uint32_t repeat(uint32_t value, uint32_t sample_bytes) {
	switch (sample_bytes) {
	case 1:
		return value * 0x01010101u;
	case 2:
		return value * 0x00010001u;
	default:
		return value;
	}
}

void span_fill_rows(const struct rows *to, size_t row_bytes, uint32_t rows, uint32_t value,
	uint32_t sample_bytes) {
	uint32_t word = repeat(value, sample_bytes);
	bool is_one_byte = word == repeat(word & 0xff, 1);
	if (to->pitch == row_bytes) {
		row_bytes *= rows;
		rows = 1;
	}
	for (uint32_t y = 0; y < rows; y++) {
		uint8_t *row = to->memory + y * to->pitch;
		if (is_one_byte) {
			memset(row, (int)(word & 0xff), row_bytes);
		} else {
			set_span(row, row_bytes, htole32(word));
		}
	}
}

void span_copy_rows(
	const struct rows *to, const struct rows *from, size_t row_bytes, uint32_t rows) {
	if (to->pitch == row_bytes && from->pitch == row_bytes) {
		row_bytes *= rows;
		rows = 1;
	}
	for (uint32_t y = 0; y < rows; y++) {
		memmove(to->memory + y * to->pitch, from->memory + y * from->pitch, row_bytes);
	}
}

int span_copy_all(const struct execution *execution, const struct rows *to, const struct rows *from,
	size_t row_bytes, uint32_t rows) {
	uint32_t step = row_bytes < COPY_STEP_BYTES ? (uint32_t)(COPY_STEP_BYTES / row_bytes) : 1;
	for (uint32_t y = 0; y < rows; y += step) {
		if (execution_check(execution) < 0) {
			return -ECANCELED;
		}
		const struct rows to_step = { to->memory + y * to->pitch, to->pitch };
		const struct rows from_step = { from->memory + y * from->pitch, from->pitch };
		step = step < rows - y ? step : rows - y;
		span_copy_rows(&to_step, &from_step, row_bytes, step);
	}
	return 0;
}
