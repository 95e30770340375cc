/* SPDX-License-Identifier: MIT */
#include "interop-tests/interop/compositor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <wayland-client.h>

#include "interop-tests/interop/require.h"
#include "interop-tests/support/runner.h"

extern char **environ;

/* The descriptor that weston is told to serve, and nothing else: its number is in the variable. */
enum { SOCKET = RUNNER_FIRST_FD };
static char socket_variable[] = "WAYLAND_SERVER_SOCKET=100";

struct text {
	char text[128];
};

static struct text log_path(const struct compositor *compositor) {
	struct text path;
	snprintf(path.text, sizeof(path.text), "%s/log", compositor->folder);
	return path;
}

/* env changes the variables of weston alone, and becomes it. */
static void spawn(struct compositor *compositor, const char *shell, int socket) {
	struct text runtime, module, log = log_path(compositor);
	snprintf(runtime.text, sizeof(runtime), "XDG_RUNTIME_DIR=%s", compositor->folder);
	snprintf(module.text, sizeof(module), "--shell=%s", shell);
	char env[] = "env", weston[] = "weston", config[] = "--no-config";
	char backend[] = "--backend=headless-backend.so", idle[] = "--idle-time=0";
	char *args[] = { env, runtime.text, socket_variable, weston, config, backend, module.text,
		idle, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, socket, SOCKET);
	posix_spawn_file_actions_addopen(
		&actions, STDOUT_FILENO, log.text, O_WRONLY | O_CREAT | O_APPEND, 0600);
	posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
	require(posix_spawnp(&compositor->pid, env, &actions, NULL, args, environ) == 0);
	posix_spawn_file_actions_destroy(&actions);
}

/* What env ends with if there is no weston. */
enum { NOT_FOUND = 127 };

static void print_log(const char *path) {
	char text[512];
	FILE *log = fopen(path, "re");
	while (log != NULL && fgets(text, sizeof(text), log) != NULL) {
		fputs(text, stderr);
	}
	if (log != NULL) {
		fclose(log);
	}
}

/* Its exit status. What it said is said here if that is bad. */
static int end(struct compositor *compositor) {
	struct text log = log_path(compositor);
	wl_display_disconnect(compositor->client);
	compositor->client = NULL;
	kill(compositor->pid, SIGTERM);
	int status = runner_reap(compositor->pid);
	if (status != 0) {
		print_log(log.text);
	}
	require(unlink(log.text) == 0 && rmdir(compositor->folder) == 0);
	return status;
}

const char *compositor_start(struct compositor *compositor, const char *shell) {
	const char *parent = getenv("TMPDIR");
	int sockets[2];
	snprintf(compositor->folder, sizeof(compositor->folder), "%s/stile-wayland-XXXXXX",
		parent == NULL ? "/tmp" : parent);
	require(mkdtemp(compositor->folder) != NULL);
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0);
	spawn(compositor, shell, sockets[1]);
	close(sockets[1]);
	compositor->client = wl_display_connect_to_fd(sockets[0]);
	require(compositor->client != NULL);
	if (wl_display_roundtrip(compositor->client) >= 0) {
		return NULL;
	}
	return end(compositor) == NOT_FOUND ? "weston is not installed"
					    : "weston does not start: see above";
}

void compositor_stop(struct compositor *compositor) {
	require(end(compositor) == 0);
}
