/* SPDX-License-Identifier: MIT */
#ifndef DEMOS_PROOF_H
#define DEMOS_PROOF_H

#include <stdbool.h>
#include <stdint.h>

#include <stile/image.h>

/**
 * Evidence that an API uses an image's own memory and not a copy of it: importing makes a new
 * mapping of that memory appear in this process, and what is written through a mapping of our own
 * is what the API reads.
 */
struct evidence {
	char api[16];
	char image[16];
	uint64_t inode;
	int mappings_before;
	int mappings_after;
	uint8_t written[4];
	uint8_t read[4]; /* filled in by whoever asks the API */
};

/** Before the import: which memory, how often it is mapped. */
void proof_begin(struct evidence *evidence, const char *api, struct stile_image *image);

/** After the import: count again, and write a mark into the first pixel. 0 or -errno. */
int proof_mark(struct evidence *evidence, struct stile_image *image);

bool proof_holds(const struct evidence *evidence);

#endif
