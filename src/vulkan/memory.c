/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/report.h"
#include "src/vulkan/vulkan.h"

/*
 * A descriptor for the driver, which takes it over if it succeeds. If it fails, the specification
 * leaves the descriptor to us, but lavapipe up to Mesa 25 closes it. So it gets a high number,
 * which nobody else is given by chance, and after a failure is closed only if it is still the
 * same file.
 */
enum { DRIVER_FD_MIN = 512 };

static int driver_fd_open(struct stile_buffer *buffer) {
	int fd;
	int ret = stile_buffer_export_fd(buffer, STILE_USAGE_READ | STILE_USAGE_WRITE, &fd);
	if (ret < 0) {
		return ret;
	}
	int high = fcntl(fd, F_DUPFD_CLOEXEC, DRIVER_FD_MIN);
	if (high < 0) {
		/* The limit is lower than that. */
		high = fd;
	} else {
		close(fd);
	}
	return high;
}

static void driver_fd_close_after_failure(int fd, const struct stat *identity) {
	struct stat now;
	if (fstat(fd, &now) == 0 && now.st_dev == identity->st_dev &&
		now.st_ino == identity->st_ino) {
		close(fd);
	}
}

/* The lowest memory type that both the object and the descriptor allow. */
static int choose_memory_type(struct stile_vulkan *vulkan, int fd, uint32_t object_types,
	uint32_t *type, struct stile_report *why) {
	VkMemoryFdPropertiesKHR properties = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_FD_PROPERTIES_KHR,
	};
	VkResult result = vulkan->vk.GetMemoryFdPropertiesKHR(
		vulkan->info.device, VULKAN_DMA_BUF, fd, &properties);
	if (result != VK_SUCCESS) {
		return vulkan_refuse(why, "vkGetMemoryFdPropertiesKHR", result);
	}
	uint32_t types = properties.memoryTypeBits & object_types;
	if (types == 0) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, object_types,
			properties.memoryTypeBits,
			"no memory type fits both the image (0x%x) and the memory (0x%x)",
			object_types, properties.memoryTypeBits);
	}
	*type = (uint32_t)__builtin_ctz(types);
	return 0;
}

/* Takes the descriptor over. */
static int memory_allocate(struct stile_vulkan *vulkan, int fd, const VkMemoryRequirements *needs,
	const VkMemoryDedicatedAllocateInfo *dedicated, VkDeviceMemory *memory,
	struct stile_report *why) {
	uint32_t type = 0;
	int ret = choose_memory_type(vulkan, fd, needs->memoryTypeBits, &type, why);
	if (ret < 0) {
		close(fd);
		return ret;
	}
	VkImportMemoryFdInfoKHR import = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR,
		.pNext = dedicated,
		.handleType = VULKAN_DMA_BUF,
		.fd = fd,
	};
	/* As large as the driver needs: what it maps is then what was checked. */
	VkMemoryAllocateInfo allocate = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = &import,
		.allocationSize = needs->size,
		.memoryTypeIndex = type,
	};
	struct stat identity;
	fstat(fd, &identity);
	VkResult result = vulkan->vk.AllocateMemory(vulkan->info.device, &allocate, NULL, memory);
	if (result != VK_SUCCESS) {
		driver_fd_close_after_failure(fd, &identity);
		return vulkan_refuse(why, "vkAllocateMemory", result);
	}
	return 0;
}

int vulkan_memory_import(struct stile_vulkan *vulkan, struct stile_buffer *buffer,
	const VkMemoryRequirements *needs, const VkMemoryDedicatedAllocateInfo *dedicated,
	VkDeviceMemory *memory, struct stile_report *why) {
	uint64_t bytes = stile_buffer_get_bytes(buffer);
	if (needs->size > bytes) {
		return report_refuse(why, -ERANGE, STILE_REASON_BOUNDS, 0, needs->size, bytes,
			"the driver needs %" PRIu64 " bytes, the memory has %" PRIu64,
			(uint64_t)needs->size, bytes);
	}
	int fd = driver_fd_open(buffer);
	if (fd < 0) {
		return report_refuse(why, fd,
			fd == -EACCES ? STILE_REASON_FD_ACCESS : STILE_REASON_RESOURCES, 0, 0, 0,
			"no descriptor for the driver: %s", strerror(-fd));
	}
	return memory_allocate(vulkan, fd, needs, dedicated, memory, why);
}
