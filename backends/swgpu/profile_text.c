/* SPDX-License-Identifier: MIT */
#include "backends/swgpu/profile_text.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "src/macros.h"
#include "src/os.h"
#include "src/report.h"

/* ---- What can be said ---------------------------------------------------------------------- */

enum value_kind { VALUE_TEXT, VALUE_BOOL, VALUE_NUMBER, VALUE_SIZE, VALUE_TIME };

/* Conditions on numbers. */
enum {
	OR_ZERO = 1u << 0,
	POWER_OF_TWO = 1u << 1,
	WHOLE_PAGES = 1u << 2, /* which is at least one */
};

struct key {
	const char *name;
	enum value_kind kind;
	uint32_t flags;
	size_t offset, bytes; /* of the field in struct profile */
	uint64_t min, max;    /* of a text: its length */
};

#define FIELD(field) offsetof(struct profile, field), sizeof(((struct profile *)NULL)->field)
#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define SECOND UINT64_C(1000000000)

static const struct key keys[] = {
	[KEY_BEGIN] = { "profile", VALUE_TEXT, 0, 0, 0, 1, PATH_MAX - 1 },
	[KEY_SEED] = { "seed", VALUE_NUMBER, 0, FIELD(seed), 0, UINT64_MAX },
	[KEY_FAULT] = { "fault", VALUE_TEXT, 0, FIELD(faults), 1,
		sizeof(((struct profile *)NULL)->faults) - 1 },
	{ "pitch_align", VALUE_SIZE, POWER_OF_TWO, FIELD(pitch_align), 16, 64 * KIB },
	{ "height_align", VALUE_NUMBER, POWER_OF_TWO, FIELD(height_align), 1, 4096 },
	{ "linear_import", VALUE_BOOL, 0, FIELD(linear_import), 0, 0 },
	{ "write_import", VALUE_BOOL, 0, FIELD(write_import), 0, 0 },
	{ "address_bits", VALUE_NUMBER, 0, FIELD(address_bits), 20, 64 },
	{ "max_segments", VALUE_NUMBER, 0, FIELD(max_segments), 0, UINT32_MAX },
	{ "segment_align", VALUE_SIZE, POWER_OF_TWO, FIELD(segment_align), 1, GIB },
	{ "max_segment", VALUE_SIZE, OR_ZERO | WHOLE_PAGES, FIELD(max_segment), 0, 1024 * GIB },
	{ "iommu", VALUE_BOOL, 0, FIELD(iommu), 0, 0 },
	{ "coherent", VALUE_BOOL, 0, FIELD(coherent), 0, 0 },
	{ "frame_run", VALUE_NUMBER, 0, FIELD(frame_run), 0, MIB },
	{ "implicit_sync", VALUE_BOOL, 0, FIELD(implicit_sync), 0, 0 },
	{ "local_memory", VALUE_SIZE, OR_ZERO | WHOLE_PAGES, FIELD(local_bytes), 0, 1024 * GIB },
	{ "engines", VALUE_NUMBER, 0, FIELD(engines), 1, 64 },
	{ "timeout", VALUE_TIME, 0, FIELD(timeout_ns), 1000, 86400 * SECOND },
};

static_assert(ARRAY_LENGTH(keys) == KEY_COUNT, "KEY_COUNT counts the keys");

static const struct unit {
	enum value_kind kind;
	const char *name;
	uint64_t factor;
} units[] = {
	{ VALUE_NUMBER, "", 1 },
	{ VALUE_SIZE, "", 1 },
	{ VALUE_SIZE, "K", KIB },
	{ VALUE_SIZE, "M", MIB },
	{ VALUE_SIZE, "G", GIB },
	{ VALUE_TIME, "ns", 1 },
	{ VALUE_TIME, "us", 1000 },
	{ VALUE_TIME, "ms", 1000000 },
	{ VALUE_TIME, "s", SECOND },
};

static const char *key_name(size_t key, const struct text_source *source) {
	return key == KEY_BEGIN && source->kind == TEXT_FILE ? "base" : keys[key].name;
}

static uint64_t key_min(const struct key *key) {
	return (key->flags & WHOLE_PAGES) != 0 ? os_page_size() : key->min;
}

/* ---- Saying what is wrong ------------------------------------------------------------------ */

void quote(struct quoted *quoted, const struct text_source *source, const struct word *word) {
	enum { PLACE_SHOWN = 24 };
	size_t length = strlen(source->name);
	bool cut = length > PLACE_SHOWN;
	const char *end = source->name + (cut ? length - PLACE_SHOWN : 0);
	char line[16] = "";
	if (word->line > 0) {
		snprintf(line, sizeof(line), ":%u", word->line);
	}
	snprintf(quoted->place, sizeof(quoted->place), "%s%s%s", cut ? "..." : "", end, line);

	size_t shown = word->length;
	if (shown >= sizeof(quoted->word)) {
		shown = sizeof(quoted->word) - 1;
	}
	for (size_t i = 0; i < shown; i++) {
		char c = word->text[i];
		quoted->word[i] = (char)(c >= ' ' && c <= '~' ? c : '?');
	}
	quoted->word[shown] = '\0';
}

/* In the largest unit that leaves nothing over. */
static void number_text(char out[32], enum value_kind kind, uint64_t value) {
	const struct unit *best = NULL;
	for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
		const struct unit *unit = &units[i];
		if (unit->kind == kind && (best == NULL || value >= unit->factor) &&
			value % unit->factor == 0) {
			best = unit;
		}
	}
	snprintf(out, 32, "%" PRIu64 "%s", value / best->factor, best->name);
}

static void needed_text(char out[128], const struct key *key) {
	static const char *const kinds[] = {
		[VALUE_NUMBER] = "a number",
		[VALUE_SIZE] = "whole pages, in bytes or with K, M or G,",
		[VALUE_TIME] = "a time with ns, us, ms or s",
	};
	if (key->kind == VALUE_BOOL) {
		snprintf(out, 128, "yes or no");
		return;
	}
	if (key->kind == VALUE_TEXT) {
		snprintf(out, 128, "%" PRIu64 " to %" PRIu64 " characters", key->min, key->max);
		return;
	}
	char min[32], max[32];
	number_text(min, key->kind, key_min(key));
	number_text(max, key->kind, key->max);
	snprintf(out, 128, "%s%s from %s to %s", (key->flags & OR_ZERO) != 0 ? "0, or " : "",
		(key->flags & POWER_OF_TWO) != 0 ? "a power of two" : kinds[key->kind], min, max);
}

static int refuse_value(const struct text_source *source, size_t key, const struct word *value,
	struct stile_report *why) {
	struct quoted quoted;
	quote(&quoted, source, value);
	char needed[128];
	needed_text(needed, &keys[key]);
	return report_refuse(why, -EINVAL, STILE_REASON_OPTION, 0, 0, 0, "%s: %s = %s: needs %s",
		quoted.place, key_name(key, source), quoted.word, needed);
}

static int refuse_key(
	const struct text_source *source, const struct word *name, struct stile_report *why) {
	struct quoted quoted;
	quote(&quoted, source, name);
	char names[256];
	size_t used = 0;
	for (size_t i = 0; i < ARRAY_LENGTH(keys) && used < sizeof(names); i++) {
		used += (size_t)snprintf(
			names + used, sizeof(names) - used, " %s", key_name(i, source));
	}
	return report_refuse(why, -EINVAL, STILE_REASON_OPTION, 0, 0, 0, "%s: '%s' is none of%s",
		quoted.place, quoted.word, names);
}

/* ---- Values -------------------------------------------------------------------------------- */

static bool word_is(const struct word *word, const char *text) {
	return strlen(text) == word->length && memcmp(text, word->text, word->length) == 0;
}

/* Decimal, or hexadecimal after 0x; what follows is left in `rest`. */
static bool parse_digits(const struct word *word, uint64_t *out, struct word *rest) {
	static const char digits[] = "0123456789abcdef";
	const char *at = word->text, *end = at + word->length;
	unsigned base = 10;
	if (word->length > 2 && at[0] == '0' && at[1] == 'x') {
		base = 16;
		at += 2;
	}
	const char *first = at;
	uint64_t value = 0;
	for (; at < end; at++) {
		const char *digit = memchr(digits, *at, base);
		if (digit == NULL) {
			break;
		}
		if (__builtin_mul_overflow(value, base, &value) ||
			__builtin_add_overflow(value, (uint64_t)(digit - digits), &value)) {
			return false;
		}
	}
	*out = value;
	*rest = (struct word){ .text = at, .length = (size_t)(end - at) };
	return at > first;
}

static bool parse_number(const struct word *word, enum value_kind kind, uint64_t *out) {
	uint64_t value;
	struct word rest;
	if (!parse_digits(word, &value, &rest)) {
		return false;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
		if (units[i].kind == kind && word_is(&rest, units[i].name)) {
			return !__builtin_mul_overflow(value, units[i].factor, out);
		}
	}
	return false;
}

static bool key_allows(const struct key *key, uint64_t value) {
	if (value == 0 && (key->flags & OR_ZERO) != 0) {
		return true;
	}
	if ((key->flags & POWER_OF_TWO) != 0 && (value & (value - 1)) != 0) {
		return false;
	}
	if ((key->flags & WHOLE_PAGES) != 0 && value % os_page_size() != 0) {
		return false;
	}
	return value >= key_min(key) && value <= key->max;
}

/* Set the field; false, and it is as before: the value cannot stand there. */
static bool key_set(const struct key *key, const struct word *word, struct profile *profile) {
	void *field = (char *)profile + key->offset;
	if (key->kind == VALUE_TEXT) {
		if (word->length < key->min || word->length > key->max) {
			return false;
		}
		snprintf(field, key->bytes, "%.*s", (int)word->length, word->text);
		return true;
	}
	if (key->kind == VALUE_BOOL) {
		bool yes = word_is(word, "yes");
		if (yes || word_is(word, "no")) {
			memcpy(field, &yes, sizeof(yes));
			return true;
		}
		return false;
	}
	uint64_t value;
	if (!parse_number(word, key->kind, &value) || !key_allows(key, value)) {
		return false;
	}
	uint32_t narrow = (uint32_t)value;
	memcpy(field, key->bytes == sizeof(narrow) ? (void *)&narrow : (void *)&value, key->bytes);
	return true;
}

/* ---- Texts --------------------------------------------------------------------------------- */

struct reader {
	const char *at, *end;
	unsigned line;
};

static bool is_blank(char c) {
	return c == ' ' || c == '\t' || c == '\r';
}

static void skip_blanks(struct reader *reader) {
	while (reader->at < reader->end && is_blank(*reader->at)) {
		reader->at++;
	}
}

/* To the next word, over ends of lines and comments. */
static void skip_lines(struct reader *reader) {
	bool comment = false;
	for (; reader->at < reader->end; reader->at++) {
		char c = *reader->at;
		if (c == '\n') {
			reader->line++;
			comment = false;
		} else if (c == '#') {
			comment = true;
		} else if (!comment && !is_blank(c)) {
			return;
		}
	}
}

/* May be empty. */
static struct word read_word(struct reader *reader, char until) {
	struct word word = { .text = reader->at, .line = reader->line };
	while (reader->at < reader->end && !is_blank(*reader->at) && *reader->at != '\n' &&
		*reader->at != until) {
		reader->at++;
	}
	word.length = (size_t)(reader->at - word.text);
	return word;
}

/* KEY_COUNT: unknown. */
static size_t key_find(const struct word *name, const struct text_source *source) {
	size_t key = 0;
	while (key < KEY_COUNT && !word_is(name, key_name(key, source))) {
		key++;
	}
	return key;
}

/* One `key = value`. */
static int read_setting(struct reader *reader, const struct text_source *source,
	struct settings *settings, struct stile_report *why) {
	struct word name = read_word(reader, '=');
	struct quoted quoted;
	quote(&quoted, source, &name);
	size_t key = key_find(&name, source);
	if (key == KEY_COUNT) {
		return refuse_key(source, &name, why);
	}
	skip_blanks(reader);
	if (reader->at == reader->end || *reader->at != '=') {
		return report_refuse(why, -EINVAL, STILE_REASON_OPTION, 0, 0, 0,
			"%s: '%s' without a value: needs %s = ...", quoted.place, quoted.word,
			quoted.word);
	}
	reader->at++;
	skip_blanks(reader);
	struct word value = read_word(reader, '\n');
	if (value.length == 0) {
		return refuse_value(source, key, &value, why);
	}
	struct word *set = &settings->values[key];
	if (set->text != NULL) {
		return report_refuse(why, -EINVAL, STILE_REASON_OPTION, 0, 0, 0,
			"%s: %s is set twice, first in line %u", quoted.place, quoted.word,
			set->line);
	}
	*set = value;
	return 0;
}

int settings_read(struct settings *settings, const struct text_source *source, const char *text,
	size_t length, struct stile_report *why) {
	*settings = (struct settings){ .values = { { .text = NULL } } };
	struct reader reader = { .at = text, .end = text + length, .line = 1 };
	int ret = 0;
	skip_lines(&reader);
	while (reader.at < reader.end && ret == 0) {
		ret = read_setting(&reader, source, settings, why);
		skip_lines(&reader);
	}
	return ret;
}

int settings_apply(const struct settings *settings, const struct text_source *source,
	struct profile *profile, struct stile_report *why) {
	for (size_t key = KEY_BEGIN + 1; key < KEY_COUNT; key++) {
		const struct word *word = &settings->values[key];
		if (word->text == NULL) {
			continue;
		}
		if (!key_set(&keys[key], word, profile)) {
			return refuse_value(source, key, word, why);
		}
		if (key == KEY_SEED) {
			profile->deterministic = true;
		}
	}
	return 0;
}
