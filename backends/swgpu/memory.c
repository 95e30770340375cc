/* SPDX-License-Identifier: MIT */
/*
 * Where the bytes of a buffer are is decided when they are needed, for the constraints of all who are
 * attached then, and decided anew when somebody comes whom that does not serve, as long as nobody relies
 * on it (KERNEL_CONTRACT T-8, T-10). A move is work of the device: it waits for all users, copies, and
 * its fence is in the reservation as STILE_RESV_KERNEL, so that all who come after wait for it.
 */
#include "backends/swgpu/memory.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stile/exporter.h>
#include <stile/fence.h>
#include <stile/resv.h>

#include "backends/swgpu/arena.h"
#include "backends/swgpu/bo.h"
#include "backends/swgpu/fault.h"
#include "backends/swgpu/queue.h"
#include "backends/swgpu/storage.h"
#include "backends/swgpu/swgpu.h"
#include "backends/swgpu/trace.h"
#include "src/abi.h"
#include "src/buffer.h"
#include "src/constraints.h"
#include "src/device.h"
#include "src/os.h"
#include "src/report.h"
#include "src/resv.h"
#include "src/sg.h"

enum { FEW_FENCES = 16 };

static const int64_t patience_ns = INT64_C(10000000000);

struct memory {
	struct stile_device *device; /* a reference */
	struct swgpu *gpu;
	struct storage *storage; /* with the reservation locked; NULL: nothing was needed yet */
};

static const struct stile_exporter_ops memory_ops;

/* ---- Choosing ------------------------------------------------------------------------------ */

static bool all_are_owner(struct stile_buffer *buffer) {
	struct stile_attachment *i = NULL;
	while ((i = stile_buffer_next_attachment(buffer, i)) != NULL) {
		if (stile_attachment_get_device(i) != buffer->device) {
			return false;
		}
	}
	return true;
}

/* With the reservation locked: storage for all who are attached, in a file if the CPU is to see it. */
static int storage_choose(struct stile_buffer *buffer, bool in_file, struct storage **out) {
	*out = NULL;
	struct memory *memory = buffer->priv;
	if (faults_next_allocation(memory->gpu->faults)) {
		return -ENOMEM;
	}
	struct stile_constraints needed = { .size = sizeof(needed) };
	int ret = stile_buffer_get_constraints(buffer, &needed);
	if (ret < 0) {
		return ret;
	}
	if (!in_file && all_are_owner(buffer) &&
		storage_create_local(memory->gpu, buffer->bytes, out) == 0) {
		const char *why_not;
		if (storage_fits(*out, &needed, true, &why_not)) {
			return 0;
		}
		storage_unref(*out);
		*out = NULL;
	}
	/* Whoever had the device make it will use it there, attached by now or not. */
	constraints_combine(&needed, &memory->device->limits.import);
	char name[STILE_BUFFER_NAME_BYTES];
	stile_buffer_get_name(buffer, name);
	return storage_create_system(memory->gpu, name, buffer->bytes, &needed, out);
}

/* ---- Moving: with the reservation locked --------------------------------------------------- */

/* Begin, with the references that the move has; or end, done or not. */
static void move_begin(struct stile_buffer *buffer, struct storage *from, struct storage *to) {
	to->moved_buffer = stile_buffer_ref(buffer);
	to->moved_from = storage_ref(from);
	storage_ref(to);
}

static void move_end(struct storage *to) {
	struct stile_buffer *buffer = to->moved_buffer;
	storage_unref(to->moved_from);
	to->moved_from = NULL;
	to->moved_buffer = NULL;
	storage_unref(to);
	stile_buffer_unref(buffer);
}

static void move_run(void *user) {
	struct storage *to = user;
	trace_print(to->gpu->trace, "move %llu bytes", (unsigned long long)to->bytes);
	buffer_sync(to->moved_buffer, NULL, 0, to->moved_buffer->bytes, true);
	memcpy(to->memory, to->moved_from->memory, (size_t)to->bytes);
	move_end(to);
}

/* A new reference on the fence, NULL if the device is gone, its queues too. 0 or -ENOMEM. */
static int move_enqueue(struct swgpu *gpu, struct storage *to, struct stile_fence *const *waits,
	size_t count, struct stile_fence **done) {
	const struct queue_work work = { .name = "move", .run = move_run, .user = to };
	*done = NULL;
	pthread_mutex_lock(&gpu->stop_lock);
	int ret = gpu->stopped ? 0 : queue_submit_work(gpu->moves, &work, waits, count, done);
	pthread_mutex_unlock(&gpu->stop_lock);
	return ret;
}

/* Nobody is there to wait for users. */
static int move_now(struct stile_buffer *buffer, struct storage *to) {
	if (!stile_resv_test_signaled(buffer->resv, STILE_RESV_BOOKKEEP)) {
		return -ETIME;
	}
	move_run(to);
	return 0;
}

/* Copy behind all that uses the buffer. On success, the fence is in the reservation. */
static int move_submit(struct stile_buffer *buffer, struct storage *to) {
	struct memory *memory = buffer->priv;
	struct stile_fence *few[FEW_FENCES], **waits, *done;
	size_t count;
	int ret = resv_get_all(buffer->resv, STILE_RESV_BOOKKEEP, few, FEW_FENCES, &waits, &count);
	if (ret < 0) {
		return ret;
	}
	ret = move_enqueue(memory->gpu, to, waits, count, &done);
	for (size_t i = 0; i < count; i++) {
		stile_fence_unref(waits[i]);
	}
	if (waits != few) {
		free(waits);
	}
	if (ret == 0 && done == NULL) {
		return move_now(buffer, to);
	}
	if (ret == 0) {
		ret = stile_resv_add_fence(buffer->resv, done, STILE_RESV_KERNEL);
		stile_fence_unref(done);
	}
	return ret;
}

/* With the reservation locked: whoever looks without it sees whether there is some. */
static void memory_set_storage(struct memory *memory, struct storage *storage) {
	__atomic_store_n(&memory->storage, storage, __ATOMIC_RELEASE);
}

static bool is_stopped(struct swgpu *gpu) {
	pthread_mutex_lock(&gpu->stop_lock);
	bool stopped = gpu->stopped;
	pthread_mutex_unlock(&gpu->stop_lock);
	return stopped;
}

/* What nobody holds. On failure all is as before, but importers may have been told for nothing. */
static int storage_move(struct stile_buffer *buffer, struct storage *to) {
	struct memory *memory = buffer->priv;
	if (is_stopped(memory->gpu) &&
		!stile_resv_test_signaled(buffer->resv, STILE_RESV_BOOKKEEP)) {
		return -ETIME;
	}
	/* Before fences are gathered: an importer may add some for what it cannot stop. */
	stile_buffer_move_notify(buffer);
	int ret = stile_resv_reserve_fences(buffer->resv, 1);
	if (ret < 0) {
		return ret;
	}
	move_begin(buffer, memory->storage, to);
	ret = move_submit(buffer, to);
	if (ret < 0) {
		move_end(to);
		return ret;
	}
	storage_unref(memory->storage);
	memory_set_storage(memory, storage_ref(to));
	__atomic_fetch_add(&memory->gpu->move_count, 1, __ATOMIC_RELAXED);
	return 0;
}

/* Somewhere else, for all who are attached now. */
static int storage_renew(struct stile_buffer *buffer, bool in_file) {
	struct storage *to;
	int ret = storage_choose(buffer, in_file, &to);
	if (ret == 0) {
		ret = storage_move(buffer, to);
		storage_unref(to);
	}
	return ret;
}

/* ---- Attachments and mappings -------------------------------------------------------------- */

static bool fits(
	const struct storage *storage, struct stile_attachment *attachment, const char **why_not) {
	struct stile_buffer *buffer = stile_attachment_get_buffer(attachment);
	return storage_fits(storage, stile_attachment_get_constraints(attachment),
		stile_attachment_get_device(attachment) == buffer->device, why_not);
}

static int memory_attach(struct stile_buffer *buffer, struct stile_attachment *attachment,
	struct stile_report *why) {
	struct memory *memory = buffer->priv;
	if (__atomic_load_n(&memory->storage, __ATOMIC_RELAXED) == NULL) {
		return 0;
	}
	const char *why_not;
	int ret = buffer_lock(buffer);
	if (ret < 0) {
		return ret;
	}
	if (memory->storage != NULL && !fits(memory->storage, attachment, &why_not)) {
		struct stile_report held = { .size = sizeof(held) };
		ret = stile_buffer_check_movable(buffer, &held);
		if (ret < 0) {
			report_refuse(why, ret, STILE_REASON_PINNED, 0, 0, 0,
				"the device cannot reach the storage (%s), and %.150s", why_not,
				held.text);
		}
	}
	stile_resv_unlock(buffer->resv);
	return ret;
}

/* T-7: storage that the attachment's device can reach. The core sees to it that nothing moves it then. */
static int memory_pin(struct stile_attachment *attachment) {
	struct stile_buffer *buffer = stile_attachment_get_buffer(attachment);
	struct memory *memory = buffer->priv;
	const char *why_not;
	if (memory->storage == NULL) {
		struct storage *fresh;
		int ret = storage_choose(buffer, false, &fresh);
		memory_set_storage(memory, fresh);
		return ret;
	}
	if (fits(memory->storage, attachment, &why_not)) {
		return 0;
	}
	int ret = stile_buffer_check_movable(buffer, NULL);
	return ret < 0 ? ret : storage_renew(buffer, false);
}

static void memory_unpin(struct stile_attachment *attachment) {
	(void)attachment;
}

static int memory_map(struct stile_attachment *attachment, enum stile_direction direction,
	struct stile_sg **out) {
	struct stile_buffer *buffer = stile_attachment_get_buffer(attachment);
	struct memory *memory = buffer->priv;
	int ret = memory_pin(attachment);
	if (ret == 0) {
		ret = storage_map(memory->storage);
	}
	if (ret == 0 && memory->storage->is_sealed) {
		__atomic_fetch_and(&buffer->usage, ~(uint32_t)STILE_USAGE_WRITE, __ATOMIC_RELAXED);
		ret = direction == STILE_TO_DEVICE ? 0 : -EACCES;
	}
	if (ret == 0) {
		ret = storage_get_table(
			memory->storage, stile_attachment_get_device(attachment), out);
	}
	if (ret == 0) {
		ret = stile_sg_map(*out, stile_attachment_get_device(attachment), direction);
	}
	if (ret < 0) {
		*out = NULL;
		return ret;
	}
	storage_ref(memory->storage);
	return 0;
}

/* It may be a table of storage that the buffer has left since: tables know their storage. */
static void memory_unmap(
	struct stile_attachment *attachment, struct stile_sg *sg, enum stile_direction direction) {
	(void)attachment;
	struct storage *storage = sg->owner;
	stile_sg_unmap(sg, direction);
	storage_unref(storage);
}

/* ---- The CPU ------------------------------------------------------------------------------- */

/* With the reservation locked: somewhere. */
static int memory_settle(struct stile_buffer *buffer) {
	struct memory *memory = buffer->priv;
	if (memory->storage != NULL) {
		return 0;
	}
	struct storage *fresh;
	int ret = storage_choose(buffer, true, &fresh);
	memory_set_storage(memory, fresh);
	return ret;
}

static int map_file(const struct storage *storage, uint32_t usage, uint64_t offset, uint64_t bytes,
	void **address) {
	int fd = storage_get_fd(storage, usage);
	int prot = PROT_READ | (usage & STILE_USAGE_WRITE ? PROT_WRITE : 0);
	if (fd < 0) {
		return -EACCES;
	}
	if (bytes > SIZE_MAX) {
		return -ENOMEM;
	}
	void *mapping = mmap(NULL, (size_t)bytes, prot, MAP_SHARED, fd, (off_t)offset);
	if (mapping == MAP_FAILED) {
		/* EPERM: it was sealed against writing just now. */
		return errno == EPERM ? -EACCES : -ENOMEM;
	}
	*address = mapping;
	return 0;
}

static int memory_mmap(struct stile_buffer *buffer, uint32_t usage, uint64_t offset, uint64_t bytes,
	void **address) {
	struct memory *memory = buffer->priv;
	int ret = buffer_lock(buffer);
	if (ret < 0) {
		return ret;
	}
	ret = memory_settle(buffer);
	if (ret == 0 && memory->storage->placement == STILE_SWGPU_LOCAL) {
		*address = memory->storage->memory + offset;
	} else if (ret == 0) {
		ret = map_file(memory->storage, usage, offset, bytes, address);
	}
	stile_resv_unlock(buffer->resv);
	return ret;
}

static void memory_munmap(struct stile_buffer *buffer, void *address, uint64_t bytes) {
	struct memory *memory = buffer->priv;
	/* While it was mapped, the storage did not change. */
	if (memory->storage->placement != STILE_SWGPU_LOCAL) {
		munmap(address, (size_t)bytes);
	}
}

static int memory_vmap(struct stile_buffer *buffer, struct stile_map *map) {
	struct memory *memory = buffer->priv;
	int ret = memory_settle(buffer);
	if (ret == 0) {
		ret = storage_map(memory->storage);
	}
	if (ret == 0) {
		map->address = memory->storage->memory;
	}
	return ret;
}

/* ---- Descriptors --------------------------------------------------------------------------- */

/* With the reservation locked: in a file, and there to stay. */
static int settle_in_file(struct stile_buffer *buffer) {
	struct memory *memory = buffer->priv;
	int ret = memory_settle(buffer);
	if (ret == 0 && memory->storage->placement == STILE_SWGPU_LOCAL) {
		/* Descriptors that are being made show nothing yet, and none was made before. */
		ret = buffer_check_movable(buffer, true, NULL);
		if (ret == 0) {
			ret = storage_renew(buffer, true);
		}
	}
	return ret;
}

static int memory_export_fd(struct stile_buffer *buffer, uint32_t usage, int *fd) {
	struct memory *memory = buffer->priv;
	int ret = buffer_lock(buffer);
	if (ret < 0) {
		return ret;
	}
	ret = settle_in_file(buffer);
	int file = ret < 0 ? -1 : storage_get_fd(memory->storage, usage);
	stile_resv_unlock(buffer->resv);
	/* Who gets a descriptor hears of no fences of the library. */
	if (ret == 0) {
		ret = stile_resv_wait(
			buffer->resv, STILE_RESV_KERNEL, os_clock_ns() + patience_ns, NULL);
	}
	if (ret < 0) {
		return ret;
	}
	/* Looked up anew: a peer may have sealed the memory since it was imported. */
	if (file < 0 || ((usage & STILE_USAGE_WRITE) != 0 && os_is_write_sealed(file))) {
		return -EACCES;
	}
	int copy = os_dup(file);
	*fd = copy;
	return copy < 0 ? copy : 0;
}

/* ---- Life ---------------------------------------------------------------------------------- */

static void memory_release(struct stile_buffer *buffer) {
	struct memory *memory = buffer->priv;
	struct stile_device *device = memory->device;
	storage_unref(memory->storage);
	free(memory);
	device_unref(device);
}

static const struct stile_exporter_ops memory_ops = {
	.size = sizeof(memory_ops),
	.attach = memory_attach,
	.pin = memory_pin,
	.unpin = memory_unpin,
	.map = memory_map,
	.unmap = memory_unmap,
	.mmap = memory_mmap,
	.munmap = memory_munmap,
	.vmap = memory_vmap,
	.export_fd = memory_export_fd,
	.release = memory_release,
};

/* Takes over the storage, on failure too. */
static int memory_create(struct stile_device *device, const struct stile_buffer_info *info,
	uint32_t usage, const struct buffer_origin *origin, struct storage *storage,
	struct stile_buffer **out) {
	*out = NULL;
	struct memory *memory = malloc(sizeof(*memory));
	int ret = memory == NULL ? -ENOMEM : 0;
	if (ret == 0) {
		*memory = (struct memory){
			.device = device,
			.gpu = device->backend,
			.storage = storage,
		};
		const struct stile_exporter_info export = {
			.size = sizeof(export),
			.exporter = "swgpu",
			.ops = &memory_ops,
			.priv = memory,
			.bytes = info->bytes,
			.usage = usage,
			.name = info->name,
			.resv = info->resv,
		};
		ret = buffer_export(&export, origin, out);
	}
	if (ret < 0) {
		storage_unref(storage);
		free(memory);
		return ret;
	}
	device_ref(device);
	return 0;
}

int memory_create_buffer(struct stile_device *device, const struct stile_buffer_info *info,
	struct stile_buffer **out) {
	const struct buffer_origin origin = {
		.backend = device->ops,
		.device = device,
		.seals_are_final = true,
	};
	return memory_create(
		device, info, STILE_USAGE_READ | STILE_USAGE_WRITE, &origin, NULL, out);
}

int memory_import_buffer(struct stile_device *device, int fd, uint64_t bytes, uint32_t usage,
	struct stile_buffer **out) {
	*out = NULL;
	bool writable = (usage & STILE_USAGE_WRITE) != 0;
	/* Not of the device, which did not make it. */
	const struct buffer_origin origin = {
		.backend = device->ops,
		.seals_are_final = writable && os_memfd_stays_writable(fd),
		.lacks_fds = writable ? STILE_USAGE_READ : STILE_USAGE_WRITE,
		.shown = 1,
	};
	struct storage *storage;
	int ret = storage_create_import(device->backend, fd, bytes, writable, &storage);
	if (ret < 0) {
		return ret;
	}
	const struct stile_buffer_info info = { .size = sizeof(info), .bytes = bytes };
	return memory_create(device, &info, usage, &origin, storage, out);
}

int memory_adopt(struct stile_buffer *buffer, int fd, uint32_t usage) {
	struct memory *memory = buffer->priv;
	bool writable = (usage & STILE_USAGE_WRITE) != 0;
	/* It came by descriptor, so that is where it stays. */
	int ret = storage_adopt_fd(memory->storage, fd, writable);
	if (ret < 0) {
		return ret;
	}
	uint32_t kind = writable ? STILE_USAGE_WRITE : STILE_USAGE_READ;
	__atomic_fetch_and(&buffer->lacks_fds, ~kind, __ATOMIC_RELAXED);
	__atomic_fetch_or(&buffer->usage, usage, __ATOMIC_RELAXED);
	return 0;
}

int memory_get_fd(const struct stile_buffer *buffer) {
	const struct memory *memory = buffer->priv;
	/* Without the lock: whose file is known is in that file to stay. */
	return storage_get_fd(
		__atomic_load_n(&memory->storage, __ATOMIC_ACQUIRE), STILE_USAGE_WRITE);
}

/* ---- What is asked of it ------------------------------------------------------------------- */

enum stile_swgpu_placement stile_swgpu_get_placement(struct stile_buffer *buffer) {
	if (buffer->ops != &memory_ops) {
		return STILE_SWGPU_FOREIGN;
	}
	enum stile_swgpu_placement placement = STILE_SWGPU_NOWHERE;
	if (buffer_lock(buffer) == 0) {
		const struct memory *memory = buffer->priv;
		if (memory->storage != NULL) {
			placement = memory->storage->placement;
		}
		stile_resv_unlock(buffer->resv);
	}
	return placement;
}

int stile_swgpu_get_memory(struct stile_device *device, struct stile_swgpu_memory *memory) {
	struct swgpu *gpu = swgpu_get(device);
	if (gpu == NULL || abi_check_out(memory) < 0) {
		return -EINVAL;
	}
	struct stile_swgpu_memory known = { 0 };
	bo_reap_all(gpu);
	if (gpu->arena != NULL) {
		arena_get(gpu->arena, &known);
	}
	known.moves = __atomic_load_n(&gpu->move_count, __ATOMIC_RELAXED);
	abi_copy_out(memory, &known, sizeof(known));
	return 0;
}

/* With the reservation locked, if it is of this device: nearer to the start. 1: it moves; 0: it stays. */
static int memory_move_down(struct stile_buffer *buffer) {
	struct memory *memory = buffer->priv;
	struct storage *storage = memory->storage, *to;
	if (storage == NULL || storage->placement != STILE_SWGPU_LOCAL ||
		stile_buffer_check_movable(buffer, NULL) < 0 ||
		storage_create_local(memory->gpu, buffer->bytes, &to) < 0) {
		return 0;
	}
	int ret = to->offset < storage->offset ? storage_move(buffer, to) : 1;
	storage_unref(to);
	return ret < 0 ? ret : 1 - ret;
}

int stile_swgpu_defragment(struct stile_device *device) {
	struct swgpu *gpu = swgpu_get(device);
	if (gpu == NULL) {
		return -EINVAL;
	}
	if (swgpu_is_lost(gpu)) {
		return -EIO;
	}
	int count = 0, ret = 0;
	bo_reap_all(gpu);
	struct stile_buffer *buffer = NULL;
	while (ret >= 0 && (buffer = stile_buffer_iter_next(buffer)) != NULL) {
		if (buffer->ops == &memory_ops && buffer->device == device &&
			stile_resv_trylock(buffer->resv) == 0) {
			ret = memory_move_down(buffer);
			count += ret > 0;
			stile_resv_unlock(buffer->resv);
		}
	}
	stile_buffer_unref(ret < 0 ? buffer : NULL);
	return ret < 0 ? ret : count;
}

int memory_check(struct stile_device *device, int fd, uint32_t plane, struct stile_report *report) {
	(void)device;
	struct stat st;
	if (fstat(fd, &st) < 0) {
		return report_refuse(report, -EBADF, STILE_REASON_FD_CLOSED, plane, 0, 0,
			"plane %u: descriptor %d is not open", plane, fd);
	}
	int unshrinkable = S_ISREG(st.st_mode) ? os_memfd_is_unshrinkable(fd) : -EINVAL;
	if (unshrinkable < 0) {
		const char *is = S_ISDIR(st.st_mode) ? "a directory"
			: S_ISREG(st.st_mode)        ? "a file on a disk"
			: S_ISCHR(st.st_mode)        ? "a character device"
			: S_ISSOCK(st.st_mode)       ? "a socket"
						     : "something else";
		return report_refuse(report, -EINVAL, STILE_REASON_FD_TYPE, plane, 0, 0,
			"plane %u: descriptor %d is %s, swgpu takes memfds", plane, fd, is);
	}
	if (!unshrinkable) {
		return report_refuse(report, -EPERM, STILE_REASON_FD_SEALS, plane, 0, 0,
			"plane %u: descriptor %d is a memfd without F_SEAL_SHRINK: its owner could make it "
			"smaller, and whoever touches it then dies of SIGBUS",
			plane, fd);
	}
	return 0;
}
