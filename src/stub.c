/* SPDX-License-Identifier: MIT */
/* Fences that were signalled before anybody saw them: contract F-22. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "src/check.h"
#include "src/fence.h"

static const char *stub_name(struct stile_fence *fence) {
	(void)fence;
	return "stub";
}

static void stub_free(struct stile_fence *fence) {
	free(fence);
}

static const struct stile_fence_ops stub_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = stub_name,
	.get_timeline_name = stub_name,
};

static const struct stile_fence_ops private_stub_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = stub_name,
	.get_timeline_name = stub_name,
	.release = stub_free,
};

static struct stile_fence stub;

static void stub_make(void) {
	/* Cannot fail: the table is ours. */
	(void)!stile_fence_init(&stub, &stub_ops, 0, 0);
	stile_fence_enable_signaling(&stub);
	stile_fence_signal(&stub);
}

struct stile_fence *stile_fence_get_stub(void) {
	static pthread_once_t made = PTHREAD_ONCE_INIT;
	pthread_once(&made, stub_make);
	return stile_fence_ref(&stub);
}

int stile_fence_create_stub(int64_t timestamp_ns, struct stile_fence **out) {
	*out = NULL;
	check_alloc();
	struct stile_fence *fence = malloc(sizeof(*fence));
	if (fence == NULL) {
		return -ENOMEM;
	}
	(void)!stile_fence_init(fence, &private_stub_ops, 0, 0);
	stile_fence_enable_signaling(fence);
	stile_fence_signal(fence);
	/* Also a time of 0: of nothing at all (contract U-3). Nobody else has the fence yet. */
	fence->timestamp_ns = timestamp_ns;
	*out = fence;
	return 0;
}
