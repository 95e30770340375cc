/* SPDX-License-Identifier: MIT */
/* Profiles of the software GPU as text: docs/profiles.md. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stile/swgpu_test.h>

#include "backends/swgpu/profile.h"
#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"
#include "src/os.h"

static char directory[64];
static char path[96];

static void clear_environment(void) {
	unsetenv("STILE_SWGPU_PROFILE");
	unsetenv("STILE_SWGPU_SEED");
	unsetenv("STILE_SWGPU_FAULT");
}

static void setup(void) {
	clear_environment();
	snprintf(directory, sizeof(directory), "/tmp/stile-profile-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/mine", directory);
}

static void teardown(void) {
	clear_environment();
	unlink(path);
	rmdir(directory);
}

static void write_file(const void *text, size_t length) {
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, length), (ssize_t)length);
	close(fd);
}

static void write_text(const char *text) {
	write_file(text, strlen(text));
}

/* What has to be fine. */
static struct profile parse(const char *options) {
	struct profile profile;
	struct stile_report why = { .text = "" };
	int ret = profile_parse(&profile, options, true, &why);
	ck_assert_msg(ret == 0, "'%s': %d, %s", options == NULL ? "" : options, ret, why.text);
	return profile;
}

static struct profile parse_file(void) {
	char options[128];
	snprintf(options, sizeof(options), "profile=%s", path);
	return parse(options);
}

/* What is refused, with a sentence that has this in it. */
static void refuse(const char *options, int error, const char *part) {
	struct profile profile;
	struct stile_report why = { .text = "" };
	int ret = profile_parse(&profile, options, true, &why);
	ck_assert_msg(ret == error, "'%s': %d instead of %d, %s", options, ret, error, why.text);
	ck_assert_int_eq(why.error, error);
	ck_assert_int_ne(why.reason, STILE_REASON_NONE);
	ck_assert_msg(strstr(why.text, part) != NULL, "'%s': '%s' is not in '%s'", options, part,
		why.text);
}

static void refuse_file(int error, const char *part) {
	char options[128];
	snprintf(options, sizeof(options), "profile=%s", path);
	refuse(options, error, part);
}

static bool is_same_memory(const struct profile *a, const struct profile *b) {
	return a->pitch_align == b->pitch_align && a->height_align == b->height_align &&
		a->linear_import == b->linear_import && a->write_import == b->write_import &&
		a->address_bits == b->address_bits && a->max_segments == b->max_segments &&
		a->segment_align == b->segment_align && a->max_segment == b->max_segment &&
		a->iommu == b->iommu && a->coherent == b->coherent &&
		a->frame_run == b->frame_run && a->local_bytes == b->local_bytes;
}

/* All but the name. */
static bool is_same(const struct profile *a, const struct profile *b) {
	return is_same_memory(a, b) && a->implicit_sync == b->implicit_sync &&
		a->engines == b->engines && a->timeout_ns == b->timeout_ns &&
		a->deterministic == b->deterministic && a->seed == b->seed &&
		strcmp(a->faults, b->faults) == 0;
}

/* ---- Values -------------------------------------------------------------------------------- */

/* Wrong code: another default than the documented one. */
START_TEST(nothing_said_is_plain) {
	const struct profile expected = {
		.pitch_align = 16,
		.height_align = 1,
		.linear_import = true,
		.write_import = true,
		.address_bits = 64,
		.segment_align = (uint32_t)os_page_size(),
		.coherent = true,
		.implicit_sync = true,
		.engines = 2,
		.timeout_ns = INT64_C(10000000000),
	};
	static const char *const nothing[] = { NULL, "", " \t\r\n", "# x=y\n", "profile=plain" };
	for (size_t i = 0; i < ARRAY_LENGTH(nothing); i++) {
		struct profile profile = parse(nothing[i]);
		ck_assert_msg(is_same(&profile, &expected), "case %zu", i);
		ck_assert_str_eq(profile.name, "plain");
	}
}
END_TEST

#define FIELD(field) offsetof(struct profile, field), sizeof(((struct profile *)NULL)->field)

/* Each key, and each way to write a value. */
static const struct {
	const char *options;
	size_t offset, bytes;
	uint64_t value;
} values[] = {
	{ "pitch_align=16", FIELD(pitch_align), 16 },
	{ "pitch_align=64K", FIELD(pitch_align), 65536 },
	{ "pitch_align=0x100", FIELD(pitch_align), 256 },
	{ "height_align=1", FIELD(height_align), 1 },
	{ "height_align=4096", FIELD(height_align), 4096 },
	{ "linear_import=no", FIELD(linear_import), 0 },
	{ "linear_import=yes", FIELD(linear_import), 1 },
	{ "write_import=no", FIELD(write_import), 0 },
	{ "address_bits=20", FIELD(address_bits), 20 },
	{ "address_bits=064", FIELD(address_bits), 64 },
	{ "max_segments=0", FIELD(max_segments), 0 },
	{ "max_segments=4294967295", FIELD(max_segments), UINT32_MAX },
	{ "segment_align=1G", FIELD(segment_align), 1u << 30 },
	{ "segment_align=0x10000", FIELD(segment_align), 65536 },
	{ "max_segment=0", FIELD(max_segment), 0 },
	{ "max_segment=1M", FIELD(max_segment), 1u << 20 },
	{ "max_segment=1024G", FIELD(max_segment), UINT64_C(1) << 40 },
	{ "iommu=yes", FIELD(iommu), 1 },
	{ "coherent=no", FIELD(coherent), 0 },
	{ "frame_run=1", FIELD(frame_run), 1 },
	{ "frame_run=1048576", FIELD(frame_run), 1048576 },
	{ "implicit_sync=no", FIELD(implicit_sync), 0 },
	{ "local_memory=0", FIELD(local_bytes), 0 },
	{ "local_memory=64M", FIELD(local_bytes), 64u << 20 },
	{ "local_memory=1024G", FIELD(local_bytes), UINT64_C(1) << 40 },
	{ "engines=1", FIELD(engines), 1 },
	{ "engines=64", FIELD(engines), 64 },
	{ "timeout=1us", FIELD(timeout_ns), 1000 },
	{ "timeout=1500ns", FIELD(timeout_ns), 1500 },
	{ "timeout=20ms", FIELD(timeout_ns), 20000000 },
	{ "timeout=86400s", FIELD(timeout_ns), UINT64_C(86400000000000) },
};

/* Wrong code: the wrong field, the wrong unit, a value cut to 32 bits, 064 taken as 52. */
START_TEST(key_sets_its_field_alone) {
	struct profile expected = parse(NULL);
	void *field = (char *)&expected + values[_i].offset;
	if (values[_i].bytes == 8) {
		*(uint64_t *)field = values[_i].value;
	} else if (values[_i].bytes == 4) {
		*(uint32_t *)field = (uint32_t)values[_i].value;
	} else {
		*(bool *)field = values[_i].value != 0;
	}
	struct profile profile = parse(values[_i].options);
	ck_assert_msg(is_same(&profile, &expected), "%s", values[_i].options);
}
END_TEST

/* Wrong code: a seed of 0 taken for none, or one cut to 63 bits. */
START_TEST(seed_makes_it_deterministic) {
	static const struct {
		const char *options;
		uint64_t seed;
	} seeds[] = {
		{ "seed=0", 0 },
		{ "seed=18446744073709551615", UINT64_MAX },
		{ "seed=0xdeadbeefcafe0123", UINT64_C(0xdeadbeefcafe0123) },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(seeds); i++) {
		struct profile profile = parse(seeds[i].options);
		ck_assert(profile.deterministic);
		ck_assert_uint_eq(profile.seed, seeds[i].seed);
	}
	ck_assert(!parse(NULL).deterministic);
}
END_TEST

/* Wrong code: the last character of the longest text lost. */
START_TEST(fault_is_kept_as_it_is) {
	ck_assert_str_eq(parse("fault=error@3,hang@9").faults, "error@3,hang@9");
	char options[300] = "fault=";
	memset(options + 6, 'x', 255);
	ck_assert_str_eq(parse(options).faults, options + 6);
	options[6 + 255] = 'x';
	refuse(options, -EINVAL, "needs 1 to 255 characters");
}
END_TEST

/* Wrong code: a limit that is off by one, a sign or a unit that is ignored, a sum that wraps. */
static const struct {
	const char *options, *part;
} bad_values[] = {
	{ "pitch_align=8", "options:1: pitch_align = 8: needs a power of two from 16 to 64K" },
	{ "pitch_align=48", "pitch_align = 48: needs a power of two" },
	{ "pitch_align=128K", "from 16 to 64K" },
	{ "pitch_align=0", "from 16 to 64K" },
	{ "height_align=0", "needs a power of two from 1 to 4096" },
	{ "height_align=8192", "from 1 to 4096" },
	{ "linear_import=true", "linear_import = true: needs yes or no" },
	{ "write_import=1", "yes or no" },
	{ "address_bits=010", "address_bits = 010: needs" },
	{ "address_bits=19", "needs a number from 20 to 64" },
	{ "address_bits=65", "from 20 to 64" },
	{ "address_bits=4294967328", "from 20 to 64" },
	{ "max_segments=4294967296", "from 0 to 4294967295" },
	{ "max_segments=-1", "from 0 to 4294967295" },
	{ "segment_align=0", "needs a power of two from 1 to 1G" },
	{ "segment_align=2G", "from 1 to 1G" },
	{ "max_segment=1", "needs 0, or whole pages, in bytes or with K, M or G, from" },
	{ "max_segment=1000001", "whole pages" },
	{ "max_segment=1025G", "to 1024G" },
	{ "max_segment=18446744073709551616", "to 1024G" },
	{ "max_segment=17179869185G", "to 1024G" },
	{ "iommu=", "iommu = : needs yes or no" },
	{ "coherent=maybe", "yes or no" },
	{ "frame_run=1048577", "from 0 to 1048576" },
	{ "frame_run=4K", "frame_run = 4K: needs a number" },
	{ "local_memory=64k", "local_memory = 64k: needs 0, or whole pages" },
	{ "local_memory=1.5G", "needs 0, or whole pages" },
	{ "engines=0", "engines = 0: needs a number from 1 to 64" },
	{ "engines=65", "from 1 to 64" },
	{ "engines=two", "engines = two: needs a number from 1 to 64" },
	{ "engines=0x", "from 1 to 64" },
	{ "engines=0xg", "from 1 to 64" },
	{ "engines=+1", "from 1 to 64" },
	{ "timeout=10", "timeout = 10: needs a time with ns, us, ms or s from 1us to 86400s" },
	{ "timeout=s", "from 1us to 86400s" },
	{ "timeout=999ns", "from 1us" },
	{ "timeout=86401s", "to 86400s" },
	{ "timeout=18446744074s", "to 86400s" },
	{ "seed=18446744073709551616", "from 0 to 18446744073709551615" },
	{ "seed=0x10000000000000000", "from 0 to 18446744073709551615" },
	{ "seed=", "seed = : needs a number" },
	{ "segment_align=64K max_segment=96K", "a multiple of segment_align, which is 65536" },
	{ "segment_align=64K max_segment=32K", "max_segment = 32768: needs 0 or a multiple" },
	{ "address_bits=20 local_memory=1M", "local_memory = 1048576: needs at most 524288" },
	{ "local_memory=1G address_bits=30", "half of what address_bits = 30 reach" },
};

START_TEST(value_that_cannot_be_is_refused_with_what_can) {
	refuse(bad_values[_i].options, -EINVAL, bad_values[_i].part);
}
END_TEST

/* ---- Texts --------------------------------------------------------------------------------- */

static const struct {
	const char *options, *part;
} bad_texts[] = {
	{ "engines", "options:1: 'engines' without a value: needs engines = ..." },
	{ "engines coherent=no", "'engines' without a value" },
	{ "coherent=no\nengines\n= 2", "options:2: 'engines' without a value" },
	{ "engines = \n 2", "options:1: engines = : needs a number from 1 to 64" },
	{ "engines=2#", "engines = 2#: needs" },
	{ "engines=2 4", "'4' is none of profile seed" },
	{ "=2", "'' is none of" },
	{ "Engines=2", "'Engines' is none of" },
	{ "engine=2", "'engine' is none of" },
	{ "enginess=2", "'enginess' is none of" },
	{ "base=plain", "'base' is none of" },
	{ "engines=2 engines=2", "options:1: engines is set twice, first in line 1" },
	{ "\n\nengines=2\ncoherent=no\n\nengines=3",
		"options:6: engines is set twice, first in line 3" },
	{ "profile=plain\nprofile=plain", "options:2: profile is set twice, first in line 1" },
	{ "coherent=no #engines=1\n\tengines=x", "options:2: engines = x" },
	{ "engines=\033[2J", "engines = ?[2J: needs" },
	{ "engines=0123456789012345678901234567890123456789x",
		"engines = 0123456789012345678901234567890123456789: needs" },
};

/* Wrong code: the second of two values taken; a word of a stranger printed as it is. */
START_TEST(text_that_is_not_understood_is_refused_with_its_line) {
	refuse(bad_texts[_i].options, -EINVAL, bad_texts[_i].part);
}
END_TEST

static const char *const key_names[] = { "seed", "fault", "pitch_align", "height_align",
	"linear_import", "write_import", "address_bits", "max_segments", "segment_align",
	"max_segment", "iommu", "coherent", "frame_run", "implicit_sync", "local_memory", "engines",
	"timeout" };

static void check_names_all_keys(const char *options, const char *begin) {
	refuse(options, -EINVAL, begin);
	for (size_t i = 0; i < ARRAY_LENGTH(key_names); i++) {
		char part[32];
		snprintf(part, sizeof(part), " %s", key_names[i]);
		refuse(options, -EINVAL, part);
	}
}

/* Wrong code: a list that does not fit, and loses its end; `profile` offered in a file. */
START_TEST(unknown_key_is_answered_with_all_keys) {
	check_names_all_keys("pich_align=256", "options:1: 'pich_align' is none of profile ");
	write_text("# 1\npich_align = 256\n");
	char options[128];
	snprintf(options, sizeof(options), "profile=%s", path);
	check_names_all_keys(options, "/mine:2: 'pich_align' is none of base ");
	write_text("profile = plain");
	check_names_all_keys(options, "/mine:1: 'profile' is none of base ");
}
END_TEST

/* Wrong code: an order that matters. */
START_TEST(words_may_stand_in_any_order_and_form) {
	static const char *const forms[] = {
		"profile=pitch-256 engines=7 coherent=no",
		"engines=7 coherent=no profile=pitch-256",
		"coherent = no\nengines\t=\t7\n\n  profile =pitch-256",
		"# engines = 9\r\ncoherent = no\r\n#\r\nengines = 7 # two\r\nprofile=pitch-256\r\n",
		"coherent=no#\nengines=7",
	};
	struct profile expected = parse(forms[0]);
	ck_assert_uint_eq(expected.engines, 7);
	ck_assert_uint_eq(expected.pitch_align, 256);
	ck_assert(!expected.coherent);
	for (size_t i = 1; i < ARRAY_LENGTH(forms) - 1; i++) {
		struct profile profile = parse(forms[i]);
		ck_assert_msg(is_same(&profile, &expected), "form %zu", i);
		ck_assert_str_eq(profile.name, "pitch-256");
	}
	refuse(forms[ARRAY_LENGTH(forms) - 1], -EINVAL, "coherent = no#: needs yes or no");
}
END_TEST

/* A word of rubbish that a parser might like. */
static size_t random_word(uint64_t *state, char *out) {
	static const char *const pieces[] = { "=", " ", "\n", "#", "engines", "base", "profile",
		"timeout", "plain", "10s", "1G", "0x", "yes", "/", "\xff", "\t", "fault",
		"18446744073709551615", "seed", "=2 ", "pitch_align" };
	const char *piece = pieces[runner_random(state) % ARRAY_LENGTH(pieces)];
	memcpy(out, piece, strlen(piece));
	return strlen(piece);
}

/* Wrong code: one byte read behind the end of a text, which the address sanitizer sees. */
START_TEST(rubbish_is_refused_or_understood) {
	uint64_t state = runner_seed();
	for (unsigned round = 0; round < 20000; round++) {
		char words[512];
		size_t length = 0;
		for (uint64_t i = runner_random(&state) % 16; i > 0; i--) {
			length += random_word(&state, words + length);
		}
		char *options = malloc(length + 1);
		ck_assert_ptr_nonnull(options);
		memcpy(options, words, length);
		options[length] = '\0';
		struct profile profile;
		struct stile_report why = { .text = "" };
		int ret = profile_parse(&profile, options, false, &why);
		ck_assert_msg(ret == 0 || ret == -EINVAL || ret == -ENOENT, "round %u: %d, '%s'",
			round, ret, options);
		ck_assert_int_eq(why.text[0] == '\0', ret == 0);
		free(options);
	}
}
END_TEST

/* ---- Profiles that the library knows ------------------------------------------------------- */

/* What each changes; docs/profiles.md says the same. */
static const struct {
	const char *name;
	const char *options;
} known[] = {
	{ "plain", "" },
	{ "pitch-256", "pitch_align=256" },
	{ "height-16", "height_align=16" },
	{ "no-linear-import", "linear_import=no" },
	{ "no-implicit-sync", "implicit_sync=no" },
	{ "address-32", "address_bits=32" },
	{ "contiguous", "max_segments=1" },
	{ "scattered", "frame_run=4" },
	{ "read-only-import", "write_import=no" },
	{ "non-coherent", "coherent=no" },
	{ "local-memory", "local_memory=64M" },
	{ "iommu", "iommu=yes frame_run=4" },
};

START_TEST(known_profile_changes_what_its_name_says) {
	char options[64];
	snprintf(options, sizeof(options), "profile=%s", known[_i].name);
	struct profile profile = parse(options), expected = parse(known[_i].options);
	ck_assert_msg(is_same(&profile, &expected), "%s", known[_i].name);
	ck_assert_str_eq(profile.name, known[_i].name);
	ck_assert_str_eq(stile_swgpu_profile_get_name((size_t)_i), known[_i].name);
}
END_TEST

/* Wrong code: a text that the parser itself does not take. */
START_TEST(text_of_a_known_profile_is_it) {
	const char *text = stile_swgpu_profile_get_text(known[_i].name);
	ck_assert_ptr_nonnull(text);
	struct profile profile = parse(text), expected = parse(known[_i].options);
	ck_assert_msg(is_same(&profile, &expected), "%s", known[_i].name);
	write_text(text);
	profile = parse_file();
	ck_assert_msg(is_same(&profile, &expected), "%s", known[_i].name);
	ck_assert_str_eq(profile.name, "mine");
}
END_TEST

/* Wrong code: what begins with a name taken for it. */
START_TEST(other_names_are_unknown) {
	ck_assert_ptr_null(stile_swgpu_profile_get_name(ARRAY_LENGTH(known)));
	ck_assert_ptr_null(stile_swgpu_profile_get_name(SIZE_MAX));
	static const char *const names[] = { "", "plai", "plainer", "Plain", "pitch" };
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		ck_assert_ptr_null(stile_swgpu_profile_get_text(names[i]));
	}
	refuse("profile=plai", -ENOENT, "options:1: no profile 'plai', and none but plain");
	refuse("profile=plainer", -ENOENT, "no profile 'plainer'");
	for (size_t i = 0; i < ARRAY_LENGTH(known); i++) {
		refuse("engines=1\nprofile=pitch", -ENOENT, known[i].name);
	}
	refuse("profile=", -EINVAL, "options:1: profile = : needs 1 to");
}
END_TEST

/* ---- Files --------------------------------------------------------------------------------- */

/* Wrong code: a last line without an end that is dropped. */
START_TEST(file_is_a_profile) {
	write_text("# What our second machine is like.\n\npitch_align = 512 # bytes\ntimeout=3s");
	struct profile profile = parse_file();
	struct profile expected = parse("pitch_align=512 timeout=3s");
	ck_assert(is_same(&profile, &expected));
	ck_assert_str_eq(profile.name, "mine");
	write_text("");
	profile = parse_file();
	expected = parse(NULL);
	ck_assert(is_same(&profile, &expected));
}
END_TEST

/* Wrong code: `base` that undoes what stands before it. */
START_TEST(file_begins_with_its_base_wherever_that_stands) {
	write_text("engines = 5\nbase = local-memory\npitch_align = 64\n");
	struct profile profile = parse_file();
	struct profile expected = parse("local_memory=64M engines=5 pitch_align=64");
	ck_assert(is_same(&profile, &expected));
	write_text("base = local-memory\nlocal_memory = 0\n");
	profile = parse_file();
	expected = parse(NULL);
	ck_assert(is_same(&profile, &expected));
}
END_TEST

static const struct {
	const char *text;
	int error;
	const char *part;
} bad_files[] = {
	{ "base = plain\nbase = plain", -EINVAL, "/mine:2: base is set twice, first in line 1" },
	{ "\nbase = nothing", -ENOENT, "/mine:2: no profile 'nothing', and none but plain" },
	{ "base = /etc/passwd", -ENOENT, "/mine:1: no profile '/etc/passwd'" },
	{ "#\n#\nengines = 99\n", -EINVAL, "/mine:3: engines = 99: needs a number from 1 to 64" },
	{ "segment_align = 1M\nmax_segment = 64K", -EINVAL, "multiple of segment_align" },
};

START_TEST(mistake_in_a_file_is_told_with_its_line) {
	write_text(bad_files[_i].text);
	refuse_file(bad_files[_i].error, bad_files[_i].part);
}
END_TEST

/* Wrong code: -ENOENT for whatever open() says; a FIFO that nobody writes to blocks. */
START_TEST(what_is_no_file_is_refused) {
	refuse_file(-ENOENT, "/mine: No such file");
	char options[128];
	snprintf(options, sizeof(options), "profile=%s", directory);
	refuse(options, -EINVAL, ": a directory, device or pipe");
	refuse("profile=/dev/null", -EINVAL, "profile /dev/null: a directory, device or pipe");
	refuse("profile=/dev/null/mine", -ENOENT, "/mine: Not a directory");
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	refuse_file(-EINVAL, ": a directory, device or pipe");
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(symlink("mine", path), 0);
	refuse_file(-EINVAL, "symbolic links");
}
END_TEST

/* Wrong code: what could not be read taken for an empty file. */
START_TEST(file_that_cannot_be_read_is_refused) {
	refuse("profile=/proc/self/mem", -EINVAL, "profile /proc/self/mem: Input/output error");
	if (geteuid() == 0) {
		return; /* who may read everything */
	}
	write_text("engines = 1");
	ck_assert_int_eq(chmod(path, 0), 0);
	refuse_file(-EINVAL, "/mine: Permission denied");
}
END_TEST

/* Wrong code: the end of a long file left out without a word. */
START_TEST(file_is_64_kib_at_most) {
	static char text[64 * 1024 + 1];
	memset(text, ' ', sizeof(text));
	memcpy(text + 64 * 1024 - 9, "engines=9", 9);
	write_file(text, 64 * 1024);
	ck_assert_uint_eq(parse_file().engines, 9);
	write_file(text, 64 * 1024 + 1);
	refuse_file(-EINVAL, "/mine: more than 64 KiB");
}
END_TEST

START_TEST(file_with_nul_bytes_is_refused) {
	write_file("engines = 1\n\0engines = 2", 24);
	refuse_file(-EINVAL, "/mine: no text: there are NUL bytes");
}
END_TEST

/* Wrong code: a fixed buffer that a path overflows; a sentence whose end a path pushes out. */
START_TEST(long_path_is_refused_in_a_full_sentence) {
	char options[5000] = "profile=";
	memset(options + 8, '/', 4095);
	memcpy(options + 8 + 4095 - 8, "/mine-no", 8);
	refuse(options, -ENOENT, "/mine-no: No such file");
	strcat(options, "e");
	refuse(options, -EINVAL, "options: a path of 4096 bytes: needs at most 4095");
	write_text("engines = 99");
	memset(options + 8, '/', 4095);
	memcpy(options + 8 + 4095 - strlen(path), path, strlen(path) + 1);
	refuse(options, -EINVAL, "/mine:1: engines = 99: needs a number from 1 to 64");
}
END_TEST

static int attempt_parse(void *user) {
	struct profile profile;
	struct stile_report why;
	return profile_parse(&profile, user, true, &why);
}

static void after_parse(void *user, int ret) {
	(void)user;
	(void)ret;
}

START_TEST(lack_of_memory_is_no_bad_profile) {
	static const int errors[] = { -ENOMEM, 0 };
	write_text("engines = 1");
	char options[128];
	snprintf(options, sizeof(options), "profile=%s", path);
	ck_assert_uint_ge(failing_sweep(attempt_parse, after_parse, options, errors), 1);
}
END_TEST

START_TEST(lack_of_descriptors_is_no_bad_profile) {
	write_text("engines = 1");
	struct rlimit before, none;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	char options[128];
	snprintf(options, sizeof(options), "profile=%s", path);
	struct profile profile;
	struct stile_report why;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	int ret = profile_parse(&profile, options, true, &why);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_eq(ret, -EMFILE);
	ck_assert_int_eq(why.reason, STILE_REASON_RESOURCES);
}
END_TEST

/* ---- The environment ----------------------------------------------------------------------- */

/* Wrong code: a variable that beats what the program says in so many words, or that does not. */
START_TEST(environment_replaces_the_profile_and_not_the_keys) {
	setenv("STILE_SWGPU_PROFILE", "height-16", 1);
	struct profile profile = parse("profile=pitch-256 engines=3");
	struct profile expected = parse("profile=plain height_align=16 engines=3");
	ck_assert(is_same(&profile, &expected));
	ck_assert_str_eq(profile.name, "height-16");
	ck_assert_uint_eq(parse(NULL).height_align, 16);
	ck_assert_uint_eq(parse("height_align=32").height_align, 32);
	write_text("base = non-coherent\nengines = 4\n");
	setenv("STILE_SWGPU_PROFILE", path, 1);
	ck_assert(!parse("profile=pitch-256").coherent);
	ck_assert_uint_eq(parse("profile=pitch-256").engines, 4);
	ck_assert_uint_eq(parse("engines=3").engines, 3);
}
END_TEST

/* Wrong code: the options beat the user who looks for the seed of a failure. */
START_TEST(seed_and_fault_of_the_environment_come_last) {
	setenv("STILE_SWGPU_SEED", "0x10", 1);
	setenv("STILE_SWGPU_FAULT", "error@1", 1);
	struct profile profile = parse("seed=5 fault=hang@2");
	ck_assert(profile.deterministic);
	ck_assert_uint_eq(profile.seed, 16);
	ck_assert_str_eq(profile.faults, "error@1");
	setenv("STILE_SWGPU_SEED", "", 1);
	setenv("STILE_SWGPU_FAULT", "", 1);
	profile = parse("seed=5 fault=hang@2");
	ck_assert_uint_eq(profile.seed, 5);
	ck_assert_str_eq(profile.faults, "hang@2");
}
END_TEST

START_TEST(mistake_in_the_environment_is_told_with_its_name) {
	setenv("STILE_SWGPU_PROFILE", "nothing", 1);
	refuse(NULL, -ENOENT, "STILE_SWGPU_PROFILE: no profile 'nothing', and none but plain");
	setenv("STILE_SWGPU_PROFILE", "/nowhere/at all", 1);
	refuse(NULL, -ENOENT, "profile /nowhere/at all: No such file");
	setenv("STILE_SWGPU_PROFILE", "", 1);
	setenv("STILE_SWGPU_SEED", "7 ", 1);
	refuse(NULL, -EINVAL, "STILE_SWGPU_SEED: seed = 7 : needs a number from 0 to");
	unsetenv("STILE_SWGPU_SEED");
	char fault[257];
	memset(fault, 'x', 256);
	fault[256] = '\0';
	setenv("STILE_SWGPU_FAULT", fault, 1);
	refuse(NULL, -EINVAL, "STILE_SWGPU_FAULT: fault = ");
}
END_TEST

START_TEST(environment_is_left_alone_on_request) {
	struct profile expected = parse(NULL);
	setenv("STILE_SWGPU_PROFILE", "nothing", 1);
	setenv("STILE_SWGPU_SEED", "1", 1);
	setenv("STILE_SWGPU_FAULT", "error@1", 1);
	struct profile profile;
	struct stile_report why;
	ck_assert_int_eq(profile_parse(&profile, NULL, false, &why), 0);
	ck_assert(is_same(&profile, &expected));
}
END_TEST

/* As a set-user-ID program, if this is run as one: 0, nothing of the environment was read. */
static int role_privileged(void) {
	if (getauxval(AT_SECURE) == 0) {
		return RUNNER_SKIP;
	}
	struct profile profile;
	struct stile_report why;
	int ret = profile_parse(&profile, NULL, true, &why);
	/* Not by exit(): the search for leaks at its end fails in such a program. */
	_exit(ret == 0 && !profile.deterministic ? 0 : 1);
}

/* Copy this program to `path`. */
static void copy_program(void) {
	static char bytes[1 << 16];
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int to = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	ck_assert(from >= 0 && to >= 0);
	ssize_t got;
	while ((got = read(from, bytes, sizeof(bytes))) > 0) {
		ck_assert_int_eq(write(to, bytes, (size_t)got), got);
	}
	close(from);
	close(to);
}

/* Wrong code: getenv(), by which whoever starts a privileged program has it read any file. */
START_TEST(privileged_program_does_not_read_the_environment) {
	enum { NOBODY = 65534 };
	if (geteuid() != 0) {
		return; /* who else could make one? */
	}
	copy_program();
	ck_assert_int_eq(chmod(directory, 0755), 0);
	ck_assert_int_eq(chown(path, NOBODY, NOBODY), 0);
	ck_assert_int_eq(chmod(path, S_ISUID | 0755), 0);
	setenv("STILE_SWGPU_PROFILE", "/nowhere", 1);
	setenv("STILE_SWGPU_SEED", "1", 1);
	char command[160];
	snprintf(command, sizeof(command), "%s privileged", path);
	int status = system(command);
	ck_assert(WIFEXITED(status));
	ck_assert_msg(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == RUNNER_SKIP, "status %d",
		WEXITSTATUS(status));
}
END_TEST

/* ---- All ----------------------------------------------------------------------------------- */

static Suite *suite(void) {
	Suite *s = suite_create("profile");
	TCase *of_values = ledger_tcase_create("values");
	tcase_add_checked_fixture(of_values, setup, teardown);
	tcase_add_test(of_values, nothing_said_is_plain);
	tcase_add_loop_test(of_values, key_sets_its_field_alone, 0, ARRAY_LENGTH(values));
	tcase_add_test(of_values, seed_makes_it_deterministic);
	tcase_add_test(of_values, fault_is_kept_as_it_is);
	tcase_add_loop_test(of_values, value_that_cannot_be_is_refused_with_what_can, 0,
		ARRAY_LENGTH(bad_values));
	suite_add_tcase(s, of_values);

	TCase *texts = ledger_tcase_create("texts");
	tcase_add_checked_fixture(texts, setup, teardown);
	tcase_add_loop_test(texts, text_that_is_not_understood_is_refused_with_its_line, 0,
		ARRAY_LENGTH(bad_texts));
	tcase_add_test(texts, unknown_key_is_answered_with_all_keys);
	tcase_add_test(texts, words_may_stand_in_any_order_and_form);
	tcase_add_test(texts, rubbish_is_refused_or_understood);
	suite_add_tcase(s, texts);

	TCase *profiles = ledger_tcase_create("profiles");
	tcase_add_checked_fixture(profiles, setup, teardown);
	tcase_add_loop_test(
		profiles, known_profile_changes_what_its_name_says, 0, ARRAY_LENGTH(known));
	tcase_add_loop_test(profiles, text_of_a_known_profile_is_it, 0, ARRAY_LENGTH(known));
	tcase_add_test(profiles, other_names_are_unknown);
	suite_add_tcase(s, profiles);

	TCase *files = ledger_tcase_create("files");
	tcase_add_checked_fixture(files, setup, teardown);
	tcase_add_test(files, file_is_a_profile);
	tcase_add_test(files, file_begins_with_its_base_wherever_that_stands);
	tcase_add_loop_test(
		files, mistake_in_a_file_is_told_with_its_line, 0, ARRAY_LENGTH(bad_files));
	tcase_add_test(files, what_is_no_file_is_refused);
	tcase_add_test(files, file_that_cannot_be_read_is_refused);
	tcase_add_test(files, file_is_64_kib_at_most);
	tcase_add_test(files, file_with_nul_bytes_is_refused);
	tcase_add_test(files, long_path_is_refused_in_a_full_sentence);
	tcase_add_test(files, lack_of_memory_is_no_bad_profile);
	tcase_add_test(files, lack_of_descriptors_is_no_bad_profile);
	suite_add_tcase(s, files);

	TCase *environment = ledger_tcase_create("environment");
	tcase_add_checked_fixture(environment, setup, teardown);
	tcase_add_test(environment, environment_replaces_the_profile_and_not_the_keys);
	tcase_add_test(environment, seed_and_fault_of_the_environment_come_last);
	tcase_add_test(environment, mistake_in_the_environment_is_told_with_its_name);
	tcase_add_test(environment, environment_is_left_alone_on_request);
	tcase_add_test(environment, privileged_program_does_not_read_the_environment);
	suite_add_tcase(s, environment);
	return s;
}

int main(int argc, char **argv) {
	static const struct runner_role roles[] = { { "privileged", role_privileged },
		{ NULL, NULL } };
	return runner_main(argc, argv, suite, roles);
}
