/* SPDX-License-Identifier: MIT */
#include "src/abi.h"

#include <errno.h>
#include <string.h>

/* No struct of ours will be this large; a larger size is memory nobody initialised. */
#define ABI_SIZE_MAX 4096

static size_t abi_size(const void *sized) {
	size_t size;
	memcpy(&size, sized, sizeof(size));
	return size;
}

static int abi_check_tail(const void *src, size_t known, size_t given) {
	for (size_t i = known; i < given; i++) {
		if (((const unsigned char *)src)[i] != 0) {
			return -E2BIG;
		}
	}
	return 0;
}

int abi_copy_in(void *dst, size_t known, const void *src) {
	size_t given = abi_size(src);
	if (given < sizeof(size_t) || given > ABI_SIZE_MAX) {
		return -EINVAL;
	}
	int ret = abi_check_tail(src, known, given);
	if (ret < 0) {
		return ret;
	}
	memset(dst, 0, known);
	memcpy(dst, src, given < known ? given : known);
	memcpy(dst, &known, sizeof(known));
	return 0;
}

int abi_check_out(const void *dst) {
	size_t given = abi_size(dst);
	return given < sizeof(size_t) || given > ABI_SIZE_MAX ? -EINVAL : 0;
}

void abi_copy_out(void *dst, const void *src, size_t known) {
	size_t given = abi_size(dst);
	size_t both = given < known ? given : known;
	memcpy(dst, src, both);
	memset((unsigned char *)dst + both, 0, given - both);
	memcpy(dst, &given, sizeof(given));
}

int abi_check_table(const void *table, size_t known) {
	size_t given = abi_size(table);
	if (given < known || given > ABI_SIZE_MAX) {
		return -EINVAL;
	}
	return abi_check_tail(table, known, given);
}
