/* SPDX-License-Identifier: MIT */
/* A device as a party of negotiations. */
#include <errno.h>

#include <stile/party.h>

#include "src/device.h"
#include "src/format.h"
#include "src/image.h"
#include "src/party_data.h"
#include "src/report.h"

enum {
	USAGE_ALL = STILE_USAGE_READ | STILE_USAGE_WRITE,
	/* Who does nothing is waited for by nobody, and waits for nobody. */
	SYNC_ALL = STILE_SYNC_CPU * 2 - 1,
};

static bool imports_modifier(const struct stile_constraints *import, uint64_t modifier) {
	for (size_t i = 0; i < import->modifier_count; i++) {
		if (import->modifiers[i] == modifier) {
			return true;
		}
	}
	return import->modifier_count == 0;
}

static void add_layout(const struct stile_device *device, const struct stile_format *format,
	uint64_t modifier, struct party_layouts *layouts) {
	const struct format_tiling *tiling = image_find_tiling(device, modifier);
	struct stile_party_modifier layout = { .modifier = modifier };
	if (tiling != NULL || modifier == DRM_FORMAT_MOD_LINEAR) {
		layout.plane_count = format_plane_count(format, tiling);
	}
	if (layout.plane_count <= STILE_MAX_PLANES) {
		party_add(layouts, format->fourcc, &layout);
	}
}

static void add_format(const struct stile_device *device, const struct stile_format *format,
	bool imports, struct party_layouts *layouts) {
	const struct device_limits *limits = &device->limits;
	for (size_t i = 0; i < limits->create_modifier_count; i++) {
		uint64_t modifier = limits->create_modifiers[i];
		if (!imports || imports_modifier(&limits->import, modifier)) {
			add_layout(device, format, modifier, layouts);
		}
	}
}

/* Who only allocates makes pitches and offsets as they have to be, and does not touch the memory. */
static struct stile_constraints get_needs(const struct stile_device *device, uint32_t usage) {
	struct stile_constraints needs = {
		.size = sizeof(needs),
		.max_width = device->limits.import.max_width,
		.max_height = device->limits.import.max_height,
	};
	if (usage != 0) {
		needs = device->limits.import;
		needs.modifiers = NULL;
		needs.modifier_count = 0;
	}
	needs.usage = usage;
	return needs;
}

static int describe(const struct stile_device *device, uint32_t usage, struct stile_report *why,
	struct stile_party *party) {
	if ((usage & ~(uint32_t)USAGE_ALL) != 0) {
		return report_refuse(why, -EINVAL, STILE_REASON_USAGE, 0, USAGE_ALL, usage,
			"usage 0x%x: there are READ (1) and WRITE (2), or 0 to allocate only",
			usage);
	}
	struct device_description own = { .gives = { .size = sizeof(own.gives) } };
	device->ops->device_describe(device, &own);
	const struct stile_constraints needs = get_needs(device, usage);
	const struct stile_party said = {
		.size = sizeof(said),
		.name = own.name,
		.needs = &needs,
		.gives = &own.gives,
		/* What came by descriptor may not allow as much as its own. */
		.memory = (usage & ~device->limits.import_usage) == 0 ? own.imports : 0,
		.allocates = own.allocates,
		.sync = usage == 0 ? SYNC_ALL : own.sync,
		.flags = usage == 0 ? 0 : own.flags,
	};
	struct party_layouts layouts = { .failed = false };
	const struct stile_format *format;
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		add_format(device, format, usage != 0, &layouts);
	}
	return party_make(&layouts, &said, why, party);
}

int stile_device_get_party(const struct stile_device *device, uint32_t usage,
	struct stile_report *report, struct stile_party *party) {
	if (party_begin(report, party) < 0) {
		return -EINVAL;
	}
	struct stile_report why;
	int ret = describe(device, usage, &why, party);
	if (ret < 0) {
		report_give(report, &why);
	}
	return ret;
}
