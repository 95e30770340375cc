/* SPDX-License-Identifier: MIT */
/* A process that is killed while it uses a buffer and owes fences: what is left to the others. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <stile/attachment.h>
#include <stile/buffer.h>
#include <stile/carrier.h>
#include <stile/device.h>
#include <stile/resv.h>
#include <stile/swgpu_list.h>
#include <stile/wait.h>

#include "interop-tests/support/ledger.h"
#include "interop-tests/support/mail.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

enum { ROUNDS = 200, BYTES = 1 << 20 };

/* What it is doing when it is killed. */
enum { WAITS, WRITES, SUBMITS, WAYS };

static int64_t in_seconds(int seconds) {
	return runner_clock_ns() + seconds * INT64_C(1000000000);
}

/* ---- The one that is killed ---------------------------------------------------------------- */

struct victim {
	struct stile_device *device;
	struct stile_buffer *buffer;
	volatile uint8_t *memory;
	const struct stile_sg *sg;
};

static void role_require(int ret, const char *what) {
	runner_require(ret == 0, "%s: %s", what, strerror(-ret));
}

/* All that can be had of a buffer is had, and nothing is given back. */
static void victim_take(struct victim *victim, int fd) {
	struct stile_attachment *attachment;
	void *memory;
	role_require(stile_device_open("swgpu", NULL, &victim->device), "open");
	role_require(stile_buffer_import_fd(victim->device, fd,
			     STILE_USAGE_READ | STILE_USAGE_WRITE, NULL, &victim->buffer),
		"import");
	struct stile_attach_info info = {
		.size = sizeof(info),
		.device = victim->device,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
	};
	role_require(stile_buffer_mmap(victim->buffer, info.usage, &memory), "mmap");
	role_require(stile_buffer_begin_cpu_access(victim->buffer, info.usage, INT64_MAX, NULL),
		"begin");
	role_require(stile_buffer_attach(victim->buffer, &info, NULL, &attachment), "attach");
	role_require(stile_attachment_map_unlocked(
			     attachment, STILE_BIDIRECTIONAL, INT64_MAX, NULL, &victim->sg),
		"map");
	victim->memory = memory;
}

/* Its device fills the memory, by address, once `wait` has ended; NULL: now. */
static struct stile_fence *victim_submit(struct victim *victim, struct stile_fence *wait) {
	struct stile_swgpu_list *list;
	struct stile_fence *done;
	uint64_t address, bytes;
	struct stile_swgpu_submit_info info = {
		.size = sizeof(info), .waits = &wait, .wait_count = wait != NULL
	};
	role_require(stile_swgpu_list_create(victim->device, &list), "list");
	role_require(stile_sg_find(victim->sg, 0, &address, &bytes), "find");
	role_require(stile_swgpu_list_fill_address(list, address, bytes, 'v'), "fill");
	role_require(stile_swgpu_submit(stile_swgpu_get_queue(victim->device), list, &info, &done),
		"submit");
	return done;
}

static int export(struct stile_fence *fence) {
	int fd;
	role_require(
		stile_fence_export_fd(fence, STILE_FD_SOFTWARE_SYNC_FILE, 0, NULL, &fd), "export");
	return fd;
}

static void victim_go_on(struct victim *victim, char way) {
	for (size_t i = 0; way == WRITES; i++) {
		victim->memory[1 + i % (BYTES - 1)] = (uint8_t)i;
	}
	while (way == SUBMITS) {
		struct stile_fence *done = victim_submit(victim, NULL);
		role_require(stile_fence_wait(done, INT64_MAX), "wait");
		stile_fence_unref(done);
	}
	(void)mail_hear(RUNNER_FIRST_FD);
}

/* Owes a fence of its own, and one of its device, whose work waits for the first. */
static int play_victim(void) {
	struct victim victim;
	struct stile_swgpu_queue *second;
	char way;
	int fd;
	/* Should the test fail, it does not stay. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	runner_require(mail_receive(RUNNER_FIRST_FD, &way, 1, &fd, 1) == 1, "nothing to do");
	victim_take(&victim, fd);
	victim.memory[0] = 'V';
	struct stile_fence *owed = plain_fence_create();
	struct stile_swgpu_submit_info gate = {
		.size = sizeof(gate), .waits = &owed, .wait_count = 1
	};
	struct stile_fence *work;
	role_require(stile_swgpu_queue_create(victim.device, NULL, &second), "queue");
	role_require(stile_swgpu_submit(second, NULL, &gate, &work), "submit");
	int fds[] = { export(owed), export(work) };
	mail_send(RUNNER_FIRST_FD, "x", 1, fds, ARRAY_LENGTH(fds));
	victim_go_on(&victim, way);
	return EXIT_FAILURE;
}

/* ---- Who has a file? ----------------------------------------------------------------------- */

struct search {
	const struct stat *files;
	size_t count;
	unsigned found;
};

static void look_at(struct search *search, dev_t dev, ino_t ino) {
	for (size_t i = 0; i < search->count; i++) {
		search->found += search->files[i].st_dev == dev && search->files[i].st_ino == ino;
	}
}

static void search_fds(struct search *search, const char *process) {
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "/proc/%s/fd", process);
	DIR *dir = opendir(path);
	const struct dirent *entry;
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		struct stat st;
		if (fstatat(dirfd(dir), entry->d_name, &st, 0) == 0) {
			look_at(search, st.st_dev, st.st_ino);
		}
	}
	if (dir != NULL) {
		closedir(dir);
	}
}

static void search_maps(struct search *search, const char *process) {
	char path[PATH_MAX], line[PATH_MAX + 128];
	snprintf(path, sizeof(path), "/proc/%s/maps", process);
	FILE *file = fopen(path, "re");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		unsigned major, minor;
		uint64_t ino;
		if (sscanf(line, "%*s %*s %*s %x:%x %" SCNu64, &major, &minor, &ino) == 3) {
			look_at(search, makedev(major, minor), (ino_t)ino);
		}
	}
	if (file != NULL) {
		fclose(file);
	}
}

/* How many descriptors and mappings of these files there are, in all processes that may be seen. */
static unsigned count_holders(const struct stat *files, size_t count) {
	struct search search = { .files = files, .count = count };
	DIR *dir = opendir("/proc");
	ck_assert_ptr_nonnull(dir);
	const struct dirent *entry;
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9') {
			search_fds(&search, entry->d_name);
			search_maps(&search, entry->d_name);
		}
	}
	closedir(dir);
	return search.found;
}

/* Of the search itself. Wrong code: a leak that is not seen. */
START_TEST(descriptor_and_mapping_of_a_file_are_found) {
	struct stat st;
	int fd = memory_create(BYTES, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(count_holders(&st, 1), 1);
	void *memory = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(memory, MAP_FAILED);
	ck_assert_uint_eq(count_holders(&st, 1), 2);
	close(fd);
	ck_assert_uint_eq(count_holders(&st, 1), 1);
	munmap(memory, BYTES);
	ck_assert_uint_eq(count_holders(&st, 1), 0);
}
END_TEST

/* ---- The others ---------------------------------------------------------------------------- */

static struct stile_device *device;

static void setup(void) {
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &device), 0);
}

static void teardown(void) {
	stile_device_destroy(device);
}

/* One buffer, and what is going on with it. */
struct scene {
	struct stile_buffer *buffer;
	uint8_t *memory;
	pid_t pid;
	int socket;
	struct stile_fence *owed; /* a fence of the victim's */
	struct stile_fence *work; /* its device's */
	struct stile_fence *own;  /* work of this process that waits for that */
};

/* The victim has what it wants. The file is described in `file`. */
static void scene_begin(struct scene *scene, char way, struct stat *file) {
	struct stile_buffer_info info = { .size = sizeof(info), .bytes = BYTES, .name = "killed" };
	void *memory;
	int fd, ends[2], fds[2];
	ck_assert_int_eq(stile_buffer_create(device, &info, &scene->buffer), 0);
	ck_assert_int_eq(
		stile_buffer_mmap(scene->buffer, STILE_USAGE_READ | STILE_USAGE_WRITE, &memory), 0);
	ck_assert_int_eq(
		stile_buffer_export_fd(scene->buffer, STILE_USAGE_READ | STILE_USAGE_WRITE, &fd),
		0);
	ck_assert_int_eq(fstat(fd, file), 0);
	mail_pair(ends);
	scene->memory = memory;
	scene->socket = ends[0];
	scene->pid = runner_spawn("victim", &ends[1], 1);
	close(ends[1]);
	mail_send(ends[0], &way, 1, &fd, 1);
	close(fd);
	ck_assert_int_eq(mail_receive(ends[0], &way, 1, fds, 2), 1);
	ck_assert_int_eq(
		stile_fence_import_fd(device, STILE_FD_SOFTWARE_SYNC_FILE, 0, fds[0], &scene->owed),
		0);
	ck_assert_int_eq(
		stile_fence_import_fd(device, STILE_FD_SOFTWARE_SYNC_FILE, 0, fds[1], &scene->work),
		0);
	close(fds[0]);
	close(fds[1]);
}

/* The reservation and a queue of this process rely on the victim's device. */
static void scene_rely(struct scene *scene) {
	struct stile_swgpu_submit_info info = {
		.size = sizeof(info), .waits = &scene->work, .wait_count = 1
	};
	ck_assert_int_eq(
		stile_buffer_import_fence(scene->buffer, STILE_USAGE_WRITE, scene->work), 0);
	ck_assert_int_eq(
		stile_swgpu_submit(stile_swgpu_get_queue(device), NULL, &info, &scene->own), 0);
	ck_assert_int_eq(stile_fence_get_status(scene->owed), 0);
	ck_assert_int_eq(stile_fence_get_status(scene->work), 0);
	ck_assert_int_eq(stile_fence_get_status(scene->own), 0);
	ck_assert_int_eq(
		stile_buffer_begin_cpu_access(scene->buffer, STILE_USAGE_READ, 0, NULL), -ETIME);
	ck_assert_uint_eq(scene->memory[0] & 0xdf, 'V');
}

/* Whoever waits is let go, and told. */
static void scene_check_end(struct scene *scene) {
	struct stile_resv *resv = stile_buffer_get_resv(scene->buffer);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(
				 scene->buffer, STILE_USAGE_WRITE, in_seconds(30), NULL),
		0);
	ck_assert_int_eq(stile_buffer_end_cpu_access(scene->buffer, STILE_USAGE_WRITE), 0);
	ck_assert_int_eq(stile_resv_lock(resv, NULL, NULL), 0);
	ck_assert_int_eq(stile_resv_get_error(resv), -EOWNERDEAD);
	stile_resv_unlock(resv);
	ck_assert_int_eq(plain_fence_finish(scene->owed), -EOWNERDEAD);
	ck_assert_int_eq(plain_fence_finish(scene->work), -EOWNERDEAD);
	ck_assert_int_eq(plain_fence_finish(scene->own), -EOWNERDEAD);
}

/* The buffer, and the queue that waited, are as good as before. */
static void scene_go_on(struct scene *scene) {
	struct stile_swgpu_list *list;
	struct stile_fence *done;
	ck_assert_int_eq(stile_swgpu_list_create(device, &list), 0);
	ck_assert_int_eq(
		stile_swgpu_list_fill_buffer(list, scene->buffer, 0, BYTES, 0x70707070), 0);
	ck_assert_int_eq(stile_swgpu_submit(stile_swgpu_get_queue(device), list, NULL, &done), 0);
	ck_assert_int_eq(plain_fence_finish(done), 1);
	stile_fence_unref(done);
	size_t right = 0;
	while (right < BYTES && scene->memory[right] == 0x70) {
		right++;
	}
	ck_assert_uint_eq(right, BYTES);
}

static void scene_end(struct scene *scene) {
	stile_fence_unref(scene->own);
	stile_fence_unref(scene->work);
	stile_fence_unref(scene->owed);
	stile_buffer_munmap(scene->buffer, scene->memory);
	stile_buffer_unref(scene->buffer);
	close(scene->socket);
}

/*
 * B-4: descriptors and mappings of the dead go, and keep nothing. Wrong code: its fences stay pending,
 * or end with success; a bracket or a lock of the dead holds others up; its end of what crosses keeps
 * the memory.
 */
START_TEST(killed_process_leaves_errors_and_no_memory) {
	static struct stat files[ROUNDS];
	uint64_t random = runner_seed();
	for (size_t i = 0; i < ROUNDS; i++) {
		struct scene scene;
		scene_begin(&scene, (char)(i % WAYS), &files[i]);
		scene_rely(&scene);
		/* Somewhere in the middle of what it does. */
		runner_sleep_ms((unsigned)(runner_random(&random) % 3));
		ck_assert_int_eq(kill(scene.pid, SIGKILL), 0);
		scene_check_end(&scene);
		ck_assert_int_eq(runner_reap(scene.pid), -SIGKILL);
		scene_go_on(&scene);
		scene_end(&scene);
	}
	ck_assert_uint_eq(count_holders(files, ROUNDS), 0);
}
END_TEST

static Suite *make_suite(void) {
	Suite *suite = suite_create("killed");
	TCase *tcase = ledger_tcase_create("search");
	tcase_add_test(tcase, descriptor_and_mapping_of_a_file_are_found);
	suite_add_tcase(suite, tcase);
	tcase = ledger_tcase_create("killed");
	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, killed_process_leaves_errors_and_no_memory);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	static const struct runner_role roles[] = { { "victim", play_victim }, { NULL, NULL } };
	return runner_main(argc, argv, make_suite, roles);
}
