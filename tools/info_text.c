/* SPDX-License-Identifier: MIT */
/* What was found, for people: what they want to know most comes first. */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "tools/info.h"
#include "tools/rows.h"

/* Of an extension: without what all have. */
static const char *shorten(const char *name) {
	static const char *const prefixes[] = { "VK_KHR_", "VK_EXT_", "EGL_KHR_", "EGL_EXT_",
		"EGL_" };
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0) {
			return name + strlen(prefixes[i]);
		}
	}
	return name;
}

static void write_flags(FILE *to, const struct info_flags *flags, bool has) {
	char text[1024] = "";
	size_t length = 0;
	for (const struct info_flag *flag = flags->flags; flag->name != NULL; flag++) {
		if (flag->has == has && length < sizeof(text)) {
			length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s",
				length == 0 ? "" : ", ", shorten(flag->name));
		}
	}
	if (length > 0) {
		rows_write(to, has ? "  has" : "  lacks", text);
	}
}

/* ---- What there is ------------------------------------------------------------------------- */

static void write_backends(FILE *to, const struct info *info) {
	rows_write_title(to, "Memory: backends of Stile");
	for (size_t i = 0; i < info->backend_count; i++) {
		const struct info_backend *backend = &info->backends[i];
		char text[INFO_WHY + 8];
		snprintf(text, sizeof(text), "%s%s", backend->device == NULL ? "no: " : "yes",
			backend->why);
		rows_write(to, backend->name, text);
	}
	char best[INFO_WHY];
	snprintf(best, sizeof(best), "%.*s", (int)strcspn(info->best, ";:"), info->best);
	rows_write(to, "best", best);
}

static void write_nodes(FILE *to, const struct info *info) {
	rows_write_title(to, "DRM devices");
	if (info->node_count == 0) {
		rows_write(to, "none", info->nodes_why);
	}
	if (info->gbm_why[0] != '\0') {
		rows_write(to, "no GBM", info->gbm_why);
	}
	for (size_t i = 0; i < info->node_count; i++) {
		const struct info_node *node = &info->nodes[i];
		char text[INFO_WHY];
		snprintf(text, sizeof(text), "%s%s%s", node->primary,
			node->primary[0] != '\0' && node->render[0] != '\0' ? ", " : "",
			node->render);
		rows_write(to, node->driver[0] == '\0' ? "?" : node->driver, text);
		if (node->why[0] != '\0') {
			rows_write(to, "  no", node->why);
		}
		write_flags(to, &node->has, true);
		write_flags(to, &node->has, false);
	}
}

/* As many formats have a layout that is not for external textures only. */
static size_t count_plain(const struct stile_party *party) {
	size_t count = 0;
	for (size_t f = 0; f < party->format_count; f++) {
		size_t plain = party->formats[f].modifier_count == 0;
		for (size_t m = 0; m < party->formats[f].modifier_count; m++) {
			plain += party->formats[f].modifiers[m].flags == 0;
		}
		count += plain > 0;
	}
	return count;
}

static size_t count_layouts(const struct stile_party *party) {
	size_t count = 0;
	for (size_t f = 0; f < party->format_count; f++) {
		count += party->formats[f].modifier_count;
	}
	return count;
}

/* What the party of this label says, in short. */
static void write_formats(FILE *to, const struct info *info, const char *label) {
	for (size_t i = 0; i < info->party_count; i++) {
		const struct stile_party *reads = &info->parties[i].reads;
		if (strcmp(info->parties[i].label, label) != 0) {
			continue;
		}
		char text[INFO_WHY], external[64] = "";
		size_t plain = count_plain(reads), layouts = count_layouts(reads);
		if (plain < reads->format_count) {
			snprintf(external, sizeof(external), " (%zu as an external texture only)",
				reads->format_count - plain);
		}
		snprintf(text, sizeof(text), "%zu to sample%s, %zu to draw to; %zu layout%s",
			reads->format_count, external, count_plain(&info->parties[i].writes),
			layouts, layouts == 1 ? "" : "s");
		rows_write(to, "  formats", text);
	}
}

static void write_vulkan(FILE *to, const struct info *info) {
	rows_write_title(to, "Vulkan");
	if (info->vulkan_count == 0) {
		rows_write(to, "none", info->vulkan_why);
	}
	for (size_t i = 0; i < info->vulkan_count; i++) {
		const struct info_vulkan *vulkan = &info->vulkans[i];
		char label[INFO_NAME], text[INFO_WHY * 3];
		snprintf(label, sizeof(label), "Vulkan %zu", i);
		snprintf(text, sizeof(text), "%s, Vulkan %s; driver %s", vulkan->name,
			vulkan->version, vulkan->driver);
		rows_write(to, label, text);
		if (!vulkan->works) {
			rows_write(to, "  no", vulkan->why);
		}
		write_flags(to, &vulkan->has, true);
		write_flags(to, &vulkan->has, false);
		write_formats(to, info, label);
	}
}

static bool has_same(const struct info_flags *a, const struct info_flags *b) {
	size_t i = 0;
	while (a->flags[i].name != NULL && a->flags[i].has == b->flags[i].has) {
		i++;
	}
	return a->flags[i].name == NULL;
}

/* The first one that has all the same; its own number if there is none before it. */
static size_t find_alike(const struct info *info, size_t index) {
	const struct info_display *display = &info->displays[index];
	size_t i = display->works ? 0 : index;
	while (strcmp(info->displays[i].driver, display->driver) != 0 ||
		info->displays[i].works != display->works ||
		!has_same(&display->has, &info->displays[i].has)) {
		i++;
	}
	return i;
}

static void write_display(FILE *to, const struct info *info, size_t index) {
	const struct info_display *display = &info->displays[index];
	char label[INFO_NAME], text[INFO_WHY * 2], alike[INFO_NAME] = "";
	size_t first = find_alike(info, index);
	if (first != index) {
		snprintf(alike, sizeof(alike), "; as EGL %zu", first);
	}
	snprintf(label, sizeof(label), "EGL %zu", index);
	snprintf(text, sizeof(text), "%s%s%s%s%s%s", display->name,
		display->driver[0] == '\0' ? "" : ", driver ", display->driver,
		display->version[0] == '\0' ? "" : ", EGL ", display->version, alike);
	rows_write(to, label, text);
	if (!display->works) {
		rows_write(to, "  no", display->why);
	}
	if (first == index) {
		write_flags(to, &display->has, true);
		write_flags(to, &display->has, false);
	}
	write_formats(to, info, label);
}

static void write_egl(FILE *to, const struct info *info) {
	rows_write_title(to, "EGL");
	if (info->display_count == 0) {
		rows_write(to, "none", info->egl_why);
	}
	for (size_t i = 0; i < info->display_count; i++) {
		write_display(to, info, i);
	}
}

void info_write_text(const struct info *info, bool formats, FILE *to) {
	struct utsname kernel;
	uname(&kernel);
	fprintf(to, "Stile %s on %s %s %s\n", stile_version_get(), kernel.sysname, kernel.release,
		kernel.machine);
	info_write_matrix(info, to);
	write_backends(to, info);
	write_nodes(to, info);
	write_vulkan(to, info);
	write_egl(to, info);
	rows_write_title(to, "Fences");
	write_flags(to, &info->fences, true);
	write_flags(to, &info->fences, false);
	if (formats) {
		info_write_formats(info, to);
	} else {
		fputs("\nstile info --formats lists each format, and who takes it.\n", to);
	}
}
