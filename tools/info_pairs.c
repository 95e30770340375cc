/* SPDX-License-Identifier: MIT */
/* Who can share an image with whom: negotiated with what both say of themselves, made, and imported by both. */
#include <stdio.h>
#include <string.h>

#include "tools/guard.h"
#include "tools/info.h"

enum { EXTENT = 64 };

/* How far an attempt has come; the furthest one's reason is told. */
enum stage { NEGOTIATED_NOTHING, MADE_NOTHING, IMPORTED_NOTHING, WORKS };

struct attempt {
	const struct info_party *from, *to;
	const struct info_allocator *allocator;
	struct stile_layout layout;
	struct stile_report why;
	struct info_path path;
};

static enum stage import(struct attempt *attempt, struct stile_image *image) {
	const struct info_party *from = attempt->from, *to = attempt->to;
	if (from->import(from->handle, image, true, &attempt->why) < 0 ||
		to->import(to->handle, image, false, &attempt->why) < 0) {
		return IMPORTED_NOTHING;
	}
	return WORKS;
}

/* Its number; new, if nobody has it yet. */
static size_t find_path(struct info *info, const struct info_path *path) {
	size_t i = 0;
	while (i < info->path_count &&
		(info->paths[i].memory != path->memory || info->paths[i].sync != path->sync ||
			strcmp(info->paths[i].allocator, path->allocator) != 0)) {
		i++;
	}
	if (i == INFO_PATHS) {
		return i - 1;
	}
	if (i == info->path_count) {
		info->paths[info->path_count++] = *path;
	}
	return i;
}

static enum stage create(struct attempt *attempt, struct info_pair *pair) {
	struct stile_device *const devices[] = { NULL, NULL, attempt->allocator->device };
	struct stile_image *image;
	struct stile_pick pick = { .size = sizeof(pick) };
	if (stile_image_create_for(&attempt->layout, devices, NULL, &pick, &attempt->why, &image) <
		0) {
		return MADE_NOTHING;
	}
	const struct stile_tranche *tranche =
		stile_layout_get_tranche(&attempt->layout, pick.tranche);
	attempt->path.memory = tranche->memory;
	attempt->path.sync = tranche->sync & -tranche->sync;
	pair->fourcc = stile_image_get_info(image)->fourcc;
	pair->modifier = stile_image_get_info(image)->modifier;
	enum stage stage = import(attempt, image);
	stile_image_unref(image);
	return stage;
}

static enum stage negotiate(struct attempt *attempt, struct info_pair *pair) {
	/* Formats that most have, also those that can be drawn to. */
	static const uint32_t fourccs[] = { DRM_FORMAT_XBGR8888, DRM_FORMAT_ABGR8888,
		DRM_FORMAT_XRGB8888, DRM_FORMAT_ARGB8888, DRM_FORMAT_RGB565 };
	const struct stile_want want = {
		.size = sizeof(want),
		.width = EXTENT,
		.height = EXTENT,
		.ladder = STILE_STEP_LINEAR,
		.fourccs = fourccs,
		.fourcc_count = sizeof(fourccs) / sizeof(fourccs[0]),
	};
	struct stile_party parties[] = { attempt->from->writes, attempt->to->reads,
		attempt->allocator->party };
	/* Stile makes the memory. */
	parties[0].allocates = parties[1].allocates = 0;
	enum stage stage = NEGOTIATED_NOTHING;
	attempt->layout = (struct stile_layout){ .size = sizeof(attempt->layout) };
	if (stile_negotiate(parties, 3, &want, &attempt->layout, &attempt->why) == 0) {
		stage = create(attempt, pair);
	}
	stile_layout_fini(&attempt->layout);
	return stage;
}

/* By the memory of the first who makes some that suits. */
static void look_at_pair(struct info *info, const struct info_party *from,
	const struct info_party *to, struct info_pair *pair) {
	enum stage furthest = NEGOTIATED_NOTHING;
	char what[sizeof(from->label) + sizeof(to->label) + sizeof(" to ")];
	snprintf(what, sizeof(what), "%s to %s", from->label, to->label);
	if (!guard_begin(what, pair->why)) {
		return;
	}
	snprintf(pair->why, sizeof(pair->why), "nobody makes memory");
	for (size_t i = 0; i < info->allocator_count && !pair->works; i++) {
		struct attempt attempt = {
			.from = from,
			.to = to,
			.allocator = &info->allocators[i],
			.why = { .size = sizeof(attempt.why) },
		};
		enum stage stage = negotiate(&attempt, pair);
		if (i == 0 || stage > furthest) {
			furthest = stage;
			snprintf(pair->why, sizeof(pair->why), "%s", attempt.why.text);
		}
		if (stage == WORKS) {
			snprintf(attempt.path.allocator, sizeof(attempt.path.allocator), "%s",
				attempt.allocator->party.name);
			pair->works = true;
			pair->path = find_path(info, &attempt.path);
			pair->why[0] = '\0';
		}
	}
	guard_end();
}

bool info_is_possible(const struct info *info, size_t from, size_t to) {
	return from != to && info->parties[from].writes.format_count > 0 &&
		info->parties[to].reads.format_count > 0;
}

void info_look_at_pairs(struct info *info) {
	for (size_t i = 0; i < info->party_count; i++) {
		for (size_t j = 0; j < info->party_count; j++) {
			if (info_is_possible(info, i, j)) {
				look_at_pair(info, &info->parties[i], &info->parties[j],
					&info->pairs[i][j]);
			}
		}
	}
}
