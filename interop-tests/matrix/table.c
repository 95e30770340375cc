/* SPDX-License-Identifier: MIT */
#include "interop-tests/matrix/table.h"

#include <stile/format.h>

#include "src/macros.h"

/* In the order of enum stile_path_kind. */
static const char *const path_names[] = { "none", "handle", "kernel", "bridge", "held",
	"CPU wait" };

/* In the order of enum table_way. */
static const char *const way_names[] = { "", "yes", "planes", "planes + shader", "conversion",
	"external" };

static void print_paths(uint32_t paths, FILE *to) {
	for (unsigned i = 0; i < sizeof(path_names) / sizeof(path_names[0]); i++) {
		if ((paths >> i & 1) != 0) {
			fprintf(to, ", %s", path_names[i]);
		}
	}
}

static void print_rule(unsigned columns, FILE *to) {
	fputc('|', to);
	for (unsigned i = 0; i < columns; i++) {
		fputs("---|", to);
	}
	fputc('\n', to);
}

static void print_heading(const struct table *table, const char *text, FILE *to) {
	fprintf(to, "\n%s %s\n\n", table->is_in_guest ? "###" : "##", text);
}

static bool is_tried(const struct table *table, size_t format) {
	bool tried = false;
	for (unsigned c = 0; c < table->consumer_count; c++) {
		const struct table_actor *actor = &table->consumers[c];
		tried = tried || actor->takes[format] != TABLE_NO || actor->refuses[format];
	}
	return tried;
}

static bool has_kind(const struct table *table, bool is_yuv) {
	const struct stile_format *format;
	bool found = false;
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		found = found || (format->is_yuv == is_yuv && is_tried(table, i));
	}
	return found;
}

static void print_cell(const struct table *table, const struct table_cell *cell, FILE *to) {
	fprintf(to, " %u", cell->right[0]);
	if (has_kind(table, true)) {
		fprintf(to, " + %u", cell->right[1]);
	}
	print_paths(cell->paths, to);
	fputs(" |", to);
}

static void print_pairs(const struct table *table, unsigned processes, FILE *to) {
	print_heading(table, processes == 1 ? "In one process" : "In two processes", to);
	fputs("|  |", to);
	for (unsigned c = 0; c < table->consumer_count; c++) {
		fprintf(to, " %s |", table->consumers[c].name);
	}
	fputc('\n', to);
	print_rule(table->consumer_count + 1, to);
	for (unsigned p = 0; p < table->producer_count; p++) {
		fprintf(to, "| **%s** |", table->producers[p].name);
		for (unsigned c = 0; c < table->consumer_count; c++) {
			print_cell(table, &table->cells[p][c][processes - 1], to);
		}
		fputc('\n', to);
	}
}

static void print_ways(const struct table_actor *actors, unsigned count, size_t format, FILE *to) {
	for (unsigned i = 0; i < count; i++) {
		fprintf(to, " %s |", way_names[actors[i].takes[format]]);
	}
}

static void print_formats(const struct table *table, bool is_yuv, FILE *to) {
	const struct stile_format *format;
	print_heading(table, is_yuv ? "Formats of YUV" : "Formats", to);
	fputs("| format |", to);
	for (unsigned p = 0; p < table->producer_count; p++) {
		fprintf(to, " by %s |", table->producers[p].name);
	}
	for (unsigned c = 0; c < table->consumer_count; c++) {
		fprintf(to, " for %s |", table->consumers[c].name);
	}
	fputc('\n', to);
	print_rule(table->producer_count + table->consumer_count + 1, to);
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		if (format->is_yuv == is_yuv && is_tried(table, i)) {
			fprintf(to, "| %s |", format->name);
			print_ways(table->producers, table->producer_count, i, to);
			print_ways(table->consumers, table->consumer_count, i, to);
			fputc('\n', to);
		}
	}
}

static unsigned count_refused(const struct table_actor *actor, bool is_yuv) {
	const struct stile_format *format;
	unsigned refused = 0;
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		refused += format->is_yuv == is_yuv && actor->refuses[i];
	}
	return refused;
}

static void print_refusals(const struct table_actor *actors, unsigned count, FILE *to) {
	for (unsigned i = 0; i < 2 * count; i++) {
		const struct table_actor *actor = &actors[i / 2];
		unsigned is_yuv = i % 2, refused = count_refused(actor, is_yuv);
		if (refused > 0) {
			fprintf(to, "* %s, %u format%s%s, the first because: %s\n", actor->name,
				refused, PLURAL(refused), is_yuv ? " of YUV" : "",
				actor->why[is_yuv]);
		}
	}
}

static const char head[] =
	"# Who can paint for whom\n\n"
	"Written by `./run matrix`, from what the test `matrix` has seen. Each number is of formats in which a picture that\n"
	"was painted by the one on the left was seen, to the pixel, by the one at the top, in the same memory. The painter was\n"
	"held until the other one had submitted its work; with the wait left out, each of these pictures was wrong. After the\n"
	"numbers, which are of RGB + YUV: how the wait crossed (`enum stile_path_kind` in\n"
	"[carrier.h](../include/stile/carrier.h)).\n\n"
	"All of this was done in memory of two kinds, and came out the same: with all planes in one buffer, as the library lays\n"
	"them out, and with each plane in a buffer of its own, in which it begins behind something else.\n\n";

static const char yuv_tail[] =
	"\nHow each gets there: *planes*: who draws has an image of each (`stile_image_create_plane_view()`); *planes + shader*:\n"
	"so has who looks, and makes colours of them itself (`stile_vulkan_import_yuv()`, `stile_egl_import_yuv()`); *conversion*: a\n"
	"`VkSamplerYcbcrConversion`; *external*: an external texture, of which the driver makes colours.\n"
	"Luma and chroma are random numbers, of BT.709 in limited range, and nobody filters them, so there is one right colour for\n"
	"each pixel, of the sample of chroma that is nearest to it in the siting that the device takes. What is seen may differ\n"
	"from it by 0.1 of 255; of more than 8 bits by 0.6 in a conversion, and by 2.5 in an external texture, since Mesa takes\n"
	"10 bits for 16, and in external textures 65535 for 255.\n";

/* `./run matrix` finds this part by its first line. */
static const char guest_head[] =
	"## In a guest: scan-out\n\n"
	"Written by `./run matrix --guest`, likewise, from what the test `matrix_kms` has seen on a real kernel, in udmabufs:\n"
	"the display is vkms, which writes back what it shows.\n\n";

void table_print(const struct table *table, FILE *to) {
	fprintf(to, "%s%s\n", table->is_in_guest ? guest_head : head, table->machine);
	print_pairs(table, 1, to);
	print_pairs(table, 2, to);
	print_formats(table, false, to);
	if (has_kind(table, true)) {
		print_formats(table, true, to);
		fputs(yuv_tail, to);
	}
	print_heading(table, "What is refused", to);
	print_refusals(table->producers, table->producer_count, to);
	print_refusals(table->consumers, table->consumer_count, to);
}
