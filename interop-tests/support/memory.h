/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_MEMORY_H
#define SUPPORT_MEMORY_H

#include <stdint.h>

/** A memfd of this size with these seals (F_SEAL_*). CLOEXEC, the caller's. */
int memory_create(uint64_t bytes, int seals);

/** The same memory opened anew, with O_RDONLY, O_WRONLY, O_RDWR or O_PATH. */
int memory_reopen(int fd, int flags);

/** The number of a descriptor that is not open. */
int memory_closed_fd(void);

#endif
