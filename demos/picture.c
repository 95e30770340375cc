/* SPDX-License-Identifier: MIT */
#include "demos/picture.h"

#include <errno.h>
#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int picture_create(uint32_t width, uint32_t height, struct picture *out) {
	*out = (struct picture){ .width = width, .height = height };
	out->pixels = calloc((size_t)width * height, 4);
	return out->pixels == NULL ? -ENOMEM : 0;
}

void picture_finish(struct picture *picture) {
	free(picture->pixels);
	picture->pixels = NULL;
}

/* ---- The test card ------------------------------------------------------------------------ */

static void card_bars(uint32_t x, uint32_t width, uint8_t rgba[4]) {
	/* White, yellow, cyan, green, magenta, red, blue, black. */
	unsigned bar = 7 - x * 8 / width;
	rgba[0] = bar & 2 ? 235 : 16;
	rgba[1] = bar & 4 ? 235 : 16;
	rgba[2] = bar & 1 ? 235 : 16;
}

static void card_ramps(uint32_t x, uint32_t y, const struct picture *card, uint8_t rgba[4]) {
	unsigned channel = (y - card->height / 2) * 4 / (card->height - card->height / 2);
	uint8_t value = (uint8_t)(x * 255 / (card->width > 1 ? card->width - 1 : 1));
	for (unsigned i = 0; i < 3; i++) {
		rgba[i] = channel == i || channel == 3 ? value : 0;
	}
}

/* An F, the simplest shape that looks different in each of its eight orientations. */
static int card_is_letter(uint32_t x, uint32_t y, const struct picture *card) {
	uint32_t unit = (card->width < card->height ? card->width : card->height) / 12 + 1;
	uint32_t left = card->width / 2 - 2 * unit, top = card->height / 2 - 3 * unit;
	if (card->width < 4 * unit || card->height < 6 * unit || x < left || y < top) {
		return 0;
	}
	uint32_t column = (x - left) / unit, row = (y - top) / unit;
	return row < 6 && (column == 0 || (row == 0 && column < 4) || (row == 2 && column < 3));
}

int picture_draw_test_card(uint32_t width, uint32_t height, struct picture *out) {
	int ret = picture_create(width, height, out);
	if (ret < 0) {
		return ret;
	}
	for (uint32_t y = 0; y < height; y++) {
		for (uint32_t x = 0; x < width; x++) {
			uint8_t *rgba = picture_at(out, x, y);
			rgba[3] = (uint8_t)(255 - (x + y) % 64);
			if (x == 0 || y == 0 || x == width - 1 || y == height - 1) {
				memset(rgba, 255, 4);
			} else if (card_is_letter(x, y, out)) {
				rgba[0] = 250, rgba[1] = 130, rgba[2] = 20;
			} else if (y < height / 2) {
				card_bars(x, width, rgba);
			} else {
				card_ramps(x, y, out, rgba);
			}
		}
	}
	return 0;
}

/* ---- Files -------------------------------------------------------------------------------- */

static int refuse(int error, char why[256], const char *path, const char *text) {
	snprintf(why, 256, "%s: %s", path, text);
	return error;
}

/* What the system says of the path is clearer than what libpng makes of it. */
static int check_path(const char *path, char why[256]) {
	struct stat st;
	if (stat(path, &st) < 0) {
		return refuse(-errno, why, path, strerror(errno));
	}
	if (S_ISDIR(st.st_mode)) {
		return refuse(-EISDIR, why, path, "is a directory, not a PNG picture");
	}
	return 0;
}

int picture_load(const char *path, struct picture *out, char why[256]) {
	*out = (struct picture){ 0 };
	int ret = check_path(path, why);
	if (ret < 0) {
		return ret;
	}
	png_image png = { .version = PNG_IMAGE_VERSION };
	if (!png_image_begin_read_from_file(&png, path)) {
		char text[128];
		snprintf(text, sizeof(text), "is not a PNG picture that can be read (%s)",
			png.message);
		return refuse(-EINVAL, why, path, text);
	}
	if (png.width > PICTURE_MAX_EXTENT || png.height > PICTURE_MAX_EXTENT) {
		char text[128];
		snprintf(text, sizeof(text), "has %u x %u pixels, at most %d x %d can be carried",
			png.width, png.height, PICTURE_MAX_EXTENT, PICTURE_MAX_EXTENT);
		png_image_free(&png);
		return refuse(-ERANGE, why, path, text);
	}
	png.format = PNG_FORMAT_RGBA;
	ret = picture_create(png.width, png.height, out);
	if (ret < 0) {
		png_image_free(&png);
		return refuse(ret, why, path, "not enough memory for the picture");
	}
	if (!png_image_finish_read(&png, NULL, out->pixels, 0, NULL)) {
		char text[128];
		snprintf(text, sizeof(text), "is damaged or cut short (%s)", png.message);
		picture_finish(out);
		return refuse(-EINVAL, why, path, text);
	}
	return 0;
}

int picture_save(const char *path, const struct picture *picture, char why[256]) {
	png_image png = {
		.version = PNG_IMAGE_VERSION,
		.width = picture->width,
		.height = picture->height,
		.format = PNG_FORMAT_RGBA,
	};
	if (!png_image_write_to_file(&png, path, 0, picture->pixels, 0, NULL)) {
		return refuse(-EIO, why, path, png.message);
	}
	return 0;
}

unsigned picture_compare(const struct picture *a, const struct picture *b) {
	if (a->width != b->width || a->height != b->height) {
		return 256;
	}
	unsigned largest = 0;
	size_t bytes = (size_t)a->width * a->height * 4;
	for (size_t i = 0; i < bytes; i++) {
		unsigned difference = (unsigned)abs(a->pixels[i] - b->pixels[i]);
		largest = difference > largest ? difference : largest;
	}
	return largest;
}

void picture_get_nv12(const struct picture *picture, uint8_t *luma, size_t luma_pitch,
	uint8_t *chroma, size_t chroma_pitch) {
	for (uint32_t y = 0; y < picture->height; y++) {
		for (uint32_t x = 0; x < picture->width; x++) {
			const uint8_t *rgb = picture_at(picture, x, y);
			float red = (float)rgb[0], green = (float)rgb[1], blue = (float)rgb[2];
			float bright = 0.2126f * red + 0.7152f * green + 0.0722f * blue;
			luma[y * luma_pitch + x] = (uint8_t)lrintf(16 + bright * 219 / 255);
			if (x % 2 == 0 && y % 2 == 0) {
				uint8_t *pair = chroma + y / 2 * chroma_pitch + x;
				float cb = (blue - bright) / 1.8556f, cr = (red - bright) / 1.5748f;
				pair[0] = (uint8_t)lrintf(128 + cb * 224 / 255);
				pair[1] = (uint8_t)lrintf(128 + cr * 224 / 255);
			}
		}
	}
}
