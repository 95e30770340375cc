/* SPDX-License-Identifier: MIT */
#include <stile/version.h>

const char *stile_version_get(void) {
	return STILE_VERSION;
}
