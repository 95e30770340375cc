/* SPDX-License-Identifier: MIT */
/* What was found, for programs: docs/info.md has the keys. Modifiers are strings: numbers of JSON lose bits. */
#include <inttypes.h>
#include <string.h>
#include <sys/utsname.h>

#include "tools/info.h"
#include "tools/json.h"

/* NULL for what is not said. */
static void write_text(struct json *json, const char *key, const char *text) {
	json_string(json, key, text[0] == '\0' ? NULL : text);
}

static void write_flags(struct json *json, const char *key, const struct info_flags *flags) {
	json_begin(json, key, '{');
	for (const struct info_flag *flag = flags->flags; flag->name != NULL; flag++) {
		json_bool(json, flag->name, flag->has);
	}
	json_end(json, '}');
}

/* names[i] is that of the i-th bit; ended by NULL. */
static void write_bits(
	struct json *json, const char *key, const char *const *names, uint32_t bits) {
	json_begin(json, key, '[');
	for (size_t i = 0; names[i] != NULL; i++) {
		if ((bits >> i & 1) != 0) {
			json_string(json, NULL, names[i]);
		}
	}
	json_end(json, ']');
}

static const char *const memory_names[] = { "dma-buf", "memfd", "opaque-fd", "host-pointer", NULL };
static const char *const sync_names[] = { "syncobj", "sync_file", "implicit", "semaphore", "cpu",
	NULL };

/* The name of the only bit. */
static const char *get_name(const char *const *names, uint32_t bit) {
	return names[__builtin_ctz(bit)];
}

static void write_hex(struct json *json, const char *key, uint64_t number) {
	char text[32];
	snprintf(text, sizeof(text), "0x%016" PRIx64, number);
	json_string(json, key, text);
}

static void write_fourcc(struct json *json, const char *key, uint32_t fourcc) {
	const struct stile_format *format = stile_format_get(fourcc);
	json_string(json, key, format == NULL ? NULL : format->name);
}

/* ---- Parties ------------------------------------------------------------------------------- */

static void write_formats(struct json *json, const char *key, const struct stile_party *party) {
	json_begin(json, key, '{');
	for (size_t i = 0; i < party->format_count; i++) {
		const struct stile_party_format *format = &party->formats[i];
		const struct stile_format *known = stile_format_get(format->fourcc);
		if (known == NULL) {
			continue;
		}
		json_begin(json, known->name, '[');
		for (size_t m = 0; m < format->modifier_count; m++) {
			json_begin(json, NULL, '{');
			write_hex(json, "modifier", format->modifiers[m].modifier);
			json_number(json, "planes", format->modifiers[m].plane_count);
			json_bool(json, "external",
				(format->modifiers[m].flags & STILE_PARTY_EXTERNAL_ONLY) != 0);
			json_end(json, '}');
		}
		json_end(json, ']');
	}
	json_end(json, '}');
}

static void write_party(struct json *json, const struct info_party *party) {
	const struct stile_party *reads = &party->reads;
	json_begin(json, NULL, '{');
	json_string(json, "label", party->label);
	json_string(json, "name", reads->name);
	write_hex(json, "device", reads->device);
	write_bits(json, "imports", memory_names, reads->memory);
	write_bits(json, "sync", sync_names, reads->sync);
	write_formats(json, "reads", reads);
	write_formats(json, "writes", &party->writes);
	json_end(json, '}');
}

static void write_pair(struct json *json, const struct info *info, size_t i, size_t j) {
	const struct info_pair *pair = &info->pairs[i][j];
	const struct info_path *path = &info->paths[pair->path];
	json_begin(json, NULL, '{');
	json_string(json, "from", info->parties[i].label);
	json_string(json, "to", info->parties[j].label);
	json_bool(json, "works", pair->works);
	write_text(json, "why", pair->why);
	if (pair->works) {
		json_string(json, "memory", get_name(memory_names, path->memory));
		json_string(json, "sync", get_name(sync_names, path->sync));
		json_string(json, "allocator", path->allocator);
		write_fourcc(json, "format", pair->fourcc);
		write_hex(json, "modifier", pair->modifier);
	}
	json_end(json, '}');
}

static void write_pairs(struct json *json, const struct info *info) {
	json_begin(json, "pairs", '[');
	for (size_t i = 0; i < info->party_count; i++) {
		for (size_t j = 0; j < info->party_count; j++) {
			if (info_is_possible(info, i, j)) {
				write_pair(json, info, i, j);
			}
		}
	}
	json_end(json, ']');
}

/* ---- What there is ------------------------------------------------------------------------- */

static void write_backends(struct json *json, const struct info *info) {
	json_begin(json, "backends", '[');
	for (size_t i = 0; i < info->backend_count; i++) {
		json_begin(json, NULL, '{');
		json_string(json, "name", info->backends[i].name);
		json_bool(json, "works", info->backends[i].device != NULL);
		write_text(json, "why", info->backends[i].why);
		json_end(json, '}');
	}
	json_end(json, ']');
	json_string(json, "best", info->best);
}

static void write_nodes(struct json *json, const struct info *info) {
	write_text(json, "drm_why", info->nodes_why);
	write_text(json, "gbm_why", info->gbm_why);
	json_begin(json, "drm", '[');
	for (size_t i = 0; i < info->node_count; i++) {
		const struct info_node *node = &info->nodes[i];
		json_begin(json, NULL, '{');
		write_text(json, "driver", node->driver);
		write_text(json, "primary", node->primary);
		write_text(json, "render", node->render);
		write_text(json, "why", node->why);
		write_flags(json, "has", &node->has);
		json_end(json, '}');
	}
	json_end(json, ']');
}

static void write_vulkans(struct json *json, const struct info *info) {
	write_text(json, "vulkan_why", info->vulkan_why);
	json_begin(json, "vulkan", '[');
	for (size_t i = 0; i < info->vulkan_count; i++) {
		const struct info_vulkan *vulkan = &info->vulkans[i];
		json_begin(json, NULL, '{');
		json_string(json, "name", vulkan->name);
		json_string(json, "driver", vulkan->driver);
		json_string(json, "version", vulkan->version);
		json_bool(json, "works", vulkan->works);
		write_text(json, "why", vulkan->why);
		write_flags(json, "has", &vulkan->has);
		json_end(json, '}');
	}
	json_end(json, ']');
}

static void write_displays(struct json *json, const struct info *info) {
	write_text(json, "egl_why", info->egl_why);
	json_begin(json, "egl", '[');
	for (size_t i = 0; i < info->display_count; i++) {
		const struct info_display *display = &info->displays[i];
		json_begin(json, NULL, '{');
		json_string(json, "platform", display->name);
		write_text(json, "driver", display->driver);
		write_text(json, "version", display->version);
		json_bool(json, "works", display->works);
		write_text(json, "why", display->why);
		write_flags(json, "has", &display->has);
		json_end(json, '}');
	}
	json_end(json, ']');
}

void info_write_json(const struct info *info, FILE *to) {
	struct json json = { .to = to };
	struct utsname kernel;
	uname(&kernel);
	json_begin(&json, NULL, '{');
	json_string(&json, "stile", stile_version_get());
	json_string(&json, "kernel", kernel.release);
	json_string(&json, "machine", kernel.machine);
	write_pairs(&json, info);
	json_begin(&json, "parties", '[');
	for (size_t i = 0; i < info->party_count; i++) {
		write_party(&json, &info->parties[i]);
	}
	json_end(&json, ']');
	write_backends(&json, info);
	write_nodes(&json, info);
	write_vulkans(&json, info);
	write_displays(&json, info);
	write_flags(&json, "fences", &info->fences);
	json_end(&json, '}');
}
