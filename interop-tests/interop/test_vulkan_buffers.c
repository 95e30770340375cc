/* SPDX-License-Identifier: MIT */
/*
 * VkBuffers of a stile_buffer's memory, and buffers of the application's memory, on a Vulkan device that is not there
 * and takes memory in every way, or in none: support/fake_vulkan_memory.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stile/party.h>

#include "interop-tests/interop/tries.h"
#include "interop-tests/interop/vulkan_fixture.h"
#include "interop-tests/support/fake_gpu.h"
#include "interop-tests/support/fake_vulkan_memory.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"

#define IMPORTS VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT
#define EXPORTS VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT
#define ALONE VK_EXTERNAL_MEMORY_FEATURE_DEDICATED_ONLY_BIT
#define SOURCE VK_BUFFER_USAGE_TRANSFER_SRC_BIT
#define STORAGE VK_BUFFER_USAGE_STORAGE_BUFFER_BIT

/* Not whole pages; and the adapter's two semaphores. */
enum { BYTES = 5000, OF_THE_ADAPTER = 2 };

/* For memory of the application's, which comes with an image. */
static const struct fake_vulkan_layout layouts[] = {
	{ VK_FORMAT_R8_UNORM, VK_IMAGE_TILING_LINEAR, 0, 1, VK_FORMAT_FEATURE_SAMPLED_IMAGE_BIT,
		IMPORTS | EXPORTS, 0, 8192, 8192, 64, 64, 0, 0, 0 },
	{ .format = VK_FORMAT_UNDEFINED },
};

/* What a test may change before it starts the device again. */
static struct fake_vulkan_memory_traits has;
static struct fake_vulkan_traits traits;

static void set_up(void) {
	traits = (struct fake_vulkan_traits){ .memory = &has };
	has = (struct fake_vulkan_memory_traits){
		.layouts = layouts,
		.fd_types = 4, /* 2 */
		.max_dimension = 8192,
		.type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU,
		.buffers = IMPORTS | EXPORTS | ALONE,
		.host = IMPORTS,
		.host_types = 2, /* 1 */
	};
	start(&traits);
}

/* ---- Buffers --------------------------------------------------------------------------------- */

static int open_memory(void) {
	int fd = memfd_create("buffer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, BYTES), 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	return fd;
}

static struct stile_buffer *import_memory(int fd, uint32_t usage) {
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_buffer_import_fd(device, fd, usage, NULL, &buffer), 0);
	ck_assert_uint_eq(stile_buffer_get_bytes(buffer), BYTES);
	return buffer;
}

static struct stile_buffer *make_buffer(void) {
	int fd = open_memory();
	struct stile_buffer *buffer = import_memory(fd, STILE_USAGE_READ | STILE_USAGE_WRITE);
	close(fd);
	return buffer;
}

/* The same memory, by a descriptor that can only be read. */
static struct stile_buffer *make_read_only(void) {
	char path[64];
	int fd = open_memory();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int read_only = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(read_only, 0);
	struct stile_buffer *buffer = import_memory(read_only, STILE_USAGE_READ);
	close(read_only);
	close(fd);
	return buffer;
}

static ino_t get_file(struct stile_buffer *buffer) {
	struct stat at;
	int fd;
	ck_assert_int_eq(stile_buffer_export_fd(buffer, STILE_USAGE_READ, &fd), 0);
	ck_assert_int_eq(fstat(fd, &at), 0);
	close(fd);
	return at.st_ino;
}

static struct stile_vulkan_buffer *import(
	struct stile_buffer *buffer, VkBufferUsageFlags usage, uint32_t memory) {
	struct stile_vulkan_buffer *imported;
	int ret = stile_vulkan_import_buffer(vulkan, buffer, usage, memory, &why, &imported);
	ck_assert_msg(ret == 0, "%s", why.text);
	return imported;
}

static struct fake_vulkan_seen_buffer look(const struct stile_vulkan_buffer *imported) {
	return fake_vulkan_look_at_buffer(stile_vulkan_buffer_get_handle(imported));
}

/* Is what is written to the buffer, and read at an address, the same? */
static void check_mapping(struct stile_buffer *buffer, const void *address) {
	void *memory;
	ck_assert_int_eq(stile_buffer_mmap(buffer, STILE_USAGE_WRITE, &memory), 0);
	((char *)memory)[BYTES - 1] = 'x';
	stile_buffer_munmap(buffer, memory);
	ck_assert_int_eq(((const char *)address)[BYTES - 1], 'x');
}

static const uint32_t kinds[] = { STILE_MEMORY_DMA_BUF, STILE_MEMORY_HOST_POINTER };

/*
 * Wrong code: some of the bytes, or others; a usage of its own; a device that takes memory for one buffer only given
 * memory for any; the last page of a mapping called too small (the device's complaints).
 */
START_TEST(the_driver_is_told_of_all_of_a_buffer) {
	struct stile_buffer *buffer = make_buffer();
	struct stile_vulkan_buffer *imported = import(buffer, STORAGE, kinds[_i]);
	struct fake_vulkan_seen_buffer seen = look(imported);
	bool is_mapped = kinds[_i] == STILE_MEMORY_HOST_POINTER;
	ck_assert_uint_eq(stile_vulkan_buffer_get_memory(imported), kinds[_i]);
	ck_assert_uint_eq(seen.bytes, BYTES);
	ck_assert_uint_eq(seen.usage, STORAGE);
	ck_assert_uint_eq(seen.offset, 0);
	ck_assert_uint_eq(seen.file, is_mapped ? 0 : get_file(buffer));
	ck_assert(is_mapped == (seen.address != NULL));
	if (is_mapped) {
		check_mapping(buffer, seen.address);
	}
	ck_assert_uint_eq(stile_vulkan_get_peer_family(vulkan, kinds[_i]),
		is_mapped ? VK_QUEUE_FAMILY_IGNORED : VK_QUEUE_FAMILY_FOREIGN_EXT);
	stile_vulkan_buffer_destroy(imported);
	stile_buffer_unref(buffer);
}
END_TEST

/* Wrong code: memory that goes with the buffer; a mapping that is left, or a reference. */
START_TEST(a_vkbuffer_keeps_the_memory_of_its_buffer) {
	struct stile_buffer *buffer = make_buffer();
	struct stile_vulkan_buffer *imported = import(buffer, SOURCE, kinds[_i]);
	struct fake_vulkan_seen_buffer seen = look(imported);
	stile_buffer_unref(buffer);
	ck_assert_int_eq(fake_gpu_objects(), OF_THE_ADAPTER + 2);
	if (seen.address != NULL) {
		ck_assert_int_eq(((const char *)seen.address)[BYTES - 1], 0);
	}
	stile_vulkan_buffer_destroy(imported);
	ck_assert_int_eq(fake_gpu_objects(), OF_THE_ADAPTER);
	if (seen.address != NULL) {
		ck_assert_int_lt(msync((void *)(uintptr_t)seen.address, BYTES, MS_ASYNC), 0);
	}
}
END_TEST

/* Wrong code: a VkBuffer for another usage given, or of another kind; a new one for the same; a mapping kept. */
START_TEST(the_same_buffer_for_the_same_is_imported_once) {
	struct stile_buffer *buffer = make_buffer();
	struct stile_vulkan_buffer *first = import(buffer, SOURCE, 0),
				   *again = import(buffer, SOURCE, 0),
				   *other = import(buffer, STORAGE, 0),
				   *mapped = import(buffer, SOURCE, STILE_MEMORY_HOST_POINTER);
	ck_assert_ptr_eq(first, again);
	ck_assert_uint_eq(stile_vulkan_buffer_get_memory(first), STILE_MEMORY_DMA_BUF);
	ck_assert_uint_eq(look(other).usage, STORAGE);
	ck_assert_uint_eq(stile_vulkan_buffer_get_memory(mapped), STILE_MEMORY_HOST_POINTER);
	ck_assert_int_eq(fake_gpu_objects(), OF_THE_ADAPTER + 6);
	stile_vulkan_buffer_destroy(mapped);
	stile_vulkan_buffer_destroy(other);
	stile_vulkan_buffer_destroy(again);
	stile_vulkan_buffer_destroy(first);
	ck_assert_int_eq(fake_gpu_objects(), OF_THE_ADAPTER + 4);
	ck_assert_ptr_eq(import(buffer, SOURCE, 0), first);
	stile_vulkan_buffer_destroy(first);
	stile_buffer_unref(buffer);
}
END_TEST

/* Found out by an import, or by a thread that waits. Wrong code: what was made of it given again, or kept. */
START_TEST(a_lost_device_drops_what_is_kept) {
	struct stile_buffer *buffer = make_buffer();
	struct stile_vulkan_buffer *imported;
	struct stile_fence *fence;
	stile_vulkan_buffer_destroy(import(buffer, SOURCE, 0));
	ck_assert_int_eq(fake_gpu_objects(), OF_THE_ADAPTER + 2);
	if (_i == 0) {
		fake_gpu_fail("vkCreateBuffer", 1, VK_ERROR_DEVICE_LOST);
		ck_assert_int_eq(
			stile_vulkan_import_buffer(vulkan, buffer, STORAGE, 0, &why, &imported),
			-EIO);
	} else {
		/* The thread waits for this, or for what comes next. */
		fake_gpu_fail("vkWaitSemaphores", 1, VK_ERROR_DEVICE_LOST);
		ck_assert_int_eq(stile_vulkan_fence_create(vulkan, &fence), 0);
		plain_fence_finish(fence);
		stile_fence_unref(fence);
	}
	/* Both find it out, and either may be quicker. */
	ck_assert(fake_gpu_gets_to_objects(OF_THE_ADAPTER));
	stile_buffer_unref(buffer);
}
END_TEST

/* ---- Refusals -------------------------------------------------------------------------------- */

enum {
	NO_USAGE,
	UNKNOWN_KIND,
	NO_EXTENSION,
	NO_DMA_BUF_EXTENSION,
	NO_HOST_EXTENSION,
	NOT_IMPORTED,
	NOT_MAPPED,
	NEITHER,
	NO_TYPE,
	NO_HOST_TYPE,
	NO_ROOM,
	NO_ROOM_MAPPED,
	NO_WRITES,
	NO_WRITES_MAPPED,
	REFUSALS,
};

static const struct refusal {
	VkBufferUsageFlags usage;
	uint32_t memory;
	uint32_t extension_count;
	int error;
	enum stile_reason reason;
	uint64_t needed, actual; /* 0: whatever it is */
	const char *text;
} refusals[REFUSALS] = {
	[NO_USAGE] = { 0, 0, 0, -EINVAL, STILE_REASON_USAGE, 0, 0, "a usage is needed" },
	[UNKNOWN_KIND] = { SOURCE, STILE_MEMORY_DMA_BUF | STILE_MEMORY_OPAQUE_FD, 0, -EINVAL,
		STILE_REASON_USAGE, 0, STILE_MEMORY_DMA_BUF | STILE_MEMORY_OPAQUE_FD,
		"memory of kinds" },
	/* The first of them is VK_KHR_external_memory_fd, the second VK_EXT_external_memory_dma_buf. */
	[NO_DMA_BUF_EXTENSION] = { SOURCE, STILE_MEMORY_DMA_BUF, 1, -EOPNOTSUPP,
		STILE_REASON_DRIVER, 0, 0, VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME },
	[NO_HOST_EXTENSION] = { SOURCE, STILE_MEMORY_HOST_POINTER, 4, -EOPNOTSUPP,
		STILE_REASON_DRIVER, 0, 0, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME },
	/* What keeps the first way from being taken, is said. */
	[NO_EXTENSION] = { SOURCE, 0, 1, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0,
		VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME },
	[NOT_IMPORTED] = { SOURCE, STILE_MEMORY_DMA_BUF, 0, -EOPNOTSUPP, STILE_REASON_DRIVER, 0,
		EXPORTS, "imports no dma-buf for a VkBuffer of usage 0x1" },
	[NOT_MAPPED] = { STORAGE, STILE_MEMORY_HOST_POINTER, 0, -EOPNOTSUPP, STILE_REASON_DRIVER, 0,
		EXPORTS, "imports no host pointer for a VkBuffer of usage 0x20" },
	[NEITHER] = { SOURCE, 0, 0, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, EXPORTS,
		"(features 0x2); nor by its mapping: the device imports no host pointer" },
	[NO_TYPE] = { SOURCE, STILE_MEMORY_DMA_BUF, 0, -EOPNOTSUPP, STILE_REASON_DRIVER, 6, 8,
		"no memory type fits both" },
	[NO_HOST_TYPE] = { SOURCE, STILE_MEMORY_HOST_POINTER, 0, -EOPNOTSUPP, STILE_REASON_DRIVER,
		6, 8, "no memory type fits both" },
	[NO_ROOM] = { SOURCE, STILE_MEMORY_DMA_BUF, 0, -ERANGE, STILE_REASON_BOUNDS, BYTES + 1,
		BYTES, "needs 5001 bytes, the memory has 5000" },
	[NO_ROOM_MAPPED] = { SOURCE, STILE_MEMORY_HOST_POINTER, 0, -ERANGE, STILE_REASON_BOUNDS,
		12288, 8192, "12288 bytes from a multiple of 4096 on, 8192 are mapped" },
	[NO_WRITES] = { SOURCE, STILE_MEMORY_DMA_BUF, 0, -EACCES, STILE_REASON_FD_ACCESS, 0, 0,
		"no descriptor for the driver" },
	[NO_WRITES_MAPPED] = { SOURCE, STILE_MEMORY_HOST_POINTER, 0, -EACCES,
		STILE_REASON_FD_ACCESS, 0, 0, "cannot be mapped" },
};

static void announce(int refusal) {
	bool neither = refusal == NEITHER;
	has.buffers = refusal == NOT_IMPORTED || neither ? EXPORTS : has.buffers;
	has.host = refusal == NOT_MAPPED ? EXPORTS : neither ? 0 : has.host;
	has.fd_types = refusal == NO_TYPE ? 8 : has.fd_types;
	has.host_types = refusal == NO_HOST_TYPE ? 8 : has.host_types;
	has.buffer_align = refusal == NO_ROOM ? BYTES + 1
		: refusal == NO_ROOM_MAPPED   ? 2 * 4096 + 1
					      : 0;
	traits.extension_count = refusals[refusal].extension_count;
}

/* Wrong code: a driver asked for what it does not announce; a sentence or numbers that are not the reason's. */
START_TEST(what_cannot_be_a_vkbuffer_is_refused_with_the_reason) {
	const struct refusal *refusal = &refusals[_i];
	announce(_i);
	restart(&traits);
	struct stile_buffer *buffer =
		_i == NO_WRITES || _i == NO_WRITES_MAPPED ? make_read_only() : make_buffer();
	struct stile_vulkan_buffer *imported;
	ck_assert_int_eq(stile_vulkan_import_buffer(
				 vulkan, buffer, refusal->usage, refusal->memory, &why, &imported),
		refusal->error);
	ck_assert_ptr_null(imported);
	ck_assert_msg(strstr(why.text, refusal->text) != NULL, "%s", why.text);
	ck_assert_int_eq(why.reason, refusal->reason);
	ck_assert(refusal->needed == 0 || why.needed == refusal->needed);
	ck_assert(refusal->actual == 0 || why.actual == refusal->actual);
	ck_assert_int_eq(fake_gpu_objects(), OF_THE_ADAPTER);
	stile_buffer_unref(buffer);
}
END_TEST

/* Memory is as large as a buffer may be, and no larger. Wrong code: one byte too few, which the driver complains of. */
START_TEST(a_buffer_may_need_all_of_its_memory) {
	has.buffer_align = _i == 0 ? BYTES : 2 * 4096;
	restart(&traits);
	struct stile_buffer *buffer = make_buffer();
	stile_vulkan_buffer_destroy(import(buffer, SOURCE, kinds[_i]));
	stile_buffer_unref(buffer);
}
END_TEST

/* Wrong code: the second way not tried where the first one fails; or what is left of that, or destroyed again. */
START_TEST(a_buffer_goes_by_host_pointer_where_no_dma_buf_is_taken) {
	static const struct {
		const char *call; /* that fails; NULL: dma-bufs are not announced */
		VkExternalMemoryFeatureFlags host;
	} cases[] = { { NULL, IMPORTS }, { "vkBindBufferMemory", IMPORTS },
		{ "vkBindBufferMemory", 0 } };
	has.buffers = cases[_i].call == NULL ? EXPORTS : has.buffers;
	has.host = cases[_i].host;
	restart(&traits);
	struct stile_buffer *buffer = make_buffer();
	struct stile_vulkan_buffer *imported;
	if (cases[_i].call != NULL) {
		fake_gpu_fail(cases[_i].call, 1, VK_ERROR_OUT_OF_DEVICE_MEMORY);
	}
	int ret = stile_vulkan_import_buffer(vulkan, buffer, SOURCE, 0, &why, &imported);
	if (cases[_i].host != 0) {
		ck_assert_msg(ret == 0, "%s", why.text);
		ck_assert_uint_eq(
			stile_vulkan_buffer_get_memory(imported), STILE_MEMORY_HOST_POINTER);
		ck_assert_int_eq(fake_gpu_objects(), OF_THE_ADAPTER + 2);
	} else {
		ck_assert_int_eq(ret, -ENOMEM);
		ck_assert_ptr_nonnull(strstr(why.text, cases[_i].call));
	}
	stile_vulkan_buffer_destroy(imported);
	ck_assert_int_eq(fake_gpu_objects(), OF_THE_ADAPTER);
	stile_buffer_unref(buffer);
}
END_TEST

/* ---- Memory of the application's ------------------------------------------------------------- */

static struct stile_vulkan_own_image allocate(void) {
	return fake_vulkan_create_image(fake, &layouts[0], DRM_FORMAT_R8, 64, 64, 0,
		VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT);
}

/* Wrong code: other memory, or a part of it; the caller's memory kept, or freed. */
START_TEST(exported_memory_is_a_buffer) {
	struct stile_vulkan_own_image own = allocate();
	struct stile_buffer *buffer;
	int ret = stile_vulkan_export_memory(vulkan, own.memory, device, &why, &buffer);
	ck_assert_msg(ret == 0, "%s", why.text);
	ck_assert_uint_eq(get_file(buffer), fake_vulkan_look(own.image).planes[0].file);
	ck_assert_uint_eq(stile_buffer_get_bytes(buffer), own.bytes);
	fake_vulkan_destroy_image(fake, &own);
	stile_buffer_unref(buffer);
}
END_TEST

/* Wrong code: the driver asked for what it does not announce, or for nothing (it complains, or crashes). */
START_TEST(memory_that_is_not_exported_is_said) {
	struct stile_buffer *buffer;
	ck_assert_int_eq(
		stile_vulkan_export_memory(vulkan, VK_NULL_HANDLE, device, &why, &buffer), -EINVAL);
	ck_assert_int_eq(why.reason, STILE_REASON_USAGE);
	has.buffers = IMPORTS;
	restart(&traits);
	struct stile_vulkan_own_image own = allocate();
	ck_assert_int_eq(
		stile_vulkan_export_memory(vulkan, own.memory, device, &why, &buffer), -EOPNOTSUPP);
	ck_assert_ptr_null(buffer);
	ck_assert_ptr_nonnull(strstr(why.text, "exports no memory"));
	fake_vulkan_destroy_image(fake, &own);
}
END_TEST

/* ---- Everything fails once ------------------------------------------------------------------- */

/* What is tried; it undoes what it did. 0, or what the library gave. */
static int try_import(uint32_t memory) {
	struct stile_buffer *buffer = make_buffer();
	struct stile_vulkan_buffer *imported;
	int ret = TRY(stile_vulkan_import_buffer(vulkan, buffer, SOURCE, memory, &why, &imported));
	ck_assert((imported != NULL) == (ret == 0));
	stile_vulkan_buffer_destroy(imported);
	stile_buffer_unref(buffer);
	return ret;
}

static int try_dma_buf(void) {
	return try_import(STILE_MEMORY_DMA_BUF);
}

static int try_host_pointer(void) {
	return try_import(STILE_MEMORY_HOST_POINTER);
}

static int try_either(void) {
	return try_import(0);
}

static int try_export(void) {
	struct stile_vulkan_own_image own = allocate();
	struct stile_buffer *buffer;
	int ret = TRY(stile_vulkan_export_memory(vulkan, own.memory, device, &why, &buffer));
	ck_assert((buffer != NULL) == (ret == 0));
	stile_buffer_unref(buffer);
	fake_vulkan_destroy_image(fake, &own);
	return ret;
}

static int (*const tries[])(void) = { try_dma_buf, try_host_pointer, try_either, try_export };
enum { TRIES = sizeof(tries) / sizeof(tries[0]) };

/*
 * Each call of the driver's in turn gives each of these, and a driver that closes descriptors that it does not take is
 * like one that does not. Wrong code: an object or a descriptor left, or closed twice; a failure that nobody hears of,
 * another call's name, a wrong errno; an adapter that is of no use afterwards.
 */
START_TEST(any_call_of_the_driver_may_fail) {
	static const VkResult results[] = { VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_TOO_MANY_OBJECTS,
		VK_ERROR_DEVICE_LOST };
	static const int errors[] = { -ENOMEM, -ENOMEM, -EIO };
	int (*attempt)(void) = tries[_i / 6];
	VkResult result = results[_i / 2 % 3];
	/* The first way fails, and the second one does, too, of a device that is lost. */
	bool has_another_way = attempt == try_either && result != VK_ERROR_DEVICE_LOST;
	const char *failed;
	unsigned n = 1;
	do {
		restart(&traits);
		if (_i % 2 == 1) {
			fake_gpu_close_failed_imports();
		}
		fake_gpu_fail(NULL, n, result);
		int ret = attempt();
		failed = fake_gpu_failed();
		int others = fake_gpu_take_reused_fd();
		ck_assert_msg(
			others < 0 || close(others) == 0, "%s: somebody else's is closed", failed);
		bool is_right = failed == NULL || has_another_way
			? ret == 0
			: ret == errors[_i / 2 % 3] && strstr(why.text, failed) != NULL;
		ck_assert_msg(is_right, "call %u, %s, failed: gave %d, %s", n,
			failed == NULL ? "none" : failed, ret, why.text);
		if (result != VK_ERROR_DEVICE_LOST) {
			ck_assert_int_eq(attempt(), 0);
		}
		n++;
	} while (failed != NULL);
	ck_assert_uint_ge(n, 3);
}
END_TEST

/* The same of the system's calls. */
START_TEST(any_call_of_the_system_may_fail) {
	for (unsigned n = 1;; n++) {
		restart(&traits);
		failing_call = n;
		failed_call = NULL;
		int ret = tries[_i]();
		failing_call = 0;
		/* A descriptor that cannot be made CLOEXEC is none. */
		bool no_fd = failed_call != NULL && strcmp(failed_call, "fcntl(F_SETFD)") == 0;
		ck_assert_msg(ret == 0 || ret == (no_fd ? -EOPNOTSUPP : -ENOMEM) || ret == -EMFILE,
			"call %u, %s, failed: gave %d, %s", n, failed_call, ret, why.text);
		ck_assert_msg(
			ret == 0 || failed_call != NULL, "nothing failed, and yet: %s", why.text);
		ck_assert_int_eq(tries[_i](), 0);
		if (failed_call == NULL) {
			ck_assert_uint_gt(n, 2);
			break;
		}
	}
}
END_TEST

/* ---------------------------------------------------------------------------------------------- */

static Suite *make_suite(void) {
	Suite *suite = suite_create("vulkan_buffers");
	TCase *tcase = ledger_tcase_create("buffers");
	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, set_up, stop);
	tcase_add_loop_test(tcase, the_driver_is_told_of_all_of_a_buffer, 0, 2);
	tcase_add_loop_test(tcase, a_vkbuffer_keeps_the_memory_of_its_buffer, 0, 2);
	tcase_add_test(tcase, the_same_buffer_for_the_same_is_imported_once);
	tcase_add_loop_test(tcase, a_lost_device_drops_what_is_kept, 0, 2);
	tcase_add_loop_test(
		tcase, what_cannot_be_a_vkbuffer_is_refused_with_the_reason, 0, REFUSALS);
	tcase_add_loop_test(tcase, a_buffer_may_need_all_of_its_memory, 0, 2);
	tcase_add_loop_test(tcase, a_buffer_goes_by_host_pointer_where_no_dma_buf_is_taken, 0, 3);
	tcase_add_test(tcase, exported_memory_is_a_buffer);
	tcase_add_test(tcase, memory_that_is_not_exported_is_said);
	tcase_add_loop_test(tcase, any_call_of_the_driver_may_fail, 0, 6 * TRIES);
	tcase_add_loop_test(tcase, any_call_of_the_system_may_fail, 0, TRIES);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make_suite, NULL);
}
