/* SPDX-License-Identifier: MIT */
/*
 * watch OPTIONS: two queues of a device with these options fill pictures; all that it does is written down, and then
 * how each queue's work ended. watch profiles: those that the library knows.
 */
#include <stdio.h>
#include <stile/stile.h>
#include <stile/swgpu.h>
#include <stile/swgpu_list.h>
#include <stile/swgpu_test.h>
#include <string.h>

enum { QUEUES = 2 };

static void print_line(void *user, const char *line) {
	(void)user;
	printf("%s\n", line);
}

static void print_error(void *user, enum stile_log_level level, const char *text) {
	(void)user;
	if (level == STILE_LOG_ERROR) {
		printf("%s\n", text);
	}
}

static int list_profiles(void) {
	const char *name;
	for (size_t i = 0; (name = stile_swgpu_profile_get_name(i)) != NULL; i++) {
		printf("%s\n", name);
	}
	return 0;
}

/* A picture, twice filled. */
static int submit(
	struct stile_device *device, struct stile_swgpu_queue *queue, struct stile_fence **out) {
	const struct stile_image_info info = {
		.size = sizeof(info),
		.width = 100,
		.height = 1,
		.fourcc = DRM_FORMAT_XRGB8888,
		.usage = STILE_USAGE_WRITE,
		.modifier = DRM_FORMAT_MOD_LINEAR,
	};
	struct stile_image *image = NULL;
	struct stile_swgpu_list *list = NULL;
	int ret = stile_image_create(device, &info, &image);
	if (ret < 0) {
		return ret;
	}
	ret = stile_swgpu_list_create(device, &list);
	for (int i = 0; i < 2 && ret == 0; i++) {
		ret = stile_swgpu_list_fill(list, image, 0, NULL, 0);
	}
	if (ret == 0) {
		ret = stile_swgpu_submit(queue, list, NULL, out);
	}
	if (ret < 0) {
		stile_swgpu_list_destroy(list);
	}
	stile_image_unref(image);
	return ret;
}

static int watch(struct stile_device *device) {
	static const char *const names[QUEUES] = { "left", "right" };
	struct stile_swgpu_queue *queues[QUEUES] = { NULL };
	struct stile_fence *fences[QUEUES] = { NULL };
	int ret = stile_swgpu_set_trace(device, print_line, NULL);
	for (int i = 0; i < QUEUES && ret == 0; i++) {
		const struct stile_swgpu_queue_info info = { .size = sizeof(info),
			.name = names[i] };
		ret = stile_swgpu_queue_create(device, &info, &queues[i]);
	}
	for (int i = 0; i < QUEUES && ret == 0; i++) {
		ret = submit(device, queues[i], &fences[i]);
	}
	for (int i = 0; i < QUEUES && ret == 0; i++) {
		ret = stile_fence_wait(fences[i], INT64_MAX);
	}
	for (int i = 0; i < QUEUES; i++) {
		if (fences[i] != NULL) {
			int status = stile_fence_get_status(fences[i]);
			printf("%s: %s\n", names[i], status == 1 ? "done" : strerror(-status));
			stile_fence_unref(fences[i]);
		}
		stile_swgpu_queue_destroy(queues[i]);
	}
	return ret;
}

int main(int argc, char **argv) {
	if (argc == 2 && strcmp(argv[1], "profiles") == 0) {
		return list_profiles();
	}
	const struct stile_device_info info = {
		.size = sizeof(info),
		.log = print_error,
		.options = argc == 2 ? argv[1] : NULL,
	};
	struct stile_device *device;
	int ret = stile_device_open("swgpu", &info, &device);
	if (ret == 0) {
		ret = watch(device);
		stile_device_destroy(device);
	}
	if (ret < 0) {
		printf("error: %s\n", strerror(-ret));
	}
	return ret == 0 ? 0 : 1;
}
