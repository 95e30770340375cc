/* SPDX-License-Identifier: MIT */
#ifndef SRC_ATTACHMENT_H
#define SRC_ATTACHMENT_H

#include <stdbool.h>

#include <stile/attachment.h>

/* A table that an attachment has mapped, as often as it has in this direction. */
struct attachment_map {
	struct attachment_map *next; /* of the attachment */
	struct stile_sg *sg;
	enum stile_direction direction;
	uint32_t count;

	/* Among those of the buffer with a cache, under the buffer's lock. */
	struct stile_device *cached_by; /* NULL: it is not */
	struct attachment_map *next_cached;
	struct attachment_map **cached_link;
};

struct stile_attachment {
	struct stile_buffer *buffer; /* no reference: the importer has one */
	struct stile_device *device; /* a reference */
	const struct stile_importer_ops *importer;
	void *priv;
	void *exporter_priv;
	const char *name;
	struct stile_constraints constraints;
	uint32_t usage;
	bool is_picky; /* the constraints are more than the device's */

	/* All below with the reservation locked. */
	uint32_t pins; /* by the importer */
	struct attachment_map *maps;
	struct attachment_map few; /* most have one */
	struct stile_attachment *next;
	struct stile_attachment *prev;

	/*
	 * Not NULL: it is undone when the buffer goes, and its importer, which has no say in that, hears of
	 * it by this. Else one that is left over is a mistake.
	 */
	void (*gone)(void *priv);
};

/** As stile_buffer_attach(), for one that may be left to the buffer. */
int attachment_create(struct stile_buffer *buffer, const struct stile_attach_info *info,
	void (*gone)(void *priv), struct stile_report *report, struct stile_attachment **out);

/** The last reference on the buffer is gone: undo what is left, tell mistakes. */
void attachment_drop_all(struct stile_buffer *buffer);

/** Does somebody who hears of no moves have something mapped? */
bool attachment_is_static_user(const struct stile_attachment *attachment);

#endif
