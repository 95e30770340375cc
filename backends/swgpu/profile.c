/* SPDX-License-Identifier: MIT */
#include "backends/swgpu/profile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stile/swgpu_test.h>

#include "backends/swgpu/profile_text.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/report.h"

/* ---- The profiles that the library knows --------------------------------------------------- */

/* Over `plain`, which sets all. docs/profiles.md says which mistake each one finds. */
static const struct {
	const char *name;
	const char *text;
} known[] = {
	{ "plain",
		"# Takes everything.\n"
		"pitch_align = 16\n"
		"height_align = 1\n"
		"linear_import = yes\n"
		"write_import = yes\n"
		"address_bits = 64\n"
		"max_segments = 0\n"
		"segment_align = 1\n"
		"max_segment = 0\n"
		"iommu = no\n"
		"coherent = yes\n"
		"frame_run = 0\n"
		"implicit_sync = yes\n"
		"local_memory = 0\n"
		"engines = 2\n"
		"timeout = 10s\n" },
	{ "pitch-256",
		"# Rows begin at multiples of 256 bytes.\n"
		"pitch_align = 256\n" },
	{ "height-16",
		"# Planes are padded to groups of 16 rows.\n"
		"height_align = 16\n" },
	{ "no-linear-import",
		"# Images of others have to be tiled.\n"
		"linear_import = no\n" },
	{ "no-implicit-sync",
		"# Nobody waits who was not told to.\n"
		"implicit_sync = no\n" },
	{ "address-32",
		"# Reaches the first 4 GiB.\n"
		"address_bits = 32\n" },
	{ "contiguous",
		"# Needs memory in one piece.\n"
		"max_segments = 1\n" },
	{ "scattered",
		"# Memory comes in pieces of 4 pages.\n"
		"frame_run = 4\n" },
	{ "read-only-import",
		"# Reads memory of others, and writes its own.\n"
		"write_import = no\n" },
	{ "non-coherent",
		"# Has a cache that the CPU does not see.\n"
		"coherent = no\n" },
	{ "local-memory",
		"# Has memory of its own, which no descriptor shows.\n"
		"local_memory = 64M\n" },
	{ "iommu",
		"# Sees scattered memory in one piece, at addresses of its own.\n"
		"iommu = yes\n"
		"frame_run = 4\n" },
};

static const char *known_text(const char *name, size_t length) {
	for (size_t i = 0; i < ARRAY_LENGTH(known); i++) {
		if (strlen(known[i].name) == length && memcmp(known[i].name, name, length) == 0) {
			return known[i].text;
		}
	}
	return NULL;
}

const char *stile_swgpu_profile_get_name(size_t index) {
	return index < ARRAY_LENGTH(known) ? known[index].name : NULL;
}

const char *stile_swgpu_profile_get_text(const char *name) {
	return known_text(name, strlen(name));
}

/* What to begin with where nothing is named. */
static const struct word plain = { .text = "plain", .length = sizeof("plain") - 1 };

static int refuse_name(
	const struct text_source *source, const struct word *name, struct stile_report *why) {
	struct quoted quoted;
	quote(&quoted, source, name);
	char names[256];
	size_t used = 0;
	for (size_t i = 0; i < ARRAY_LENGTH(known) && used < sizeof(names); i++) {
		used += (size_t)snprintf(names + used, sizeof(names) - used, " %s", known[i].name);
	}
	return report_refuse(why, -ENOENT, STILE_REASON_OPTION, 0, 0, 0,
		"%s: no profile '%s', and none but%s", quoted.place, quoted.word, names);
}

static int apply_known(struct profile *profile, const char *text, struct stile_report *why) {
	const struct text_source source = { .kind = TEXT_FILE, .name = profile->name };
	struct settings settings;
	int ret = settings_read(&settings, &source, text, strlen(text), why);
	return ret < 0 ? ret : settings_apply(&settings, &source, profile, why);
}

/* A profile that the library knows. */
static int begin_known(struct profile *profile, const struct text_source *source,
	const struct word *name, struct stile_report *why) {
	const char *text = known_text(name->text, name->length);
	if (text == NULL) {
		return refuse_name(source, name, why);
	}
	*profile = (struct profile){ .name = "" };
	snprintf(profile->name, sizeof(profile->name), "%.*s", (int)name->length, name->text);
	int ret = apply_known(profile, known[0].text, why);
	return ret < 0 ? ret : apply_known(profile, text, why);
}

/* ---- Files --------------------------------------------------------------------------------- */

enum { FILE_MAX = 64 * 1024, PATH_SHOWN = 128 };

/* The end of a path, for reports, which are short. */
static const char *path_end(const char *path) {
	size_t length = strlen(path);
	return length > PATH_SHOWN ? path + length - PATH_SHOWN : path;
}

static int refuse_file(const char *path, int error, struct stile_report *why) {
	bool resources = error == ENOMEM || error == EMFILE || error == ENFILE;
	int ret = resources ? -error : -EINVAL;
	if (error == ENOENT || error == ENOTDIR) {
		ret = -ENOENT;
	}
	return report_refuse(why, ret, resources ? STILE_REASON_RESOURCES : STILE_REASON_OPTION, 0,
		0, 0, "profile %s: %s", path_end(path), strerror(error));
}

/* As much as there is, up to one byte more than is allowed. Bytes or -errno. */
static ssize_t read_all(int fd, char *text) {
	size_t length = 0;
	while (length <= FILE_MAX) {
		ssize_t got = read(fd, text + length, FILE_MAX + 1 - length);
		if (got == 0) {
			break;
		}
		if (got < 0 && errno != EINTR) {
			return -errno;
		}
		length += got < 0 ? 0 : (size_t)got;
	}
	return (ssize_t)length;
}

/* Its bytes to `text`, which has room for FILE_MAX + 1. How many, or what report_refuse() gave. */
static ssize_t read_file(const char *path, char *text, struct stile_report *why) {
	/* Nobody may ever write to a pipe. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		return refuse_file(path, errno, why);
	}
	struct stat st;
	bool is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	ssize_t length = is_file ? read_all(fd, text) : 0;
	close(fd);
	if (length < 0) {
		return refuse_file(path, (int)-length, why);
	}
	const char *wrong = NULL;
	if (!is_file) {
		wrong = "a directory, device or pipe, not a file";
	} else if (length > FILE_MAX) {
		wrong = "more than 64 KiB";
	} else if (memchr(text, '\0', (size_t)length) != NULL) {
		wrong = "no text: there are NUL bytes";
	}
	if (wrong != NULL) {
		return report_refuse(why, -EINVAL, STILE_REASON_OPTION, 0, 0, 0, "profile %s: %s",
			path_end(path), wrong);
	}
	return length;
}

static int begin_text(struct profile *profile, const char *path, const char *text, size_t length,
	struct stile_report *why) {
	const struct text_source source = { .kind = TEXT_FILE, .name = path };
	struct settings settings;
	int ret = settings_read(&settings, &source, text, length, why);
	if (ret < 0) {
		return ret;
	}
	const struct word *base = &settings.values[KEY_BEGIN];
	ret = begin_known(profile, &source, base->text == NULL ? &plain : base, why);
	if (ret < 0) {
		return ret;
	}
	snprintf(profile->name, sizeof(profile->name), "%s", strrchr(path, '/') + 1);
	return settings_apply(&settings, &source, profile, why);
}

static int begin_file(struct profile *profile, const char *path, struct stile_report *why) {
	char *text = malloc(FILE_MAX + 1);
	if (text == NULL) {
		return refuse_file(path, ENOMEM, why);
	}
	ssize_t length = read_file(path, text, why);
	int ret = length < 0 ? (int)length : begin_text(profile, path, text, (size_t)length, why);
	free(text);
	return ret;
}

/* ---- All together -------------------------------------------------------------------------- */

/* What has a slash is a path, the rest are names. */
static int begin_named(struct profile *profile, const struct text_source *source,
	const struct word *name, struct stile_report *why) {
	if (memchr(name->text, '/', name->length) == NULL) {
		return begin_known(profile, source, name, why);
	}
	char path[PATH_MAX];
	if (name->length >= sizeof(path)) {
		return report_refuse(why, -EINVAL, STILE_REASON_OPTION, 0, sizeof(path) - 1,
			name->length, "%s: a path of %zu bytes: needs at most %d", source->name,
			name->length, PATH_MAX - 1);
	}
	snprintf(path, sizeof(path), "%.*s", (int)name->length, name->text);
	return begin_file(profile, path, why);
}

/* A variable's value; without text if it is not set, empty or not to be read. */
static struct word env_word(const char *name, bool env) {
	const char *value = env ? secure_getenv(name) : NULL;
	if (value == NULL || *value == '\0') {
		return (struct word){ .text = NULL };
	}
	return (struct word){ .text = value, .length = strlen(value) };
}

/* The variables that set one key each. */
static int apply_env(struct profile *profile, bool env, struct stile_report *why) {
	static const struct {
		size_t key;
		const char *name;
	} variables[] = {
		{ KEY_SEED, "STILE_SWGPU_SEED" },
		{ KEY_FAULT, "STILE_SWGPU_FAULT" },
	};
	int ret = 0;
	for (size_t i = 0; i < ARRAY_LENGTH(variables) && ret == 0; i++) {
		const struct text_source source = { TEXT_ENVIRONMENT, variables[i].name };
		struct settings settings = { .values = { { .text = NULL } } };
		settings.values[variables[i].key] = env_word(variables[i].name, env);
		ret = settings_apply(&settings, &source, profile, why);
	}
	return ret;
}

/* Each value may be: may they be together? */
static int check_together(struct profile *profile, struct stile_report *why) {
	/* Nothing is finer than pages. */
	if (profile->segment_align < os_page_size()) {
		profile->segment_align = (uint32_t)os_page_size();
	}
	if (profile->max_segment % profile->segment_align != 0) {
		return report_refuse(why, -EINVAL, STILE_REASON_OPTION, 0, profile->segment_align,
			profile->max_segment,
			"max_segment = %" PRIu64
			": needs 0 or a multiple of segment_align, which is %" PRIu32,
			profile->max_segment, profile->segment_align);
	}
	/* The other half is for the system's memory. */
	uint64_t half = UINT64_C(1) << (profile->address_bits - 1);
	if (profile->local_bytes > half) {
		return report_refuse(why, -EINVAL, STILE_REASON_OPTION, 0, half,
			profile->local_bytes,
			"local_memory = %" PRIu64 ": needs at most %" PRIu64
			", half of what address_bits = %" PRIu32 " reach",
			profile->local_bytes, half, profile->address_bits);
	}
	return 0;
}

int profile_parse(
	struct profile *profile, const char *options, bool env, struct stile_report *why) {
	const struct text_source in_options = { TEXT_OPTIONS, "options" };
	const struct text_source in_env = { TEXT_ENVIRONMENT, "STILE_SWGPU_PROFILE" };
	const char *text = options == NULL ? "" : options;
	struct settings settings;
	int ret = settings_read(&settings, &in_options, text, strlen(text), why);
	if (ret < 0) {
		return ret;
	}
	const struct word *by_options = &settings.values[KEY_BEGIN];
	struct word by_env = env_word(in_env.name, env);
	if (by_env.text != NULL) {
		ret = begin_named(profile, &in_env, &by_env, why);
	} else {
		ret = begin_named(
			profile, &in_options, by_options->text == NULL ? &plain : by_options, why);
	}
	if (ret == 0) {
		ret = settings_apply(&settings, &in_options, profile, why);
	}
	if (ret == 0) {
		ret = apply_env(profile, env, why);
	}
	return ret < 0 ? ret : check_together(profile, why);
}
