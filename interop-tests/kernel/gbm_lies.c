/* SPDX-License-Identifier: MIT */
#include "interop-tests/kernel/gbm_lies.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>

#include <gbm.h>

struct gbm_lies gbm_lies;

/* The linker makes these names; nothing declares them. */
struct gbm_bo *__real_gbm_bo_create(
	struct gbm_device *gbm, uint32_t width, uint32_t height, uint32_t format, uint32_t flags);
struct gbm_bo *__wrap_gbm_bo_create(
	struct gbm_device *gbm, uint32_t width, uint32_t height, uint32_t format, uint32_t flags);
struct gbm_bo *__real_gbm_bo_create_with_modifiers2(struct gbm_device *gbm, uint32_t width,
	uint32_t height, uint32_t format, const uint64_t *modifiers, const unsigned count,
	uint32_t flags);
struct gbm_bo *__wrap_gbm_bo_create_with_modifiers2(struct gbm_device *gbm, uint32_t width,
	uint32_t height, uint32_t format, const uint64_t *modifiers, const unsigned count,
	uint32_t flags);
struct gbm_bo *__real_gbm_bo_import(
	struct gbm_device *gbm, uint32_t type, void *buffer, uint32_t flags);
struct gbm_bo *__wrap_gbm_bo_import(
	struct gbm_device *gbm, uint32_t type, void *buffer, uint32_t flags);
void __real_gbm_bo_destroy(struct gbm_bo *bo);
void __wrap_gbm_bo_destroy(struct gbm_bo *bo);
int __real_gbm_device_get_format_modifier_plane_count(
	struct gbm_device *gbm, uint32_t format, uint64_t modifier);
int __wrap_gbm_device_get_format_modifier_plane_count(
	struct gbm_device *gbm, uint32_t format, uint64_t modifier);
uint64_t __real_gbm_bo_get_modifier(struct gbm_bo *bo);
uint64_t __wrap_gbm_bo_get_modifier(struct gbm_bo *bo);
uint32_t __real_gbm_bo_get_format(struct gbm_bo *bo);
uint32_t __wrap_gbm_bo_get_format(struct gbm_bo *bo);
int __real_gbm_bo_get_plane_count(struct gbm_bo *bo);
int __wrap_gbm_bo_get_plane_count(struct gbm_bo *bo);
int __real_gbm_bo_get_fd_for_plane(struct gbm_bo *bo, int plane);
int __wrap_gbm_bo_get_fd_for_plane(struct gbm_bo *bo, int plane);
uint32_t __real_gbm_bo_get_stride_for_plane(struct gbm_bo *bo, int plane);
uint32_t __wrap_gbm_bo_get_stride_for_plane(struct gbm_bo *bo, int plane);
uint32_t __real_gbm_bo_get_offset(struct gbm_bo *bo, int plane);
uint32_t __wrap_gbm_bo_get_offset(struct gbm_bo *bo, int plane);
union gbm_bo_handle __real_gbm_bo_get_handle_for_plane(struct gbm_bo *bo, int plane);
union gbm_bo_handle __wrap_gbm_bo_get_handle_for_plane(struct gbm_bo *bo, int plane);

static struct gbm_bo *spoil(struct gbm_bo *bo) {
	if (bo == NULL) {
		return NULL;
	}
	gbm_lies.created++;
	gbm_lies.alive++;
	uint32_t pitch;
	void *handle = NULL;
	if (gbm_lies.dirty) {
		uint32_t height = gbm_bo_get_height(bo);
		void *bytes = gbm_bo_map(bo, 0, 0, gbm_bo_get_width(bo), height,
			GBM_BO_TRANSFER_READ_WRITE, &pitch, &handle);
		if (bytes != NULL) {
			memset(bytes, 0x5a, (size_t)pitch * height);
			gbm_bo_unmap(bo, handle);
		}
	}
	return bo;
}

struct gbm_bo *__wrap_gbm_bo_create(
	struct gbm_device *gbm, uint32_t width, uint32_t height, uint32_t format, uint32_t flags) {
	gbm_lies.any_layout += (flags & GBM_BO_USE_LINEAR) == 0;
	return spoil(__real_gbm_bo_create(gbm, width, height, format, flags));
}

struct gbm_bo *__wrap_gbm_bo_create_with_modifiers2(struct gbm_device *gbm, uint32_t width,
	uint32_t height, uint32_t format, const uint64_t *modifiers, const unsigned count,
	uint32_t flags) {
	__atomic_fetch_add(&gbm_lies.asked, 1, __ATOMIC_RELAXED);
	if (gbm_lies.no_modifiers) {
		errno = ENOSYS;
		return NULL;
	}
	if (__atomic_add_fetch(&gbm_lies.inside, 1, __ATOMIC_SEQ_CST) > 1) {
		__atomic_store_n(&gbm_lies.crowded, true, __ATOMIC_SEQ_CST);
	}
	/* Others have time to come. */
	sched_yield();
	static const uint64_t linear = 0;
	bool lies = gbm_lies.has_modifier && count == 1 && modifiers[0] == gbm_lies.modifier;
	struct gbm_bo *bo = __real_gbm_bo_create_with_modifiers2(gbm, width,
		gbm_lies.short_of_rows ? (height + 1) / 2 : height, format,
		lies ? &linear : modifiers, count, flags);
	__atomic_sub_fetch(&gbm_lies.inside, 1, __ATOMIC_SEQ_CST);
	return spoil(bo);
}

struct gbm_bo *__wrap_gbm_bo_import(
	struct gbm_device *gbm, uint32_t type, void *buffer, uint32_t flags) {
	struct gbm_bo *bo = __real_gbm_bo_import(gbm, type, buffer, flags);
	gbm_lies.alive += bo != NULL;
	return bo;
}

void __wrap_gbm_bo_destroy(struct gbm_bo *bo) {
	gbm_lies.alive--;
	__real_gbm_bo_destroy(bo);
}

int __wrap_gbm_device_get_format_modifier_plane_count(
	struct gbm_device *gbm, uint32_t format, uint64_t modifier) {
	if (gbm_lies.no_modifiers) {
		return -1;
	}
	if (gbm_lies.has_modifier && modifier == gbm_lies.modifier) {
		return gbm_lies.plane_count != 0 ? gbm_lies.plane_count : 1;
	}
	return __real_gbm_device_get_format_modifier_plane_count(gbm, format, modifier);
}

uint64_t __wrap_gbm_bo_get_modifier(struct gbm_bo *bo) {
	if (gbm_lies.no_modifiers) {
		return (UINT64_C(1) << 56) - 1;
	}
	return gbm_lies.has_modifier ? gbm_lies.modifier : __real_gbm_bo_get_modifier(bo);
}

uint32_t __wrap_gbm_bo_get_format(struct gbm_bo *bo) {
	return gbm_lies.has_format ? gbm_lies.format : __real_gbm_bo_get_format(bo);
}

int __wrap_gbm_bo_get_plane_count(struct gbm_bo *bo) {
	return gbm_lies.plane_count != 0 ? gbm_lies.plane_count : __real_gbm_bo_get_plane_count(bo);
}

static int true_plane(int plane) {
	return gbm_lies.plane_count != 0 ? 0 : plane;
}

int __wrap_gbm_bo_get_fd_for_plane(struct gbm_bo *bo, int plane) {
	return __real_gbm_bo_get_fd_for_plane(bo, true_plane(plane));
}

uint32_t __wrap_gbm_bo_get_stride_for_plane(struct gbm_bo *bo, int plane) {
	return gbm_lies.pitch != 0 ? gbm_lies.pitch
				   : __real_gbm_bo_get_stride_for_plane(bo, true_plane(plane));
}

uint32_t __wrap_gbm_bo_get_offset(struct gbm_bo *bo, int plane) {
	return __real_gbm_bo_get_offset(bo, true_plane(plane));
}

union gbm_bo_handle __wrap_gbm_bo_get_handle_for_plane(struct gbm_bo *bo, int plane) {
	return __real_gbm_bo_get_handle_for_plane(
		gbm_lies.handle != NULL ? gbm_lies.handle : bo, true_plane(plane));
}
