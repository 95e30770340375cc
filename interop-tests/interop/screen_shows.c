/* SPDX-License-Identifier: MIT */
/*
 * screen_shows SCREEN.png PICTURE.png: is the picture anywhere on the screen, in its colours, whatever its alpha is?
 * Exit status: 0 it is, 1 it is not, 2 one of them cannot be read.
 */
#include <stdbool.h>
#include <stdio.h>

#include "demos/picture.h"

static bool row_is_at(const uint8_t *screen, const uint8_t *row, uint32_t width) {
	for (uint32_t i = 0; i < width; i++) {
		for (uint32_t c = 0; c < 3; c++) {
			if (screen[4 * i + c] != row[4 * i + c]) {
				return false;
			}
		}
	}
	return true;
}

static bool is_at(
	const struct picture *screen, uint32_t x, uint32_t y, const struct picture *picture) {
	for (uint32_t row = 0; row < picture->height; row++) {
		if (!row_is_at(picture_at(screen, x, y + row), picture_at(picture, 0, row),
			    picture->width)) {
			return false;
		}
	}
	return true;
}

static bool shows(const struct picture *screen, const struct picture *picture) {
	for (uint32_t y = 0; y + picture->height <= screen->height; y++) {
		for (uint32_t x = 0; x + picture->width <= screen->width; x++) {
			if (is_at(screen, x, y, picture)) {
				return true;
			}
		}
	}
	return false;
}

int main(int argc, char **argv) {
	struct picture screen = { 0 }, picture = { 0 };
	char why[256] = "two pictures are needed";
	int status = 2;
	if (argc != 3 || picture_load(argv[1], &screen, why) < 0 ||
		picture_load(argv[2], &picture, why) < 0) {
		fprintf(stderr, "screen_shows: %s\n", why);
	} else {
		status = shows(&screen, &picture) ? 0 : 1;
	}
	picture_finish(&screen);
	picture_finish(&picture);
	return status;
}
