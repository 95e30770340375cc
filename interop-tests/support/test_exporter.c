/* SPDX-License-Identifier: MIT */
#include "interop-tests/support/test_exporter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <stile/fence.h>
#include <stile/resv.h>

#include "interop-tests/support/memory.h"
#include "interop-tests/support/runner.h"

/* ---- What is noted of a call --------------------------------------------------------------- */

/* KERNEL_CONTRACT 9.1. */
static const struct {
	const char *name;
	bool locked;
} table[OPS] = {
	[OP_ATTACH] = { "attach", false },
	[OP_DETACH] = { "detach", false },
	[OP_PIN] = { "pin", true },
	[OP_UNPIN] = { "unpin", true },
	[OP_MAP] = { "map", true },
	[OP_UNMAP] = { "unmap", true },
	[OP_BEGIN] = { "begin", false },
	[OP_END] = { "end", false },
	[OP_MMAP] = { "mmap", false },
	[OP_MUNMAP] = { "munmap", false },
	[OP_VMAP] = { "vmap", true },
	[OP_VUNMAP] = { "vunmap", true },
	[OP_EXPORT_FD] = { "export_fd", false },
	[OP_RELEASE] = { "release", false },
};

/*
 * Is it locked as it should be? Who has it locked is not known to applications, but one who may lock
 * it has not: were it locked by this thread, that would be refused. The last reference may go where a
 * fence is signalled, and nobody may be waited for; what others share may be locked by others then.
 */
static bool is_locked_right(const struct test_exporter *exporter, struct stile_buffer *buffer,
	enum test_exporter_op op) {
	struct stile_resv *resv = stile_buffer_get_resv(buffer);
	if (table[op].locked) {
		return stile_resv_is_locked(resv);
	}
	int ret = op == OP_RELEASE ? stile_resv_trylock(resv) : stile_resv_lock(resv, NULL, NULL);
	if (ret == 0) {
		stile_resv_unlock(resv);
	}
	return ret == 0 || (op == OP_RELEASE && exporter->info.resv != NULL);
}

/* Notes the call. 0 or what the op is to give. */
static int enter(struct test_exporter *exporter, struct stile_buffer *buffer,
	enum test_exporter_op op, const struct test_exporter_call *call) {
	bool right = is_locked_right(exporter, buffer, op);
	int ret = exporter->fail[op];
	pthread_mutex_lock(&exporter->lock);
	exporter->last[op] = *call;
	size_t at = strlen(exporter->calls);
	snprintf(exporter->calls + at, sizeof(exporter->calls) - at, "%s%s%s", at > 0 ? " " : "",
		table[op].name, ret < 0 ? "!" : "");
	if (!right && exporter->wrong[0] == '\0') {
		snprintf(exporter->wrong, sizeof(exporter->wrong), "%s was called %s",
			table[op].name, table[op].locked ? "unlocked" : "locked");
	}
	pthread_mutex_unlock(&exporter->lock);
	__atomic_fetch_add(&exporter->count[op], 1, __ATOMIC_SEQ_CST);
	if (exporter->hook != NULL) {
		exporter->hook(exporter, op);
	}
	return ret;
}

/* The op has done what it should: what it gives. */
static int leave(struct test_exporter *exporter, enum test_exporter_op op) {
	__atomic_fetch_add(&exporter->worked[op], 1, __ATOMIC_SEQ_CST);
	return 0;
}

static struct test_exporter *exporter_of(const struct stile_attachment *attachment) {
	return stile_buffer_get_priv(stile_attachment_get_buffer(attachment));
}

static int enter_attachment(struct stile_attachment *attachment, enum test_exporter_op op,
	enum stile_direction direction) {
	return enter(exporter_of(attachment), stile_attachment_get_buffer(attachment), op,
		&(struct test_exporter_call){ .attachment = attachment, .direction = direction });
}

/* ---- The ops ------------------------------------------------------------------------------- */

static int op_attach(struct stile_buffer *buffer, struct stile_attachment *attachment,
	struct stile_report *why) {
	struct test_exporter *exporter = stile_buffer_get_priv(buffer);
	int ret = enter(exporter, buffer, OP_ATTACH,
		&(struct test_exporter_call){ .attachment = attachment });
	if (ret < 0) {
		if (exporter->veto != NULL) {
			why->reason = STILE_REASON_PINNED;
			snprintf(why->text, sizeof(why->text), "%s", exporter->veto);
		}
		return ret;
	}
	return leave(exporter, OP_ATTACH);
}

static void op_detach(struct stile_buffer *buffer, struct stile_attachment *attachment) {
	struct test_exporter *exporter = stile_buffer_get_priv(buffer);
	(void)enter(exporter, buffer, OP_DETACH,
		&(struct test_exporter_call){ .attachment = attachment });
	leave(exporter, OP_DETACH);
}

static int op_pin(struct stile_attachment *attachment) {
	int ret = enter_attachment(attachment, OP_PIN, 0);
	return ret < 0 ? ret : leave(exporter_of(attachment), OP_PIN);
}

static void op_unpin(struct stile_attachment *attachment) {
	(void)enter_attachment(attachment, OP_UNPIN, 0);
	leave(exporter_of(attachment), OP_UNPIN);
}

static int op_map(struct stile_attachment *attachment, enum stile_direction direction,
	struct stile_sg **out) {
	struct test_exporter *exporter = exporter_of(attachment);
	*out = NULL;
	int ret = enter_attachment(attachment, OP_MAP, direction);
	if (ret < 0) {
		return ret;
	}
	struct stile_sg_range range = {
		.memory = exporter->memory,
		.address = STILE_ADDRESS_UNKNOWN,
		.bytes = exporter->memory_bytes,
	};
	struct stile_sg *sg;
	ret = stile_sg_create(&sg);
	if (ret < 0) {
		return ret;
	}
	ret = stile_sg_append(sg, &range);
	if (ret == 0) {
		ret = stile_sg_map(sg, stile_attachment_get_device(attachment), direction);
	}
	if (ret < 0) {
		stile_sg_destroy(sg);
		return ret;
	}
	*out = sg;
	return leave(exporter, OP_MAP);
}

static void op_unmap(
	struct stile_attachment *attachment, struct stile_sg *sg, enum stile_direction direction) {
	(void)enter_attachment(attachment, OP_UNMAP, direction);
	stile_sg_unmap(sg, direction);
	stile_sg_destroy(sg);
	leave(exporter_of(attachment), OP_UNMAP);
}

static int cpu_access(struct stile_buffer *buffer, enum test_exporter_op op,
	enum stile_direction direction, uint64_t offset, uint64_t bytes) {
	struct test_exporter *exporter = stile_buffer_get_priv(buffer);
	int ret = enter(exporter, buffer, op,
		&(struct test_exporter_call){
			.direction = direction, .offset = offset, .bytes = bytes });
	return ret < 0 ? ret : leave(exporter, op);
}

static int op_begin(struct stile_buffer *buffer, enum stile_direction direction, uint64_t offset,
	uint64_t bytes) {
	return cpu_access(buffer, OP_BEGIN, direction, offset, bytes);
}

static int op_end(struct stile_buffer *buffer, enum stile_direction direction, uint64_t offset,
	uint64_t bytes) {
	return cpu_access(buffer, OP_END, direction, offset, bytes);
}

static int op_mmap(struct stile_buffer *buffer, uint32_t usage, uint64_t offset, uint64_t bytes,
	void **address) {
	struct test_exporter *exporter = stile_buffer_get_priv(buffer);
	int ret = enter(exporter, buffer, OP_MMAP,
		&(struct test_exporter_call){ .usage = usage, .offset = offset, .bytes = bytes });
	if (ret < 0) {
		return ret;
	}
	int prot = PROT_READ | ((usage & STILE_USAGE_WRITE) != 0 ? PROT_WRITE : 0);
	void *mapping = mmap(NULL, (size_t)bytes, prot, MAP_SHARED, exporter->fd, (off_t)offset);
	if (mapping == MAP_FAILED) {
		return -errno;
	}
	*address = mapping;
	return leave(exporter, OP_MMAP);
}

static void op_munmap(struct stile_buffer *buffer, void *address, uint64_t bytes) {
	struct test_exporter *exporter = stile_buffer_get_priv(buffer);
	(void)enter(exporter, buffer, OP_MUNMAP, &(struct test_exporter_call){ .bytes = bytes });
	munmap(address, (size_t)bytes);
	leave(exporter, OP_MUNMAP);
}

static int op_vmap(struct stile_buffer *buffer, struct stile_map *map) {
	struct test_exporter *exporter = stile_buffer_get_priv(buffer);
	int ret = enter(exporter, buffer, OP_VMAP, &(struct test_exporter_call){ 0 });
	if (ret < 0) {
		return ret;
	}
	map->address = exporter->memory;
	return leave(exporter, OP_VMAP);
}

static void op_vunmap(struct stile_buffer *buffer, struct stile_map *map) {
	struct test_exporter *exporter = stile_buffer_get_priv(buffer);
	(void)enter(exporter, buffer, OP_VUNMAP, &(struct test_exporter_call){ 0 });
	/* It has to be the one that `vmap` gave. */
	if (map->address == exporter->memory && !map->is_io) {
		leave(exporter, OP_VUNMAP);
	}
}

static int op_export_fd(struct stile_buffer *buffer, uint32_t usage, int *fd) {
	struct test_exporter *exporter = stile_buffer_get_priv(buffer);
	int ret = enter(
		exporter, buffer, OP_EXPORT_FD, &(struct test_exporter_call){ .usage = usage });
	if (ret < 0) {
		return ret;
	}
	if ((usage & STILE_USAGE_WRITE) != 0) {
		*fd = fcntl(exporter->fd, F_DUPFD_CLOEXEC, 0);
	} else {
		char path[64];
		snprintf(path, sizeof(path), "/proc/self/fd/%d", exporter->fd);
		*fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	return *fd < 0 ? -errno : leave(exporter, OP_EXPORT_FD);
}

static void op_release(struct stile_buffer *buffer) {
	struct test_exporter *exporter = stile_buffer_get_priv(buffer);
	(void)enter(exporter, buffer, OP_RELEASE, &(struct test_exporter_call){ 0 });
	__atomic_store_n(&exporter->buffer, NULL, __ATOMIC_RELAXED);
	leave(exporter, OP_RELEASE);
}

/* ---- Life ---------------------------------------------------------------------------------- */

void test_exporter_init(struct test_exporter *exporter, uint64_t bytes) {
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t whole = (bytes + page - 1) / page * page;
	*exporter = (struct test_exporter){
		.ops = {
			.size = sizeof(exporter->ops),
			.attach = op_attach,
			.detach = op_detach,
			.pin = op_pin,
			.unpin = op_unpin,
			.map = op_map,
			.unmap = op_unmap,
			.begin_cpu_access = op_begin,
			.end_cpu_access = op_end,
			.mmap = op_mmap,
			.munmap = op_munmap,
			.vmap = op_vmap,
			.vunmap = op_vunmap,
			.export_fd = op_export_fd,
			.release = op_release,
		},
		.info = {
			.size = sizeof(exporter->info),
			.exporter = "test exporter",
			.ops = &exporter->ops,
			.priv = exporter,
			.bytes = bytes,
			.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		},
		.fd = memory_create(whole, F_SEAL_SHRINK | F_SEAL_GROW),
		.memory_bytes = whole,
	};
	pthread_mutex_init(&exporter->lock, NULL);
	void *memory =
		mmap(NULL, (size_t)whole, PROT_READ | PROT_WRITE, MAP_SHARED, exporter->fd, 0);
	runner_require(memory != MAP_FAILED, "no memory: %s", strerror(errno));
	exporter->memory = memory;
}

struct stile_buffer *test_exporter_export(struct test_exporter *exporter) {
	int ret = stile_buffer_export(&exporter->info, &exporter->buffer);
	runner_require(ret == 0, "cannot export: %d", ret);
	exporter->exported = true;
	return exporter->buffer;
}

unsigned test_exporter_count(struct test_exporter *exporter, enum test_exporter_op op) {
	return __atomic_load_n(&exporter->count[op], __ATOMIC_SEQ_CST);
}

const char *test_exporter_calls(struct test_exporter *exporter) {
	static char calls[sizeof(exporter->calls)];
	pthread_mutex_lock(&exporter->lock);
	memcpy(calls, exporter->calls, sizeof(calls));
	exporter->calls[0] = '\0';
	pthread_mutex_unlock(&exporter->lock);
	return calls;
}

void test_exporter_move(struct test_exporter *exporter, struct stile_fence *fence) {
	struct stile_resv *resv = stile_buffer_get_resv(exporter->buffer);
	int ret = stile_resv_lock(resv, NULL, NULL);
	runner_require(ret == 0, "cannot lock: %d", ret);
	stile_buffer_move_notify(exporter->buffer);
	if (fence != NULL) {
		ret = stile_resv_reserve_fences(resv, 1);
		runner_require(ret == 0, "no room for a fence: %d", ret);
		ret = stile_resv_add_fence(resv, fence, STILE_RESV_KERNEL);
		runner_require(ret == 0, "cannot add a fence: %d", ret);
	}
	stile_resv_unlock(resv);
}

void test_exporter_await_release(struct test_exporter *exporter) {
	enum { HANG_MS = 30000 };
	for (unsigned ms = 0; __atomic_load_n(&exporter->worked[OP_RELEASE], __ATOMIC_SEQ_CST) == 0;
		ms++) {
		runner_require(ms < HANG_MS, "it is not released");
		runner_sleep_ms(1);
	}
}

void test_exporter_check_locks(struct test_exporter *exporter) {
	runner_require(exporter->wrong[0] == '\0', "%s", exporter->wrong);
}

static void require_undone(const struct test_exporter *exporter, enum test_exporter_op op) {
	enum test_exporter_op undo = (enum test_exporter_op)(op + 1);
	runner_require(exporter->worked[op] == exporter->worked[undo], "%s: %u, %s: %u",
		table[op].name, exporter->worked[op], table[undo].name, exporter->worked[undo]);
}

void test_exporter_finish(struct test_exporter *exporter) {
	test_exporter_check_locks(exporter);
	if (exporter->exported) {
		runner_require(exporter->count[OP_RELEASE] == 1, "released %u times",
			exporter->count[OP_RELEASE]);
	}
	if (exporter->ops.attach != NULL && exporter->ops.detach != NULL) {
		require_undone(exporter, OP_ATTACH);
	}
	require_undone(exporter, OP_PIN);
	require_undone(exporter, OP_MAP);
	if (exporter->ops.munmap != NULL) {
		require_undone(exporter, OP_MMAP);
	}
	if (exporter->ops.vunmap != NULL) {
		require_undone(exporter, OP_VMAP);
	}
	munmap(exporter->memory, (size_t)exporter->memory_bytes);
	close(exporter->fd);
	pthread_mutex_destroy(&exporter->lock);
}
