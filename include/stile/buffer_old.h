/* SPDX-License-Identifier: MIT */
#ifndef STILE_BUFFER_OLD_H
#define STILE_BUFFER_OLD_H

/*
 * Forms of before about 2018, for code that is being carried over
 * (KERNEL_CONTRACT section 21). Their byte ranges of CPU access are
 * stile_buffer_begin_cpu_access_range(); kmap_atomic() is kmap(): nothing here
 * is atomic context.
 */

#include <stdint.h>

#include <stile/buffer.h>
#include <stile/macros.h>

STILE_BEGIN_DECLS

/**
 * Have one page of the memory, within stile_buffer_begin_cpu_access() and its
 * end. May block for memory, unless the buffer is mapped so already.
 *
 * @param buffer        borrowed, its reservation *not* locked by the caller
 * @param page          number of the page
 * @param[out] address  the page; NULL on failure
 *
 * @retval 0        *address is valid until stile_buffer_kunmap()
 * @retval -ERANGE  the buffer has no such page, or has not all of it
 * @retval -EDEADLK misuse: the caller has the reservation locked
 * @retval other    as stile_buffer_vmap()
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_kmap(
	struct stile_buffer *buffer, uint64_t page, void **address);

/**
 * Undo one stile_buffer_kmap().
 *
 * @param buffer   its reservation *not* locked by the caller
 * @param page     the same
 * @param address  what it gave; anything else is a mistake, which is told
 * @since 0.1
 */
STILE_API void stile_buffer_kunmap(
	struct stile_buffer *buffer, uint64_t page, void *address);

STILE_END_DECLS

#endif
