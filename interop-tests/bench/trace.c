/* SPDX-License-Identifier: MIT */
/* Counts the system calls of a program between two marks, in all its threads, by tracing it. */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "interop-tests/bench/bench.h"

/* A system call that does nothing, with an argument that nobody else uses. */
enum { MARK_CALL = SYS_getpgid, MARK_BEGIN = 0x57110001, MARK_END = 0x57110002 };

void trace_me(void) {
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
}

void trace_begin(void) {
	syscall(MARK_CALL, MARK_BEGIN);
}

void trace_end(void) {
	syscall(MARK_CALL, MARK_END);
}

struct tracer {
	bool counting;
	int64_t calls;
};

/* A thread is entering or leaving a system call. */
static void note_call(struct tracer *tracer, pid_t thread) {
	struct __ptrace_syscall_info info = { 0 };
	if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof(info), &info) <= 0 ||
		info.op != PTRACE_SYSCALL_INFO_ENTRY) {
		return;
	}
	if (info.entry.nr == MARK_CALL && info.entry.args[0] == MARK_BEGIN) {
		tracer->counting = true;
	} else if (info.entry.nr == MARK_CALL && info.entry.args[0] == MARK_END) {
		tracer->counting = false;
	} else {
		tracer->calls += tracer->counting;
	}
}

/* Until the program has ended. Its exit status, or -1. */
static int follow(struct tracer *tracer, pid_t pid) {
	for (;;) {
		int status;
		pid_t thread = waitpid(-1, &status, __WALL);
		if (thread < 0) {
			return -1;
		}
		if (thread == pid && (WIFEXITED(status) || WIFSIGNALED(status))) {
			return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		}
		if (!WIFSTOPPED(status)) {
			continue;
		}
		int signal = WSTOPSIG(status);
		if (signal == (SIGTRAP | 0x80)) {
			note_call(tracer, thread);
			signal = 0;
		} else if (signal == SIGTRAP || signal == SIGSTOP) {
			signal = 0; /* a new thread, or the beginning */
		}
		ptrace(PTRACE_SYSCALL, thread, NULL, (void *)(intptr_t)signal);
	}
}

int64_t trace_count(const char *argument) {
	extern char **environ;
	char *arguments[] = { "stile-bench", (char *)(uintptr_t)argument, NULL };
	pid_t pid;
	int status, error = posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, environ);
	if (error != 0) {
		return -error;
	}
	if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status)) {
		return -EPERM;
	}
	ptrace(PTRACE_SETOPTIONS, pid, NULL,
		PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL);
	ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
	struct tracer tracer = { 0 };
	return follow(&tracer, pid) == 0 ? tracer.calls : -EIO;
}
