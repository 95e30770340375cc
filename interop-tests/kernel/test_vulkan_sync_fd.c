/* SPDX-License-Identifier: MIT */
/*
 * The kernel's fences in Vulkan's semaphores, and Vulkan's work as the kernel's fence: SYNC_FD. What
 * holds the device up is a fence of vgem's, which the test ends when it likes. KERNEL_CONTRACT sections 5
 * and 6, X-2.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/drm_syncobj.h>
#include <stile/stile.h>
#include <stile/timeline.h>
#include <stile/vulkan_sync.h>

#include "demos/job.h"
#include "demos/vulkan_drawer.h"
#include "interop-tests/interop/gate.h"
#include "interop-tests/interop/images.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "interop-tests/support/vgem.h"

static struct vulkan_drawer drawer;
static struct stile_device *device;
static int vgem = -1;

static void start_vulkan(void) {
	ck_assert_int_eq(vulkan_drawer_init(&drawer, false), 0);
}

static void stop_vulkan(void) {
	vulkan_drawer_finish(&drawer);
}

static void set_up(void) {
	device = images_open_device();
	vgem = vgem_open();
	ck_assert_int_ge(vgem, 0);
}

static void tear_down(void) {
	close(vgem);
	stile_device_destroy(device);
}

/* ---- A producer that is held ---------------------------------------------------------------- */

/* A fence of the kernel's that the test ends. */
struct producer {
	int number;
	struct stile_fence *fence; /* follows it */
	atomic_bool over;          /* set right before it is ended */
	pthread_t thread;
};

static void producer_begin(struct producer *producer) {
	*producer = (struct producer){ .number = -1 };
	int fd = vgem_sync_file(vgem, &producer->number);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(
		stile_fence_import_fd(device, STILE_FD_SYNC_FILE, 0, fd, &producer->fence), 0);
	close(fd);
}

static void producer_end(struct producer *producer) {
	atomic_store(&producer->over, true);
	runner_require(vgem_signal(vgem, producer->number) == 0,
		"the producer's fence has ended by itself");
}

static void *end_later(void *arg) {
	runner_sleep_ms(50);
	producer_end(arg);
	return NULL;
}

static void producer_end_later(struct producer *producer) {
	ck_assert_int_eq(pthread_create(&producer->thread, NULL, end_later, producer), 0);
}

static void producer_finish(struct producer *producer) {
	if (producer->thread != 0) {
		pthread_join(producer->thread, NULL);
	}
	stile_fence_unref(producer->fence);
}

/* ---- Its consumer --------------------------------------------------------------------------- */

static VkSemaphore create_binary(void) {
	VkSemaphoreCreateInfo info = { .sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO };
	VkSemaphore binary;
	ck_assert_int_eq(vkCreateSemaphore(drawer.device, &info, NULL, &binary), VK_SUCCESS);
	return binary;
}

static struct stile_vulkan_wait cross(struct stile_vulkan *vulkan, struct stile_fence *fence,
	VkSemaphore binary, enum stile_path_kind kind) {
	struct stile_vulkan_wait wait = { .size = sizeof(wait), .binary = binary };
	struct stile_path path = { .size = sizeof(path) };
	ck_assert_int_eq(stile_vulkan_wait_fence(vulkan, fence, &path, &wait), 0);
	ck_assert_int_eq(path.kind, kind);
	ck_assert_int_eq(path.blocked_ns, 0);
	return wait;
}

static void submit_behind(const struct stile_vulkan_wait *wait) {
	VkPipelineStageFlags stage = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
	VkTimelineSemaphoreSubmitInfo timeline = {
		.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
		.waitSemaphoreValueCount = 1,
		.pWaitSemaphoreValues = &wait->value,
	};
	VkSubmitInfo submit = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.pNext = &timeline,
		.waitSemaphoreCount = 1,
		.pWaitSemaphores = &wait->semaphore,
		.pWaitDstStageMask = &stage,
	};
	ck_assert_int_eq(vkQueueSubmit(drawer.queue, 1, &submit, VK_NULL_HANDLE), VK_SUCCESS);
}

static void assert_ends(struct stile_fence *fence) {
	ck_assert_int_eq(stile_fence_wait(fence, job_deadline()), 0);
	ck_assert_int_eq(stile_fence_get_status(fence), 1);
}

/* Work behind the wait goes on no sooner than the producer ends. */
static void check_held(struct stile_vulkan *vulkan, const struct stile_vulkan_wait *wait,
	struct producer *producer) {
	struct stile_fence *work;
	submit_behind(wait);
	ck_assert_int_eq(stile_vulkan_fence_create(vulkan, &work), 0);
	runner_sleep_ms(50);
	ck_assert_int_eq(stile_fence_get_status(work), 0);
	producer_end(producer);
	assert_ends(work);
	stile_fence_unref(work);
}

/* ---- In ------------------------------------------------------------------------------------- */

/*
 * S-1. Wrong code: -1 or another file imported, which is a dependency lost; the semaphore imported into for good,
 * so that it is no longer unsignalled after its wait; the descriptor kept open.
 */
START_TEST(work_waits_for_the_kernels_fence_by_a_binary_semaphore) {
	VkSemaphore binary = create_binary();
	for (int i = 0; i < 3; i++) {
		struct producer producer;
		producer_begin(&producer);
		struct stile_vulkan_wait wait =
			cross(drawer.stile, producer.fence, binary, STILE_PATH_KERNEL);
		ck_assert(wait.semaphore == binary);
		ck_assert_uint_eq(wait.value, 0);
		check_held(drawer.stile, &wait, &producer);
		producer_finish(&producer);
	}
	vkDestroySemaphore(drawer.device, binary, NULL);
}
END_TEST

/* S-4. Wrong code: of several fences one is waited for. */
START_TEST(work_waits_for_all_of_a_container_of_the_kernels_fences) {
	VkSemaphore binary = create_binary();
	struct producer first, second;
	producer_begin(&first);
	producer_begin(&second);
	struct stile_fence *members[] = { first.fence, second.fence }, *both;
	ck_assert_int_eq(stile_fence_merge(members, 2, &both), 0);
	struct stile_vulkan_wait wait = cross(drawer.stile, both, binary, STILE_PATH_KERNEL);
	producer_end(_i == 0 ? &first : &second);
	check_held(drawer.stile, &wait, _i == 0 ? &second : &first);
	stile_fence_unref(both);
	producer_finish(&first);
	producer_finish(&second);
	vkDestroySemaphore(drawer.device, binary, NULL);
}
END_TEST

/* Wrong code: a semaphore of the adapter's own handed out, which the application would never give back. */
START_TEST(without_a_binary_semaphore_a_thread_tells_the_device) {
	struct producer producer;
	producer_begin(&producer);
	struct stile_vulkan_wait wait =
		cross(drawer.stile, producer.fence, VK_NULL_HANDLE, STILE_PATH_BRIDGE);
	ck_assert_uint_ne(wait.value, 0);
	check_held(drawer.stile, &wait, &producer);
	producer_finish(&producer);
}
END_TEST

/* Wrong code: a program's fence given to the driver in some other form. */
START_TEST(a_programs_fence_goes_by_a_thread_whatever_semaphore_there_is) {
	VkSemaphore binary = create_binary();
	struct gate gate;
	gate_init(&gate);
	struct stile_vulkan_wait wait = cross(drawer.stile, gate.fence, binary, STILE_PATH_BRIDGE);
	ck_assert(wait.semaphore != binary);
	gate_open(&gate);
	stile_fence_unref(gate.fence);
	vkDestroySemaphore(drawer.device, binary, NULL);
}
END_TEST

/* Wrong code: a wait for what is over, with a semaphore that nobody signals. */
START_TEST(what_is_over_needs_no_semaphore) {
	VkSemaphore binary = create_binary();
	struct producer producer;
	producer_begin(&producer);
	producer_end(&producer);
	struct stile_vulkan_wait wait =
		cross(drawer.stile, producer.fence, binary, STILE_PATH_NONE);
	ck_assert(wait.semaphore == VK_NULL_HANDLE);
	producer_finish(&producer);
	vkDestroySemaphore(drawer.device, binary, NULL);
}
END_TEST

/* ---- Out ------------------------------------------------------------------------------------ */

static bool has_sync_file(struct stile_fence *fence) {
	int fd;
	int ret = stile_fence_export_fd(
		fence, STILE_FD_SYNC_FILE, STILE_FD_ALLOW_SIGNALED, NULL, &fd);
	if (fd >= 0) {
		close(fd);
	}
	return ret == 0;
}

/*
 * X-2, S-1. Wrong code: a fence that ends before what its work waits for: above all, one of a semaphore that
 * the producer's was imported into.
 */
START_TEST(the_kernels_fence_of_work_ends_after_what_the_work_waits_for) {
	VkSemaphore binary = create_binary();
	struct producer producer;
	struct stile_path path = { .size = sizeof(path) };
	struct stile_fence *work;
	producer_begin(&producer);
	struct stile_vulkan_wait wait =
		cross(drawer.stile, producer.fence, binary, STILE_PATH_KERNEL);
	submit_behind(&wait);
	producer_end_later(&producer);
	ck_assert_int_eq(stile_vulkan_fence_create_sync_file(
				 drawer.stile, device, STILE_USER_FENCES_REFUSE, &path, &work),
		0);
	ck_assert(atomic_load(&producer.over) || stile_fence_get_status(work) == 0);
	ck_assert(path.kind == STILE_PATH_KERNEL || path.kind == STILE_PATH_NONE);
	ck_assert(!stile_fence_is_user(work));
	ck_assert(has_sync_file(work));
	assert_ends(work);
	ck_assert(atomic_load(&producer.over));
	/* A driver that exports nothing before the end has blocked, and the path does not hide it. */
	printf("vkGetSemaphoreFdKHR blocked for %lld ns\n", (long long)path.blocked_ns);
	stile_fence_unref(work);
	producer_finish(&producer);
	vkDestroySemaphore(drawer.device, binary, NULL);
}
END_TEST

/*
 * what the kernel waits for must not wait for a program. Wrong code: an export behind a pending bridge,
 * which hangs, or tells the kernel of an end that a program may never bring.
 */
START_TEST(behind_a_programs_fence_there_is_no_kernels_fence) {
	struct stile_path path = { .size = sizeof(path) };
	struct stile_fence *work;
	struct gate gate;
	gate_init(&gate);
	struct stile_vulkan_wait wait =
		cross(drawer.stile, gate.fence, VK_NULL_HANDLE, STILE_PATH_BRIDGE);
	submit_behind(&wait);
	ck_assert_int_eq(stile_vulkan_fence_create_sync_file(
				 drawer.stile, device, STILE_USER_FENCES_REFUSE, &path, &work),
		-EOPNOTSUPP);
	ck_assert_ptr_null(work);
	ck_assert_int_eq(stile_vulkan_fence_create_sync_file(
				 drawer.stile, device, STILE_USER_FENCES_HOLD, &path, &work),
		0);
	ck_assert_int_eq(path.kind, STILE_PATH_HANDLE);
	ck_assert_int_eq(path.blocked_ns, 0);
	ck_assert_int_eq(stile_fence_get_status(work), 0);
	ck_assert(!has_sync_file(work));
	gate_open(&gate);
	assert_ends(work);
	stile_fence_unref(work);
	stile_fence_unref(gate.fence);
}
END_TEST

/* The third choice. Wrong code: it does not wait, or says nothing of it. */
START_TEST(behind_a_programs_fence_that_was_waited_for_there_is_one) {
	struct stile_path path = { .size = sizeof(path) };
	struct stile_fence *work;
	struct gate gate;
	gate_init(&gate);
	struct stile_vulkan_wait wait =
		cross(drawer.stile, gate.fence, VK_NULL_HANDLE, STILE_PATH_BRIDGE);
	submit_behind(&wait);
	gate_open_later(&gate);
	gate_submitted(&gate);
	ck_assert_int_eq(stile_vulkan_fence_create_sync_file(
				 drawer.stile, device, STILE_USER_FENCES_WAIT, &path, &work),
		0);
	ck_assert_int_eq(stile_fence_get_status(gate.fence), 1);
	ck_assert(path.kind == STILE_PATH_KERNEL || path.kind == STILE_PATH_NONE);
	ck_assert_int_gt(path.blocked_ns, 0);
	ck_assert(has_sync_file(work));
	assert_ends(work);
	stile_fence_unref(work);
	gate_join(&gate);
	stile_fence_unref(gate.fence);
}
END_TEST

/* ---- The application's own semaphores and VkFences ------------------------------------------- */

static VkSemaphore create_exportable(void) {
	VkExportSemaphoreCreateInfo export = {
		.sType = VK_STRUCTURE_TYPE_EXPORT_SEMAPHORE_CREATE_INFO,
		.handleTypes = VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT,
	};
	VkSemaphoreCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
		.pNext = &export,
	};
	VkSemaphore semaphore;
	ck_assert_int_eq(vkCreateSemaphore(drawer.device, &info, NULL, &semaphore), VK_SUCCESS);
	return semaphore;
}

static VkFence create_exportable_fence(void) {
	VkExportFenceCreateInfo export = {
		.sType = VK_STRUCTURE_TYPE_EXPORT_FENCE_CREATE_INFO,
		.handleTypes = VK_EXTERNAL_FENCE_HANDLE_TYPE_SYNC_FD_BIT,
	};
	VkFenceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO,
		.pNext = &export,
	};
	VkFence fence;
	ck_assert_int_eq(vkCreateFence(drawer.device, &info, NULL, &fence), VK_SUCCESS);
	return fence;
}

/*
 * The kernel's fence into a semaphore or a VkFence of the application, and out again at once, which Mesa 26.1's
 * lavapipe loses. Wrong code: a fence that is over before the producer.
 */
START_TEST(what_is_put_into_the_applications_form_comes_out_again) {
	struct stile_vulkan_form form = {
		.size = sizeof(form),
		.semaphore = _i == 0 ? create_exportable() : VK_NULL_HANDLE,
		.fence = _i == 1 ? create_exportable_fence() : VK_NULL_HANDLE,
		.flags = STILE_VULKAN_EXPORTABLE,
		.device = device,
		.user_fences = STILE_USER_FENCES_REFUSE,
	};
	struct stile_path to = { .size = sizeof(to) }, from = { .size = sizeof(from) };
	struct producer producer;
	struct stile_fence *back;
	producer_begin(&producer);
	ck_assert_int_eq(
		stile_vulkan_export_fence(drawer.stile, producer.fence, &form, &to, NULL), 0);
	ck_assert_int_eq(stile_vulkan_import_fence(drawer.stile, &form, &from, NULL, &back), 0);
	printf("the application's %s: there by path %d, back by path %d, blocked for %lld ns\n",
		_i == 0 ? "semaphore" : "VkFence", to.kind, from.kind, (long long)from.blocked_ns);
	ck_assert(_i == 1 || to.kind == STILE_PATH_KERNEL);
	runner_sleep_ms(50);
	ck_assert_int_eq(stile_fence_get_status(back), 0);
	producer_end(&producer);
	assert_ends(back);
	stile_fence_unref(back);
	producer_finish(&producer);
	vkQueueWaitIdle(drawer.queue);
	vkDestroySemaphore(drawer.device, form.semaphore, NULL);
	vkDestroyFence(drawer.device, form.fence, NULL);
}
END_TEST

/* ---- A syncobj's points and a timeline semaphore's values ------------------------------------ */

/* Of a driver that has syncobjs; NULL: none here has, or may be opened. */
static struct stile_timeline *create_syncobj(void) {
	struct stile_drm_identity identity = { .size = sizeof(identity) };
	struct stile_drm_info info = { .size = sizeof(info), .fd = -1 };
	struct stile_timeline *made = NULL;
	struct stile_drm *drm;
	if (stile_drm_find_driver("virtio_gpu", &identity) == 0) {
		info.fd = open(identity.primary, O_RDWR | O_CLOEXEC);
	}
	if (info.fd < 0 || stile_drm_create(&info, NULL, &drm) < 0) {
		printf("there is no virtio_gpu that may be opened, which has syncobjs\n");
	} else {
		ck_assert_int_eq(stile_drm_syncobj_create(drm, "points", 0, NULL, &made), 0);
		stile_drm_destroy(drm);
	}
	if (info.fd >= 0) {
		close(info.fd);
	}
	return made;
}

static VkSemaphore create_timeline(void) {
	VkSemaphoreTypeCreateInfo type = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
		.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE,
	};
	VkSemaphoreCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
		.pNext = &type,
	};
	VkSemaphore semaphore;
	ck_assert_int_eq(vkCreateSemaphore(drawer.device, &info, NULL, &semaphore), VK_SUCCESS);
	return semaphore;
}

/*
 * A value that stands for a point, of which the fence is there (0) or is not even submitted (1) when the device is told
 * to wait. Wrong code: work that goes on without what the point stands for, or never.
 */
START_TEST(a_value_is_reached_when_a_point_is) {
	struct stile_timeline *points = create_syncobj(), *values;
	if (points == NULL) {
		return;
	}
	VkSemaphore semaphore = create_timeline();
	const struct stile_vulkan_wait wait = {
		.size = sizeof(wait), .semaphore = semaphore, .value = 5
	};
	struct stile_point point = { .timeline = points, .value = 3 };
	struct producer producer;
	struct stile_fence *of_point;
	ck_assert_int_eq(
		stile_vulkan_timeline_create(drawer.stile, "values", semaphore, &values), 0);
	producer_begin(&producer);
	if (_i == 0) {
		ck_assert_int_eq(stile_timeline_submit(points, point.value, producer.fence), 0);
		ck_assert_int_eq(stile_point_get_fence(&point, &of_point), 0);
	} else {
		ck_assert_int_eq(stile_timeline_create_fence(points, point.value, &of_point), 0);
	}
	ck_assert_int_eq(stile_timeline_submit(values, wait.value, of_point), 0);
	if (_i == 1) {
		runner_sleep_ms(20);
		ck_assert_int_eq(stile_timeline_submit(points, point.value, producer.fence), 0);
	}
	check_held(drawer.stile, &wait, &producer);
	ck_assert_uint_eq(stile_timeline_get_value(values), wait.value);
	stile_fence_unref(of_point);
	producer_finish(&producer);
	stile_timeline_unref(values);
	stile_timeline_unref(points);
	vkDestroySemaphore(drawer.device, semaphore, NULL);
}
END_TEST

/*
 * a value is a program's, a submission is the device's. Wrong code: a point that waits for a program; one that is
 * over before the work.
 */
START_TEST(a_point_stands_for_a_submission_and_not_for_a_value) {
	struct stile_timeline *points = create_syncobj(), *values;
	if (points == NULL) {
		return;
	}
	VkSemaphore semaphore = create_timeline();
	struct stile_point point = { .timeline = points, .value = 4 };
	struct stile_path path = { .size = sizeof(path) };
	struct stile_fence *of_value, *work;
	ck_assert_int_eq(
		stile_vulkan_timeline_create(drawer.stile, "values", semaphore, &values), 0);
	ck_assert_int_eq(stile_timeline_create_fence(values, 1, &of_value), 0);
	ck_assert_int_eq(stile_timeline_submit(points, point.value, of_value), -EOPNOTSUPP);
	ck_assert_int_eq(stile_point_get_state(&point), STILE_POINT_UNSUBMITTED);
	ck_assert_int_eq(stile_timeline_signal(values, 1), 0);
	const struct stile_vulkan_wait wait = {
		.size = sizeof(wait), .semaphore = semaphore, .value = 1
	};
	submit_behind(&wait);
	ck_assert_int_eq(stile_vulkan_fence_create_sync_file(
				 drawer.stile, device, STILE_USER_FENCES_REFUSE, &path, &work),
		0);
	ck_assert_int_eq(stile_timeline_submit(points, point.value, work), 0);
	ck_assert_int_eq(stile_point_wait(&point, STILE_POINT_SIGNALED, job_deadline(), NULL), 0);
	assert_ends(work);
	stile_fence_unref(work);
	stile_fence_unref(of_value);
	stile_timeline_unref(values);
	stile_timeline_unref(points);
	vkDestroySemaphore(drawer.device, semaphore, NULL);
}
END_TEST

/* ---- The validation layer ------------------------------------------------------------------- */

static bool has_layer(void) {
	VkLayerProperties layers[64];
	uint32_t n = 64;
	vkEnumerateInstanceLayerProperties(&n, layers);
	for (uint32_t i = 0; i < n; i++) {
		if (strcmp(layers[i].layerName, "VK_LAYER_KHRONOS_validation") == 0) {
			return true;
		}
	}
	return false;
}

/*
 * Wrong code: a semaphore that is signalled twice or imported into while it is in use, an export behind a
 * timeline value that nobody has submitted, a destroyed semaphore that the queue has still to do with.
 */
START_TEST(semaphores_that_come_and_go_leave_no_validation_message) {
	struct picture picture;
	struct job job;
	struct vulkan_drawer checked;
	ck_assert_int_eq(picture_draw_test_card(64, 64, &picture), 0);
	ck_assert_int_eq(job_init(&job, &picture, NULL), 0);
	ck_assert_int_eq(vulkan_drawer_init(&checked, true), 0);
	ck_assert_int_eq(vulkan_drawer_set_images(&checked, job.a, job.b), 0);
	checked.kernel = device;
	for (int i = 0; i < VULKAN_DRAWER_WAITS + 2; i++) {
		struct producer producer;
		struct stile_path path = { .size = sizeof(path) };
		struct stile_fence *done;
		producer_begin(&producer);
		ck_assert_int_eq(vulkan_drawer_wait(&checked, producer.fence, &path), 0);
		ck_assert_int_eq(path.kind, STILE_PATH_KERNEL);
		producer_end_later(&producer);
		ck_assert_int_eq(vulkan_drawer_draw(&checked, &transform_vulkan, &done), 0);
		ck_assert_int_ne(checked.exported.kind, STILE_PATH_HANDLE);
		assert_ends(done);
		stile_fence_unref(done);
		producer_finish(&producer);
	}
	vulkan_drawer_finish(&checked);
	ck_assert_uint_eq(checked.messages, 0);
	job_finish(&job);
	picture_finish(&picture);
}
END_TEST

/* What the loader and the layer open once and keep is not a leak. */
static void warm_layer_up(void) {
	struct vulkan_drawer checked;
	ck_assert_int_eq(vulkan_drawer_init(&checked, true), 0);
	vulkan_drawer_finish(&checked);
}

/* ---- A picture ------------------------------------------------------------------------------ */

/* The pixels, as somebody writes them who has the memory and does not know of Stile. */
static void fill(struct stile_image *image, const struct picture *picture) {
	const struct stile_image_plane *plane = &stile_image_get_info(image)->planes[0];
	struct stile_buffer *buffer = stile_image_get_buffer(image, 0);
	void *memory;
	ck_assert_int_eq(
		stile_buffer_mmap(buffer, STILE_USAGE_READ | STILE_USAGE_WRITE, &memory), 0);
	for (uint32_t y = 0; y < picture->height; y++) {
		memcpy((uint8_t *)memory + plane->offset + (size_t)y * plane->pitch,
			picture_at(picture, 0, y), (size_t)picture->width * 4);
	}
	stile_buffer_munmap(buffer, memory);
}

/* Somebody outside says that they write to the image; the number of their fence. */
static int begin_outside(struct stile_image *image) {
	int fd;
	ck_assert_int_eq(stile_buffer_export_fd(stile_image_get_buffer(image, 0),
				 STILE_USAGE_READ | STILE_USAGE_WRITE, &fd),
		0);
	int number = vgem_attach(vgem, fd, true);
	close(fd);
	ck_assert_int_ge(number, 0);
	return number;
}

/*
 * D-6: the demo's hop, behind a producer that only the kernel knows. It draws right before it ends; with the
 * hop's wait left out the picture is wrong, so the test can fail.
 */
START_TEST(a_picture_of_somebody_outside_is_drawn_when_it_is_there) {
	static const char *const memories[] = { "udmabuf", "dmabuf" };
	bool waits = _i < 2;
	struct picture picture, expected;
	struct job job;
	struct hop hop = { .duration_ns = 0 };
	struct stile_fence *done = NULL;
	unsigned largest;
	ck_assert_int_eq(picture_draw_test_card(200, 100, &picture), 0);
	ck_assert_int_eq(picture_create(200, 100, &expected), 0);
	ck_assert_int_eq(job_init(&job, &picture, memories[_i % 2]), 0);
	ck_assert_int_eq(vulkan_drawer_set_images(&drawer, job.a, job.b), 0);
	int number = begin_outside(job.a);

	if (waits) {
		ck_assert_int_eq(job_draw(&hop, &drawer, NULL, job.a, job.b), 0);
		ck_assert_int_eq(hop.path.kind, STILE_PATH_KERNEL);
		done = images_get_work(job.b);
		ck_assert_int_eq(stile_fence_get_status(done), 0);
	} else {
		ck_assert_int_eq(vulkan_drawer_draw(&drawer, &transform_vulkan, &done), 0);
		assert_ends(done);
	}
	fill(job.a, &picture);
	ck_assert_int_eq(vgem_signal(vgem, number), 0);

	assert_ends(done);
	stile_fence_unref(done);
	transform_apply(&transform_vulkan, &picture, &expected);
	images_read(job.b, &job.result);
	largest = picture_compare(&expected, &job.result);
	ck_assert_msg(waits == (largest <= 1), "the largest difference is %u", largest);
	vulkan_drawer_drop_images(&drawer);
	job_finish(&job);
	picture_finish(&expected);
	picture_finish(&picture);
}
END_TEST

/* ---------------------------------------------------------------------------------------------- */

static Suite *make_suite(void) {
	Suite *suite = suite_create("vulkan_sync_fd");
	TCase *tcase = tcase_create("SYNC_FD");
	tcase_set_timeout(tcase, 120);
	tcase_add_unchecked_fixture(tcase, start_vulkan, stop_vulkan);
	tcase_add_checked_fixture(tcase, ledger_open, ledger_close);
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, work_waits_for_the_kernels_fence_by_a_binary_semaphore);
	tcase_add_loop_test(tcase, work_waits_for_all_of_a_container_of_the_kernels_fences, 0, 2);
	tcase_add_test(tcase, without_a_binary_semaphore_a_thread_tells_the_device);
	tcase_add_test(tcase, a_programs_fence_goes_by_a_thread_whatever_semaphore_there_is);
	tcase_add_test(tcase, what_is_over_needs_no_semaphore);
	tcase_add_test(tcase, the_kernels_fence_of_work_ends_after_what_the_work_waits_for);
	tcase_add_test(tcase, behind_a_programs_fence_there_is_no_kernels_fence);
	tcase_add_test(tcase, behind_a_programs_fence_that_was_waited_for_there_is_one);
	tcase_add_loop_test(tcase, what_is_put_into_the_applications_form_comes_out_again, 0, 2);
	tcase_add_loop_test(tcase, a_value_is_reached_when_a_point_is, 0, 2);
	tcase_add_test(tcase, a_point_stands_for_a_submission_and_not_for_a_value);
	tcase_add_loop_test(tcase, a_picture_of_somebody_outside_is_drawn_when_it_is_there, 0, 4);
	suite_add_tcase(suite, tcase);
	if (has_layer()) {
		tcase = tcase_create("validation layer");
		tcase_set_timeout(tcase, 120);
		tcase_add_unchecked_fixture(tcase, warm_layer_up, NULL);
		tcase_add_checked_fixture(tcase, ledger_open, ledger_close);
		tcase_add_checked_fixture(tcase, set_up, tear_down);
		tcase_add_test(tcase, semaphores_that_come_and_go_leave_no_validation_message);
		suite_add_tcase(suite, tcase);
	}
	return suite;
}

/* Why it cannot run here; NULL: it can. */
static const char *find_obstacle(void) {
	int fd = vgem_open();
	if (fd < 0) {
		return "there is no vgem, whose fences a program can end";
	}
	close(fd);
	const char *obstacle = NULL;
	if (vulkan_drawer_init(&drawer, false) < 0) {
		obstacle = "there is no Vulkan that draws on the CPU";
	} else if (drawer.waits[0] == VK_NULL_HANDLE) {
		obstacle = "the Vulkan driver has no VK_KHR_external_semaphore_fd";
	}
	vulkan_drawer_finish(&drawer);
	return obstacle;
}

int main(int argc, char **argv) {
	const char *obstacle = find_obstacle();
	if (obstacle != NULL) {
		printf("skipped: %s\n", obstacle);
		return RUNNER_SKIP;
	}
	return runner_main(argc, argv, make_suite, NULL);
}
