/* SPDX-License-Identifier: MIT */
/*
 * What it costs, and how long it takes, that GL comes after work of Vulkan: both uses are begun and ended, a
 * fence is made of the work, a thread of Stile waits for the driver, the thread with the context waits for
 * the fence. The semaphores are the driver's; the end of a submission is said by a thread of this program in the
 * place of the driver's own, so that its moment is known.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <stile/stile.h>

#include "demos/gles_drawer.h"
#include "demos/vulkan_drawer.h"
#include "interop-tests/bench/fence.h"
#include "interop-tests/bench/interop.h"

enum {
	ROUNDS = 2000,
	WARM_UP = 50,
	LOOKS = 20,
	LOOK_NS = 50000,
	LONG_NS = 10000000,
	LONG_ROUNDS = 20
};

/* Each thread wakes one on the other processor, if there are two. */
enum { OWN_PROCESSOR, HOP_PROCESSOR };

enum way { WAY_FUTEX, WAY_STILE, WAY_STOP };

/* A thread that sleeps until a word is raised. */
struct step {
	uint32_t word;
	int stat_fd; /* what the kernel says of who sleeps */
};

struct handover {
	struct vulkan_drawer vulkan;
	struct gles_drawer gles;
	struct stile_device *device;
	struct stile_image *image;
	struct stile_vulkan *stile; /* over the entry points below */

	/* The threads in the driver's and the bridge's place take turns with the first one. */
	pthread_t driver, relay;
	enum way way;
	int64_t delay_ns; /* how long the work takes */
	bool ready;       /* the first thread is about to wait */
	struct step go;   /* the driver's thread */
	struct step hop; /* of bare futexes: the relay; of Stile: whoever waits for the semaphore */
	struct step end; /* of bare futexes: the first thread */
	int64_t signaled_ns;
	int64_t relayed_ns; /* CPU time of the relay's wakes */
};

/* ---- Clocks and words ----------------------------------------------------------------------- */

static int64_t cpu_now(void) {
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void word_wait(uint32_t *word) {
	while (__atomic_exchange_n(word, 0, __ATOMIC_ACQUIRE) == 0) {
		syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	}
}

static void word_raise(uint32_t *word) {
	__atomic_store_n(word, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static int open_stat(long thread) {
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/task/%ld/stat", thread);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		abort();
	}
	return fd;
}

/* ---- The driver's entry points -------------------------------------------------------------- */

/* What Stile submitted last, and what its thread does with the driver. */
static struct {
	VkDevice device;
	VkSemaphore semaphore;
	uint64_t value;
	int stat_fd;      /* of the thread that waits; 0: it has not waited yet */
	bool counts;      /* CPU time, by system calls */
	int64_t left_ns;  /* when it came back from the driver, by its own CPU clock */
	int64_t stile_ns; /* CPU time of that thread between two calls of the driver */
	int64_t all_ns;   /* CPU time of it */
} seen;

static VKAPI_ATTR VkResult VKAPI_CALL note_submit(
	VkQueue queue, uint32_t count, const VkSubmitInfo *infos, VkFence fence) {
	(void)queue;
	(void)fence;
	if (count != 1 || infos->signalSemaphoreCount != 1) {
		abort();
	}
	const VkTimelineSemaphoreSubmitInfo *values = infos->pNext;
	seen.semaphore = infos->pSignalSemaphores[0];
	seen.value = values->pSignalSemaphoreValues[0];
	return VK_SUCCESS;
}

static void enter_driver(void) {
	if (seen.stat_fd == 0) {
		__atomic_store_n(&seen.stat_fd, open_stat(syscall(SYS_gettid)), __ATOMIC_RELEASE);
	}
	if (__atomic_load_n(&seen.counts, __ATOMIC_RELAXED)) {
		/* It counts from when it has come back once. */
		int64_t spent_ns = seen.left_ns == 0 ? 0 : cpu_now() - seen.left_ns;
		__atomic_fetch_add(&seen.stile_ns, spent_ns, __ATOMIC_RELAXED);
	}
}

static void leave_driver(void) {
	if (__atomic_load_n(&seen.counts, __ATOMIC_RELAXED)) {
		seen.left_ns = cpu_now();
		__atomic_store_n(&seen.all_ns, seen.left_ns, __ATOMIC_RELAXED);
	}
}

static VKAPI_ATTR VkResult VKAPI_CALL note_wait(
	VkDevice device, const VkSemaphoreWaitInfo *info, uint64_t timeout_ns) {
	enter_driver();
	VkResult result = vkWaitSemaphores(device, info, timeout_ns);
	leave_driver();
	return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL note_get(
	VkDevice device, VkSemaphore semaphore, uint64_t *value) {
	enter_driver();
	VkResult result = vkGetSemaphoreCounterValue(device, semaphore, value);
	leave_driver();
	return result;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL device_proc(VkDevice device, const char *name) {
	static const struct {
		const char *name;
		PFN_vkVoidFunction proc;
	} noted[] = {
		{ "vkQueueSubmit", (PFN_vkVoidFunction)note_submit },
		{ "vkWaitSemaphores", (PFN_vkVoidFunction)note_wait },
		{ "vkGetSemaphoreCounterValue", (PFN_vkVoidFunction)note_get },
	};
	for (size_t i = 0; i < sizeof(noted) / sizeof(noted[0]); i++) {
		if (strcmp(noted[i].name, name) == 0) {
			return noted[i].proc;
		}
	}
	return vkGetDeviceProcAddr(device, name);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL instance_proc(
	VkInstance instance, const char *name) {
	return strcmp(name, "vkGetDeviceProcAddr") == 0 ? (PFN_vkVoidFunction)device_proc
							: vkGetInstanceProcAddr(instance, name);
}

static void end_submission(void) {
	const VkSemaphoreSignalInfo info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO,
		.semaphore = seen.semaphore,
		.value = seen.value,
	};
	vkSignalSemaphore(seen.device, &info);
}

/* ---- The other threads ---------------------------------------------------------------------- */

static void pause_ns(int64_t ns) {
	const struct timespec pause = { .tv_nsec = (long)ns };
	nanosleep(&pause, NULL);
}

/* Until both sleep; but some drivers do not sleep. */
static void see_asleep(const struct handover *handover, int hop_fd) {
	do {
		pause_ns(LOOK_NS);
	} while (!__atomic_load_n(&handover->ready, __ATOMIC_ACQUIRE) ||
		!fence_is_asleep(handover->end.stat_fd));
	for (int i = 0; i < LOOKS && !fence_is_asleep(hop_fd); i++) {
		pause_ns(LOOK_NS);
	}
}

static void *run_driver(void *data) {
	struct handover *handover = data;
	fence_pin(OWN_PROCESSOR);
	for (;;) {
		word_wait(&handover->go.word);
		if (handover->way == WAY_STOP) {
			return NULL;
		}
		bool bare = handover->way == WAY_FUTEX;
		if (!bare) {
			while (__atomic_load_n(&seen.stat_fd, __ATOMIC_ACQUIRE) == 0) {
				pause_ns(LOOK_NS);
			}
		}
		see_asleep(handover, bare ? handover->hop.stat_fd : seen.stat_fd);
		if (handover->delay_ns > 0) {
			pause_ns(handover->delay_ns);
		}
		handover->signaled_ns = bench_now();
		if (bare) {
			word_raise(&handover->hop.word);
		} else {
			end_submission();
		}
	}
}

static void *run_relay(void *data) {
	struct handover *handover = data;
	fence_pin(HOP_PROCESSOR);
	__atomic_store_n(&handover->hop.stat_fd, open_stat(syscall(SYS_gettid)), __ATOMIC_RELEASE);
	for (;;) {
		word_wait(&handover->hop.word);
		if (handover->way == WAY_STOP) {
			return NULL;
		}
		int64_t began_ns = cpu_now();
		word_raise(&handover->end.word);
		__atomic_fetch_add(&handover->relayed_ns, cpu_now() - began_ns, __ATOMIC_RELAXED);
	}
}

static int start_threads(struct handover *handover) {
	handover->end.stat_fd = open_stat(getpid());
	int ret = pthread_create(&handover->relay, NULL, run_relay, handover);
	if (ret == 0) {
		ret = pthread_create(&handover->driver, NULL, run_driver, handover);
	}
	while (ret == 0 && __atomic_load_n(&handover->hop.stat_fd, __ATOMIC_ACQUIRE) == 0) {
		pause_ns(LOOK_NS);
	}
	return -ret;
}

static void stop_threads(struct handover *handover) {
	handover->way = WAY_STOP;
	word_raise(&handover->go.word);
	word_raise(&handover->hop.word);
	pthread_join(handover->driver, NULL);
	pthread_join(handover->relay, NULL);
	close(handover->hop.stat_fd);
	close(handover->end.stat_fd);
	close(seen.stat_fd);
}

/* ---- One hand-over -------------------------------------------------------------------------- */

static void begin(struct handover *handover, uint32_t usage, struct stile_access *access) {
	const struct stile_access_info info = { .size = sizeof(info), .usage = usage };
	if (stile_access_begin(handover->image, &info, access) < 0) {
		abort();
	}
}

static void end(struct stile_access *access, struct stile_fence *fence) {
	if (stile_access_end(access, fence) < 0) {
		abort();
	}
}

/* Vulkan's side: its work is what the driver's thread ends. */
static void produce(struct handover *handover) {
	struct stile_access access;
	struct stile_fence *fence;
	begin(handover, STILE_USAGE_WRITE, &access);
	if (stile_vulkan_fence_create(handover->stile, &fence) < 0) {
		abort();
	}
	end(&access, fence);
	stile_fence_unref(fence);
}

/* GL's side: when it may go on. */
static int64_t consume(struct handover *handover) {
	struct stile_access access;
	struct stile_path path = { .size = sizeof(path) };
	begin(handover, STILE_USAGE_READ, &access);
	if (access.count != 1) {
		abort();
	}
	__atomic_store_n(&handover->ready, true, __ATOMIC_RELEASE);
	if (stile_egl_wait_fence(handover->gles.stile, access.fences[0], INT64_MAX, &path) < 0 ||
		path.kind != STILE_PATH_CPU_WAIT) {
		abort();
	}
	int64_t woke_ns = bench_now();
	end(&access, NULL);
	return woke_ns;
}

static void prepare(struct handover *handover, enum way way) {
	handover->way = way;
	__atomic_store_n(&handover->ready, false, __ATOMIC_RELAXED);
	word_raise(&handover->go.word);
}

static void wait_bare(struct handover *handover) {
	__atomic_store_n(&handover->ready, true, __ATOMIC_RELEASE);
	word_wait(&handover->end.word);
}

/* ns from the driver's signal until this thread runs. */
static double wake_bare(struct handover *handover) {
	prepare(handover, WAY_FUTEX);
	wait_bare(handover);
	return (double)(bench_now() - handover->signaled_ns);
}

static double wake_stile(struct handover *handover) {
	prepare(handover, WAY_STILE);
	produce(handover);
	return (double)(consume(handover) - handover->signaled_ns);
}

/* ---- Rows ----------------------------------------------------------------------------------- */

static void report_wake(const char *name, double value, double baseline, bool is_goal) {
	struct bench_row row = {
		.value = value / 1e3,
		.unit = "us",
		.baseline_name = "two bare futex wakes",
		.baseline = baseline / 1e3,
		.ratio = value / baseline,
		.goal = is_goal ? "value <= 1.2 x baseline" : NULL,
		.met = value <= 1.2 * baseline,
	};
	snprintf(row.name, sizeof(row.name), "%s", name);
	interop_report(row);
}

static void measure_latency(struct handover *handover) {
	static double stile[ROUNDS], bare[ROUNDS];
	for (size_t i = 0; i < WARM_UP + ROUNDS; i++) {
		size_t at = i < WARM_UP ? 0 : i - WARM_UP;
		bare[at] = wake_bare(handover);
		stile[at] = wake_stile(handover);
	}
	report_wake("Vulkan to EGL, signal until it runs", bench_median(stile, ROUNDS),
		bench_median(bare, ROUNDS), true);
	report_wake("Vulkan to EGL, signal until it runs, p99", bench_p99(stile, ROUNDS),
		bench_p99(bare, ROUNDS), false);
}

static void report_cpu(const char *name, double us, const char *goal, bool met) {
	struct bench_row row = { .value = us, .unit = "us", .goal = goal, .met = met };
	snprintf(row.name, sizeof(row.name), "%s", name);
	interop_report(row);
}

/* That a thread sleeps and another one wakes it costs something whoever has them do so: on some machines 15 us each. */
static void report_handover(double caller, double bridge, double bare) {
	struct bench_row row = {
		.name = "Vulkan to EGL, CPU time in Stile",
		.value = caller + bridge,
		.unit = "us",
		.baseline_name = "sleep and wake by bare futexes",
		.baseline = bare,
		.ratio = (caller + bridge) / bare,
		.goal = "value <= baseline + 10 us",
		.met = caller + bridge <= bare + 10,
	};
	interop_report(row);
	report_cpu("Vulkan to EGL, the bridge's part", bridge, NULL, true);
}

/* Of the thread that begins, waits and ends: with the driver it has nothing to do. */
static void measure_cpu(struct handover *handover) {
	static double caller[ROUNDS], bare[ROUNDS];
	__atomic_store_n(&seen.counts, true, __ATOMIC_RELAXED);
	(void)wake_stile(handover);
	int64_t began = __atomic_load_n(&seen.stile_ns, __ATOMIC_RELAXED);
	int64_t relay_began = __atomic_load_n(&handover->relayed_ns, __ATOMIC_RELAXED);
	for (size_t i = 0; i < ROUNDS; i++) {
		prepare(handover, WAY_STILE);
		int64_t began_ns = cpu_now();
		produce(handover);
		(void)consume(handover);
		caller[i] = (double)(cpu_now() - began_ns) / 1e3;
		prepare(handover, WAY_FUTEX);
		began_ns = cpu_now();
		wait_bare(handover);
		bare[i] = (double)(cpu_now() - began_ns) / 1e3;
	}
	int64_t took = __atomic_load_n(&seen.stile_ns, __ATOMIC_RELAXED) - began;
	int64_t relayed = __atomic_load_n(&handover->relayed_ns, __ATOMIC_RELAXED) - relay_began;
	report_handover(bench_median(caller, ROUNDS), (double)took / 1e3 / ROUNDS,
		bench_median(bare, ROUNDS) + (double)relayed / 1e3 / ROUNDS);
}

/* What a thread costs that waits for work that takes long: it is to sleep, in the driver too. */
static void measure_long(struct handover *handover) {
	handover->delay_ns = LONG_NS;
	int64_t began = __atomic_load_n(&seen.all_ns, __ATOMIC_RELAXED);
	for (size_t i = 0; i < LONG_ROUNDS; i++) {
		(void)wake_stile(handover);
	}
	int64_t took = __atomic_load_n(&seen.all_ns, __ATOMIC_RELAXED) - began;
	handover->delay_ns = 0;
	double us = (double)took / 1e3 / LONG_ROUNDS;
	report_cpu("CPU time of 10 ms of waiting, driver's too", us, "value <= 100 us", us <= 100);
}

/* ---- All of it ------------------------------------------------------------------------------ */

static int create_image(struct handover *handover) {
	const struct stile_image_info info = {
		.size = sizeof(info),
		.width = 64,
		.height = 64,
		.fourcc = DRM_FORMAT_ABGR8888,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.modifier = DRM_FORMAT_MOD_LINEAR,
	};
	int ret = stile_device_open("swgpu", NULL, &handover->device);
	return ret < 0 ? ret : stile_image_create(handover->device, &info, &handover->image);
}

static int handover_init(struct handover *handover) {
	int ret = vulkan_drawer_init(&handover->vulkan, false);
	if (ret == 0) {
		ret = gles_drawer_init(&handover->gles);
	}
	if (ret == 0) {
		ret = create_image(handover);
	}
	if (ret < 0) {
		return ret;
	}
	struct stile_vulkan_info info = vulkan_drawer_describe(&handover->vulkan);
	info.get_instance_proc_addr = instance_proc;
	seen.device = handover->vulkan.device;
	/* Its threads stay where it is made. */
	fence_pin(HOP_PROCESSOR);
	ret = stile_vulkan_create(&info, NULL, &handover->stile);
	fence_unpin();
	return ret;
}

static void handover_finish(struct handover *handover) {
	stile_vulkan_destroy(handover->stile);
	stile_image_unref(handover->image);
	stile_device_destroy(handover->device);
	gles_drawer_finish(&handover->gles);
	vulkan_drawer_finish(&handover->vulkan);
}

int interop_bench_handover(void) {
	static struct handover handover;
	int ret = handover_init(&handover);
	if (ret == 0) {
		ret = start_threads(&handover);
	}
	if (ret == 0) {
		fence_pin(OWN_PROCESSOR);
		measure_latency(&handover);
		measure_cpu(&handover);
		measure_long(&handover);
		fence_unpin();
		stop_threads(&handover);
	}
	handover_finish(&handover);
	return ret;
}
