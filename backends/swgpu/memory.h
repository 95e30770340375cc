/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_SWGPU_MEMORY_H
#define BACKENDS_SWGPU_MEMORY_H

/* The device as an exporter: storage that is chosen late, and moves. */

#include <stile/buffer.h>
#include <stile/report.h>

#include "src/backend.h"

/* As struct stile_backend_ops says. */
int memory_create_buffer(struct stile_device *device, const struct stile_buffer_info *info,
	struct stile_buffer **out);
int memory_import_buffer(struct stile_device *device, int fd, uint64_t bytes, uint32_t usage,
	struct stile_buffer **out);
int memory_adopt(struct stile_buffer *buffer, int fd, uint32_t usage);
int memory_get_fd(const struct stile_buffer *buffer);
int memory_check(struct stile_device *device, int fd, uint32_t plane, struct stile_report *report);

#endif
