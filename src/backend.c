/* SPDX-License-Identifier: MIT */
#include "src/backend.h"

#include <string.h>

#include <stile/device.h>

#include "src/macros.h"

extern const struct stile_backend_ops stile_backend_dmabuf;
extern const struct stile_backend_ops stile_backend_swgpu;
extern const struct stile_backend_ops stile_backend_udmabuf;

static const struct stile_backend_ops *const backends[] = {
	&stile_backend_swgpu,
	&stile_backend_udmabuf,
	&stile_backend_dmabuf,
};

const struct stile_backend_ops *backend_find(const char *name) {
	for (size_t i = 0; i < ARRAY_LENGTH(backends); i++) {
		if (strcmp(backends[i]->name, name) == 0) {
			return backends[i];
		}
	}
	return NULL;
}

const char *stile_backend_get_name(size_t index) {
	return index < ARRAY_LENGTH(backends) ? backends[index]->name : NULL;
}
