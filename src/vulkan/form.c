/* SPDX-License-Identifier: MIT */
/*
 * The application's binary semaphores and VkFences: a fence is made of one, or put into one. By the
 * kernel's sync_file where that is possible, else by an empty submission; a VkFence can also be looked at.
 */
#include <errno.h>
#include <string.h>

#include <stile/access.h>
#include <stile/vulkan_sync.h>
#include <stile/wait.h>

#include "src/abi.h"
#include "src/os.h"
#include "src/path.h"
#include "src/report.h"
#include "src/vulkan/vulkan.h"

/* One call, with what it was given and what it found out. */
struct form_call {
	struct stile_vulkan *vulkan;
	struct stile_vulkan_form form;
	struct stile_path path;
	struct stile_report why;
};

static int call_begin(struct form_call *call, struct stile_vulkan *vulkan,
	const struct stile_vulkan_form *form, const struct stile_path *path,
	struct stile_report *report) {
	*call = (struct form_call){ .vulkan = vulkan, .path.size = sizeof(call->path) };
	int ret = report_copy_in(report, &call->form, sizeof(call->form), form);
	if (ret < 0 || path_check(path) < 0) {
		return ret < 0 ? ret : -EINVAL;
	}
	bool one = (call->form.semaphore == VK_NULL_HANDLE) != (call->form.fence == VK_NULL_HANDLE);
	if (one && (call->form.flags & ~(uint32_t)STILE_VULKAN_EXPORTABLE) == 0 &&
		path_policy_is_valid(call->form.user_fences)) {
		return 0;
	}
	ret = report_refuse(&call->why, -EINVAL, STILE_REASON_CALLER, 0, 0, call->form.flags,
		one ? "unknown flags 0x%x, or an unknown choice"
		    : "one of semaphore and fence is needed, not both (flags 0x%x)",
		call->form.flags);
	report_give(report, &call->why);
	return ret;
}

static int call_end(const struct form_call *call, int ret, struct stile_path *path,
	struct stile_report *report) {
	if (ret < 0) {
		report_give(report, &call->why);
		vulkan_log(call->vulkan, STILE_LOG_WARN, "%s", call->why.text);
	} else {
		path_give(path, call->path.kind, call->path.blocked_ns);
	}
	return ret;
}

/* Vulkan's binary semaphores must not wait for what nobody has submitted to a device. */
static int wait_unheld(struct form_call *call) {
	int64_t blocked_ns;
	int ret = vulkan_wait_unheld(call->vulkan, call->form.user_fences, &blocked_ns);
	call->path.blocked_ns += blocked_ns;
	if (ret < 0) {
		report_refuse(&call->why, ret, STILE_REASON_SYNC, 0, 0, 0,
			"the queue waits for a fence that a thread has still to tell it of: behind "
			"that, Vulkan forbids to wait for binary semaphores, to export and to "
			"present them%s",
			ret == -ETIME ? "; it was waited for in vain" : "");
	}
	return ret;
}

/* ---- A fence of them ---------------------------------------------------------------------- */

/* By the kernel's sync_file. -EOPNOTSUPP: that cannot be, and nothing was changed. */
static int import_exported(struct form_call *call, bool can, struct stile_fence **out) {
	const struct stile_vulkan_form *form = &call->form;
	if (!can || form->device == NULL || (form->flags & STILE_VULKAN_EXPORTABLE) == 0 ||
		!vulkan_sync_fd_exports_others(call->vulkan)) {
		return -EOPNOTSUPP;
	}
	struct stile_path path = { .size = sizeof(path) };
	bool exported;
	int ret = vulkan_sync_fd_export(
		call->vulkan, form->semaphore, form->fence, form->device, &path, &exported, out);
	if (ret < 0 && !exported) {
		return -EOPNOTSUPP;
	}
	if (ret < 0) {
		return report_refuse(&call->why, ret, STILE_REASON_RESOURCES, 0, 0, 0,
			"the driver's sync_file cannot be watched: %s", strerror(-ret));
	}
	call->path.kind = path.kind;
	call->path.blocked_ns += path.blocked_ns;
	return 0;
}

/* By a submission that waits for it. -EBUSY: somebody made the queue wait in the meantime. */
static int import_submitted(struct form_call *call, struct stile_fence **out) {
	struct vulkan_work work = { .wait = call->form.semaphore };
	call->path.kind = STILE_PATH_HANDLE;
	int ret = vulkan_fence_create(call->vulkan, &work, out);
	if (ret < 0) {
		report_refuse(&call->why, ret, STILE_REASON_DRIVER, 0, 0, 0,
			"no submission that waits for the semaphore: %s", strerror(-ret));
	}
	return ret;
}

static int import_semaphore(struct form_call *call, struct stile_fence **out) {
	int ret;
	do {
		ret = wait_unheld(call);
		if (ret == 0) {
			ret = import_exported(
				call, call->vulkan->vk.GetSemaphoreFdKHR != NULL, out);
			ret = ret == -EOPNOTSUPP ? import_submitted(call, out) : ret;
		}
	} while (ret == -EBUSY);
	return ret;
}

/* By a look at it from time to time. */
static int import_watched(struct form_call *call, struct stile_fence **out) {
	const struct vulkan_watched what = {
		.owner = call->vulkan,
		.vk_fence = call->form.fence,
		.context = stile_fence_context_alloc(1),
		.value = 1,
		.name = "VkFence",
	};
	call->path.kind = STILE_PATH_BRIDGE;
	int ret = vulkan_watch_fence(call->vulkan, &what, out);
	return ret == 0
		? 0
		: report_refuse(&call->why, ret, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
}

static int import_vk_fence(struct form_call *call, struct stile_fence **out) {
	struct stile_vulkan *vulkan = call->vulkan;
	/* Behind a program's fence a driver's export would wait for that. */
	bool can = vulkan->vk.GetFenceFdKHR != NULL && !vulkan_bridge_is_pending(vulkan);
	int ret = import_exported(call, can, out);
	return ret == -EOPNOTSUPP ? import_watched(call, out) : ret;
}

int stile_vulkan_import_fence(struct stile_vulkan *vulkan, const struct stile_vulkan_form *form,
	struct stile_path *path, struct stile_report *report, struct stile_fence **out) {
	struct form_call call;
	*out = NULL;
	int ret = call_begin(&call, vulkan, form, path, report);
	if (ret < 0) {
		return ret;
	}
	ret = call.form.fence != VK_NULL_HANDLE ? import_vk_fence(&call, out)
						: import_semaphore(&call, out);
	return call_end(&call, ret, path, report);
}

/* ---- A fence into them -------------------------------------------------------------------- */

static int submit(struct form_call *call, VkSemaphore wait, uint64_t value) {
	struct stile_vulkan *vulkan = call->vulkan;
	struct vulkan_batch batch = {
		.wait = wait,
		.wait_value = value,
		.signals = { call->form.semaphore },
		.signal_count = call->form.semaphore != VK_NULL_HANDLE,
		.fence = call->form.fence,
	};
	vulkan_queue_lock(vulkan);
	bool held = batch.signal_count > 0 && vulkan_bridge_is_pending(vulkan);
	VkResult result = held ? VK_SUCCESS : vulkan_batch_submit(vulkan, &batch);
	vulkan_queue_unlock(vulkan);
	if (held) {
		return -EBUSY;
	}
	return result == VK_SUCCESS ? 0 : vulkan_refuse(&call->why, "vkQueueSubmit", result);
}

/* The calling thread waits, or may not. */
static int wait_for_program(struct form_call *call, struct stile_fence *fence) {
	if (call->form.user_fences != STILE_USER_FENCES_WAIT) {
		return report_refuse(&call->why, -EOPNOTSUPP, STILE_REASON_SYNC, 0, 0, 0,
			"the fence of %s (%s) is neither this device's nor the kernel's: Vulkan "
			"forbids a binary semaphore that waits for what no device was given",
			stile_fence_get_timeline_name(fence), stile_fence_get_driver_name(fence));
	}
	int64_t began = os_clock_ns();
	int ret = stile_fence_wait(fence, began + VULKAN_WAIT_S * (int64_t)1000000000);
	call->path.kind = STILE_PATH_CPU_WAIT;
	call->path.blocked_ns += os_clock_ns() - began;
	return ret == 0 ? 0
			: report_refuse(&call->why, ret, STILE_REASON_SYNC, VULKAN_WAIT_S, 0, 0,
				  "the fence of %s (%s) was not signalled within %d s",
				  stile_fence_get_timeline_name(fence),
				  stile_fence_get_driver_name(fence), VULKAN_WAIT_S);
}

/* What the submission that signals a semaphore waits for, in the queue. */
static int find_submitted(
	struct form_call *call, struct stile_fence *fence, struct stile_vulkan_wait *wait) {
	if (stile_fence_is_signaled(fence)) {
		return 0;
	}
	if (vulkan_fence_get_value(call->vulkan, fence, &wait->value)) {
		wait->semaphore = call->vulkan->work;
		call->path.kind = STILE_PATH_HANDLE;
		return 0;
	}
	return wait_for_program(call, fence);
}

static int export_to_semaphore(struct form_call *call, struct stile_fence *fence) {
	struct stile_vulkan_wait wait = { .binary = call->form.semaphore };
	if (!stile_fence_is_signaled(fence) && vulkan_sync_fd_import(call->vulkan, fence, &wait) &&
		wait.semaphore != VK_NULL_HANDLE) {
		call->path.kind = STILE_PATH_KERNEL;
		return 0;
	}
	int ret;
	do {
		ret = wait_unheld(call);
		if (ret == 0) {
			ret = find_submitted(call, fence, &wait);
		}
		if (ret == 0) {
			ret = submit(call, wait.semaphore, wait.value);
		}
	} while (ret == -EBUSY);
	return ret;
}

static int export_to_vk_fence(struct form_call *call, struct stile_fence *fence) {
	struct stile_vulkan_wait wait = { .binary = VK_NULL_HANDLE };
	if (!stile_fence_is_signaled(fence) &&
		vulkan_sync_fd_import_fence(call->vulkan, fence, call->form.fence)) {
		call->path.kind = STILE_PATH_KERNEL;
		return 0;
	}
	int ret = vulkan_find_wait(call->vulkan, fence, &call->path.kind, &wait);
	if (ret < 0) {
		return report_refuse(&call->why, ret, STILE_REASON_RESOURCES, 0, 0, 0,
			"no semaphore for a thread to signal: %s", strerror(-ret));
	}
	return submit(call, wait.semaphore, wait.value);
}

int stile_vulkan_export_fence(struct stile_vulkan *vulkan, struct stile_fence *fence,
	const struct stile_vulkan_form *form, struct stile_path *path,
	struct stile_report *report) {
	struct form_call call;
	int ret = call_begin(&call, vulkan, form, path, report);
	if (ret < 0) {
		return ret;
	}
	ret = call.form.fence != VK_NULL_HANDLE ? export_to_vk_fence(&call, fence)
						: export_to_semaphore(&call, fence);
	if (ret == 0) {
		stile_access_note_wait(fence);
	}
	return call_end(&call, ret, path, report);
}
