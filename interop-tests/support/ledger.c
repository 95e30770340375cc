/* SPDX-License-Identifier: MIT */
#include "interop-tests/support/ledger.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/check.h>

#include "interop-tests/support/runner.h"

enum {
	MAX_FDS = 1024,
	TARGET_BYTES = 64,
	GRACE_MS = 2000,
};

struct page {
	bool open[MAX_FDS];
	char target[MAX_FDS][TARGET_BYTES]; /* what it is: "socket:[123]", a path */
	int threads;
};

static struct page before, after;

/* Call `each` with the name of every entry of a directory of /proc that is a number. */
static void walk(const char *path, void (*each)(struct page *page, int number), struct page *page) {
	DIR *dir = opendir(path);
	ck_assert_msg(dir != NULL, "cannot read %s", path);
	const struct dirent *entry;
	while ((entry = readdir(dir)) != NULL) {
		char *end;
		long number = strtol(entry->d_name, &end, 10);
		if (*end == '\0' && end != entry->d_name && number != dirfd(dir)) {
			each(page, (int)number);
		}
	}
	closedir(dir);
}

static void note_fd(struct page *page, int fd) {
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fd >= MAX_FDS) {
		return;
	}
	ssize_t n = readlink(path, page->target[fd], TARGET_BYTES - 1);
	page->open[fd] = n >= 0;
	page->target[fd][n < 0 ? 0 : n] = '\0';
	/* Check's own file, a new one for each part of a test; Mesa's shaders, which a thread of its opens and closes. */
	if (strstr(page->target[fd], "/check_") != NULL ||
		strstr(page->target[fd], "/mesa_shader_cache") != NULL) {
		page->open[fd] = false;
		page->target[fd][0] = '\0';
	}
}

/*
 * Sanitizers have threads of their own: only those that are named as the library's count. The one
 * that lets user fences expire is the process's, and ends when it likes.
 */
static void note_thread(struct page *page, int thread) {
	char path[64], name[32] = "";
	snprintf(path, sizeof(path), "/proc/self/task/%d/comm", thread);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		ssize_t n = read(fd, name, sizeof(name) - 1);
		name[n < 0 ? 0 : n] = '\0';
		close(fd);
	}
	page->threads += strncmp(name, "stile-", 6) == 0 && strcmp(name, "stile-expiry\n") != 0;
}

static void note(struct page *page) {
	memset(page, 0, sizeof(*page));
	walk("/proc/self/task", note_thread, page);
	walk("/proc/self/fd", note_fd, page);
}

static bool balanced(void) {
	for (int fd = 0; fd < MAX_FDS; fd++) {
		if (before.open[fd] != after.open[fd] ||
			strcmp(before.target[fd], after.target[fd]) != 0) {
			return false;
		}
	}
	return before.threads == after.threads;
}

static void complain(void) {
	char text[1024];
	int n = snprintf(text, sizeof(text), "library threads: %d before, %d after;",
		before.threads, after.threads);
	for (int fd = 0; fd < MAX_FDS; fd++) {
		bool same = strcmp(before.target[fd], after.target[fd]) == 0;
		if (before.open[fd] && !(after.open[fd] && same) && n < (int)sizeof(text)) {
			n += snprintf(text + n, sizeof(text) - (size_t)n, " fd %d (%s) was closed;",
				fd, before.target[fd]);
		}
		if (after.open[fd] && !(before.open[fd] && same) && n < (int)sizeof(text)) {
			n += snprintf(text + n, sizeof(text) - (size_t)n, " fd %d (%s) was left;",
				fd, after.target[fd]);
		}
	}
	ck_abort_msg("%s", text);
}

/* What the library complained of during this test: misuse, or a lock order. */
static pthread_mutex_t complaint_lock = PTHREAD_MUTEX_INITIALIZER;
static char complaint[4096]; /* the first one; "": none */
static const char *expected; /* what it has to contain; NULL: there has to be none */

static void note_complaint(void *user, const char *text) {
	(void)user;
	pthread_mutex_lock(&complaint_lock);
	if (complaint[0] == '\0') {
		snprintf(complaint, sizeof(complaint), "%s", text);
	}
	pthread_mutex_unlock(&complaint_lock);
}

void ledger_open(void) {
	complaint[0] = '\0';
	expected = NULL;
	stile_check_set_handler(note_complaint, NULL);
#ifdef __SANITIZE_THREAD__
	/* It makes every fence take its lock; here, what is done without is to be seen. */
	stile_check_enable(false);
#endif
	note(&before);
}

void ledger_close(void) {
	stile_check_set_handler(NULL, NULL);
	if (expected == NULL) {
		ck_assert_msg(complaint[0] == '\0', "the library complains: %s", complaint);
	} else {
		ck_assert_msg(strstr(complaint, expected) != NULL,
			"the library should complain of \"%s\", and says: \"%s\"", expected,
			complaint);
	}
	note(&after);
	for (unsigned waited = 0; !balanced() && waited < GRACE_MS; waited++) {
		runner_sleep_ms(1);
		note(&after);
	}
	if (!balanced()) {
		complain();
	}
}

void ledger_expect_complaint(const char *part) {
	expected = part;
}

TCase *ledger_tcase_create(const char *name) {
	TCase *tcase = tcase_create(name);
	tcase_add_checked_fixture(tcase, ledger_open, ledger_close);
	return tcase;
}
