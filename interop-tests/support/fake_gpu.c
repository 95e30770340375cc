/* SPDX-License-Identifier: MIT */
#include "interop-tests/support/fake_gpu.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "interop-tests/support/fake_sync_file.h"
#include "interop-tests/support/runner.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;

/* All below is under the lock. */
static int objects;
static bool is_blocked;
static char complaint[256]; /* the first one */
static const char *failing_call;
static unsigned failing_left; /* 0: nothing fails */
static int failing_code;
static const char *failed_call;
static _Thread_local unsigned own_left; /* of this thread's calls */
static _Thread_local bool is_exempt;

static bool closes_failed_imports;
static int reused_fd;

enum { OPAQUE_MAX = 64 };
static struct {
	ino_t inode;
	struct fake_payload *payload;
} opaque[OPAQUE_MAX];
static size_t opaque_count;

void fake_gpu_lock(void) {
	pthread_mutex_lock(&lock);
}

void fake_gpu_unlock(void) {
	pthread_mutex_unlock(&lock);
}

void fake_gpu_begin(void) {
	pthread_condattr_t clock;
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&changed, &clock);
	pthread_condattr_destroy(&clock);
	complaint[0] = '\0';
	objects = 0;
	is_blocked = false;
	opaque_count = 0;
	closes_failed_imports = false;
	reused_fd = -1;
	fake_sync_file_begin();
}

void fake_gpu_end(void) {
	for (size_t i = 0; i < opaque_count; i++) {
		fake_payload_unref(opaque[i].payload);
	}
	opaque_count = 0;
	fake_sync_file_end();
	pthread_cond_destroy(&changed);
	runner_require(complaint[0] == '\0', "the driver complains: %s", complaint);
	runner_require(objects == 0, "%d objects of the driver are left", objects);
}

void fake_gpu_complain(const char *fmt, ...) {
	va_list args;
	va_start(args, fmt);
	if (complaint[0] == '\0') {
		vsnprintf(complaint, sizeof(complaint), fmt, args);
	}
	va_end(args);
}

void fake_gpu_count(int change) {
	objects += change;
}

int fake_gpu_objects(void) {
	fake_gpu_lock();
	int count = objects;
	fake_gpu_unlock();
	return count;
}

bool fake_gpu_gets_to_objects(int count) {
	for (int i = 0; fake_gpu_objects() != count && i < 60000; i++) {
		runner_sleep_ms(1);
	}
	return fake_gpu_objects() == count;
}

void fake_gpu_set_blocked(bool blocked) {
	is_blocked = blocked;
}

void fake_gpu_await_blocked(void) {
	bool blocked;
	do {
		runner_sleep_ms(2);
		fake_gpu_lock();
		blocked = is_blocked;
		fake_gpu_unlock();
	} while (!blocked);
	runner_sleep_ms(2);
}

/* ---- Calls that fail ----------------------------------------------------------------------- */

void fake_gpu_fail(const char *call, unsigned n, int code) {
	fake_gpu_lock();
	failing_call = call;
	failing_left = n;
	own_left = call == NULL ? n : 0;
	failing_code = code;
	failed_call = NULL;
	fake_gpu_unlock();
}

const char *fake_gpu_failed(void) {
	fake_gpu_lock();
	failing_left = 0;
	own_left = 0;
	const char *call = failed_call;
	fake_gpu_unlock();
	return call;
}

void fake_gpu_exempt(bool exempt) {
	is_exempt = exempt;
}

bool fake_gpu_fails(const char *call, int *code) {
	unsigned *left = failing_call == NULL ? &own_left : &failing_left;
	if (is_exempt || failing_left == 0 || *left == 0 ||
		(failing_call != NULL && strcmp(call, failing_call) != 0) || --*left > 0) {
		return false;
	}
	failing_left = 0;
	failed_call = call;
	*code = failing_code;
	return true;
}

void fake_gpu_close_failed_imports(void) {
	fake_gpu_lock();
	closes_failed_imports = true;
	fake_gpu_unlock();
}

int fake_gpu_take_reused_fd(void) {
	fake_gpu_lock();
	int fd = reused_fd;
	reused_fd = -1;
	fake_gpu_unlock();
	return fd;
}

void fake_gpu_import_failed(int fd) {
	if (closes_failed_imports) {
		int other = memfd_create("somebody else's", MFD_CLOEXEC);
		if (other < 0 || dup3(other, fd, O_CLOEXEC) != fd) {
			fake_gpu_complain("there is no descriptor for somebody else");
		}
		close(other);
		reused_fd = fd;
	}
}

/* ---- Time ---------------------------------------------------------------------------------- */

/* What descriptors say, nobody tells: look from time to time. */
bool fake_gpu_sleep(int64_t deadline_ns) {
	int64_t now_ns = runner_clock_ns(), until_ns = now_ns + 1000000;
	if (now_ns >= deadline_ns) {
		return false;
	}
	until_ns = until_ns < deadline_ns ? until_ns : deadline_ns;
	const struct timespec until = {
		.tv_sec = (time_t)(until_ns / 1000000000),
		.tv_nsec = (long)(until_ns % 1000000000),
	};
	pthread_cond_timedwait(&changed, &lock, &until);
	return true;
}

bool fake_fd_is_over(int fd) {
	struct pollfd at = { .fd = fd, .events = POLLIN };
	return fd == FAKE_FD_OVER || poll(&at, 1, 0) != 0;
}

/* ---- Payloads ------------------------------------------------------------------------------ */

struct fake_payload *fake_payload_create(void) {
	struct fake_payload *payload = calloc(1, sizeof(*payload));
	if (payload != NULL) {
		payload->refs = 1;
	}
	return payload;
}

struct fake_payload *fake_payload_ref(struct fake_payload *payload) {
	payload->refs++;
	return payload;
}

void fake_payload_unref(struct fake_payload *payload) {
	if (--payload->refs == 0) {
		free(payload);
	}
}

void fake_payload_set(struct fake_payload *payload, uint64_t value) {
	if (value <= payload->value) {
		fake_gpu_complain("a value of %llu is signalled, where %llu is reached",
			(unsigned long long)value, (unsigned long long)payload->value);
		return;
	}
	payload->value = value;
	payload->submitted = value > payload->submitted ? value : payload->submitted;
	for (size_t i = 0; i < payload->leaf_count; i++) {
		if (payload->leaves[i].value <= value) {
			fake_sync_file_signal(payload->leaves[i].leaf, 1, runner_clock_ns());
			payload->leaves[i--] = payload->leaves[--payload->leaf_count];
		}
	}
	pthread_cond_broadcast(&changed);
}

int fake_payload_get_sync_file(struct fake_payload *payload, uint64_t value) {
	if (value <= payload->value) {
		return -1;
	}
	if (payload->leaf_count == FAKE_LEAVES) {
		fake_gpu_complain("more than %d sync_files of one payload", FAKE_LEAVES);
		return -1;
	}
	int fd = fake_sync_file_create(1);
	payload->leaves[payload->leaf_count++] =
		(struct fake_leaf){ .value = value, .leaf = fake_sync_file_first_leaf(fd) };
	return fd;
}

static ino_t get_inode(int fd) {
	struct stat at;
	return fstat(fd, &at) == 0 ? at.st_ino : 0;
}

int fake_payload_export(struct fake_payload *payload) {
	/* As lavapipe 25: not CLOEXEC. */
	int fd = memfd_create("opaque", 0);
	if (fd < 0) {
		return -1;
	}
	if (opaque_count == OPAQUE_MAX) {
		fake_gpu_complain("more than %d opaque descriptors", OPAQUE_MAX);
		close(fd);
		return -1;
	}
	opaque[opaque_count].inode = get_inode(fd);
	opaque[opaque_count++].payload = fake_payload_ref(payload);
	return fd;
}

struct fake_payload *fake_payload_import(int fd) {
	ino_t inode = get_inode(fd);
	for (size_t i = opaque_count; i-- > 0;) {
		if (opaque[i].inode == inode) {
			return fake_payload_ref(opaque[i].payload);
		}
	}
	return NULL;
}

/* ---- The queue ----------------------------------------------------------------------------- */

/* In memory of its own, as a submission must not fail once it has changed something. */
struct pending {
	struct fake_batch batch;
	struct pending *next;
	bool used;
};

enum { PENDING_MAX = 256 };
static struct pending all_pending[PENDING_MAX];

struct fake_queue {
	pthread_t thread;
	bool stopping;
	struct pending *first;
};

static void op_begin(const struct fake_op *op) {
	if (op->payload != NULL) {
		fake_payload_ref(op->payload)->users++;
	}
}

static void op_end(const struct fake_op *op) {
	if (op->payload != NULL) {
		op->payload->users--;
		fake_payload_unref(op->payload);
	} else if (op->fd >= 0) {
		close(op->fd);
	}
}

static bool op_is_over(const struct fake_op *op) {
	return op->payload != NULL ? op->payload->value >= op->value : fake_fd_is_over(op->fd);
}

static bool batch_is_ready(const struct fake_batch *batch) {
	bool ready = true;
	for (size_t i = 0; i < batch->wait_count; i++) {
		ready = ready && op_is_over(&batch->waits[i]);
	}
	return ready;
}

static void batch_end(const struct fake_batch *batch) {
	for (size_t i = 0; i < batch->wait_count; i++) {
		op_end(&batch->waits[i]);
	}
	for (size_t i = 0; i < batch->signal_count; i++) {
		op_end(&batch->signals[i]);
	}
}

static void batch_execute(const struct fake_batch *batch) {
	for (size_t i = 0; i < batch->signal_count; i++) {
		fake_payload_set(batch->signals[i].payload, batch->signals[i].value);
	}
	batch_end(batch);
}

static void *queue_run(void *arg) {
	struct fake_queue *queue = arg;
	fake_gpu_lock();
	while (!queue->stopping) {
		struct pending *first = queue->first;
		if (first == NULL || !batch_is_ready(&first->batch)) {
			fake_gpu_sleep(INT64_MAX);
			continue;
		}
		queue->first = first->next;
		first->used = false;
		batch_execute(&first->batch);
		pthread_cond_broadcast(&changed);
	}
	fake_gpu_unlock();
	return NULL;
}

struct fake_queue *fake_queue_create(void) {
	struct fake_queue *queue = calloc(1, sizeof(*queue));
	runner_require(queue != NULL && pthread_create(&queue->thread, NULL, queue_run, queue) == 0,
		"no queue");
	return queue;
}

void fake_queue_destroy(struct fake_queue *queue) {
	fake_gpu_lock();
	queue->stopping = true;
	pthread_cond_broadcast(&changed);
	fake_gpu_unlock();
	pthread_join(queue->thread, NULL);
	fake_queue_abandon(queue);
	free(queue);
}

/* The kernel ends what a driver can do no more. */
static void payload_fail(struct fake_payload *payload) {
	while (payload->leaf_count > 0) {
		size_t leaf = payload->leaves[--payload->leaf_count].leaf;
		fake_sync_file_signal(leaf, -EIO, runner_clock_ns());
	}
}

void fake_queue_abandon(struct fake_queue *queue) {
	while (queue->first != NULL) {
		struct pending *first = queue->first;
		queue->first = first->next;
		for (size_t i = 0; i < first->batch.signal_count; i++) {
			payload_fail(first->batch.signals[i].payload);
		}
		batch_end(&first->batch);
		first->used = false;
	}
	pthread_cond_broadcast(&changed);
}

void fake_queue_submit(struct fake_queue *queue, const struct fake_batch *batch) {
	struct pending *pending = all_pending, **at = &queue->first;
	for (size_t i = 0; i < batch->wait_count; i++) {
		op_begin(&batch->waits[i]);
	}
	for (size_t i = 0; i < batch->signal_count; i++) {
		op_begin(&batch->signals[i]);
	}
	while (pending < &all_pending[PENDING_MAX] && pending->used) {
		pending++;
	}
	if (pending == &all_pending[PENDING_MAX]) {
		fake_gpu_complain("more than %d submissions at once", PENDING_MAX);
		/* Whoever waits for it is not to wait for ever. */
		batch_execute(batch);
		return;
	}
	*pending = (struct pending){ .batch = *batch, .used = true };
	while (*at != NULL) {
		at = &(*at)->next;
	}
	*at = pending;
	pthread_cond_broadcast(&changed);
}

bool fake_queue_is_idle(const struct fake_queue *queue) {
	return queue->first == NULL;
}

bool fake_queue_is_held(const struct fake_queue *queue) {
	for (const struct pending *at = queue->first; at != NULL; at = at->next) {
		for (size_t i = 0; i < at->batch.wait_count; i++) {
			const struct fake_op *op = &at->batch.waits[i];
			if (op->payload != NULL && op->value > op->payload->submitted) {
				return true;
			}
		}
	}
	return false;
}
