/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <stile/stile.h>
#include <stile/swgpu.h>
#include <stile/swgpu_list.h>

static void must(int ret) {
	if (ret < 0) {
		printf("error %d\n", ret);
		exit(2);
	}
}

/* The application: draws a picture on one queue, and brings it to the screen on another one. */
static void draw_and_show(struct stile_device *device, struct stile_swgpu_queue *display,
	struct stile_image *picture, uint32_t *screen) {
	struct stile_fence *drawn, *shown;
	struct stile_swgpu_list *list;
	must(stile_swgpu_fill(device, picture, 0, 0xff8000, &drawn));
	struct stile_swgpu_submit_info info = { .size = sizeof(info), .waits = &drawn };
#ifndef FORGET_THE_WAIT
	info.wait_count = 1;
#endif
	must(stile_swgpu_list_create(device, &list));
	must(stile_swgpu_list_download(list, picture, 0, screen, sizeof(*screen)));
	must(stile_swgpu_submit(display, list, &info, &shown));
	must(stile_fence_wait(shown, INT64_MAX));
	stile_fence_unref(drawn);
	stile_fence_unref(shown);
}

/* The test: is it on the screen, in whichever order the device does what it may? */
int main(void) {
	struct stile_image_info pixel = { .size = sizeof(pixel),
		.width = 1,
		.height = 1,
		.fourcc = DRM_FORMAT_XRGB8888,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE };
	for (unsigned seed = 1; seed <= 32; seed++) {
		char options[64];
		snprintf(options, sizeof(options), "profile=no-implicit-sync seed=%u", seed);
		struct stile_device_info how = { .size = sizeof(how), .options = options };
		struct stile_device *device;
		struct stile_swgpu_queue *display;
		struct stile_image *picture;
		uint32_t screen = 0;
		must(stile_device_open("swgpu", &how, &device));
		must(stile_swgpu_queue_create(device, NULL, &display));
		must(stile_image_create(device, &pixel, &picture));
		draw_and_show(device, display, picture, &screen);
		stile_image_unref(picture);
		stile_swgpu_queue_destroy(display);
		stile_device_destroy(device);
		if (screen != 0xff8000) {
			printf("seed %u: shown before it was drawn\n", seed);
			return 1;
		}
	}
	printf("32 seeds, always drawn before it is shown\n");
	return 0;
}
