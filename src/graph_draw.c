/* SPDX-License-Identifier: MIT */
/*
 * Who waits for whom, made readable. What graph.c recorded is completed by what containers and
 * points are made of; then each one is followed by what it waits for, if that was not told before.
 *
 * A vertex can end once all that it waits for can, or one of that if it waits for any. Those that
 * nothing known holds up are the roots: on them all hangs. Those that never get their turn are
 * stuck, and from a stuck one the way along stuck ones cannot but come back: there is the cycle.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/array.h>
#include <stile/chain.h>

#include "src/fence.h"
#include "src/graph.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/timeline.h"
#include "src/tree.h"

enum { NAME_BYTES = 96, TEXT_BYTES = 512, MS = 1000000 };

struct arc {
	struct vertex *from;
	struct vertex *to;
	struct arc *next_out; /* of `from` */
	struct arc *next_in;  /* of `to` */
	const char *label;
	const void *place;
	bool in_cycle;
};

struct vertex {
	struct tree_node node;
	struct graph_end end; /* referenced */
	struct vertex *prev;
	struct vertex *next;
	struct arc *out;
	struct arc **out_end;
	struct arc *in;
	bool any;           /* one of those it waits for is enough */
	bool is_told;       /* its place in the list is final */
	bool unsubmitted;   /* a point without a fence */
	bool begins_cycle;  /* one of each cycle does */
	unsigned number;    /* in the list, from 1 */
	size_t left;        /* how many more have to end before it can; of the stuck, more than 0 */
	struct vertex *due; /* the next one that can end */
	unsigned visit;     /* which walk came by; 0: none */
	char name[NAME_BYTES];
	char text[TEXT_BYTES]; /* the name, and how it stands */
};

struct picture {
	struct tree tree;
	struct vertex *first;
	struct vertex *last;
	bool out_of_memory;
};

/* ---- Vertices ------------------------------------------------------------------------------ */

static struct vertex *vertex_of(const struct tree_node *node) {
	return CONTAINER_OF(node, struct vertex, node);
}

static int compare(const struct tree_node *left, const struct tree_node *right) {
	const struct graph_end *a = &vertex_of(left)->end, *b = &vertex_of(right)->end;
	if (a->object != b->object) {
		return (uintptr_t)a->object > (uintptr_t)b->object ? 1 : -1;
	}
	return (a->value > b->value) - (a->value < b->value);
}

/* Names are people's: they must not break lines. */
static void clean(char *text) {
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < ' ' || *text == '\177') {
			*text = '?';
		}
	}
}

/* ", at " and the place as backtrace_symbols() has it; nothing if it is not known. */
static void place_describe(const void *place, char *text, size_t size) {
	text[0] = '\0';
	if (place == NULL) {
		return;
	}
	/* A call that never returns may be the last of its function. */
	const char *call = (const char *)place - 1;
	Dl_info info;
	if (dladdr(call, &info) == 0 || info.dli_fname == NULL) {
		snprintf(text, size, ", at [%p]", place);
		return;
	}
	bool named = info.dli_sname != NULL;
	const char *base = named ? info.dli_saddr : info.dli_fbase;
	snprintf(text, size, ", at %s(%s+0x%tx) [%p]", info.dli_fname, named ? info.dli_sname : "",
		(const char *)place - base, place);
}

static void describe_waiter(struct vertex *vertex) {
	const struct graph_who *who = &vertex->end.who;
	long long ms = (os_clock_ns() - who->since_ns) / MS;
	char place[TEXT_BYTES / 2];
	place_describe(who->place, place, sizeof(place));
	if (who->thread != 0) {
		snprintf(vertex->name, NAME_BYTES, "thread %d \"%s\"", who->thread, who->name);
	} else {
		snprintf(vertex->name, NAME_BYTES, "eventfd %d", who->fd);
	}
	snprintf(vertex->text, TEXT_BYTES, "%s has waited for %lld ms%s", vertex->name, ms, place);
}

static void describe_point(struct vertex *vertex) {
	const struct stile_timeline *timeline = vertex->end.object;
	snprintf(vertex->name, NAME_BYTES, "point %llu of timeline \"%s\"",
		(unsigned long long)vertex->end.value, timeline->name);
	snprintf(vertex->text, TEXT_BYTES, "%s, whose counter is at %llu", vertex->name,
		(unsigned long long)stile_timeline_get_value(timeline));
}

static void describe_fence(struct vertex *vertex) {
	struct stile_fence *fence = vertex->end.object;
	snprintf(vertex->name, NAME_BYTES, "%llu:%llu", (unsigned long long)fence->context,
		(unsigned long long)fence->seqno);
	stile_fence_describe(fence, vertex->text, TEXT_BYTES);
}

static void vertex_fill(struct vertex *vertex, const struct graph_end *end) {
	vertex->end = *end;
	vertex->out_end = &vertex->out;
	switch (end->kind) {
	case GRAPH_WAITER:
		vertex->any = end->who.any;
		describe_waiter(vertex);
		break;
	case GRAPH_POINT:
		timeline_hold(end->object);
		describe_point(vertex);
		break;
	case GRAPH_FENCE:
		stile_fence_ref(end->object);
		describe_fence(vertex);
		break;
	}
	clean(vertex->name);
	clean(vertex->text);
}

static void vertex_free(struct vertex *vertex) {
	for (struct arc *arc = vertex->out, *next; arc != NULL; arc = next) {
		next = arc->next_out;
		free(arc);
	}
	if (vertex->end.kind == GRAPH_POINT) {
		timeline_put(vertex->end.object);
	} else if (vertex->end.kind == GRAPH_FENCE) {
		stile_fence_unref(vertex->end.object);
	}
	free(vertex);
}

/* ---- Making the picture -------------------------------------------------------------------- */

static void list_insert(struct picture *picture, struct vertex *vertex, struct vertex *after) {
	vertex->prev = after;
	vertex->next = after == NULL ? picture->first : after->next;
	*(vertex->next == NULL ? &picture->last : &vertex->next->prev) = vertex;
	*(after == NULL ? &picture->first : &after->next) = vertex;
}

static void list_remove(struct picture *picture, struct vertex *vertex) {
	*(vertex->next == NULL ? &picture->last : &vertex->next->prev) = vertex->prev;
	*(vertex->prev == NULL ? &picture->first : &vertex->prev->next) = vertex->next;
}

/* The one vertex of an end; NULL: out of memory. */
static struct vertex *get_vertex(struct picture *picture, const struct graph_end *end) {
	struct vertex probe;
	probe.end = *end;
	const struct tree_node *node = tree_find(&picture->tree, &probe.node, compare);
	if (node != NULL) {
		return vertex_of(node);
	}
	struct vertex *vertex = calloc(1, sizeof(*vertex));
	if (vertex != NULL) {
		vertex_fill(vertex, end);
		tree_insert(&picture->tree, &vertex->node, compare);
		list_insert(picture, vertex, picture->last);
	}
	return vertex;
}

static bool end_is_over(const struct graph_end *end) {
	return end->object == NULL ||
		(end->kind == GRAPH_FENCE && stile_fence_is_signaled(end->object));
}

/* `label` and what `place` leads to are there as long as the picture. */
static void add_arc(struct picture *picture, const struct graph_end *from,
	const struct graph_end *to, const char *label, const void *place) {
	if (end_is_over(from) || end_is_over(to)) {
		return;
	}
	struct vertex *waiter = get_vertex(picture, from), *dep = get_vertex(picture, to);
	struct arc *arc = calloc(1, sizeof(*arc));
	if (waiter == NULL || dep == NULL || arc == NULL) {
		free(arc);
		picture->out_of_memory = true;
		return;
	}
	*arc = (struct arc){
		.from = waiter, .to = dep, .next_in = dep->in, .label = label, .place = place
	};
	*waiter->out_end = arc;
	waiter->out_end = &arc->next_out;
	dep->in = arc;
}

static void add_part(struct picture *picture, const struct vertex *vertex, struct stile_fence *part,
	const char *label) {
	const struct graph_end end = { .kind = GRAPH_FENCE, .object = part };
	add_arc(picture, &vertex->end, &end, label, NULL);
}

static void add_parts_of_fence(struct picture *picture, struct vertex *vertex) {
	struct stile_fence *fence = vertex->end.object;
	if (stile_fence_is_array(fence)) {
		vertex->any = array_is_any(fence);
		for (size_t i = 0; i < stile_array_get_count(fence); i++) {
			add_part(picture, vertex, stile_array_get_nth(fence, i), "member");
		}
	} else if (stile_fence_is_chain(fence)) {
		add_part(picture, vertex, stile_chain_get_contained(fence), "contained");
		struct stile_fence *before = stile_chain_walk(stile_fence_ref(fence));
		add_part(picture, vertex, before, "before it in the chain");
		stile_fence_unref(before);
	}
}

static void add_parts_of_point(struct picture *picture, struct vertex *vertex) {
	const struct stile_point point = {
		.timeline = vertex->end.object,
		.value = vertex->end.value,
	};
	struct stile_fence *fence;
	int ret = stile_point_get_fence(&point, &fence);
	if (ret == 0) {
		add_part(picture, vertex, fence, "submitted");
		stile_fence_unref(fence);
	} else if (ret == -EAGAIN) {
		size_t used = strlen(vertex->text);
		vertex->unsubmitted = true;
		snprintf(vertex->text + used, TEXT_BYTES - used, ", not submitted");
	}
}

static void complete(struct picture *picture) {
	for (struct vertex *at = picture->first; at != NULL; at = at->next) {
		if (at->end.kind == GRAPH_FENCE) {
			add_parts_of_fence(picture, at);
		} else if (at->end.kind == GRAPH_POINT) {
			add_parts_of_point(picture, at);
		}
	}
}

/* ---- In which order it is told ------------------------------------------------------------- */

static void move(struct picture *picture, struct vertex *vertex, struct vertex *after) {
	list_remove(picture, vertex);
	list_insert(picture, vertex, after);
}

/* Have those that it waits for follow it, if they are still to be told. */
static void pull_deps(struct picture *picture, struct vertex *vertex) {
	struct vertex *after = vertex;
	for (const struct arc *arc = vertex->out; arc != NULL; arc = arc->next_out) {
		if (!arc->to->is_told && arc->to != after) {
			move(picture, arc->to, after);
			after = arc->to;
		}
	}
}

/* First what nobody waits for, and threads before all. */
static void arrange(struct picture *picture) {
	struct vertex *after = NULL;
	for (struct vertex *at = picture->first, *next; at != NULL; at = next) {
		next = at->next;
		if (at->in == NULL) {
			move(picture, at, after);
			after = at;
		}
	}
	unsigned number = 0;
	for (struct vertex *at = picture->first; at != NULL; at = at->next) {
		at->is_told = true;
		at->number = ++number;
		pull_deps(picture, at);
	}
}

/* ---- What follows from it ------------------------------------------------------------------ */

static size_t count_deps(const struct vertex *vertex) {
	size_t count = 0;
	for (const struct arc *arc = vertex->out; arc != NULL; arc = arc->next_out) {
		count++;
	}
	return vertex->any && count > 1 ? 1 : count;
}

/* Let end what can; the stuck are left. */
static void settle(struct picture *picture) {
	struct vertex *due = NULL;
	for (struct vertex *at = picture->first; at != NULL; at = at->next) {
		at->left = count_deps(at);
		if (at->left == 0) {
			at->due = due;
			due = at;
		}
	}
	while (due != NULL) {
		const struct arc *arc = due->in;
		due = due->due;
		for (; arc != NULL; arc = arc->next_in) {
			if (arc->from->left > 0 && --arc->from->left == 0) {
				arc->from->due = due;
				due = arc->from;
			}
		}
	}
}

/* From a stuck one to the next. */
static struct arc *stuck_arc(const struct vertex *vertex) {
	struct arc *arc = vertex->out;
	while (arc->to->left == 0) {
		arc = arc->next_out;
	}
	return arc;
}

static void find_cycles(struct picture *picture) {
	unsigned visit = 0;
	for (struct vertex *start = picture->first; start != NULL; start = start->next) {
		struct vertex *at = start;
		visit++;
		while (at->left > 0 && at->visit == 0) {
			at->visit = visit;
			at = stuck_arc(at)->to;
		}
		if (at->left > 0 && at->visit == visit) {
			at->begins_cycle = true;
			for (struct arc *arc = stuck_arc(at); !arc->in_cycle;
				arc = stuck_arc(arc->to)) {
				arc->in_cycle = true;
			}
		}
	}
}

/* ---- As text ------------------------------------------------------------------------------- */

static void text_print_arc(FILE *out, const struct arc *arc, const char *how) {
	char place[TEXT_BYTES / 2];
	place_describe(arc->place, place, sizeof(place));
	fprintf(out, "%s %s", how, arc->to->name);
	if (arc->label[0] != '\0') {
		fprintf(out, " (%s)", arc->label);
	}
	fprintf(out, "%s\n", place);
}

static void text_print_vertex(FILE *out, const struct vertex *vertex) {
	fprintf(out, "%s\n", vertex->text);
	const char *how = "    waits for";
	for (const struct arc *arc = vertex->out; arc != NULL; arc = arc->next_out) {
		text_print_arc(out, arc, how);
		how = vertex->any ? "    or for" : "    and for";
	}
}

static void text_print_roots(FILE *out, const struct picture *picture) {
	const char *headline = "\nIn the end, all hangs on:\n";
	for (const struct vertex *at = picture->first; at != NULL; at = at->next) {
		if (at->end.kind == GRAPH_FENCE && at->out == NULL) {
			fprintf(out, "%s    %s\n", headline, at->text);
			headline = "";
		}
	}
}

static void text_print_cycle(FILE *out, const struct vertex *start) {
	fprintf(out, "\nA cycle: none of these can end before the next one does.\n    %s\n",
		start->text);
	const struct arc *arc = stuck_arc(start);
	for (; arc->to != start; arc = stuck_arc(arc->to)) {
		text_print_arc(out, arc, "        waits for");
		fprintf(out, "    %s\n", arc->to->text);
	}
	text_print_arc(out, arc, "        waits for");
}

static void text_print_unsubmitted(FILE *out, const struct picture *picture) {
	const char *headline = "\nNobody has submitted:\n";
	for (const struct vertex *at = picture->first; at != NULL; at = at->next) {
		if (!at->unsubmitted) {
			continue;
		}
		fprintf(out, "%s    %s\n", headline, at->text);
		headline = "";
		for (const struct arc *arc = at->in; arc != NULL; arc = arc->next_in) {
			fprintf(out, "        for which waits %s\n", arc->from->name);
		}
	}
}

static void print_text(FILE *out, const struct picture *picture) {
	fprintf(out, "Who waits for whom in process %d:%s\n\n", (int)getpid(),
		picture->first == NULL ? " nobody, as far as is known." : "");
	for (const struct vertex *at = picture->first; at != NULL; at = at->next) {
		text_print_vertex(out, at);
	}
	text_print_roots(out, picture);
	for (const struct vertex *at = picture->first; at != NULL; at = at->next) {
		if (at->begins_cycle) {
			text_print_cycle(out, at);
		}
	}
	text_print_unsubmitted(out, picture);
}

/* ---- As Graphviz has it -------------------------------------------------------------------- */

static void dot_print_string(FILE *out, const char *text) {
	fputc('"', out);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\') {
			fputc('\\', out);
		}
		fputc(*text, out);
		/* What comes after a comma is a line of its own. */
		if (text[0] == ',' && text[1] == ' ') {
			fputs("\\n", out);
			text++;
		}
	}
	fputc('"', out);
}

static void dot_print_vertex(FILE *out, const struct vertex *vertex) {
	fprintf(out, "\tn%u [label=", vertex->number);
	dot_print_string(out, vertex->text);
	if (vertex->end.kind == GRAPH_WAITER) {
		fprintf(out, ", shape=ellipse");
	}
	if (vertex->unsubmitted) {
		fprintf(out, ", style=dashed");
	} else if (vertex->end.kind == GRAPH_FENCE && vertex->out == NULL) {
		fprintf(out, ", style=bold");
	}
	fprintf(out, "];\n");
}

static void dot_print_arc(FILE *out, const struct arc *arc) {
	fprintf(out, "\tn%u -> n%u [label=", arc->from->number, arc->to->number);
	dot_print_string(out, arc->label);
	fprintf(out, "%s%s];\n", arc->from->any ? ", arrowhead=empty" : "",
		arc->in_cycle ? ", color=red, fontcolor=red" : "");
}

static void print_dot(FILE *out, const struct picture *picture) {
	fprintf(out, "digraph stile {\n\tnode [shape=box];\n");
	for (const struct vertex *at = picture->first; at != NULL; at = at->next) {
		dot_print_vertex(out, at);
	}
	for (const struct vertex *at = picture->first; at != NULL; at = at->next) {
		for (const struct arc *arc = at->out; arc != NULL; arc = arc->next_out) {
			dot_print_arc(out, arc);
		}
	}
	fprintf(out, "}\n");
}

/* ---- All of it ----------------------------------------------------------------------------- */

static void print(
	FILE *out, const struct picture *picture, const struct graph_wait *told, uint64_t missing) {
	if (told != NULL) {
		fprintf(out, "Thread %d has waited for %lld ms, which is over the limit.\n",
			told->who.thread, (long long)(os_clock_ns() - told->who.since_ns) / MS);
	}
	print_text(out, picture);
	if (missing > 0) {
		fprintf(out, "\nThere was no room to record %llu more.\n",
			(unsigned long long)missing);
	}
	if (!check_is_on()) {
		fprintf(out, "\nThe checker is off, without which nothing new is recorded.\n");
	}
}

/* A new string. */
static int write_down(const struct picture *picture, enum stile_graph_format format,
	const struct graph_wait *told, uint64_t missing, char **text) {
	size_t bytes;
	FILE *out = open_memstream(text, &bytes);
	if (out == NULL) {
		*text = NULL;
		return -ENOMEM;
	}
	if (format == STILE_GRAPH_DOT) {
		print_dot(out, picture);
	} else {
		print(out, picture, told, missing);
	}
	bool failed = ferror(out) != 0;
	if (fclose(out) != 0 || failed) {
		free(*text);
		*text = NULL;
		return -ENOMEM;
	}
	return 0;
}

int graph_draw(enum stile_graph_format format, const struct graph_wait *told, char **text) {
	*text = NULL;
	struct graph_copy copy;
	int ret = graph_copy(&copy);
	if (ret < 0) {
		return ret;
	}
	struct picture picture = { .first = NULL };
	for (size_t i = 0; i < copy.count; i++) {
		struct graph_link *link = &copy.links[i];
		clean(link->label);
		add_arc(&picture, &link->from, &link->to, link->label, link->place);
	}
	complete(&picture);
	arrange(&picture);
	settle(&picture);
	find_cycles(&picture);
	ret = picture.out_of_memory ? -ENOMEM
				    : write_down(&picture, format, told, copy.missing, text);
	while (picture.first != NULL) {
		struct vertex *vertex = picture.first;
		picture.first = vertex->next;
		vertex_free(vertex);
	}
	graph_copy_drop(&copy);
	return ret;
}

int stile_graph_describe(enum stile_graph_format format, char **text) {
	*text = NULL;
	if (format != STILE_GRAPH_TEXT && format != STILE_GRAPH_DOT) {
		return -EINVAL;
	}
	return graph_draw(format, NULL, text);
}
