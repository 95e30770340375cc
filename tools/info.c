/* SPDX-License-Identifier: MIT */
#include "tools/info.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tools/guard.h"

/* ---- What the parts add -------------------------------------------------------------------- */

struct info_party *info_add_party(
	struct info *info, const char *label, info_import_fn import, void *handle) {
	if (info->party_count == INFO_PARTIES) {
		return NULL;
	}
	struct info_party *party = &info->parties[info->party_count++];
	snprintf(party->label, sizeof(party->label), "%s", label);
	party->writes.size = party->reads.size = sizeof(party->reads);
	party->import = import;
	party->handle = handle;
	return party;
}

void info_add_allocator(struct info *info, struct stile_device *device) {
	if (info->allocator_count == INFO_ALLOCATORS) {
		stile_device_destroy(device);
		return;
	}
	struct info_allocator *allocator = &info->allocators[info->allocator_count++];
	allocator->device = device;
	allocator->party.size = sizeof(allocator->party);
	(void)!stile_device_get_party(device, 0, NULL, &allocator->party);
}

void info_add_flag(struct info_flags *flags, const char *name, bool has) {
	size_t i = 0;
	while (i < INFO_FLAGS && flags->flags[i].name != NULL) {
		i++;
	}
	if (i < INFO_FLAGS) {
		flags->flags[i] = (struct info_flag){ name, has };
	}
}

bool info_has_flag(const struct info_flags *flags, const char *name) {
	for (const struct info_flag *flag = flags->flags; flag->name != NULL; flag++) {
		if (strcmp(flag->name, name) == 0) {
			return flag->has;
		}
	}
	return false;
}

void info_append(char *why, const char *fmt, ...) {
	va_list args;
	if (why[0] != '\0') {
		size_t length = strlen(why);
		snprintf(why + length, INFO_WHY - length, "; ");
	}
	size_t length = strlen(why);
	va_start(args, fmt);
	vsnprintf(why + length, INFO_WHY - length, fmt, args);
	va_end(args);
}

void info_append_variables(char *why, const char *const *names) {
	for (; *names != NULL; names++) {
		const char *value = getenv(*names);
		if (value != NULL) {
			info_append(why, "%s is set, to '%.80s'", *names, value);
		}
	}
}

/* ---- Fences -------------------------------------------------------------------------------- */

/* Does one of so many have it? They are `stride` bytes apart. */
static bool any_has(const struct info_flags *first, size_t stride, size_t count, const char *name) {
	for (size_t i = 0; i < count; i++) {
		if (info_has_flag(
			    (const struct info_flags *)((const char *)first + i * stride), name)) {
			return true;
		}
	}
	return false;
}

static void look_at_fences(struct info *info) {
	const struct info_flags *vulkan = &info->vulkans[0].has, *egl = &info->displays[0].has,
				*node = &info->nodes[0].has;
	const size_t vulkan_bytes = sizeof(info->vulkans[0]), node_bytes = sizeof(info->nodes[0]),
		     egl_bytes = sizeof(info->displays[0]);
	/* The library's own, anywhere. */
	info_add_flag(&info->fences, "software sync file", true);
	info_add_flag(&info->fences, "eventfd", true);
	info_add_flag(&info->fences, "Vulkan timeline semaphore",
		any_has(vulkan, vulkan_bytes, info->vulkan_count, "timeline semaphores"));
	info_add_flag(&info->fences, "Vulkan semaphore as SYNC_FD",
		any_has(vulkan, vulkan_bytes, info->vulkan_count, "VK_KHR_external_semaphore_fd"));
	info_add_flag(&info->fences, "EGLSync",
		any_has(egl, egl_bytes, info->display_count, "EGL_KHR_fence_sync"));
	info_add_flag(&info->fences, "EGLSync as sync_file",
		any_has(egl, egl_bytes, info->display_count, "EGL_ANDROID_native_fence_sync"));
	info_add_flag(&info->fences, "DRM syncobj",
		any_has(node, node_bytes, info->node_count, "syncobjs"));
	info_add_flag(&info->fences, "DRM syncobj timeline",
		any_has(node, node_bytes, info->node_count, "syncobj timelines"));
}

/* ---- The command --------------------------------------------------------------------------- */

static void look(struct info *info) {
	info_look_at_backends(info);
	info_look_at_drm(info);
	info_look_at_gbm(info);
	info_look_at_vulkan(info);
	info_look_at_egl(info);
	look_at_fences(info);
	info_look_at_pairs(info);
}

static void finish(struct info *info) {
	for (size_t i = 0; i < info->party_count; i++) {
		stile_party_fini(&info->parties[i].writes);
		stile_party_fini(&info->parties[i].reads);
	}
	for (size_t i = 0; i < info->allocator_count; i++) {
		stile_party_fini(&info->allocators[i].party);
		stile_device_destroy(info->allocators[i].device);
	}
	info_finish_egl(info);
	info_finish_vulkan(info);
	info_finish_gbm(info);
	info_finish_drm(info);
}

/* How the report is wanted. */
struct wanted {
	bool json, formats;
};

static int report(void *arg) {
	const struct wanted *wanted = arg;
	struct info *info = calloc(1, sizeof(*info));
	if (info == NULL) {
		perror("stile info");
		return EXIT_FAILURE;
	}
	look(info);
	if (wanted->json) {
		info_write_json(info, stdout);
	} else {
		info_write_text(info, wanted->formats, stdout);
	}
	int ret = fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	guard_finish();
	finish(info);
	free(info);
	return ret;
}

int info_main(int argc, char **argv) {
	struct wanted wanted = { 0 };
	for (int i = 0; i < argc; i++) {
		wanted.json = wanted.json || strcmp(argv[i], "--json") == 0;
		wanted.formats = wanted.formats || strcmp(argv[i], "--formats") == 0;
		if (strcmp(argv[i], "--json") != 0 && strcmp(argv[i], "--formats") != 0) {
			fprintf(stderr, "stile info: what is '%s'?\n", argv[i]);
			return 2;
		}
	}
	return guard_run(report, &wanted);
}
