/* SPDX-License-Identifier: MIT */
#include <EGL/egl.h>
#include <link.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <vulkan/vulkan.h>

#include "interop-tests/bench/bench.h"

/* ---- Allocations: these stand before libc's own, and look at who calls ---------------------- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);

static struct { uintptr_t begin, end; } ranges[8];
static size_t range_count;
static uint64_t allocations;

static int note_library(struct dl_phdr_info *info, size_t size, void *data) {
	(void)size;
	(void)data;
	if (strstr(info->dlpi_name, "/libstile") == NULL || range_count == 8) {
		return 0;
	}
	ranges[range_count].begin = info->dlpi_addr;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		uintptr_t end =
			info->dlpi_addr + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
		ranges[range_count].end =
			end > ranges[range_count].end ? end : ranges[range_count].end;
	}
	range_count++;
	return 0;
}

__attribute__((constructor)) static void find_libraries(void) {
	dl_iterate_phdr(note_library, NULL);
}

static void note_caller(void *address) {
	for (size_t i = 0; i < range_count; i++) {
		if ((uintptr_t)address >= ranges[i].begin && (uintptr_t)address < ranges[i].end) {
			__atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
		}
	}
}

void *malloc(size_t size) {
	note_caller(__builtin_return_address(0));
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
	note_caller(__builtin_return_address(0));
	return __libc_calloc(n, size);
}

void *realloc(void *old, size_t size) {
	note_caller(__builtin_return_address(0));
	return __libc_realloc(old, size);
}

uint64_t count_allocations(void) {
	return __atomic_load_n(&allocations, __ATOMIC_RELAXED);
}

/* ---- Objects: entry points that count ------------------------------------------------------- */

static uint64_t objects;

static void note_object(void) {
	__atomic_fetch_add(&objects, 1, __ATOMIC_RELAXED);
}

uint64_t count_objects(void) {
	return __atomic_load_n(&objects, __ATOMIC_RELAXED);
}

static VKAPI_ATTR VkResult VKAPI_CALL create_semaphore(VkDevice device,
	const VkSemaphoreCreateInfo *info, const VkAllocationCallbacks *allocator,
	VkSemaphore *out) {
	note_object();
	return vkCreateSemaphore(device, info, allocator, out);
}

static VKAPI_ATTR VkResult VKAPI_CALL create_image(VkDevice device, const VkImageCreateInfo *info,
	const VkAllocationCallbacks *allocator, VkImage *out) {
	note_object();
	return vkCreateImage(device, info, allocator, out);
}

static VKAPI_ATTR VkResult VKAPI_CALL allocate_memory(VkDevice device,
	const VkMemoryAllocateInfo *info, const VkAllocationCallbacks *allocator,
	VkDeviceMemory *out) {
	note_object();
	return vkAllocateMemory(device, info, allocator, out);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL device_proc(VkDevice device, const char *name) {
	static const struct {
		const char *name;
		PFN_vkVoidFunction proc;
	} counted[] = {
		{ "vkCreateSemaphore", (PFN_vkVoidFunction)create_semaphore },
		{ "vkCreateImage", (PFN_vkVoidFunction)create_image },
		{ "vkAllocateMemory", (PFN_vkVoidFunction)allocate_memory },
	};
	for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++) {
		if (strcmp(counted[i].name, name) == 0) {
			return counted[i].proc;
		}
	}
	return vkGetDeviceProcAddr(device, name);
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL count_instance_proc(
	VkInstance instance, const char *name) {
	return strcmp(name, "vkGetDeviceProcAddr") == 0 ? (PFN_vkVoidFunction)device_proc
							: vkGetInstanceProcAddr(instance, name);
}

static EGLSync create_sync(EGLDisplay display, EGLenum type, const EGLAttrib *attributes) {
	note_object();
	return eglCreateSync(display, type, attributes);
}

static EGLImage create_egl_image(EGLDisplay display, EGLContext context, EGLenum target,
	EGLClientBuffer buffer, const EGLAttrib *attributes) {
	note_object();
	return eglCreateImage(display, context, target, buffer, attributes);
}

void (*count_egl_proc(const char *name))(void) {
	if (strcmp(name, "eglCreateSync") == 0) {
		return (void (*)(void))create_sync;
	}
	if (strcmp(name, "eglCreateImage") == 0) {
		return (void (*)(void))create_egl_image;
	}
	return eglGetProcAddress(name);
}
