/* SPDX-License-Identifier: MIT */
#include "src/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "src/abi.h"

int report_begin(struct stile_report *report) {
	if (report == NULL) {
		return 0;
	}
	int ret = abi_check_out(report);
	if (ret == 0) {
		report_give(report, &(struct stile_report){ .reason = STILE_REASON_NONE });
	}
	return ret;
}

int report_copy_in(struct stile_report *report, void *known, size_t size, const void *info) {
	int ret = report_begin(report);
	if (ret < 0) {
		return ret;
	}
	ret = abi_copy_in(known, size, info);
	if (ret < 0) {
		struct stile_report why;
		report_refuse(&why, ret, STILE_REASON_USAGE, 0, size, *(const size_t *)info,
			ret == -E2BIG ? "the struct uses fields that this library does not know"
				      : "the size field of the struct makes no sense");
		report_give(report, &why);
	}
	return ret;
}

int report_refuse(struct stile_report *report, int error, enum stile_reason reason, uint32_t plane,
	uint64_t needed, uint64_t actual, const char *fmt, ...) {
	*report = (struct stile_report){
		.reason = reason,
		.error = error,
		.plane = plane,
		.needed = needed,
		.actual = actual,
	};
	va_list args;
	va_start(args, fmt);
	vsnprintf(report->text, sizeof(report->text), fmt, args);
	va_end(args);
	return error;
}

void report_append(struct stile_report *report, const char *fmt, ...) {
	size_t length = strlen(report->text);
	va_list args;
	va_start(args, fmt);
	vsnprintf(report->text + length, sizeof(report->text) - length, fmt, args);
	va_end(args);
}

void report_prepend(struct stile_report *report, const char *what) {
	char reasons[sizeof(report->text)];
	memcpy(reasons, report->text, sizeof(reasons));
	report->text[0] = '\0';
	report_append(report, "%s%s%s", what, reasons[0] == '\0' ? "" : "; ", reasons);
}

void report_give(struct stile_report *to, const struct stile_report *from) {
	if (to == NULL) {
		return;
	}
	abi_copy_out(to, from, sizeof(*from));
	/* A caller of before the text had grown: what it has room for ends there. */
	if (to->size > offsetof(struct stile_report, text) && to->size < sizeof(*to)) {
		((char *)to)[to->size - 1] = '\0';
	}
}
