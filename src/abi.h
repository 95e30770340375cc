/* SPDX-License-Identifier: MIT */
#ifndef SRC_ABI_H
#define SRC_ABI_H

#include <stddef.h>

/**
 * Read a struct that begins with its size from a caller who may know an older or a newer one:
 * what the caller lacks is zero, what we lack has to be zero.
 *
 * 0; -EINVAL: the size makes no sense; -E2BIG: something is set that we do not know.
 */
int abi_copy_in(void *dst, size_t known, const void *src);

/** The reverse, for results: `dst` begins with the size that its owner set. 0 or -EINVAL. */
int abi_check_out(const void *dst);
void abi_copy_out(void *dst, const void *src, size_t known);

/** Is it a table of functions with at least `known` bytes and nothing set beyond? */
int abi_check_table(const void *table, size_t known);

#endif
