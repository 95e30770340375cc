/* SPDX-License-Identifier: MIT */
/* Answers of negotiations, for people. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysmacros.h>

#include "src/format.h"
#include "src/macros.h"
#include "src/modifier.h"
#include "src/negotiate.h"

/* ---- Names --------------------------------------------------------------------------------- */

struct label layout_name_party(const struct stile_layout *layout, uint32_t party) {
	struct label label;
	const char *name = party == STILE_NO_PARTY ? "nobody" : layout->data->names[party];
	if (name != NULL) {
		snprintf(label.text, sizeof(label.text), "%s", name);
	} else {
		snprintf(label.text, sizeof(label.text), "party %u", party);
	}
	return label;
}

static struct label name_format(uint32_t fourcc) {
	struct label label;
	char text[5];
	const struct stile_format *format = stile_format_get(fourcc);
	format_fourcc_text(fourcc, text);
	snprintf(label.text, sizeof(label.text), "%s", format == NULL ? text : format->name);
	return label;
}

struct choice_label layout_name_choice(const struct stile_choice *choice) {
	struct choice_label label;
	snprintf(label.text, sizeof(label.text), "%.24s with %s", name_format(choice->fourcc).text,
		modifier_describe(choice->modifier).text);
	return label;
}

/* names[i] is that of the i-th bit. */
static struct label name_bits(const char *const *names, size_t count, uint64_t bits) {
	struct label label = { "nothing" };
	int used = 0;
	for (size_t i = 0; i < count; i++) {
		if ((bits >> i & 1) != 0) {
			used += snprintf(label.text + used, sizeof(label.text) - (size_t)used,
				"%s%s", used == 0 ? "" : ", ", names[i]);
		}
	}
	return label;
}

struct label layout_name_memory(uint64_t kinds) {
	static const char *const names[] = { "dma-buf", "memfd", "opaque fd", "host pointer" };
	return name_bits(names, ARRAY_LENGTH(names), kinds);
}

static struct label name_sync(uint64_t kinds) {
	static const char *const names[] = { "syncobj", "sync_file", "implicit", "semaphore",
		"CPU" };
	return name_bits(names, ARRAY_LENGTH(names), kinds);
}

static struct label name_device(uint64_t device) {
	struct label label;
	if (device > UINT32_MAX) {
		snprintf(label.text, sizeof(label.text), "device 0x%" PRIx64, device);
	} else if (device == 0) {
		snprintf(label.text, sizeof(label.text), "unknown device");
	} else {
		snprintf(label.text, sizeof(label.text), "device %u:%u", major((dev_t)device),
			minor((dev_t)device));
	}
	return label;
}

/* ---- Rejections ---------------------------------------------------------------------------- */

/* The labels that a sentence may need. */
struct words {
	const struct stile_rejection *rejection;
	struct label party, offered, format;
	struct modifier_label modifier, needed;
	bool alone; /* nobody names a layout */
};

static int say_modifier(const struct words *w, char *text, size_t size) {
	char others[32] = "";
	if (w->rejection->taken > 1) {
		snprintf(others, sizeof(others), " and %u other%s", w->rejection->taken - 1,
			w->rejection->taken > 2 ? "s" : "");
	}
	return snprintf(text, size, "%s takes %s only with %s%s; %s offered %s", w->party.text,
		w->format.text, w->needed.text, others, w->offered.text, w->modifier.text);
}

static int say_format(const struct words *w, char *text, size_t size) {
	if (w->alone) {
		return snprintf(text, size, "%s does not take %s, and nobody names a layout of it",
			w->party.text, w->format.text);
	}
	return snprintf(text, size, "%s does not take %s; %s offered it with %s", w->party.text,
		w->format.text, w->offered.text, w->modifier.text);
}

static int say_unsaid(const struct words *w, char *text, size_t size) {
	return snprintf(text, size,
		"%s takes %s but does not say in which layouts: ask its driver, or say "
		"STILE_PARTY_UNSAID_IS_LINEAR; %s offered %s",
		w->party.text, w->format.text, w->offered.text,
		w->alone ? "any" : w->modifier.text);
}

static int say_extent(const struct words *w, char *text, size_t size) {
	const struct stile_rejection *rejection = w->rejection;
	if (rejection->party == STILE_NO_PARTY) {
		return snprintf(text, size,
			"%s needs a multiple of %" PRIu64 " %s, and %" PRIu64 " are wanted",
			w->format.text, rejection->needed, rejection->what, rejection->actual);
	}
	return snprintf(text, size,
		"%s takes at most %" PRIu64 " %s of %s with %s, and %" PRIu64 " are wanted",
		w->party.text, rejection->needed, rejection->what, w->format.text, w->modifier.text,
		rejection->actual);
}

static int say_memory(const struct words *w, char *text, size_t size) {
	const struct stile_rejection *rejection = w->rejection;
	char promise[64] = "nothing";
	if (rejection->actual != 0) {
		snprintf(promise, sizeof(promise), "%" PRIu64, rejection->actual);
	}
	return snprintf(text, size,
		"%s needs memory of %" PRIu64 " %s, of which who would allocate it promises %s",
		w->party.text, rejection->needed, rejection->what, promise);
}

static int say_memory_kind(const struct words *w, char *text, size_t size) {
	if (w->rejection->party == STILE_NO_PARTY) {
		return snprintf(text, size, "none of those who take %s can allocate for the others",
			w->format.text);
	}
	return snprintf(text, size, "%s imports %s; the others have %s", w->party.text,
		layout_name_memory(w->rejection->needed).text,
		layout_name_memory(w->rejection->actual).text);
}

static int say(const struct words *w, char *text, size_t size) {
	const struct stile_rejection *rejection = w->rejection;
	switch (rejection->reason) {
	case STILE_REASON_FORMAT:
		return say_format(w, text, size);
	case STILE_REASON_MODIFIER:
		return say_modifier(w, text, size);
	case STILE_REASON_MODIFIER_UNSAID:
		return say_unsaid(w, text, size);
	case STILE_REASON_EXTENT:
		return say_extent(w, text, size);
	case STILE_REASON_PLANE_COUNT:
		return snprintf(text, size,
			"%s has %" PRIu64 " plane%s for %s with %s, others have %" PRIu64,
			w->party.text, rejection->needed, PLURAL(rejection->needed), w->format.text,
			w->modifier.text, rejection->actual);
	case STILE_REASON_EXTERNAL_ONLY:
		return snprintf(text, size,
			"%s takes %s with %s as an external texture only, and needs more",
			w->party.text, w->format.text, w->modifier.text);
	case STILE_REASON_DEVICE:
		return snprintf(text, size,
			"%s with %s means something on one device only; %s is of another, or does "
			"not say of which",
			w->format.text, w->modifier.text, w->party.text);
	case STILE_REASON_PROTECTED:
		return snprintf(text, size, "%s takes no protected content", w->party.text);
	case STILE_REASON_MEMORY:
		return say_memory(w, text, size);
	case STILE_REASON_MEMORY_KIND:
		return say_memory_kind(w, text, size);
	case STILE_REASON_SYNC:
		return snprintf(text, size, "%s waits by %s; the others by %s", w->party.text,
			name_sync(rejection->needed).text, name_sync(rejection->actual).text);
	default:
		return snprintf(text, size,
			"%s with %s would do, though all have better: STILE_STEP_LINEAR has to be "
			"allowed",
			w->format.text, w->modifier.text);
	}
}

int stile_layout_describe_rejection(
	const struct stile_layout *layout, size_t index, char *text, size_t size) {
	const struct stile_rejection *rejection = stile_layout_get_rejection(layout, index);
	const struct words words = {
		.rejection = rejection,
		.party = layout_name_party(layout, rejection->party),
		.offered = layout_name_party(layout, rejection->offered),
		.format = name_format(rejection->fourcc),
		.modifier = modifier_describe(rejection->modifier),
		.needed = modifier_describe(rejection->needed),
		.alone = rejection->offered == STILE_NO_PARTY,
	};
	return say(&words, text, size);
}

/* ---- The ladder ---------------------------------------------------------------------------- */

void layout_describe_step(const struct stile_layout *layout, char *text, size_t size) {
	const char *would = layout->tranche_count == 0 ? " would do" : "";
	const struct label copier = layout_name_party(layout, layout->copier);
	switch (layout->step) {
	case STILE_STEP_DIRECT:
		snprintf(text, size, "direct, nothing is copied");
		break;
	case STILE_STEP_LINEAR:
		snprintf(text, size, "linear memory%s, nothing is copied", would);
		break;
	case STILE_STEP_BLIT:
		snprintf(text, size, "a blit by %s%s, %" PRIu64 " bytes a frame", copier.text,
			would, layout->cost);
		break;
	case STILE_STEP_CPU_COPY:
		snprintf(text, size, "a copy by the CPU%s, %" PRIu64 " bytes a frame", would,
			layout->cost);
		break;
	case STILE_STEP_NONE:
		snprintf(text, size, "no copy would do");
		break;
	}
}

/* ---- All of it ----------------------------------------------------------------------------- */

static void write_parties(const struct stile_layout *layout, uint64_t parties, FILE *to) {
	for (uint64_t left = parties; left != 0; left &= left - 1) {
		uint32_t party = party_lowest(left);
		fprintf(to, "%s%s%s", left == parties ? " " : ", ",
			layout_name_party(layout, party).text,
			(layout->data->optional & left & -left) != 0 ? " (optional)" : "");
	}
}

static void write_needs(const struct stile_constraints *needs, FILE *to) {
	/* What is a multiple of 1 needs nothing. */
	const struct {
		uint64_t value, least;
		const char *before, *after;
	} words[] = {
		{ needs->max_width, 1, "at most ", " pixels across" },
		{ needs->max_height, 1, "at most ", " pixels down" },
		{ needs->pitch_align, 2, "pitch a multiple of ", "" },
		{ needs->offset_align, 2, "offset a multiple of ", "" },
		{ needs->height_align, 2, "memory for a multiple of ", " rows" },
		{ needs->address_bits, 1, "addresses of ", " bits" },
		{ needs->max_segments, 1, "at most ", " pieces" },
		{ needs->max_segment, 1, "of at most ", " bytes" },
		{ needs->segment_align, 2, "pieces aligned to ", "" },
	};
	const char *between = "  needs: ";
	for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
		if (words[i].value >= words[i].least) {
			fprintf(to, "%s%s%" PRIu64 "%s", between, words[i].before, words[i].value,
				words[i].after);
			between = ", ";
		}
	}
	if (between[0] == ',') {
		fputc('\n', to);
	}
}

static void write_choice(
	const struct stile_layout *layout, const struct stile_choice *choice, FILE *to) {
	fprintf(to, "  %s, %u plane%s", layout_name_choice(choice).text, choice->plane_count,
		choice->plane_count == 1 ? "" : "s");
	if (choice->step == STILE_STEP_LINEAR) {
		fprintf(to, "; all have better");
	}
	if (choice->external_only != 0) {
		fprintf(to, "; an external texture for");
		write_parties(layout, choice->external_only, to);
	}
	fputc('\n', to);
}

static void write_tranche(const struct stile_layout *layout, const char *title,
	const struct stile_tranche *tranche, FILE *to) {
	fprintf(to, "%s:", title);
	write_parties(layout, tranche->parties, to);
	fprintf(to, "\n  %s%s; %s of %s; waiting: %s\n", name_device(tranche->device).text,
		(tranche->flags & STILE_TRANCHE_SCANOUT) != 0 ? ", scan-out" : "",
		layout_name_memory(tranche->memory).text,
		tranche->allocator == STILE_NO_PARTY
			? "somebody else"
			: layout_name_party(layout, tranche->allocator).text,
		name_sync(tranche->sync).text);
	write_needs(&tranche->needs, to);
	for (size_t i = 0; i < tranche->choice_count; i++) {
		write_choice(layout, &tranche->choices[i], to);
	}
}

static bool is_alike(const struct stile_rejection *a, const struct stile_rejection *b) {
	return a->fourcc == b->fourcc && a->tranche == b->tranche && a->party == b->party &&
		a->reason == b->reason;
}

/* From `index` on those that are like it: how many. */
static size_t write_rejection(const struct stile_layout *layout, size_t index, FILE *to) {
	const struct stile_rejection *rejection = stile_layout_get_rejection(layout, index);
	size_t next = index + 1;
	while (next < layout->rejection_count &&
		is_alike(rejection, stile_layout_get_rejection(layout, next))) {
		next++;
	}
	char text[768];
	stile_layout_describe_rejection(layout, index, text, sizeof(text));
	fprintf(to, "  %s", text);
	if (next - index > 1) {
		fprintf(to, "; the same for %zu more of its layouts", next - index - 1);
	}
	if (rejection->tranche != STILE_NO_TRANCHE) {
		fprintf(to, " (in tranche %u)", rejection->tranche);
	}
	fputc('\n', to);
	return next - index;
}

static void write_all(const struct stile_layout *layout, FILE *to) {
	char text[256];
	layout_describe_step(layout, text, sizeof(text));
	if (layout->width != 0) {
		fprintf(to, "%u x %u: ", layout->width, layout->height);
	}
	fprintf(to, "%s%s\n", layout->tranche_count == 0 ? "nothing fits; " : "", text);
	const struct stile_tranche *source = stile_layout_get_source(layout);
	if (source != NULL) {
		write_tranche(layout, "from", source, to);
	}
	for (size_t i = 0; i < layout->tranche_count; i++) {
		char title[32];
		snprintf(title, sizeof(title), source != NULL ? "to" : "tranche %zu", i);
		write_tranche(layout, title, stile_layout_get_tranche(layout, i), to);
	}
	if (layout->rejection_count != 0) {
		fprintf(to, "left out:\n");
	}
	for (size_t i = 0; i < layout->rejection_count;) {
		i += write_rejection(layout, i, to);
	}
}

int stile_layout_describe(const struct stile_layout *layout, char **text) {
	*text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(text, &size);
	if (to == NULL) {
		return -ENOMEM;
	}
	write_all(layout, to);
	if (fclose(to) != 0) {
		free(*text);
		*text = NULL;
		return -ENOMEM;
	}
	return 0;
}
