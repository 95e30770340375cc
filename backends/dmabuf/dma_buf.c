/* SPDX-License-Identifier: MIT */
/*
 * Storage that the kernel owns, and that never moves. All descriptors of a dma-buf are one open file, which
 * cannot be opened anew: what the first allows, all do.
 */
#include "backends/dmabuf/dma_buf.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <drm_fourcc.h>

#include <stile/exporter.h>

#include "backends/dmabuf/ioctl.h"
#include "src/buffer.h"
#include "src/device.h"
#include "src/format.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/report.h"
#include "src/watch.h"

enum { DIRECTIONS = STILE_NO_DIRECTION };

struct dma_buf {
	struct stile_device *device; /* a reference */
	int fd;
	int memfd; /* or -1; it is known by its inode, which is nobody else's while it is open */
	struct watch *watch; /* of its fences, from the first on; by atomic access */

	uint32_t lock; /* of all below */
	void *memory;  /* all of it, once somebody needed that; till the end */
	/* Brackets of the CPU that have not ended: those that the kernel knows, and those that it does not. */
	uint32_t told[DIRECTIONS];
	uint32_t untold[DIRECTIONS];
};

static const uint64_t linear = DRM_FORMAT_MOD_LINEAR;

const struct device_limits dma_buf_limits = {
	.import = {
		.size = sizeof(struct stile_constraints),
		.max_width = 16384,
		.max_height = 16384,
		.pitch_align = 16,
		.offset_align = 16,
	},
	.create_modifiers = &linear,
	.create_modifier_count = 1,
	.create_pitch_align = 64,
	.create_offset_align = 64,
	.row_group = 4,
	.max_end = INT32_MAX,
	.import_usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
};

void dma_buf_describe(struct device_description *description) {
	description->imports = STILE_MEMORY_DMA_BUF;
	description->allocates = STILE_MEMORY_DMA_BUF;
	/* The CPU waits before it begins, and when it ends is done. */
	description->sync = STILE_SYNC_FILE | STILE_SYNC_IMPLICIT | STILE_SYNC_CPU;
	description->flags = STILE_PARTY_CPU;
}

/* ---- Mappings ------------------------------------------------------------------------------ */

static int map_file(const struct dma_buf *self, uint32_t usage, uint64_t bytes, void **address) {
	int prot = PROT_READ | (usage & STILE_USAGE_WRITE ? PROT_WRITE : 0);
	if (bytes > SIZE_MAX) {
		return -ENOMEM;
	}
	void *memory = mmap(NULL, (size_t)bytes, prot, MAP_SHARED, self->fd, 0);
	if (memory == MAP_FAILED) {
		return -errno;
	}
	*address = memory;
	return 0;
}

/* Whole pages, which a buffer may not fill. */
static uint64_t mapped_bytes(const struct stile_buffer *buffer) {
	uint64_t bytes;
	return format_align(buffer->bytes, os_page_size(), &bytes) ? bytes : UINT64_MAX;
}

/* All of it at one address, which stays. */
static int map_whole(struct stile_buffer *buffer, void **memory) {
	struct dma_buf *self = buffer->priv;
	int ret = 0;
	os_lock(&self->lock);
	if (self->memory == NULL) {
		ret = map_file(self, buffer_get_usage(buffer), mapped_bytes(buffer), &self->memory);
	}
	*memory = self->memory;
	os_unlock(&self->lock);
	return ret;
}

/*
 * GEM drivers, vgem and virtio-gpu among them, do not look at where in the dma-buf a mapping is to begin: what
 * begins behind the start is a part of the mapping of all, which has the rights of the buffer.
 */
static int dma_buf_mmap(struct stile_buffer *buffer, uint32_t usage, uint64_t offset,
	uint64_t bytes, void **address) {
	if (offset == 0) {
		return map_file(buffer->priv, usage, bytes, address);
	}
	void *memory;
	int ret = map_whole(buffer, &memory);
	if (ret == 0) {
		*address = (uint8_t *)memory + offset;
	}
	return ret;
}

static void dma_buf_munmap(struct stile_buffer *buffer, void *address, uint64_t bytes) {
	struct dma_buf *self = buffer->priv;
	const uint8_t *at = address;
	os_lock(&self->lock);
	const uint8_t *memory = self->memory;
	os_unlock(&self->lock);
	/* That of all stays as long as the buffer. */
	if (memory == NULL || at < memory || at >= memory + mapped_bytes(buffer)) {
		munmap(address, (size_t)bytes);
	}
}

static int dma_buf_vmap(struct stile_buffer *buffer, struct stile_map *map) {
	return map_whole(buffer, &map->address);
}

/* ---- Devices of this process --------------------------------------------------------------- */

/* The kernel tells nobody where the pages are: that they meet such needs, nobody can promise. */
static bool is_picky(const struct stile_constraints *need) {
	return (need->address_bits != 0 && need->address_bits <= 32) ||
		need->segment_align > os_page_size();
}

static int dma_buf_attach(struct stile_buffer *buffer, struct stile_attachment *attachment,
	struct stile_report *why) {
	(void)buffer;
	const struct stile_constraints *need = stile_attachment_get_constraints(attachment);
	if (!is_picky(need)) {
		return 0;
	}
	return report_refuse(why, -EBUSY, STILE_REASON_PINNED, 0, 0, 0,
		"the device needs addresses of %u bits and pieces aligned to %u byte%s: it is a dma-buf, "
		"so nobody knows its addresses, and it stays where it is",
		need->address_bits == 0 ? 64 : need->address_bits, need->segment_align,
		PLURAL(need->segment_align));
}

/* The attachment's table is there from the first map on. */
static int make_table(struct stile_attachment *attachment, struct stile_sg **out) {
	struct stile_buffer *buffer = stile_attachment_get_buffer(attachment);
	struct stile_sg_range range = {
		.address = STILE_ADDRESS_UNKNOWN,
		.bytes = mapped_bytes(buffer),
	};
	int ret = map_whole(buffer, &range.memory);
	if (ret == 0) {
		ret = stile_sg_create(out);
	}
	if (ret < 0) {
		return ret;
	}
	ret = stile_sg_append(*out, &range);
	if (ret < 0) {
		stile_sg_destroy(*out);
		return ret;
	}
	stile_attachment_set_exporter_priv(attachment, *out);
	return 0;
}

static int dma_buf_map(struct stile_attachment *attachment, enum stile_direction direction,
	struct stile_sg **out) {
	struct stile_sg *sg = stile_attachment_get_exporter_priv(attachment);
	int ret = sg == NULL ? make_table(attachment, &sg) : 0;
	if (ret == 0) {
		ret = stile_sg_map(sg, stile_attachment_get_device(attachment), direction);
	}
	*out = ret < 0 ? NULL : sg;
	return ret;
}

static void dma_buf_unmap(
	struct stile_attachment *attachment, struct stile_sg *sg, enum stile_direction direction) {
	(void)attachment;
	stile_sg_unmap(sg, direction);
}

static void dma_buf_detach(struct stile_buffer *buffer, struct stile_attachment *attachment) {
	(void)buffer;
	stile_sg_destroy(stile_attachment_get_exporter_priv(attachment));
}

/* ---- The CPU ------------------------------------------------------------------------------- */

static uint32_t usage_of(enum stile_direction direction) {
	static const uint32_t usages[DIRECTIONS] = {
		[STILE_BIDIRECTIONAL] = STILE_USAGE_READ | STILE_USAGE_WRITE,
		[STILE_TO_DEVICE] = STILE_USAGE_WRITE,
		[STILE_FROM_DEVICE] = STILE_USAGE_READ,
	};
	return usages[direction];
}

/* While no descriptor was shown, no driver can have it, and there is nobody to be coherent with. */
static int dma_buf_begin_cpu_access(struct stile_buffer *buffer, enum stile_direction direction,
	uint64_t offset, uint64_t bytes) {
	(void)offset;
	(void)bytes;
	struct dma_buf *self = buffer->priv;
	os_lock(&self->lock);
	bool tell = __atomic_load_n(&buffer->shown, __ATOMIC_SEQ_CST) > 0;
	self->untold[direction] += !tell;
	os_unlock(&self->lock);
	int ret = tell ? ioctl_sync(self->fd, usage_of(direction), false) : 0;
	if (tell && ret == 0) {
		os_lock(&self->lock);
		self->told[direction]++;
		os_unlock(&self->lock);
	}
	return ret;
}

/*
 * Somebody is about to have it, and its caches hold nothing of it yet: what was begun unseen begins for the
 * kernel, too, so that what the CPU goes on to write is written back at the end. With the lock: no bracket
 * ends meanwhile. Nobody is waited for, but a driver that still clears memory of its own.
 */
static int tell_of_brackets(struct dma_buf *self) {
	int ret = 0;
	os_lock(&self->lock);
	for (unsigned direction = 0; direction < DIRECTIONS; direction++) {
		while (ret == 0 && self->untold[direction] > 0) {
			ret = ioctl_sync(
				self->fd, usage_of((enum stile_direction)direction), false);
			self->untold[direction] -= ret == 0;
			self->told[direction] += ret == 0;
		}
	}
	os_unlock(&self->lock);
	return ret;
}

/* An end that had no beginning is an error to some of the kernel's exporters (V-5). */
static int dma_buf_end_cpu_access(struct stile_buffer *buffer, enum stile_direction direction,
	uint64_t offset, uint64_t bytes) {
	(void)offset;
	(void)bytes;
	struct dma_buf *self = buffer->priv;
	os_lock(&self->lock);
	bool tell = self->told[direction] > 0;
	uint32_t *open = tell ? &self->told[direction] : &self->untold[direction];
	*open -= *open > 0;
	os_unlock(&self->lock);
	return tell ? ioctl_sync(self->fd, usage_of(direction), true) : 0;
}

/* ---- Life ---------------------------------------------------------------------------------- */

static int dma_buf_export_fd(struct stile_buffer *buffer, uint32_t usage, int *fd) {
	(void)usage;
	struct dma_buf *self = buffer->priv;
	int copy = os_dup(self->fd);
	if (copy < 0) {
		return copy;
	}
	int ret = tell_of_brackets(self);
	if (ret < 0) {
		close(copy);
		return ret;
	}
	*fd = copy;
	return 0;
}

static void dma_buf_release(struct stile_buffer *buffer) {
	struct dma_buf *self = buffer->priv;
	struct stile_device *device = self->device;
	if (self->memory != NULL) {
		munmap(self->memory, (size_t)mapped_bytes(buffer));
	}
	close(self->fd);
	if (self->memfd >= 0) {
		close(self->memfd);
	}
	watch_unref(self->watch);
	free(self);
	device_unref(device);
}

static const struct stile_exporter_ops dma_buf_ops = {
	.size = sizeof(dma_buf_ops),
	.attach = dma_buf_attach,
	.detach = dma_buf_detach,
	.map = dma_buf_map,
	.unmap = dma_buf_unmap,
	.begin_cpu_access = dma_buf_begin_cpu_access,
	.end_cpu_access = dma_buf_end_cpu_access,
	.mmap = dma_buf_mmap,
	.munmap = dma_buf_munmap,
	.vmap = dma_buf_vmap,
	.export_fd = dma_buf_export_fd,
	.release = dma_buf_release,
};

static int export(
	struct dma_buf *self, const struct dma_buf_info *info, struct stile_buffer **out) {
	const struct buffer_origin origin = {
		.backend = backend_find("dmabuf"),
		.device = info->made_here ? self->device : NULL,
		.shown = info->made_here || info->from_memfd ? 0 : 1,
		.seals_are_final = info->seals_are_final,
		.changes_files = info->from_memfd,
	};
	const struct stile_exporter_info export = {
		.size = sizeof(export),
		.exporter = info->exporter,
		.ops = &dma_buf_ops,
		.priv = self,
		.bytes = info->bytes,
		.usage = info->usage,
		.name = info->name,
		.resv = info->resv,
	};
	return buffer_export(&export, &origin, out);
}

int dma_buf_create(
	struct stile_device *device, const struct dma_buf_info *info, struct stile_buffer **out) {
	*out = NULL;
	struct dma_buf *self = calloc(1, sizeof(*self));
	int ret = self == NULL ? -ENOMEM : 0;
	if (ret == 0) {
		self->device = device;
		self->fd = info->fd;
		self->memfd = info->from_memfd ? info->memfd : -1;
		ret = export(self, info, out);
	}
	if (ret < 0) {
		free(self);
		close(info->fd);
		if (info->from_memfd) {
			close(info->memfd);
		}
		return ret;
	}
	device_ref(device);
	if (info->name != NULL && info->name[0] != '\0') {
		dma_buf_renamed(*out, info->name);
	}
	return 0;
}

int dma_buf_get_fd(const struct stile_buffer *buffer) {
	const struct dma_buf *self = buffer->priv;
	return self->fd;
}

int dma_buf_get_watch(const struct stile_buffer *buffer, struct watch **out) {
	struct dma_buf *self = buffer->priv;
	*out = __atomic_load_n(&self->watch, __ATOMIC_ACQUIRE);
	if (*out != NULL) {
		return 0;
	}
	struct watch *watch;
	int ret = device_get_thread_watch(self->device, &watch);
	if (ret < 0) {
		return ret;
	}
	if (!__atomic_compare_exchange_n(
		    &self->watch, out, watch, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		watch_unref(watch);
		return 0;
	}
	*out = watch;
	return 0;
}

struct stile_device *dma_buf_get_device(const struct stile_buffer *buffer) {
	const struct dma_buf *self = buffer->priv;
	return self->device;
}

/* Kernels before 5.3 have no names, and refuse one for what a driver uses. */
void dma_buf_renamed(struct stile_buffer *buffer, const char *name) {
	(void)ioctl_set_name(dma_buf_get_fd(buffer), name);
}
