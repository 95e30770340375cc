/* SPDX-License-Identifier: MIT */
/*
 * stile-drm on the kernel's DRM drivers: which device a node is, buffers as handles and back, dumb buffers as
 * memory. Each test runs once for each driver; one that is not there is left out.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <xf86drm.h>
#include <xf86drmMode.h>

#include <stile/drm.h>
#include <stile/image.h>

#include "interop-tests/kernel/any_ioctl.h"
#include "interop-tests/kernel/ioctl_sweep.h"
#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/runner.h"
#include "interop-tests/support/vgem.h"
#include "src/drm/drm.h"
#include "src/macros.h"

enum {
	READ = STILE_USAGE_READ,
	BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE,
	WIDTH = 67, /* of which no row is a multiple of anything */
	HEIGHT = 13,
	PAGE = 4096,
};

enum { VGEM, VKMS, VIRTIO_GPU, DRIVERS };

static const char *const drivers[DRIVERS] = { "vgem", "vkms", "virtio_gpu" };

/* Of those that are there; found before the first test. */
static struct stile_drm_identity devices[DRIVERS];

/* ---- Fixture ------------------------------------------------------------------------------- */

static int node = -1;
static struct stile_drm *drm;
static char heard[512];

static void hear(void *user, enum stile_log_level level, const char *text) {
	(void)user;
	(void)level;
	snprintf(heard, sizeof(heard), "%s", text);
}

static int open_node(const char *path) {
	int fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
	return fd;
}

static struct stile_drm *adapter_create(int fd) {
	struct stile_drm_info info = { .size = sizeof(info), .fd = fd, .log = hear };
	struct stile_drm *made;
	ck_assert_int_eq(stile_drm_create(&info, NULL, &made), 0);
	return made;
}

/* The adapter of a driver's primary node; false if the driver is not there. */
static bool begin(int driver) {
	if (devices[driver].primary_rdev == 0) {
		return false;
	}
	heard[0] = '\0';
	node = open_node(devices[driver].primary);
	drm = adapter_create(node);
	return true;
}

static void end(void) {
	any_ioctl_set(NULL);
	stile_drm_destroy(drm);
	drm = NULL;
	if (node >= 0) {
		close(node);
	}
	node = -1;
}

static struct stile_device *open_device(void) {
	struct stile_device_info info = { .size = sizeof(info), .log = hear };
	struct stile_device *device;
	ck_assert_int_eq(stile_drm_open_device(drm, &info, NULL, &device), 0);
	return device;
}

static struct stile_image_info describe(uint32_t fourcc, uint32_t width, uint32_t height) {
	return (struct stile_image_info){
		.size = sizeof(struct stile_image_info),
		.width = width,
		.height = height,
		.fourcc = fourcc,
		.usage = BOTH,
		.modifier = DRM_FORMAT_MOD_LINEAR,
		.name = "test",
	};
}

static struct stile_image *make_image(uint32_t fourcc, uint32_t width, uint32_t height) {
	struct stile_device *device = open_device();
	struct stile_image_info info = describe(fourcc, width, height);
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
	stile_device_destroy(device);
	return image;
}

/* Memory that the driver takes: its own. */
static struct stile_buffer *make_buffer(void) {
	struct stile_image *image = make_image(DRM_FORMAT_XRGB8888, WIDTH, HEIGHT);
	struct stile_buffer *buffer = stile_buffer_ref(stile_image_get_buffer(image, 0));
	stile_image_unref(image);
	return buffer;
}

static uint32_t get_handle(struct stile_drm *adapter, struct stile_buffer *buffer) {
	uint32_t handle;
	struct stile_report why = { .size = sizeof(why) };
	int ret = stile_drm_get_handle(adapter, buffer, &why, &handle);
	ck_assert_msg(ret == 0, "%s", why.text);
	ck_assert_uint_ne(handle, 0);
	return handle;
}

/* Does the open file know it? */
static bool is_alive(int fd, uint32_t handle) {
	int memory;
	if (drmPrimeHandleToFD(fd, handle, DRM_CLOEXEC, &memory) < 0) {
		ck_assert_int_eq(errno, ENOENT);
		return false;
	}
	close(memory);
	return true;
}

static uint32_t make_dumb(int fd) {
	uint32_t handle, pitch;
	uint64_t size;
	ck_assert_int_eq(
		drmModeCreateDumbBuffer(fd, WIDTH, HEIGHT, 32, 0, &handle, &pitch, &size), 0);
	return handle;
}

/* The inode of what a handle stands for. */
static ino_t inode_of(int fd, uint32_t handle) {
	int memory;
	struct stat st;
	ck_assert_int_eq(drmPrimeHandleToFD(fd, handle, DRM_CLOEXEC, &memory), 0);
	ck_assert_int_eq(fstat(memory, &st), 0);
	close(memory);
	return st.st_ino;
}

/* ---- What is a node, and whose ------------------------------------------------------------- */

enum { CLOSED, MEMFD, SOCKET, EVENTFD, NULL_DEVICE, FOLDER, DMA_BUF, NODE_PATH, WRONG_FDS };

static int make_wrong_fd(int kind) {
	int pair[2];
	switch (kind) {
	case MEMFD:
		return memory_create(PAGE, 0);
	case SOCKET:
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		close(pair[1]);
		return pair[0];
	case EVENTFD:
		return eventfd(0, EFD_CLOEXEC);
	case NULL_DEVICE:
		return open_node("/dev/null");
	case FOLDER:
		return open("/", O_RDONLY | O_CLOEXEC);
	case DMA_BUF:
		return vgem_dma_buf(node, PAGE);
	case NODE_PATH:
		return open(devices[VGEM].primary, O_PATH | O_CLOEXEC);
	default:
		return memory_closed_fd();
	}
}

/* Wrong code: a descriptor taken for a node, on which ioctls then say anything. */
START_TEST(wrong_descriptors_are_no_nodes) {
	if (!begin(VGEM)) {
		return;
	}
	int fd = make_wrong_fd(_i);
	int expected = _i == CLOSED ? -EBADF : -ENODEV;
	struct stile_drm_info info = { .size = sizeof(info), .fd = fd };
	struct stile_report why = { .size = sizeof(why) };
	struct stile_drm *none = drm;
	ck_assert_int_eq(stile_drm_create(&info, &why, &none), expected);
	ck_assert_ptr_null(none);
	ck_assert_int_eq(why.reason, _i == CLOSED ? STILE_REASON_FD_CLOSED : STILE_REASON_FD_TYPE);
	ck_assert_ptr_nonnull(strstr(why.text, _i == CLOSED ? "not open" : "/dev/dri/card0"));
	struct stile_drm_identity identity = { .size = sizeof(identity) };
	ck_assert_int_eq(stile_drm_identify(fd, &identity), expected);
	ck_assert_int_eq(stile_drm_is_same_device(fd, node), expected);
	ck_assert_int_eq(stile_drm_is_same_device(node, fd), expected);
	if (_i != CLOSED) {
		close(fd);
	}
	end();
}
END_TEST

/* Wrong code: a size that nobody set is believed; a field of a newer program dropped. */
START_TEST(impossible_sizes_are_refused) {
	if (!begin(_i)) {
		return;
	}
	struct {
		struct stile_drm_info info;
		uint64_t newer;
	} large = { .info = { .size = sizeof(large), .fd = node }, .newer = 1 };
	struct stile_report broken = { .size = 0 };
	struct stile_drm_identity none = { .size = 0 };
	struct stile_drm *made;
	struct stile_buffer *buffer = make_buffer(), *exported;
	struct stile_device *device;
	uint32_t handle = 1;
	ck_assert_int_eq(stile_drm_create(&large.info, NULL, &made), -E2BIG);
	large.info.size = 1;
	ck_assert_int_eq(stile_drm_create(&large.info, NULL, &made), -EINVAL);
	large.info.size = sizeof(large.info);
	ck_assert_int_eq(stile_drm_create(&large.info, &broken, &made), -EINVAL);
	ck_assert_int_eq(stile_drm_identify(node, &none), -EINVAL);
	ck_assert_int_eq(stile_drm_find_driver(drivers[_i], &none), -EINVAL);
	ck_assert_int_eq(stile_drm_get_handle(drm, buffer, &broken, &handle), -EINVAL);
	ck_assert_uint_eq(handle, 0);
	ck_assert_int_eq(stile_drm_export_handle(drm, 1, READ, &broken, &exported), -EINVAL);
	ck_assert_int_eq(stile_drm_open_device(drm, NULL, &broken, &device), -EINVAL);
	ck_assert_ptr_null(device);
	stile_buffer_unref(buffer);
	end();
}
END_TEST

static dev_t rdev_of(const char *path) {
	struct stat st;
	ck_assert_int_eq(stat(path, &st), 0);
	return st.st_rdev;
}

/* Wrong code: the node's own name and number given for the other one; a driver's name cut off. */
START_TEST(identity_has_both_nodes_and_where_it_is) {
	if (!begin(_i)) {
		return;
	}
	struct stile_drm_identity seen = { .size = sizeof(seen) };
	ck_assert_int_eq(stile_drm_identify(stile_drm_get_fd(drm), &seen), 0);
	ck_assert_str_eq(seen.driver, drivers[_i]);
	ck_assert_int_eq(strncmp(seen.primary, "/dev/dri/card", 13), 0);
	ck_assert_uint_eq(seen.primary_rdev, rdev_of(seen.primary));
	if (seen.render[0] != '\0') {
		ck_assert_int_eq(strncmp(seen.render, "/dev/dri/renderD", 16), 0);
		ck_assert_uint_eq(seen.render_rdev, rdev_of(seen.render));
	} else {
		ck_assert_int_ne(_i, VIRTIO_GPU);
		ck_assert_uint_eq(seen.render_rdev, 0);
	}
	unsigned domain, bus, slot, function;
	if (_i == VIRTIO_GPU) {
		ck_assert_int_eq(seen.bus, STILE_DRM_BUS_PCI);
		ck_assert_int_eq(
			sscanf(seen.address, "%4x:%2x:%2x.%1x", &domain, &bus, &slot, &function),
			4);
		ck_assert_uint_eq(seen.vendor, 0x1af4);
	} else {
		ck_assert(seen.bus == STILE_DRM_BUS_PLATFORM || seen.bus == STILE_DRM_BUS_FAUX);
		ck_assert_ptr_nonnull(strstr(seen.address, drivers[_i]));
		ck_assert_uint_eq(seen.vendor, 0);
	}
	end();
}
END_TEST

/* A program that was built when the struct was smaller. Wrong code: writes behind it. */
START_TEST(identity_fills_a_smaller_struct) {
	if (!begin(_i)) {
		return;
	}
	struct stile_drm_identity seen;
	memset(&seen, 0x5a, sizeof(seen));
	seen.size = offsetof(struct stile_drm_identity, primary);
	ck_assert_int_eq(stile_drm_identify(node, &seen), 0);
	ck_assert_str_eq(seen.driver, drivers[_i]);
	ck_assert_int_eq(seen.primary[0], 0x5a);
	end();
}
END_TEST

/* Wrong code: numbers of the nodes compared, which differ; or drivers' names. */
START_TEST(primary_and_render_node_are_one_device) {
	if (!begin(_i)) {
		return;
	}
	int again = open_node(devices[_i].primary);
	ck_assert_int_eq(stile_drm_is_same_device(node, again), 1);
	close(again);
	if (devices[_i].render_rdev != 0) {
		int render = open_node(devices[_i].render);
		ck_assert_int_eq(stile_drm_is_same_device(node, render), 1);
		ck_assert_int_eq(stile_drm_is_same_device(render, node), 1);
		struct stile_drm_identity seen = { .size = sizeof(seen) };
		ck_assert_int_eq(stile_drm_identify(render, &seen), 0);
		ck_assert_int_eq(memcmp(&seen, &devices[_i], sizeof(seen)), 0);
		close(render);
	}
	for (int other = 0; other < DRIVERS; other++) {
		if (other != _i && devices[other].primary_rdev != 0) {
			int fd = open_node(devices[other].primary);
			ck_assert_int_eq(stile_drm_is_same_device(node, fd), 0);
			close(fd);
		}
	}
	end();
}
END_TEST

/* Wrong code: only primary nodes are found by their number, which Vulkan and linux-dmabuf need not give. */
START_TEST(device_is_found_by_number_and_address) {
	const struct stile_drm_identity *wanted = &devices[_i];
	if (wanted->primary_rdev == 0) {
		return;
	}
	struct stile_drm_identity seen = { .size = sizeof(seen) };
	dev_t rdev = makedev(major(wanted->primary_rdev), minor(wanted->primary_rdev));
	ck_assert_int_eq(stile_drm_find_rdev(rdev, &seen), 0);
	ck_assert_int_eq(memcmp(&seen, wanted, sizeof(seen)), 0);
	if (wanted->render_rdev != 0) {
		memset(seen.driver, 0, sizeof(seen) - sizeof(seen.size));
		ck_assert_int_eq(stile_drm_find_rdev(wanted->render_rdev, &seen), 0);
		ck_assert_int_eq(memcmp(&seen, wanted, sizeof(seen)), 0);
	}
	memset(seen.driver, 0, sizeof(seen) - sizeof(seen.size));
	ck_assert_int_eq(stile_drm_find_address(wanted->bus, wanted->address, &seen), 0);
	ck_assert_int_eq(memcmp(&seen, wanted, sizeof(seen)), 0);
	ck_assert_int_eq(
		stile_drm_find_address(STILE_DRM_BUS_USB, wanted->address, &seen), -ENODEV);
}
END_TEST

/* Wrong code: the first device given where none fits. */
START_TEST(unknown_device_is_not_found) {
	struct stile_drm_identity seen = { .size = sizeof(seen) };
	ck_assert_int_eq(stile_drm_find_rdev(rdev_of("/dev/null"), &seen), -ENODEV);
	ck_assert_int_eq(stile_drm_find_rdev(0, &seen), -ENODEV);
	ck_assert_int_eq(stile_drm_find_driver("no-such-driver", &seen), -ENODEV);
	ck_assert_int_eq(stile_drm_find_driver("", &seen), -ENODEV);
	ck_assert_int_eq(stile_drm_find_address(STILE_DRM_BUS_PCI, "ffff:ff:1f.7", &seen), -ENODEV);
	ck_assert_int_eq(stile_drm_find_address(STILE_DRM_BUS_PCI, "", &seen), -ENODEV);
}
END_TEST

/* As an ordinary user, for whom the nodes are not. */
static int play_nobody(void) {
	struct stile_drm_identity all = { .size = sizeof(all) }, seen = { .size = sizeof(seen) };
	int ret = stile_drm_find_driver("vgem", &all);
	runner_require(ret == 0, "vgem: %s", strerror(-ret));
	runner_require(setgid(65534) == 0 && setuid(65534) == 0, "setuid: %s", strerror(errno));
	int fd = open(all.primary, O_RDWR | O_CLOEXEC);
	runner_require(fd < 0 && errno == EACCES, "%s may be opened", all.primary);
	ret = stile_drm_find_driver("vgem", &seen);
	runner_require(ret == -ENODEV, "find by driver: %d", ret);
	ret = stile_drm_find_driver("", &seen);
	runner_require(ret == -ENODEV, "find by no driver: %d", ret);
	ret = stile_drm_find_rdev(all.primary_rdev, &seen);
	runner_require(ret == 0, "find by number: %s", strerror(-ret));
	runner_require(seen.driver[0] == '\0', "driver '%s'", seen.driver);
	runner_require(strcmp(seen.primary, all.primary) == 0, "primary '%s'", seen.primary);
	return 0;
}

/* Wrong code: without a right to open nodes, devices are not found at all. */
START_TEST(device_is_found_without_a_right_to_it) {
	if (devices[VGEM].primary_rdev != 0 && geteuid() == 0) {
		ck_assert_int_eq(runner_reap(runner_spawn("nobody", NULL, 0)), 0);
	}
}
END_TEST

/* A device's nodes, primary first, and another device's. */
enum { SEEN_PRIMARY = RUNNER_FIRST_FD, SEEN_OTHER_NODE, SEEN_OTHER_DEVICE };

/* Descriptors were handed in, and there are no nodes to be opened. */
static int play_sandbox(void) {
	runner_require(unshare(CLONE_NEWNS) == 0 &&
			mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			mount("none", "/dev/dri", "tmpfs", 0, NULL) == 0,
		"no sandbox: %s", strerror(errno));
	for (int fd = SEEN_PRIMARY; fd <= SEEN_OTHER_NODE; fd++) {
		struct stile_drm_identity seen = { .size = sizeof(seen) };
		struct stat primary, other;
		int ret = stile_drm_identify(fd, &seen);
		runner_require(ret == 0, "identify: %s", strerror(-ret));
		runner_require(
			seen.driver[0] != '\0' && seen.primary[0] == '\0' && seen.render[0] == '\0',
			"driver '%s', at '%s' and '%s'", seen.driver, seen.primary, seen.render);
		fstat(SEEN_PRIMARY, &primary);
		fstat(SEEN_OTHER_NODE, &other);
		runner_require(seen.primary_rdev == primary.st_rdev, "primary node: %llx",
			(unsigned long long)seen.primary_rdev);
		runner_require(
			other.st_rdev == primary.st_rdev || seen.render_rdev == other.st_rdev,
			"render node: %llx", (unsigned long long)seen.render_rdev);
	}
	int same = stile_drm_is_same_device(SEEN_PRIMARY, SEEN_OTHER_NODE);
	runner_require(same == 1, "its nodes: %d", same);
	same = stile_drm_is_same_device(SEEN_PRIMARY, SEEN_OTHER_DEVICE);
	runner_require(same == 0, "another device's node: %d", same);
	const struct stile_drm_info info = { .size = sizeof(info), .fd = SEEN_PRIMARY };
	int ret = stile_drm_create(&info, NULL, &drm);
	runner_require(ret == 0, "no adapter: %s", strerror(-ret));
	return 0;
}

/* Wrong code: only nodes that have a path here are known; two things of which nothing is known are the same. */
START_TEST(device_is_known_where_its_nodes_cannot_be_seen) {
	int other = _i == VGEM ? VKMS : VGEM;
	if (geteuid() != 0 || devices[other].primary_rdev == 0 || !begin(_i)) {
		return;
	}
	int fds[] = { node, -1, open_node(devices[other].primary) };
	bool renders = devices[_i].render_rdev != 0;
	fds[1] = open_node(renders ? devices[_i].render : devices[_i].primary);
	ck_assert_int_eq(runner_reap(runner_spawn("sandbox", fds, 3)), 0);
	close(fds[1]);
	close(fds[2]);
	end();
}
END_TEST

/* ---- Handles ------------------------------------------------------------------------------- */

/* The kernel does not count imports. Wrong code: the first put closes it for all. */
START_TEST(handle_lives_until_it_was_put_as_often_as_got) {
	if (!begin(_i)) {
		return;
	}
	struct stile_buffer *buffer = make_buffer();
	uint32_t handle = get_handle(drm, buffer);
	ck_assert_uint_eq(get_handle(drm, buffer), handle);
	ck_assert_uint_eq(get_handle(drm, buffer), handle);
	stile_drm_put_handle(drm, handle);
	ck_assert(is_alive(node, handle));
	stile_drm_put_handle(drm, handle);
	ck_assert(is_alive(node, handle));
	stile_drm_put_handle(drm, handle);
	ck_assert(!is_alive(node, handle));
	/* And begins anew. */
	handle = get_handle(drm, buffer);
	stile_drm_put_handle(drm, handle);
	ck_assert(!is_alive(node, handle));
	stile_buffer_unref(buffer);
	end();
}
END_TEST

/* Wrong code: counted for each adapter, although the handle is the open file's. */
START_TEST(adapters_of_one_open_file_count_together) {
	if (!begin(_i)) {
		return;
	}
	struct stile_buffer *buffer = make_buffer();
	int copy = fcntl(node, F_DUPFD_CLOEXEC, 0);
	struct stile_drm *second = adapter_create(copy);
	close(copy);
	uint32_t handle = get_handle(drm, buffer);
	ck_assert_uint_eq(get_handle(second, buffer), handle);
	stile_drm_put_handle(second, handle);
	ck_assert(is_alive(node, handle));
	ck_assert_uint_eq(get_handle(second, buffer), handle);
	stile_drm_destroy(second);
	ck_assert(is_alive(node, handle));
	stile_drm_put_handle(drm, handle);
	stile_drm_put_handle(drm, handle);
	ck_assert(!is_alive(node, handle));
	stile_buffer_unref(buffer);
	end();
}
END_TEST

/* Wrong code: two open files of one node taken for one; their handles have nothing to do with each other. */
START_TEST(open_files_of_one_node_count_apart) {
	if (!begin(_i)) {
		return;
	}
	struct stile_buffer *buffer = make_buffer();
	int other = open_node(devices[_i].primary);
	uint32_t first = make_dumb(other); /* so that numbers differ */
	struct stile_drm *second = adapter_create(other);
	uint32_t handle = get_handle(drm, buffer);
	uint32_t theirs = get_handle(second, buffer);
	ck_assert_uint_ne(handle, theirs);
	stile_drm_put_handle(drm, handle);
	ck_assert(!is_alive(node, handle));
	ck_assert(is_alive(other, theirs));
	stile_drm_put_handle(second, theirs);
	ck_assert(!is_alive(other, theirs));
	ck_assert(is_alive(other, first));
	stile_drm_destroy(second);
	close(other);
	stile_buffer_unref(buffer);
	end();
}
END_TEST

/* Wrong code: handles left to the open file, which the application may keep for ever. */
START_TEST(last_adapter_closes_what_was_not_put) {
	if (!begin(_i)) {
		return;
	}
	struct stile_buffer *buffer = make_buffer();
	uint32_t handle = get_handle(drm, buffer);
	stile_drm_destroy(drm);
	drm = NULL;
	ck_assert(!is_alive(node, handle));
	stile_buffer_unref(buffer);
	end();
}
END_TEST

/* Wrong code: the application's own handle, which the kernel finds again at import, is closed by a put. */
START_TEST(handle_of_the_application_is_never_closed) {
	if (!begin(_i)) {
		return;
	}
	uint32_t own = make_dumb(node);
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_drm_export_handle(drm, own, BOTH, NULL, &buffer), 0);
	ck_assert_uint_eq(get_handle(drm, buffer), own);
	ck_assert_uint_eq(get_handle(drm, buffer), own);
	stile_drm_put_handle(drm, own);
	stile_drm_put_handle(drm, own);
	ck_assert(is_alive(node, own));
	ck_assert_uint_eq(get_handle(drm, buffer), own);
	stile_drm_destroy(drm);
	drm = NULL;
	ck_assert(is_alive(node, own));
	stile_buffer_unref(buffer);
	end();
}
END_TEST

/*
 * The application closes its handle, and keeps the buffer: the kernel makes a handle anew. Wrong code: taken for
 * the application's still, which is never closed; or that number, which stands for other memory by now, closed.
 */
START_TEST(handle_after_the_applications_own_is_closed) {
	if (!begin(_i)) {
		return;
	}
	uint32_t before = make_dumb(node);
	for (int round = 0; round < 5; round++) {
		uint32_t own = make_dumb(node);
		struct stile_buffer *buffer;
		ck_assert_int_eq(stile_drm_export_handle(drm, own, BOTH, NULL, &buffer), 0);
		stile_drm_put_handle(drm, get_handle(drm, buffer));
		ck_assert_int_eq(drmCloseBufferHandle(node, own), 0);
		uint32_t other = round % 2 == 0 ? 0 : make_dumb(node);
		uint32_t handle = get_handle(drm, buffer);
		ck_assert_uint_eq(get_handle(drm, buffer), handle);
		ck_assert_int_eq(handle == own, other == 0);
		stile_drm_put_handle(drm, handle);
		ck_assert(is_alive(node, handle));
		stile_drm_put_handle(drm, handle);
		ck_assert(!is_alive(node, handle));
		if (other != 0) {
			ck_assert(is_alive(node, other));
			ck_assert_int_eq(drmCloseBufferHandle(node, other), 0);
		}
		stile_buffer_unref(buffer);
	}
	uint32_t after = make_dumb(node);
	ck_assert_uint_eq(after, before + 1);
	end();
}
END_TEST

/* Wrong code: a number that was the application's once is never closed again, whatever it stands for. */
START_TEST(number_that_is_used_again_is_counted_anew) {
	if (!begin(_i)) {
		return;
	}
	struct stile_buffer *buffer = make_buffer(), *exported;
	uint32_t own = make_dumb(node);
	ck_assert_int_eq(stile_drm_export_handle(drm, own, BOTH, NULL, &exported), 0);
	stile_buffer_unref(exported);
	ck_assert_int_eq(drmCloseBufferHandle(node, own), 0);
	uint32_t handle = get_handle(drm, buffer);
	ck_assert_uint_eq(handle, own);
	stile_drm_put_handle(drm, handle);
	ck_assert(!is_alive(node, handle));
	stile_buffer_unref(buffer);
	end();
}
END_TEST

/* A handle that came from here and is given back in. Wrong code: taken for the application's, it is never closed. */
START_TEST(counted_handle_stays_counted_when_exported) {
	if (!begin(_i)) {
		return;
	}
	struct stile_buffer *buffer = make_buffer(), *same;
	uint32_t handle = get_handle(drm, buffer);
	ck_assert_int_eq(stile_drm_export_handle(drm, handle, BOTH, NULL, &same), 0);
	ck_assert_ptr_eq(same, buffer);
	stile_drm_put_handle(drm, handle);
	ck_assert(!is_alive(node, handle));
	stile_buffer_unref(same);
	stile_buffer_unref(buffer);
	end();
}
END_TEST

/* Wrong code: another object, with another reservation, for memory that is known. */
START_TEST(handle_and_buffer_are_the_same_memory) {
	if (!begin(_i)) {
		return;
	}
	uint32_t own = make_dumb(node);
	struct stile_buffer *buffer, *again;
	ck_assert_int_eq(stile_drm_export_handle(drm, own, BOTH, NULL, &buffer), 0);
	ck_assert_int_eq(stile_drm_export_handle(drm, own, READ, NULL, &again), 0);
	ck_assert_ptr_eq(buffer, again);
	stile_buffer_unref(again);
	int fd;
	struct stat st;
	ck_assert_int_eq(stile_buffer_export_fd(buffer, BOTH, &fd), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_ino, inode_of(node, own));
	ck_assert_int_eq(lseek(fd, 0, SEEK_END), (off_t)stile_buffer_get_bytes(buffer));
	ck_assert_uint_ge(stile_buffer_get_bytes(buffer), UINT64_C(4) * WIDTH * HEIGHT);
	close(fd);
	stile_buffer_unref(buffer);
	end();
}
END_TEST

/*
 * As long as an export lives, the kernel gives the same open file again, with the rights of the first. Wrong
 * code: one for reading makes writing impossible for everybody later on.
 */
START_TEST(export_for_reading_leaves_others_their_rights) {
	if (!begin(_i)) {
		return;
	}
	uint32_t own = make_dumb(node);
	struct stile_buffer *buffer, *more;
	ck_assert_int_eq(stile_drm_export_handle(drm, own, READ, NULL, &buffer), 0);
	ck_assert_int_eq(stile_drm_export_handle(drm, own, BOTH, NULL, &more), 0);
	ck_assert_ptr_eq(more, buffer);
	stile_buffer_unref(more);
	stile_buffer_unref(buffer);
	end();
}
END_TEST

/* The application exported it so. Wrong code: the first write through the buffer crashes. */
START_TEST(memory_exported_read_only_is_refused_for_writing) {
	if (!begin(_i)) {
		return;
	}
	uint32_t own = make_dumb(node);
	int fd;
	ck_assert_int_eq(drmPrimeHandleToFD(node, own, DRM_CLOEXEC, &fd), 0);
	struct stile_report why = { .size = sizeof(why) };
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_drm_export_handle(drm, own, BOTH, &why, &buffer), -EACCES);
	ck_assert_ptr_null(buffer);
	ck_assert_int_eq(why.reason, STILE_REASON_FD_ACCESS);
	ck_assert_int_eq(stile_drm_export_handle(drm, own, READ, &why, &buffer), 0);
	stile_buffer_unref(buffer);
	close(fd);
	end();
}
END_TEST

/* Wrong code: the kernel's -ENOENT hidden, or a buffer of nothing. */
START_TEST(handles_and_usages_that_are_none_are_refused) {
	if (!begin(_i)) {
		return;
	}
	static const uint32_t none[] = { 0, 4711, UINT32_MAX };
	struct stile_report why = { .size = sizeof(why) };
	struct stile_buffer *buffer;
	for (size_t i = 0; i < ARRAY_LENGTH(none); i++) {
		ck_assert_int_eq(
			stile_drm_export_handle(drm, none[i], BOTH, &why, &buffer), -ENOENT);
		ck_assert_ptr_null(buffer);
		ck_assert_int_eq(why.reason, STILE_REASON_DRIVER);
	}
	uint32_t own = make_dumb(node);
	ck_assert_int_eq(stile_drm_export_handle(drm, own, 0, &why, &buffer), -EINVAL);
	ck_assert_int_eq(why.reason, STILE_REASON_USAGE);
	ck_assert_int_eq(stile_drm_export_handle(drm, own, 1u << 7, &why, &buffer), -EINVAL);
	ck_assert_int_eq(drmCloseBufferHandle(node, own), 0);
	end();
}
END_TEST

/* Wrong code: "Invalid argument" for memory that no driver can take. */
START_TEST(memory_that_is_no_dma_buf_is_refused_in_words) {
	if (!begin(_i)) {
		return;
	}
	struct stile_device *device;
	struct stile_buffer_info info = { .size = sizeof(info), .bytes = PAGE };
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &device), 0);
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), 0);
	struct stile_report why = { .size = sizeof(why) };
	uint32_t handle = 1;
	ck_assert_int_eq(stile_drm_get_handle(drm, buffer, &why, &handle), -EOPNOTSUPP);
	ck_assert_uint_eq(handle, 0);
	ck_assert_int_eq(why.reason, STILE_REASON_FD_TYPE);
	ck_assert_ptr_nonnull(strstr(why.text, "not a dma-buf"));
	stile_buffer_unref(buffer);
	stile_device_destroy(device);
	end();
}
END_TEST

/* Wrong code: a refusal without saying that it is the driver's, or a driver that could is not asked. */
START_TEST(memory_of_another_driver_is_taken_or_refused_in_words) {
	int other = _i == VGEM ? VKMS : VGEM;
	if (devices[other].primary_rdev == 0 || !begin(other)) {
		return;
	}
	struct stile_buffer *buffer = make_buffer();
	end();
	if (begin(_i)) {
		struct stile_report why = { .size = sizeof(why) };
		uint32_t handle;
		int ret = stile_drm_get_handle(drm, buffer, &why, &handle);
		ck_assert_int_eq(ret, _i == VIRTIO_GPU ? -ENODEV : 0);
		if (ret == 0) {
			ck_assert_int_eq(why.reason, STILE_REASON_NONE);
			stile_drm_put_handle(drm, handle);
			ck_assert(!is_alive(node, handle));
		} else {
			ck_assert_int_eq(why.reason, STILE_REASON_DRIVER);
			ck_assert_ptr_nonnull(strstr(why.text, "takes no memory of others"));
		}
	}
	end();
	stile_buffer_unref(buffer);
}
END_TEST

enum { GETTERS = 4, GETS = 100 };

static void *get_and_put(void *arg) {
	struct stile_buffer *buffer = arg;
	intptr_t dead = 0;
	for (int i = 0; i < GETS; i++) {
		uint32_t handle;
		int memory;
		if (stile_drm_get_handle(drm, buffer, NULL, &handle) < 0) {
			return (void *)(intptr_t)-1;
		}
		if (drmPrimeHandleToFD(node, handle, DRM_CLOEXEC, &memory) < 0) {
			dead++;
		} else {
			close(memory);
		}
		stile_drm_put_handle(drm, handle);
	}
	return (void *)dead;
}

/* Wrong code: one thread's last put between another's import and its counting. */
START_TEST(handle_that_a_thread_has_is_alive) {
	if (!begin(_i)) {
		return;
	}
	struct stile_buffer *buffer = make_buffer();
	pthread_t threads[GETTERS];
	for (size_t i = 0; i < GETTERS; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, get_and_put, buffer), 0);
	}
	for (size_t i = 0; i < GETTERS; i++) {
		void *dead;
		ck_assert_int_eq(pthread_join(threads[i], &dead), 0);
		ck_assert_ptr_null(dead);
	}
	stile_buffer_unref(buffer);
	end();
}
END_TEST

/* ---- Dumb buffers -------------------------------------------------------------------------- */

static void check_layout(struct stile_image *image, const struct stile_format *format) {
	const struct stile_image_info *info = stile_image_get_info(image);
	struct stile_buffer *buffer = stile_image_get_buffer(image, 0);
	ck_assert_uint_eq(info->plane_count, format->plane_count);
	uint64_t offset = 0;
	for (uint32_t i = 0; i < info->plane_count; i++) {
		const struct stile_image_plane *plane = &info->planes[i];
		const struct stile_format_plane *shape = &format->planes[i];
		ck_assert_ptr_eq(stile_image_get_buffer(image, i), buffer);
		ck_assert_uint_eq(plane->pitch % 64, 0);
		uint32_t samples = info->width / shape->hsub;
		uint32_t row_bytes = (samples + shape->block - 1) / shape->block * shape->bytes;
		ck_assert_uint_ge(plane->pitch, row_bytes);
		ck_assert_uint_ge(plane->offset, offset);
		ck_assert_uint_eq(plane->offset % 64, 0);
		/* Rows in groups of four. */
		uint32_t rows = (info->height / shape->vsub + 3) / 4 * 4;
		offset = plane->offset + (uint64_t)plane->pitch * rows;
	}
	ck_assert_uint_ge(stile_buffer_get_bytes(buffer), offset);
}

/* Wrong code: a pitch or rows that other drivers cannot take; planes over each other. */
START_TEST(images_are_laid_out_as_others_take_them) {
	if (!begin(_i)) {
		return;
	}
	const struct stile_format *format;
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		/* One whose rows are groups, and one whose are not, where the format has such. */
		for (uint32_t height = format->vsub < 4 ? 18 : 20; height <= 20; height += 2) {
			struct stile_image *image = make_image(format->fourcc, 68, height);
			check_layout(image, format);
			stile_image_unref(image);
		}
	}
	/* The rows of this one need no padding: then it is as wide as the picture. */
	struct stile_image *image = make_image(DRM_FORMAT_XRGB8888, 64, 20);
	ck_assert_uint_eq(stile_image_get_info(image)->planes[0].pitch, 256);
	stile_image_unref(image);
	end();
}
END_TEST

/* Wrong code: memory that was somebody's before; a buffer that is another one than its descriptor. */
START_TEST(memory_is_zeroed_and_keeps_what_is_written) {
	if (!begin(_i)) {
		return;
	}
	for (int round = 0; round < 3; round++) {
		struct stile_buffer *buffer = make_buffer();
		uint64_t bytes = stile_buffer_get_bytes(buffer);
		int fd;
		void *ours;
		ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &ours), 0);
		ck_assert_int_eq(stile_buffer_export_fd(buffer, BOTH, &fd), 0);
		const unsigned char *theirs = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
		ck_assert_ptr_ne(theirs, MAP_FAILED);
		uint64_t zeroes = 0;
		while (zeroes < bytes && theirs[zeroes] == 0) {
			zeroes++;
		}
		ck_assert_uint_eq(zeroes, bytes);
		memset(ours, 0x77, bytes);
		ck_assert_uint_eq(theirs[0], 0x77);
		ck_assert_uint_eq(theirs[bytes - 1], 0x77);
		munmap((void *)theirs, bytes);
		close(fd);
		stile_buffer_munmap(buffer, ours);
		stile_buffer_unref(buffer);
	}
	end();
}
END_TEST

/* Memory without a picture. Wrong code: less than was asked for. */
START_TEST(plain_buffers_have_all_their_bytes) {
	static const uint64_t sizes[] = { 1, PAGE, PAGE + 1, UINT64_C(3) * PAGE, 1 << 20 };
	if (!begin(_i)) {
		return;
	}
	struct stile_device *device = open_device();
	for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
		struct stile_buffer_info info = { .size = sizeof(info), .bytes = sizes[i] };
		struct stile_buffer *buffer;
		int fd;
		ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), 0);
		ck_assert_int_eq(stile_buffer_export_fd(buffer, BOTH, &fd), 0);
		ck_assert_int_ge(lseek(fd, 0, SEEK_END), (off_t)sizes[i]);
		close(fd);
		stile_buffer_unref(buffer);
	}
	stile_device_destroy(device);
	end();
}
END_TEST

/* Wrong code: allocating goes through the adapter, or through the application's descriptor. */
START_TEST(device_goes_on_without_adapter_and_node) {
	if (!begin(_i)) {
		return;
	}
	struct stile_device *device = open_device();
	end();
	struct stile_image_info info = describe(DRM_FORMAT_XRGB8888, WIDTH, HEIGHT);
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
	stile_device_destroy(device);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: each allocation leaves a handle in the application's open file, until that is closed. */
START_TEST(allocating_leaves_no_handle) {
	if (!begin(_i)) {
		return;
	}
	uint32_t before = make_dumb(node);
	ck_assert_int_eq(drmCloseBufferHandle(node, before), 0);
	for (int i = 0; i < 5; i++) {
		stile_buffer_unref(make_buffer());
	}
	uint32_t after = make_dumb(node);
	ck_assert_uint_eq(after, before);
	ck_assert_int_eq(drmCloseBufferHandle(node, after), 0);
	end();
}
END_TEST

/* Wrong code: "Permission denied" at the first image, rather than at once and in words. */
START_TEST(render_node_is_refused_and_the_primary_named) {
	const struct stile_drm_identity *device = &devices[_i];
	if (device->render_rdev == 0) {
		return;
	}
	node = open_node(device->render);
	drm = adapter_create(node);
	struct stile_report why = { .size = sizeof(why) };
	struct stile_device *none;
	ck_assert_int_eq(stile_drm_open_device(drm, NULL, &why, &none), -EACCES);
	ck_assert_ptr_null(none);
	ck_assert_ptr_nonnull(strstr(why.text, device->primary));
	end();
}
END_TEST

/* Wrong code: sizes that wrap around in 32 bits; a refusal of the driver's that nobody can read. */
START_TEST(impossible_images_are_refused) {
	if (!begin(_i)) {
		return;
	}
	struct stile_device *device = open_device();
	static const uint32_t sides[][2] = { { 1 << 20, 1 << 20 }, { UINT32_MAX, 1 },
		{ 1, UINT32_MAX }, { 1 << 16, 1 << 14 } };
	for (size_t i = 0; i < ARRAY_LENGTH(sides); i++) {
		struct stile_image_info info =
			describe(DRM_FORMAT_XRGB8888, sides[i][0], sides[i][1]);
		struct stile_image *image;
		heard[0] = '\0';
		int ret = stile_image_create(device, &info, &image);
		ck_assert_msg(ret == -ERANGE || ret == -ENOMEM || ret == -ENOSPC, "%u x %u: %d",
			sides[i][0], sides[i][1], ret);
		ck_assert_ptr_null(image);
		ck_assert_str_ne(heard, "");
	}
	stile_device_destroy(device);
	end();
}
END_TEST

/* Wrong code: an option or a flag that nobody reads is dropped. */
START_TEST(wrong_device_info_is_refused) {
	if (!begin(_i)) {
		return;
	}
	struct stile_report why = { .size = sizeof(why) };
	struct stile_device_info info = { .size = sizeof(info), .options = "heap=system" };
	struct stile_device *device;
	ck_assert_int_eq(stile_drm_open_device(drm, &info, &why, &device), -EINVAL);
	ck_assert_int_eq(why.reason, STILE_REASON_CALLER);
	info = (struct stile_device_info){ .size = sizeof(info), .flags = 1u << 31 };
	ck_assert_int_eq(stile_drm_open_device(drm, &info, &why, &device), -EINVAL);
	struct {
		struct stile_device_info info;
		uint64_t newer;
	} large = { .info = { .size = sizeof(large) }, .newer = 1 };
	ck_assert_int_eq(stile_drm_open_device(drm, &large.info, &why, &device), -E2BIG);
	ck_assert_ptr_null(device);
	end();
}
END_TEST

/* ---- Everything that can fail -------------------------------------------------------------- */

static const int resources[] = { -ENOMEM, -EMFILE, -ENFILE, -EAGAIN, 0 };

static struct stile_drm *swept;

static int attempt_create(void *user) {
	(void)user;
	struct stile_drm_info info = { .size = sizeof(info), .fd = node };
	return stile_drm_create(&info, NULL, &swept);
}

static void after_create(void *user, int ret) {
	(void)user;
	ck_assert(ret == 0 || swept == NULL);
	stile_drm_destroy(swept);
	swept = NULL;
}

/* Wrong code: a failure on the way leaves a descriptor, a table or a device behind. */
START_TEST(create_fails_cleanly) {
	if (!begin(_i)) {
		return;
	}
	/* A file that no other adapter has. */
	end();
	node = open_node(devices[_i].primary);
	ck_assert_uint_gt(failing_sweep(attempt_create, after_create, NULL, resources), 3);
	end();
}
END_TEST

struct handle_sweep {
	struct stile_buffer *buffer;
	uint32_t handle;
	uint32_t lowest; /* number that nobody has; 0: unknown */
};

static int attempt_get_handle(void *user) {
	struct handle_sweep *sweep = user;
	return stile_drm_get_handle(drm, sweep->buffer, NULL, &sweep->handle);
}

static void after_get_handle(void *user, int ret) {
	struct handle_sweep *sweep = user;
	ck_assert(ret == 0 || sweep->handle == 0);
	if (ret == 0) {
		stile_drm_put_handle(drm, sweep->handle);
		ck_assert(!is_alive(node, sweep->handle));
	} else if (sweep->lowest != 0) {
		ck_assert(!is_alive(node, sweep->lowest));
	}
}

/* Wrong code: a handle that could not be counted stays open. */
START_TEST(get_handle_fails_cleanly) {
	if (!begin(_i)) {
		return;
	}
	struct handle_sweep sweep = { .buffer = make_buffer() };
	/* What the library keeps for each thread is there then, but not this file's table. */
	int other = open_node(devices[_i].primary);
	struct stile_drm *second = adapter_create(other);
	stile_drm_put_handle(second, get_handle(second, sweep.buffer));
	stile_drm_destroy(second);
	close(other);
	uint32_t before = make_dumb(node);
	ck_assert_int_eq(drmCloseBufferHandle(node, before), 0);
	sweep.lowest = before;
	ck_assert_uint_gt(
		failing_sweep(attempt_get_handle, after_get_handle, &sweep, resources), 1);
	uint32_t after = make_dumb(node);
	ck_assert_uint_eq(after, before);
	stile_buffer_unref(sweep.buffer);
	end();
}
END_TEST

/* Has the application's handle, whose number it was told, been left alone? */
static void after_get_own(void *user, int ret) {
	const struct handle_sweep *sweep = user;
	if (ret == 0) {
		stile_drm_put_handle(drm, sweep->handle);
		ck_assert(is_alive(node, sweep->handle));
	}
}

/* Wrong code: whose a handle is cannot be found out, and so it is closed. */
START_TEST(own_handle_outlives_failures) {
	if (!begin(_i)) {
		return;
	}
	uint32_t own = make_dumb(node);
	struct handle_sweep sweep;
	ck_assert_int_eq(stile_drm_export_handle(drm, own, BOTH, NULL, &sweep.buffer), 0);
	ck_assert_uint_ge(ioctl_sweep(attempt_get_handle, after_get_own, &sweep), 3);
	ck_assert_uint_gt(failing_sweep(attempt_get_handle, after_get_own, &sweep, resources), 0);
	ck_assert_uint_eq(sweep.handle, own);
	stile_buffer_unref(sweep.buffer);
	end();
}
END_TEST

struct export_sweep {
	uint32_t handle;
	struct stile_buffer *buffer;
};

static int attempt_export(void *user) {
	struct export_sweep *sweep = user;
	return stile_drm_export_handle(drm, sweep->handle, BOTH, NULL, &sweep->buffer);
}

static void after_export(void *user, int ret) {
	struct export_sweep *sweep = user;
	ck_assert(ret == 0 || sweep->buffer == NULL);
	stile_buffer_unref(sweep->buffer);
	sweep->buffer = NULL;
}

/* Wrong code: the descriptor in between leaks, or a buffer comes without its note in the table. */
START_TEST(export_handle_fails_cleanly) {
	if (!begin(_i)) {
		return;
	}
	struct export_sweep sweep = { .handle = make_dumb(node) };
	ck_assert_uint_gt(failing_sweep(attempt_export, after_export, &sweep, resources), 1);
	ck_assert(is_alive(node, sweep.handle));
	end();
}
END_TEST

static int attempt_image(void *user) {
	struct stile_image **image = user;
	struct stile_device *device;
	*image = NULL;
	int ret = stile_drm_open_device(drm, NULL, NULL, &device);
	if (ret == 0) {
		struct stile_image_info info = describe(DRM_FORMAT_NV12, 64, 64);
		ret = stile_image_create(device, &info, image);
		stile_device_destroy(device);
	}
	return ret;
}

/*
 * As failing_sweep(), but that a name may get lost. Wrong code: of several planes, the descriptors of the
 * first ones leak; the allocator is freed twice.
 */
START_TEST(device_and_image_fail_cleanly) {
	if (!begin(_i)) {
		return;
	}
	const char *failed;
	unsigned calls = 0;
	do {
		struct stile_image *image;
		failing_begin(++calls);
		int ret = attempt_image(&image);
		failed = failing_end();
		if (failed == NULL || (ret == 0 && strcmp(failed, "ioctl") == 0)) {
			ck_assert_int_eq(ret, 0);
		} else {
			ck_assert_msg(ret == -ENOMEM || ret == -EMFILE || ret == -ENFILE,
				"call %u, %s: %d", calls, failed, ret);
			ck_assert_ptr_null(image);
		}
		stile_image_unref(image);
	} while (failed != NULL);
	ck_assert_uint_gt(calls, 5);
	end();
}
END_TEST

static void after_image(void *user, int ret) {
	struct stile_image **image = user;
	ck_assert(ret == 0 || *image == NULL);
	stile_image_unref(*image);
	*image = NULL;
}

/* The same for the driver's own failures. Wrong code: EINTR is not repeated; a handle or a descriptor from before the failure stays. */
START_TEST(driver_fails_cleanly) {
	if (!begin(_i)) {
		return;
	}
	struct handle_sweep handles = { .buffer = make_buffer() };
	struct export_sweep exports = { .handle = make_dumb(node) };
	struct stile_image *image = NULL;
	uint32_t before = make_dumb(node);
	ck_assert_int_eq(drmCloseBufferHandle(node, before), 0);
	ck_assert_uint_ge(ioctl_sweep(attempt_get_handle, after_get_handle, &handles), 2);
	ck_assert_uint_ge(ioctl_sweep(attempt_export, after_export, &exports), 2);
	ck_assert_uint_ge(ioctl_sweep(attempt_image, after_image, &image), 4);
	ck_assert(is_alive(node, exports.handle));
	uint32_t after = make_dumb(node);
	ck_assert_uint_eq(after, before);
	stile_buffer_unref(handles.buffer);
	end();
}
END_TEST

/* ---- Drivers that are different ------------------------------------------------------------ */

/* Neither imports nor exports, and has no dumb buffers. */
static int lack_everything(int fd, unsigned long request, void *arg) {
	struct drm_get_cap *cap = arg;
	int ret = any_ioctl_real(fd, request, arg);
	if (request == DRM_IOCTL_GET_CAP && ret == 0 &&
		(cap->capability == DRM_CAP_PRIME || cap->capability == DRM_CAP_DUMB_BUFFER)) {
		cap->value = 0;
	}
	if (request == DRM_IOCTL_MODE_CREATE_DUMB) {
		errno = ENOSYS;
		ret = -1;
	}
	return ret;
}

/* Wrong code: what a driver cannot do is tried all the same, and its -ENOSYS handed on. */
START_TEST(missing_capabilities_are_told) {
	if (!begin(_i)) {
		return;
	}
	struct stile_report why = { .size = sizeof(why) };
	struct stile_buffer *buffer = make_buffer(), *none;
	struct stile_device *device;
	uint32_t handle;
	any_ioctl_set(lack_everything);
	ck_assert_int_eq(stile_drm_get_handle(drm, buffer, &why, &handle), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(why.text, "does not import"));
	ck_assert_int_eq(stile_drm_export_handle(drm, 1, READ, &why, &none), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(why.text, "does not export"));
	ck_assert_int_eq(stile_drm_open_device(drm, NULL, &why, &device), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(why.text, "no dumb buffers"));
	any_ioctl_set(NULL);
	stile_buffer_unref(buffer);
	end();
}
END_TEST

static uint64_t told_prime;

/* Does one of the two. */
static int have_half_of_prime(int fd, unsigned long request, void *arg) {
	struct drm_get_cap *cap = arg;
	int ret = any_ioctl_real(fd, request, arg);
	if (request == DRM_IOCTL_GET_CAP && ret == 0 && cap->capability == DRM_CAP_PRIME) {
		cap->value = told_prime;
	}
	return ret;
}

/* Wrong code: a driver that exports is taken for one that imports, or the other way round. */
START_TEST(capability_is_that_for_the_direction) {
	if (!begin(_i)) {
		return;
	}
	struct stile_report why = { .size = sizeof(why) };
	struct stile_buffer *buffer = make_buffer(), *none;
	struct stile_device *device;
	uint32_t handle;
	any_ioctl_set(have_half_of_prime);
	told_prime = DRM_PRIME_CAP_EXPORT;
	ck_assert_int_eq(stile_drm_get_handle(drm, buffer, &why, &handle), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(why.text, "does not import"));
	told_prime = DRM_PRIME_CAP_IMPORT;
	ck_assert_int_eq(stile_drm_export_handle(drm, 1, READ, &why, &none), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(why.text, "does not export"));
	ck_assert_int_eq(stile_drm_open_device(drm, NULL, &why, &device), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(why.text, "does not export"));
	any_ioctl_set(NULL);
	stile_buffer_unref(buffer);
	end();
}
END_TEST

static uint32_t told_pitch;

/* Rows are longer than they need to be. */
static int make_long_rows(int fd, unsigned long request, void *arg) {
	struct drm_mode_create_dumb *dumb = arg;
	if (request != DRM_IOCTL_MODE_CREATE_DUMB) {
		return any_ioctl_real(fd, request, arg);
	}
	uint32_t width = dumb->width;
	dumb->width = (told_pitch + 3) / 4;
	int ret = any_ioctl_real(fd, request, arg);
	dumb->width = width;
	dumb->pitch = told_pitch;
	return ret;
}

/* Wrong code: the pitch that was wanted instead of the driver's; or one that other drivers crash on. */
START_TEST(pitch_is_the_drivers) {
	if (!begin(_i)) {
		return;
	}
	any_ioctl_set(make_long_rows);
	told_pitch = 1024;
	struct stile_image *image = make_image(DRM_FORMAT_NV12, 68, 20);
	const struct stile_image_info *info = stile_image_get_info(image);
	check_layout(image, stile_format_get(DRM_FORMAT_NV12));
	ck_assert_uint_eq(info->planes[0].pitch, 1024);
	ck_assert_uint_eq(info->planes[1].pitch, 1024);
	ck_assert_uint_eq(info->planes[1].offset, 20480);
	stile_image_unref(image);

	told_pitch = 1000;
	struct stile_device *device = open_device();
	struct stile_image_info wanted = describe(DRM_FORMAT_NV12, 68, 20);
	ck_assert_int_eq(stile_image_create(device, &wanted, &image), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(heard, "1000"));
	any_ioctl_set(NULL);
	stile_device_destroy(device);
	end();
}
END_TEST

/* ---- The suite ----------------------------------------------------------------------------- */

static void add_identity_tests(TCase *tcase) {
	tcase_add_loop_test(tcase, wrong_descriptors_are_no_nodes, 0, WRONG_FDS);
	tcase_add_loop_test(tcase, impossible_sizes_are_refused, 0, DRIVERS);
	tcase_add_loop_test(tcase, identity_has_both_nodes_and_where_it_is, 0, DRIVERS);
	tcase_add_loop_test(tcase, identity_fills_a_smaller_struct, 0, DRIVERS);
	tcase_add_loop_test(tcase, primary_and_render_node_are_one_device, 0, DRIVERS);
	tcase_add_loop_test(tcase, device_is_found_by_number_and_address, 0, DRIVERS);
	tcase_add_test(tcase, unknown_device_is_not_found);
	tcase_add_test(tcase, device_is_found_without_a_right_to_it);
	tcase_add_loop_test(tcase, device_is_known_where_its_nodes_cannot_be_seen, 0, DRIVERS);
}

static void add_handle_tests(TCase *tcase) {
	tcase_add_loop_test(tcase, handle_lives_until_it_was_put_as_often_as_got, 0, DRIVERS);
	tcase_add_loop_test(tcase, adapters_of_one_open_file_count_together, 0, DRIVERS);
	tcase_add_loop_test(tcase, open_files_of_one_node_count_apart, 0, DRIVERS);
	tcase_add_loop_test(tcase, last_adapter_closes_what_was_not_put, 0, DRIVERS);
	tcase_add_loop_test(tcase, handle_of_the_application_is_never_closed, 0, DRIVERS);
	tcase_add_loop_test(tcase, handle_after_the_applications_own_is_closed, 0, DRIVERS);
	tcase_add_loop_test(tcase, number_that_is_used_again_is_counted_anew, 0, DRIVERS);
	tcase_add_loop_test(tcase, counted_handle_stays_counted_when_exported, 0, DRIVERS);
	tcase_add_loop_test(tcase, handle_and_buffer_are_the_same_memory, 0, DRIVERS);
	tcase_add_loop_test(tcase, export_for_reading_leaves_others_their_rights, 0, DRIVERS);
	tcase_add_loop_test(tcase, memory_exported_read_only_is_refused_for_writing, 0, DRIVERS);
	tcase_add_loop_test(tcase, handles_and_usages_that_are_none_are_refused, 0, DRIVERS);
	tcase_add_loop_test(tcase, memory_that_is_no_dma_buf_is_refused_in_words, 0, DRIVERS);
	tcase_add_loop_test(
		tcase, memory_of_another_driver_is_taken_or_refused_in_words, 0, DRIVERS);
	tcase_add_loop_test(tcase, handle_that_a_thread_has_is_alive, 0, DRIVERS);
}

static void add_dumb_tests(TCase *tcase) {
	tcase_add_loop_test(tcase, images_are_laid_out_as_others_take_them, 0, DRIVERS);
	tcase_add_loop_test(tcase, memory_is_zeroed_and_keeps_what_is_written, 0, DRIVERS);
	tcase_add_loop_test(tcase, plain_buffers_have_all_their_bytes, 0, DRIVERS);
	tcase_add_loop_test(tcase, device_goes_on_without_adapter_and_node, 0, DRIVERS);
	tcase_add_loop_test(tcase, allocating_leaves_no_handle, 0, DRIVERS);
	tcase_add_loop_test(tcase, render_node_is_refused_and_the_primary_named, 0, DRIVERS);
	tcase_add_loop_test(tcase, impossible_images_are_refused, 0, DRIVERS);
	tcase_add_loop_test(tcase, wrong_device_info_is_refused, 0, DRIVERS);
}

static void add_failing_tests(TCase *tcase) {
	tcase_add_loop_test(tcase, create_fails_cleanly, 0, DRIVERS);
	tcase_add_loop_test(tcase, get_handle_fails_cleanly, 0, DRIVERS);
	tcase_add_loop_test(tcase, own_handle_outlives_failures, 0, DRIVERS);
	tcase_add_loop_test(tcase, export_handle_fails_cleanly, 0, DRIVERS);
	tcase_add_loop_test(tcase, device_and_image_fail_cleanly, 0, DRIVERS);
	tcase_add_loop_test(tcase, driver_fails_cleanly, 0, DRIVERS);
	tcase_add_loop_test(tcase, missing_capabilities_are_told, 0, DRIVERS);
	tcase_add_loop_test(tcase, capability_is_that_for_the_direction, 0, DRIVERS);
	tcase_add_loop_test(tcase, pitch_is_the_drivers, 0, DRIVERS);
}

static Suite *make_suite(void) {
	static const struct {
		const char *name;
		void (*add)(TCase *);
	} cases[] = {
		{ "identity", add_identity_tests },
		{ "handles", add_handle_tests },
		{ "dumb buffers", add_dumb_tests },
		{ "failing", add_failing_tests },
	};
	Suite *suite = suite_create("drm");
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		TCase *tcase = ledger_tcase_create(cases[i].name);
		tcase_set_timeout(tcase, 60);
		cases[i].add(tcase);
		suite_add_tcase(suite, tcase);
	}
	return suite;
}

int main(int argc, char **argv) {
	static const struct runner_role roles[] = { { "nobody", play_nobody },
		{ "sandbox", play_sandbox }, { NULL, NULL } };
	size_t there = 0;
	for (size_t i = 0; i < DRIVERS; i++) {
		devices[i].size = sizeof(devices[i]);
		if (stile_drm_find_driver(drivers[i], &devices[i]) == 0) {
			there++;
		} else if (argc == 1) {
			printf("no device of %s\n", drivers[i]);
		}
	}
	if (there == 0 && argc == 1) {
		printf("no DRM node of vgem, vkms or virtio_gpu that may be opened\n");
		return RUNNER_SKIP;
	}
	return runner_main(argc, argv, make_suite, roles);
}
