/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_DMABUF_KIND_H
#define BACKENDS_DMABUF_KIND_H

/** What a descriptor is that is no dma-buf: the words of a sentence, "a socket". */
const char *kind_get_name(int fd);

#endif
