/* SPDX-License-Identifier: MIT */
#ifndef SRC_REPORT_H
#define SRC_REPORT_H

#include <stile/report.h>

/** Empty a report for a call that begins. NULL is fine. 0, or -EINVAL for an impossible size. */
int report_begin(struct stile_report *report);

/**
 * The same, together with abi_copy_in() of the struct that the call was given; why that failed is in
 * the report.
 */
int report_copy_in(struct stile_report *report, void *known, size_t size, const void *info);

/** Make `report` say why; returns `error`. It is complete, ours, never NULL. */
int report_refuse(struct stile_report *report, int error, enum stile_reason reason, uint32_t plane,
	uint64_t needed, uint64_t actual, const char *fmt, ...) STILE_PRINTF(7, 8);

/** Add to the text, as far as there is room. */
void report_append(struct stile_report *report, const char *fmt, ...) STILE_PRINTF(2, 3);

/** Put in front of the reasons there why nothing better was done, what was: "swgpu; dmabuf: ...". */
void report_prepend(struct stile_report *report, const char *what);

/** Give the caller what was found out. NULL is fine. */
void report_give(struct stile_report *to, const struct stile_report *from);

#endif
