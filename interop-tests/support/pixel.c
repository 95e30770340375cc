/* SPDX-License-Identifier: MIT */
#include "interop-tests/support/pixel.h"

#include <string.h>

static const char colours[] = "RGBAX";

/* ---- Names --------------------------------------------------------------------------------- */

/* A number from 1 to 16: of two digits where there are more digits than components left. */
static uint32_t next_number(const char **at, uint32_t left) {
	uint32_t number = (uint32_t)(*(*at)++ - '0');
	if (number == 1 && strspn(*at, "0123456789") >= left) {
		number = 10 + (uint32_t)(*(*at)++ - '0');
	}
	return number;
}

bool pixel_parse(const char *name, struct pixel *out) {
	uint32_t count = (uint32_t)strspn(name, colours), bits = 0;
	const char *at = name + count;
	if (count == 0 || count > 4 || strspn(at, "0123456789") < count) {
		return false;
	}
	*out = (struct pixel){ .count = count };
	for (uint32_t i = 0; i < count; i++) {
		struct pixel_component *component = &out->components[i];
		component->colour = (int)(strchr(colours, name[i]) - colours);
		component->bits = next_number(&at, count - i);
		bits += component->bits;
	}
	uint32_t shift = bits;
	for (uint32_t i = 0; i < count; i++) {
		shift -= out->components[i].bits;
		out->components[i].shift = shift;
	}
	out->is_float = *at == 'F';
	at += out->is_float;
	out->bytes = bits / 8;
	return *at == '\0' && bits % 8 == 0 && bits <= 64;
}

/* ---- Numbers ------------------------------------------------------------------------------- */

/* Of 16 bits, from 0 to 1: 5 of exponent, 10 of mantissa. What is below 2^-14 is none. */
static uint64_t to_half(double value) {
	int exponent = 15;
	if (value < 1.0 / 16384) {
		return 0;
	}
	while (value < 1) {
		value *= 2;
		exponent--;
	}
	return ((uint64_t)exponent << 10) + (uint64_t)((value - 1) * 1024 + 0.5);
}

static double from_half(uint64_t bits) {
	double value = 1 + (double)(bits & 1023) / 1024;
	int exponent = (int)(bits >> 10 & 31);
	if (exponent == 0) {
		return (double)(bits & 1023) / 1024 / 16384;
	}
	for (; exponent < 15; exponent++) {
		value /= 2;
	}
	for (; exponent > 15; exponent--) {
		value *= 2;
	}
	return value;
}

static uint64_t most(const struct pixel_component *component) {
	return (UINT64_C(1) << component->bits) - 1;
}

/* ---- Pixels -------------------------------------------------------------------------------- */

static const struct pixel_component *find(const struct pixel *pixel, int colour) {
	for (uint32_t i = 0; i < pixel->count; i++) {
		if (pixel->components[i].colour == colour) {
			return &pixel->components[i];
		}
	}
	return NULL;
}

bool pixel_has(const struct pixel *pixel, int colour) {
	return find(pixel, colour) != NULL;
}

double pixel_step(const struct pixel *pixel, int colour) {
	const struct pixel_component *component = find(pixel, colour);
	if (component == NULL) {
		return 0;
	}
	return pixel->is_float ? 1.0 / 2048 : 1.0 / (double)most(component);
}

void pixel_encode(const struct pixel *pixel, const double rgba[4], uint8_t *bytes) {
	uint64_t bits = 0;
	for (uint32_t i = 0; i < pixel->count; i++) {
		const struct pixel_component *component = &pixel->components[i];
		if (component->colour != PIXEL_NOTHING) {
			double value = rgba[component->colour];
			uint64_t number = pixel->is_float
				? to_half(value)
				: (uint64_t)(value * (double)most(component) + 0.5);
			bits |= number << component->shift;
		}
	}
	for (uint32_t i = 0; i < pixel->bytes; i++) {
		bytes[i] = (uint8_t)(bits >> (8 * i));
	}
}

void pixel_decode(const struct pixel *pixel, const uint8_t *bytes, double rgba[4]) {
	uint64_t bits = 0;
	for (uint32_t i = 0; i < pixel->bytes; i++) {
		bits |= (uint64_t)bytes[i] << (8 * i);
	}
	for (int i = 0; i < 4; i++) {
		const struct pixel_component *component = find(pixel, i);
		rgba[i] = i == PIXEL_A;
		if (component != NULL) {
			uint64_t number = bits >> component->shift & most(component);
			rgba[i] = pixel->is_float ? from_half(number)
						  : (double)number / (double)most(component);
		}
	}
}
