/* SPDX-License-Identifier: MIT */
#include "interop-tests/interop/hide.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interop-tests/support/runner.h"

/* A folder that every machine has, and nobody here needs. */
#define SPARE "/boot"

static void write_text(const char *path, const char *text) {
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	runner_require(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text),
		"%s cannot be written", path);
	close(fd);
}

/* Whoever is not root is root of a user namespace. */
static bool become_root(void) {
	char users[32], groups[32];
	snprintf(users, sizeof(users), "0 %u 1", (unsigned)geteuid());
	snprintf(groups, sizeof(groups), "0 %u 1", (unsigned)getegid());
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) {
		return false;
	}
	write_text("/proc/self/setgroups", "deny");
	write_text("/proc/self/uid_map", users);
	write_text("/proc/self/gid_map", groups);
	return true;
}

bool hide_begin(void) {
	return (unshare(CLONE_NEWNS) == 0 || become_root()) &&
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		mount("none", SPARE, "tmpfs", 0, NULL) == 0;
}

/* Where it is loaded from, or "". */
static void find_library(const char *name, char path[PATH_MAX]) {
	struct link_map *map = NULL;
	void *library = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
	path[0] = '\0';
	if (library != NULL && dlinfo(library, RTLD_DI_LINKMAP, &map) == 0) {
		snprintf(path, PATH_MAX, "%s", map->l_name);
	}
}

/* All that is in `whole`, by links, but for one. */
static void link_all_but(const char *whole, const char *name, const char *into) {
	DIR *all = opendir(whole);
	runner_require(all != NULL, "%s cannot be read", whole);
	for (const struct dirent *entry = readdir(all); entry != NULL; entry = readdir(all)) {
		char target[PATH_MAX], link[PATH_MAX];
		snprintf(target, sizeof(target), "%s/%s", whole, entry->d_name);
		snprintf(link, sizeof(link), "%s/%s", into, entry->d_name);
		if (strcmp(entry->d_name, name) != 0 && entry->d_name[0] != '.') {
			runner_require(symlink(target, link) == 0, "no link %s", link);
		}
	}
	closedir(all);
}

/* Its folder without it: the whole folder is elsewhere, and in its place are links. */
static void hide_file(const char *folder, const char *name) {
	static unsigned count;
	char whole[32], rest[32];
	snprintf(whole, sizeof(whole), SPARE "/%u-whole", count);
	snprintf(rest, sizeof(rest), SPARE "/%u", count++);
	runner_require(mkdir(whole, 0755) == 0 && mkdir(rest, 0755) == 0 &&
			mount(folder, whole, NULL, MS_BIND | MS_REC, NULL) == 0,
		"%s cannot be mounted elsewhere", folder);
	link_all_but(whole, name, rest);
	runner_require(mount(rest, folder, NULL, MS_BIND, NULL) == 0, "%s stays", folder);
}

void hide(const char *what) {
	char path[PATH_MAX], folder[PATH_MAX];
	struct stat info;
	if (what[0] == '/') {
		snprintf(path, sizeof(path), "%s", what);
	} else {
		find_library(what, path);
	}
	if (lstat(path, &info) < 0) {
		return;
	}
	if (S_ISDIR(info.st_mode)) {
		runner_require(mount("none", path, "tmpfs", 0, NULL) == 0, "%s stays", path);
		return;
	}
	char *name = strrchr(path, '/');
	*name++ = '\0';
	runner_require(realpath(path[0] == '\0' ? "/" : path, folder) != NULL, "no %s", path);
	hide_file(folder, name);
}
