/* SPDX-License-Identifier: MIT */
/*
 * demo_picture NAME PICTURE.png: is it what the demo of this name has to show? Each frame is drawn here by the CPU.
 * Exit status: 0 it is, 1 it is not, and where, 2 there is no such demo or picture.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demos/frames.h"

/* Of two drawings one after the other, both of which round. */
enum { TOLERANCE = 2 };

static struct picture card;

static void must(int ret, const char *what) {
	if (ret < 0) {
		fprintf(stderr, "demo_picture: %s: %s\n", what, strerror(-ret));
		exit(2);
	}
}

static void expect_import_texture(unsigned frame, struct picture *to) {
	frames_draw(frame, &card, to);
}

static void expect_ring(unsigned frame, const struct transform *second, struct picture *to) {
	struct transform first = frames_transform(frame);
	struct picture between;
	must(picture_create(card.width, card.height, &between), "no memory");
	transform_apply(&first, &card, &between);
	transform_apply(second, &between, to);
	picture_finish(&between);
}

static void expect_vulkan_to_gl(unsigned frame, struct picture *to) {
	expect_ring(frame, &transform_gles, to);
}

static void expect_gl_to_vulkan(unsigned frame, struct picture *to) {
	expect_ring(frame, &transform_vulkan, to);
}

static uint8_t clamp(double value) {
	return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value + 0.5);
}

/* From the numbers that there are in NV12 back to colours, by BT.709's own, in limited range. */
static void expect_camera_like(unsigned frame, struct picture *to) {
	uint8_t luma[FRAME_HEIGHT][FRAME_WIDTH], chroma[FRAME_HEIGHT / 2][FRAME_WIDTH];
	frames_draw(frame, &card, to);
	picture_get_nv12(to, luma[0], sizeof(luma[0]), chroma[0], sizeof(chroma[0]));
	for (uint32_t y = 0; y < to->height; y++) {
		for (uint32_t x = 0; x < to->width; x++) {
			uint8_t *rgba = picture_at(to, x, y);
			double bright = (luma[y][x] - 16) * 255.0 / 219;
			const uint8_t *pair = &chroma[y / 2][x & ~1u];
			double blue = (pair[0] - 128) * 255.0 / 224;
			double red = (pair[1] - 128) * 255.0 / 224;
			rgba[0] = clamp(bright + 1.5748 * red);
			rgba[1] = clamp(bright - 0.1873 * blue - 0.4681 * red);
			rgba[2] = clamp(bright + 1.8556 * blue);
			rgba[3] = 255;
		}
	}
}

static void draw_sheet(void (*expect)(unsigned frame, struct picture *to), struct picture *sheet) {
	struct picture frame;
	must(picture_create(FRAME_WIDTH, FRAME_HEIGHT, &frame), "no memory");
	must(frames_create_sheet(sheet), "no memory");
	for (unsigned n = 0; n < FRAME_COUNT; n++) {
		expect(n, &frame);
		frames_put(sheet, n, &frame);
	}
	picture_finish(&frame);
}

/* The last frame; KMS has no alpha. */
static void draw_present_kms(struct picture *to) {
	must(picture_create(FRAME_WIDTH, FRAME_HEIGHT, to), "no memory");
	frames_draw(FRAME_COUNT - 1, &card, to);
	for (size_t i = 0; i < (size_t)to->width * to->height; i++) {
		to->pixels[4 * i + 3] = 255;
	}
}

static void draw_negotiate(struct picture *to) {
	struct picture larger;
	must(picture_draw_test_card(320, 240, &larger), "no memory");
	must(picture_create(320, 240, to), "no memory");
	transform_apply(&transform_vulkan, &larger, to);
	picture_finish(&larger);
}

static const struct {
	const char *name;
	void (*expect)(unsigned frame, struct picture *to); /* NULL: it is no sheet of frames */
	void (*draw)(struct picture *to);
} demos[] = {
	{ "import_texture", expect_import_texture, NULL },
	{ "vulkan_to_gl", expect_vulkan_to_gl, NULL },
	{ "gl_to_vulkan", expect_gl_to_vulkan, NULL },
	{ "camera_like", expect_camera_like, NULL },
	{ "present_kms", NULL, draw_present_kms },
	{ "negotiate", NULL, draw_negotiate },
};

static void draw(size_t demo, struct picture *out) {
	must(picture_draw_test_card(FRAME_WIDTH, FRAME_HEIGHT, &card), "no memory");
	if (demos[demo].expect != NULL) {
		draw_sheet(demos[demo].expect, out);
	} else {
		demos[demo].draw(out);
	}
	picture_finish(&card);
}

/* Where they differ first, and how much. */
static void tell(const struct picture *is, const struct picture *has_to_be) {
	for (uint32_t y = 0; y < is->height; y++) {
		for (uint32_t x = 0; x < is->width; x++) {
			const uint8_t *a = picture_at(is, x, y), *b = picture_at(has_to_be, x, y);
			for (int i = 0; i < 4; i++) {
				if (abs(a[i] - b[i]) > TOLERANCE) {
					printf("%u, %u: component %d is %u, has to be "
					       "%u\n",
						x, y, i, a[i], b[i]);
					return;
				}
			}
		}
	}
}

int main(int argc, char **argv) {
	struct picture is, has_to_be;
	char why[256] = "";
	for (size_t i = 0; argc == 3 && i < sizeof(demos) / sizeof(demos[0]); i++) {
		if (strcmp(demos[i].name, argv[1]) == 0) {
			must(picture_load(argv[2], &is, why), argv[2]);
			draw(i, &has_to_be);
			unsigned largest = picture_compare(&is, &has_to_be);
			if (largest > TOLERANCE && largest < 256) {
				tell(&is, &has_to_be);
			}
			printf("%s: the largest difference is %u/255\n", argv[1], largest);
			picture_finish(&is);
			picture_finish(&has_to_be);
			return largest > TOLERANCE;
		}
	}
	fprintf(stderr, "usage: demo_picture NAME PICTURE.png\n");
	return 2;
}
