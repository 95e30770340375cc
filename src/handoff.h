/* SPDX-License-Identifier: MIT */
#ifndef SRC_HANDOFF_H
#define SRC_HANDOFF_H

/*
 * Finds mistakes in who hands memory over to whom. Only if the checker is on, where nothing else is
 * said; places are return addresses in the application.
 */

#include <stdbool.h>
#include <stdint.h>

struct stile_access;
struct stile_access_info;
struct stile_buffer;
struct stile_fence;

/** It has begun. True: this was noted, so that the end is to be told. */
bool handoff_begin(
	const struct stile_access *access, const struct stile_access_info *info, const void *place);
/** It ends, was cancelled: only if it was noted; the checker may be off by now. */
void handoff_end(const struct stile_access *access, const void *place);
void handoff_cancel(const struct stile_access *access, const void *place);
/** It was to end, but has not begun, or has ended already (`again`). */
void handoff_complain_of_end(
	const struct stile_access *access, bool again, const char *what, const void *place);

/** Somebody waits for a fence or has a device wait for it. */
void handoff_wait(struct stile_fence *fence, const void *place);

/** Brackets of the CPU around the use of a buffer; these with the checker off, too. */
void handoff_cpu_begin(struct stile_buffer *buffer, uint32_t usage, const void *place);
void handoff_cpu_end(struct stile_buffer *buffer, uint32_t usage, const void *place);
/** The buffer goes. */
void handoff_cpu_finish(const struct stile_buffer *buffer);

#endif
