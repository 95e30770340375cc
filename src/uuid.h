/* SPDX-License-Identifier: MIT */
#ifndef SRC_UUID_H
#define SRC_UUID_H

#include <stile/opaque.h>
#include <stile/report.h>

/**
 * Refuse what ("the memory") is of another `kind` ("device"), by its UUID, than who ("the adapter") would have to
 * understand it. Returns -EOPNOTSUPP.
 */
int uuid_refuse(struct stile_report *why, const char *kind, const char *what,
	const uint8_t theirs[STILE_UUID_BYTES], const char *who,
	const uint8_t ours[STILE_UUID_BYTES]);

#endif
