/* SPDX-License-Identifier: MIT */
#include "tools/guard.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/info.h"

enum { CRASHES = 32 };

/* What both processes see. */
struct notes {
	char what[INFO_NAME * 3]; /* is tried now; empty: nothing of a driver's */
	bool finished;
	struct {
		char what[INFO_NAME * 3];
		int signal;
	} crashes[CRASHES];
	size_t crash_count;
};

static struct notes *notes;

bool guard_begin(const char *what, char *why) {
	for (size_t i = 0; notes != NULL && i < notes->crash_count; i++) {
		if (strcmp(notes->crashes[i].what, what) == 0) {
			info_append(
				why, "a driver crashed: %s", strsignal(notes->crashes[i].signal));
			return false;
		}
	}
	if (notes != NULL) {
		snprintf(notes->what, sizeof(notes->what), "%s", what);
	}
	return true;
}

void guard_end(void) {
	if (notes != NULL) {
		notes->what[0] = '\0';
	}
}

void guard_finish(void) {
	if (notes != NULL) {
		notes->finished = true;
	}
}

/* The process ended by this signal. False: it is to no avail to begin anew. */
static bool note_crash(int signal) {
	fprintf(stderr, "stile info: %s: %s\n", notes->what[0] == '\0' ? "stile" : notes->what,
		strsignal(signal));
	if (notes->what[0] == '\0' || notes->crash_count == CRASHES) {
		return false;
	}
	memcpy(notes->crashes[notes->crash_count].what, notes->what, sizeof(notes->what));
	notes->crashes[notes->crash_count++].signal = signal;
	guard_end();
	return true;
}

int guard_run(int (*run)(void *), void *arg) {
	/* Whoever began the command may ignore the ends of children: then there would be nothing to wait for. */
	signal(SIGCHLD, SIG_DFL);
	notes = mmap(
		NULL, sizeof(*notes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (notes == MAP_FAILED) {
		notes = NULL;
		return run(arg);
	}
	int status;
	do {
		pid_t pid = fork();
		if (pid < 0) {
			return run(arg);
		}
		if (pid == 0) {
			/* Whoever ends the command ends this. */
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			exit(run(arg));
		}
		while (waitpid(pid, &status, 0) < 0) {
		}
		if (WIFEXITED(status)) {
			return WEXITSTATUS(status);
		}
		if (notes->finished) {
			return EXIT_SUCCESS;
		}
	} while (note_crash(WTERMSIG(status)));
	return EXIT_FAILURE;
}
