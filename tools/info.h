/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_INFO_H
#define TOOLS_INFO_H

/*
 * `stile info`: what this machine has. Each part looks at one thing and fills its part of struct info in,
 * which info_text.c and info_json.c write down. What is missing is no failure: it is told.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <stile/stile.h>

enum {
	INFO_NAME = 64,
	INFO_WHY = 768,
	INFO_BACKENDS = 8,
	INFO_NODES = 8,
	INFO_VULKANS = 8,
	INFO_DISPLAYS = 12,
	INFO_PARTIES = 12,
	INFO_ALLOCATORS = 12,
	INFO_PATHS = 26,
	INFO_FLAGS = 16,
};

/** Something that a driver has, or has not. */
struct info_flag {
	const char *name;
	bool has;
};

/** A list of those; ended by one without a name. */
struct info_flags {
	struct info_flag flags[INFO_FLAGS + 1];
};

typedef int (*info_import_fn)(
	void *handle, struct stile_image *image, bool writes, struct stile_report *why);

/** Who can have to do with an image; its adapter is borrowed. */
struct info_party {
	char label[INFO_NAME]; /* short: of a column */
	/** As it draws, and as it looks; empty (without formats) where it does not. */
	struct stile_party writes, reads;
	/** Import an image, and give the import up: what was agreed on may fail all the same. */
	info_import_fn import;
	void *handle;
};

/** Who can make memory. */
struct info_allocator {
	struct stile_device *device;
	struct stile_party party;
};

struct info_backend {
	const char *name;
	struct stile_device *device; /* NULL: it does not open */
	char why[INFO_WHY];
};

/** A device of DRM's. */
struct info_node {
	char driver[INFO_NAME];
	char primary[INFO_NAME], render[INFO_NAME]; /* paths; empty: it has none */
	char why[INFO_WHY]; /* what may not be opened, or lacks its driver */
	struct info_flags has;
	void *handle; /* what info_drm.c keeps */
};

struct info_vulkan {
	char name[INFO_NAME * 4], driver[INFO_NAME * 4], version[INFO_NAME];
	struct info_flags has;
	bool works; /* there is an adapter for it */
	char why[INFO_WHY];
	void *handle; /* what info_vulkan.c keeps */
};

struct info_display {
	char name[INFO_NAME]; /* the platform */
	char driver[INFO_NAME], version[INFO_NAME];
	struct info_flags has;
	bool works;
	char why[INFO_WHY];
	void *handle; /* what info_egl.c keeps */
};

/** A way in which some share images. */
struct info_path {
	uint32_t memory; /* STILE_MEMORY_* */
	uint32_t sync;   /* STILE_SYNC_*, the best */
	char allocator[INFO_NAME];
};

/** What one party draws, and another looks at. */
struct info_pair {
	bool works;
	size_t path; /* index */
	uint32_t fourcc;
	uint64_t modifier;
	char why[INFO_WHY]; /* why not */
};

struct info {
	struct info_backend backends[INFO_BACKENDS];
	size_t backend_count;
	char best[INFO_WHY]; /* which one stile_device_open_best() takes, and why */

	struct info_node nodes[INFO_NODES];
	size_t node_count;
	char nodes_why[INFO_WHY]; /* why there are none */
	char gbm_why[INFO_WHY];   /* why nothing of GBM's is looked at */

	struct info_vulkan vulkans[INFO_VULKANS];
	size_t vulkan_count;
	char vulkan_why[INFO_WHY];

	struct info_display displays[INFO_DISPLAYS];
	size_t display_count;
	char egl_why[INFO_WHY];

	struct info_party parties[INFO_PARTIES];
	size_t party_count;
	struct info_allocator allocators[INFO_ALLOCATORS]; /* the best first */
	size_t allocator_count;

	struct info_flags fences; /* forms */
	struct info_path paths[INFO_PATHS];
	size_t path_count;
	struct info_pair pairs[INFO_PARTIES][INFO_PARTIES]; /* who draws, who looks */
};

/** One more, to be described; NULL: there is no room. */
struct info_party *info_add_party(
	struct info *info, const char *label, info_import_fn import, void *handle);
/** The device is given up by info_finish(). */
void info_add_allocator(struct info *info, struct stile_device *device);
void info_add_flag(struct info_flags *flags, const char *name, bool has);
bool info_has_flag(const struct info_flags *flags, const char *name);
/** One more thing to say in a `why`, of INFO_WHY bytes. */
void info_append(char *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** Those of these variables that are set, for they may be what is wrong. `names` ends by NULL. */
void info_append_variables(char *why, const char *const *names);

/* Each looks at its part; info_..._finish() gives up what it keeps. */
void info_look_at_backends(struct info *info);
void info_look_at_drm(struct info *info);
void info_finish_drm(struct info *info);
void info_look_at_gbm(struct info *info);
void info_finish_gbm(struct info *info);
void info_look_at_vulkan(struct info *info);
void info_finish_vulkan(struct info *info);
void info_look_at_egl(struct info *info);
void info_finish_egl(struct info *info);
void info_look_at_pairs(struct info *info);
/** Does one draw, and another one look? */
bool info_is_possible(const struct info *info, size_t from, size_t to);

/** For people, to a screen of 80 columns and more; `formats`: each party's, too. */
void info_write_text(const struct info *info, bool formats, FILE *to);
/* Parts of it. */
void info_write_matrix(const struct info *info, FILE *to);
void info_write_formats(const struct info *info, FILE *to);
void info_write_json(const struct info *info, FILE *to);

/** The command: 0, or 2 for what it does not understand. */
int info_main(int argc, char **argv);

#endif
