/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_DMABUF_NODE_H
#define BACKENDS_DMABUF_NODE_H

struct stile_report;

/** Open a device node, CLOEXEC. The descriptor, or what report_refuse() gave: -ENOENT, -EACCES, ... */
int node_open(const char *path, int flags, struct stile_report *why);

#endif
