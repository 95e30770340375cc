/* SPDX-License-Identifier: MIT */
/* The backends of the library, the CPU, and the software GPU. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/info.h"

/* The first complaint says why. */
static void hear(void *user, enum stile_log_level level, const char *text) {
	char *why = user;
	if (level == STILE_LOG_ERROR && why[0] == '\0') {
		snprintf(why, INFO_WHY, "%s", text);
	}
}

static void open_backend(const char *name, struct info_backend *backend) {
	backend->name = name;
	const struct stile_device_info info = {
		.size = sizeof(info), .log = hear, .log_user = backend->why
	};
	int ret = stile_device_open(name, &info, &backend->device);
	if (ret < 0 && backend->why[0] == '\0') {
		snprintf(backend->why, sizeof(backend->why), "%s", strerror(-ret));
	}
	size_t length = strlen(name);
	if (strncmp(backend->why, name, length) == 0 && backend->why[length] == ':') {
		memmove(backend->why, backend->why + length + 2,
			strlen(backend->why + length + 2) + 1);
	}
}

/* ---- Parties ------------------------------------------------------------------------------- */

/* As another process would: by descriptors. */
static int import_swgpu(
	void *handle, struct stile_image *image, bool writes, struct stile_report *why) {
	struct stile_image_info info = { .size = sizeof(info) };
	struct stile_image *imported;
	int ret = stile_image_export(image, &info);
	if (ret < 0) {
		snprintf(why->text, sizeof(why->text), "no descriptor: %s", strerror(-ret));
		return ret;
	}
	info.usage = writes ? STILE_USAGE_WRITE : STILE_USAGE_READ;
	ret = stile_image_import(handle, &info, why, &imported);
	for (uint32_t i = 0; i < info.plane_count; i++) {
		close(info.planes[i].fd);
	}
	stile_image_unref(ret == 0 ? imported : NULL);
	return ret;
}

static int map_by_cpu(
	void *handle, struct stile_image *image, bool writes, struct stile_report *why) {
	(void)handle;
	void *address;
	struct stile_buffer *buffer = stile_image_get_buffer(image, 0);
	int ret =
		stile_buffer_mmap(buffer, writes ? STILE_USAGE_WRITE : STILE_USAGE_READ, &address);
	if (ret < 0) {
		snprintf(why->text, sizeof(why->text), "it cannot be mapped: %s", strerror(-ret));
		return ret;
	}
	stile_buffer_munmap(buffer, address);
	return 0;
}

static struct stile_party describe(const struct stile_device *device, uint32_t usage) {
	struct stile_party party = { .size = sizeof(party) };
	/* Empty, it takes nothing, which is what is to be seen then. */
	(void)!stile_device_get_party(device, usage, NULL, &party);
	return party;
}

static void add_swgpu(struct info *info, struct stile_device *device) {
	struct info_party *party = info_add_party(info, "swgpu", import_swgpu, device);
	if (party != NULL) {
		party->writes = describe(device, STILE_USAGE_WRITE);
		party->reads = describe(device, STILE_USAGE_READ);
	}
}

/* Rows, in whatever memory has a descriptor; by hand. */
static void add_cpu(struct info *info) {
	enum { MOST = 128 };
	static const struct stile_party_modifier linear = { .modifier = DRM_FORMAT_MOD_LINEAR };
	static const struct stile_constraints reads = { .size = sizeof(reads),
		.usage = STILE_USAGE_READ };
	static const struct stile_constraints writes = { .size = sizeof(writes),
		.usage = STILE_USAGE_WRITE };
	static struct stile_party_format formats[MOST];
	size_t count = 0;
	const struct stile_format *format;
	while (count < MOST && (format = stile_format_get_nth(count)) != NULL) {
		formats[count++] = (struct stile_party_format){ format->fourcc, &linear, 1 };
	}
	struct info_party *party = info_add_party(info, "CPU", map_by_cpu, NULL);
	if (party != NULL) {
		party->reads = (struct stile_party){
			.size = sizeof(party->reads),
			.name = "CPU",
			.formats = formats,
			.format_count = count,
			.needs = &reads,
			.memory = STILE_MEMORY_DMA_BUF | STILE_MEMORY_MEMFD,
			.sync = STILE_SYNC_FILE | STILE_SYNC_IMPLICIT | STILE_SYNC_CPU,
			.flags = STILE_PARTY_CPU,
		};
		party->writes = party->reads;
		party->writes.needs = &writes;
	}
}

void info_look_at_backends(struct info *info) {
	/* In the order in which they are taken: what the most drivers import comes first. */
	static const char *const order[INFO_BACKENDS] = { "dmabuf", "udmabuf", "swgpu" };
	for (size_t i = 0; i < INFO_BACKENDS && order[i] != NULL; i++) {
		struct info_backend *backend = &info->backends[info->backend_count++];
		open_backend(order[i], backend);
		if (backend->device == NULL) {
			continue;
		}
		info_add_allocator(info, backend->device);
		if (strcmp(order[i], "swgpu") == 0) {
			add_swgpu(info, backend->device);
		}
	}
	add_cpu(info);
	struct stile_report why = { .size = sizeof(why) };
	struct stile_device *best;
	if (stile_device_open_best(NULL, &why, &best) == 0) {
		stile_device_destroy(best);
	}
	snprintf(info->best, sizeof(info->best), "%s", why.text);
}
