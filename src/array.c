/* SPDX-License-Identifier: MIT */
/*
 * Fence arrays: contract section 2.
 *
 * Enabling takes each member's lock under the array's; so a member's callback, which runs under the
 * member's, leaves the end of the array to deferred work.
 */
#include <stile/array.h>

#include <errno.h>
#include <stdlib.h>

#include <stile/chain.h>

#include "src/check.h"
#include "src/defer.h"
#include "src/fence.h"
#include "src/macros.h"

struct member {
	struct stile_callback callback;
	struct stile_array *array;
	struct stile_fence *fence; /* referenced */
};

struct stile_array {
	struct stile_fence base;
	struct defer_work end; /* the array is referenced while it is queued */
	enum stile_array_mode mode;
	int32_t pending; /* members, or 1, that have to end before it is done; below 0 later */
	int32_t error;   /* of the first member that failed or, of any, how the first one ended */
	size_t count;
	struct member members[];
};

static const char *array_get_driver_name(struct stile_fence *fence) {
	(void)fence;
	return "dma_fence_array";
}

static const char *array_get_timeline_name(struct stile_fence *fence) {
	(void)fence;
	return "unbound";
}

static struct stile_array *array_of(struct stile_fence *fence) {
	return CONTAINER_OF(fence, struct stile_array, base);
}

/*
 * A member has ended. Of any, the first one decides, also by success: an error that is seen between
 * that and the array's end must not change what others may have been told already.
 */
static void array_note_error(struct stile_array *array, struct stile_fence *member) {
	int status = stile_fence_get_status(member);
	int32_t none = 0;
	if (status < 0 || array->mode == STILE_ARRAY_ANY) {
		__atomic_compare_exchange_n(
			&array->error, &none, status, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	}
}

/* One more has ended. True for the one that completes the array. */
static bool array_count_down(struct stile_array *array) {
	return __atomic_sub_fetch(&array->pending, 1, __ATOMIC_ACQ_REL) == 0;
}

/* The counter has been seen at 0: the error is final. */
static void array_take_error(struct stile_array *array) {
	int error = __atomic_load_n(&array->error, __ATOMIC_RELAXED);
	if (error < 0) {
		stile_fence_set_error(&array->base, error);
	}
}

static void array_end(struct defer_work *work) {
	struct stile_array *array = CONTAINER_OF(work, struct stile_array, end);
	array_take_error(array);
	stile_fence_signal(&array->base);
	stile_fence_unref(&array->base);
}

/* Under the member's lock. */
static void member_ended(struct stile_fence *fence, struct stile_callback *callback) {
	struct stile_array *array = CONTAINER_OF(callback, struct member, callback)->array;
	array_note_error(array, fence);
	if (array_count_down(array)) {
		defer_add(&array->end, array_end);
	} else {
		stile_fence_unref(&array->base);
	}
}

static bool array_enable_signaling(struct stile_fence *fence) {
	struct stile_array *array = array_of(fence);
	for (size_t i = 0; i < array->count; i++) {
		struct member *member = &array->members[i];
		/* An array that somebody listens to lives until its members have ended. */
		stile_fence_ref(fence);
		if (stile_fence_add_callback(member->fence, &member->callback, member_ended) < 0) {
			array_note_error(array, member->fence);
			stile_fence_unref(fence);
			if (array_count_down(array)) {
				array_take_error(array);
				return false;
			}
		}
	}
	/* No member at all is a mistake that was told: it is done, rather than never. */
	return array->count > 0;
}

/* Of one that somebody listens to. */
static bool array_is_over(struct stile_array *array) {
	if (__atomic_load_n(&array->pending, __ATOMIC_ACQUIRE) > 0) {
		return false;
	}
	array_take_error(array);
	return true;
}

static bool array_signaled(struct stile_fence *fence) {
	struct stile_array *array = array_of(fence);
	/* Before the look at the bit: enabling in between cannot have counted for us. */
	int32_t pending = __atomic_load_n(&array->pending, __ATOMIC_ACQUIRE);
	if (fence_is_enabled(fence)) {
		return pending <= 0 && array_is_over(array);
	}
	for (size_t i = 0; i < array->count && pending > 0; i++) {
		if (stile_fence_is_signaled(array->members[i].fence)) {
			pending--;
		}
	}
	/* Somebody who came to listen meanwhile is to hear of errors. */
	return pending <= 0 && (!fence_is_enabled(fence) || array_is_over(array));
}

static void array_release(struct stile_fence *fence) {
	struct stile_array *array = array_of(fence);
	for (size_t i = 0; i < array->count; i++) {
		stile_fence_unref(array->members[i].fence);
	}
	free(array);
}

static void array_set_deadline(struct stile_fence *fence, int64_t deadline_ns) {
	struct stile_array *array = array_of(fence);
	for (size_t i = 0; i < array->count; i++) {
		stile_fence_set_deadline(array->members[i].fence, deadline_ns);
	}
}

const struct stile_fence_ops array_fence_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = array_get_driver_name,
	.get_timeline_name = array_get_timeline_name,
	.enable_signaling = array_enable_signaling,
	.signaled = array_signaled,
	.release = array_release,
	.set_deadline = array_set_deadline,
};

bool stile_fence_is_array(const struct stile_fence *fence) {
	return fence != NULL && fence->ops == &array_fence_ops;
}

bool array_is_any(const struct stile_fence *fence) {
	return CONTAINER_OF(fence, const struct stile_array, base)->mode == STILE_ARRAY_ANY;
}

int stile_array_alloc(size_t count, struct stile_array **out) {
	*out = NULL;
	check_alloc();
	size_t bytes;
	if (count > INT32_MAX || __builtin_mul_overflow(count, sizeof(struct member), &bytes) ||
		__builtin_add_overflow(bytes, sizeof(struct stile_array), &bytes)) {
		return -ENOMEM;
	}
	*out = malloc(bytes);
	return *out == NULL ? -ENOMEM : 0;
}

void stile_array_free(struct stile_array *array) {
	free(array);
}

struct stile_fence *stile_array_init(struct stile_array *array, struct stile_fence *const *fences,
	size_t count, uint64_t context, uint64_t seqno, enum stile_array_mode mode) {
	if (count == 0) {
		check_warn("an array of no fences");
	}
	/* Cannot fail: the table is ours. */
	(void)!stile_fence_init(&array->base, &array_fence_ops, context, seqno);
	array->mode = mode;
	array->pending = mode == STILE_ARRAY_ANY && count > 0 ? 1 : (int32_t)count;
	array->error = 0;
	array->count = count;
	for (size_t i = 0; i < count; i++) {
		array->members[i] = (struct member){ .array = array, .fence = fences[i] };
		if (fence_is_container(fences[i])) {
			check_warn("member %zu of an array is itself a container", i);
		}
		if (stile_fence_is_user(fences[i]) && !stile_fence_is_user(&array->base)) {
			fence_make_user(&array->base, stile_fence_get_owner(fences[i]), INT64_MAX);
		}
	}
	return &array->base;
}

int stile_array_create(struct stile_fence *const *fences, size_t count, uint64_t context,
	uint64_t seqno, enum stile_array_mode mode, struct stile_fence **out) {
	*out = NULL;
	if (count == 0 || count > INT32_MAX ||
		(mode != STILE_ARRAY_ALL && mode != STILE_ARRAY_ANY)) {
		return -EINVAL;
	}
	for (size_t i = 0; i < count; i++) {
		if (fence_is_container(fences[i])) {
			return -EINVAL;
		}
	}
	struct stile_array *array;
	int ret = stile_array_alloc(count, &array);
	if (ret < 0) {
		return ret;
	}
	for (size_t i = 0; i < count; i++) {
		stile_fence_ref(fences[i]);
	}
	*out = stile_array_init(array, fences, count, context, seqno, mode);
	return 0;
}

size_t stile_array_get_count(const struct stile_fence *fence) {
	if (!stile_fence_is_array(fence)) {
		return fence != NULL;
	}
	return CONTAINER_OF(fence, const struct stile_array, base)->count;
}

struct stile_fence *stile_array_get_nth(struct stile_fence *fence, size_t index) {
	return stile_fence_is_array(fence) ? array_of(fence)->members[index].fence : fence;
}

bool stile_fence_match_context(struct stile_fence *fence, uint64_t context) {
	for (size_t i = 0; i < stile_array_get_count(fence); i++) {
		if (stile_fence_get_context(stile_array_get_nth(fence, i)) != context) {
			return false;
		}
	}
	return true;
}
