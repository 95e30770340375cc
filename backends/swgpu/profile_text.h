/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_SWGPU_PROFILE_TEXT_H
#define BACKENDS_SWGPU_PROFILE_TEXT_H

/*
 * Texts of `key = value`, which is how profiles and the options of a device are written: between
 * settings there is white space, and `#` begins a comment where a word could begin. docs/profiles.md
 * has the keys.
 */

#include <stddef.h>

#include <stile/report.h>

#include "backends/swgpu/profile.h"

/** A piece of a text, which has to stay; there is no NUL behind it. */
struct word {
	const char *text; /* NULL: there is none */
	size_t length;
	unsigned line; /* from 1; 0: there are no lines */
};

enum text_kind {
	TEXT_OPTIONS,     /* `profile` may stand there */
	TEXT_FILE,        /* `base` may */
	TEXT_ENVIRONMENT, /* a single value */
};

/** Where words come from, for messages. */
struct text_source {
	enum text_kind kind;
	const char *name;
};

enum {
	KEY_BEGIN, /* `profile` or `base`: what to begin with */
	KEY_SEED,
	KEY_FAULT,
	KEY_FIRST_PLAIN, /* the others have no names outside */
	KEY_COUNT = KEY_FIRST_PLAIN + 15,
};

/** What a text sets; where it does not set a key, there is no word. */
struct settings {
	struct word values[KEY_COUNT];
};

/** The words stay where they are in `text`. 0, or what report_refuse() gave. */
int settings_read(struct settings *settings, const struct text_source *source, const char *text,
	size_t length, struct stile_report *why);

/** Change `profile`, but for KEY_BEGIN. 0, or what report_refuse() gave. */
int settings_apply(const struct settings *settings, const struct text_source *source,
	struct profile *profile, struct stile_report *why);

/** Words as they can be printed, whatever strangers wrote, and cut where a report would overflow. */
struct quoted {
	char place[64]; /* source and line */
	char word[41];
};

void quote(struct quoted *quoted, const struct text_source *source, const struct word *word);

#endif
