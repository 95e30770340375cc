/* SPDX-License-Identifier: MIT */
/*
 * `stile info` without each of the things that it, or what it looks at, needs when it runs: it says which one is not
 * there and what to do, and all the rest as ever.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "interop-tests/interop/hide.h"
#include "interop-tests/interop/stile_tool.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Read by the loader of Vulkan: drivers, in a file that is written here. */
static char gone_driver[64], crashing_driver[64];

/* What a key ends with that tells why. */
static const char *const keys[] = { "backends", "best", "drm", "drm_why", "gbm_why", "vulkan",
	"vulkan_why", "egl", "egl_why" };

struct missing {
	const char *hidden[4]; /* hide()'s; ended by NULL */
	const char *env;       /* NAME=VALUE, or NULL */
	const char *needs;     /* only where this file is; NULL: anywhere */
	const char *key;       /* whose value says it, or NULL: nobody misses it */
	const char *says[4];   /* with these words */
	/* As ever is all but the key and those that begin with these, with a blank after each. */
	const char *changes;
};

/* What a kernel has: these, and the next, are tried in the guest, too. */
static const struct missing of_devices[] = {
	{ .hidden = { "/dev/dri" },
		.key = "drm_why",
		.changes = "drm gbm egl vulkan ",
		.says = { "/dev/dri", "a container hides it" } },
	{ .hidden = { "/sys" },
		.needs = "/dev/dri/card0",
		.key = "drm_why",
		.changes = "drm egl vulkan ",
		.says = { "there are nodes in /dev/dri", "/sys" } },
	{ .env = "GBM_BACKENDS_PATH=/nonexistent",
		.needs = "/dev/dri/card0",
		.key = "drm",
		.changes = "egl ",
		.says = { "GBM has no driver for it", "libgbm1",
			"GBM_BACKENDS_PATH is set, to '/nonexistent'" } },
	/* Mesa 25 crashes by it where there are DRM devices. */
	{ .env = "LIBGL_ALWAYS_SOFTWARE=1", .changes = "egl " },
};

static const struct missing of_memory[] = {
	{ .hidden = { "/dev/udmabuf" },
		.key = "backends",
		.changes = "best vulkan egl ",
		.says = { "there is no /dev/udmabuf", "CONFIG_UDMABUF", "modprobe udmabuf",
			"container" } },
	{ .hidden = { "/dev/dma_heap" },
		.key = "backends",
		.changes = "best vulkan egl ",
		.says = { "/dev/dma_heap is missing", "CONFIG_DMABUF_HEAPS" } },
};

static const struct missing of_systems[] = {
	{ .hidden = { "libvulkan.so.1" },
		.key = "vulkan_why",
		.changes = "vulkan ",
		.says = { "no Vulkan loader", "libvulkan.so.1: ", "libvulkan1" } },
	{ .env = "VK_DRIVER_FILES=/nonexistent/icd.json",
		.key = "vulkan_why",
		.changes = "vulkan ",
		.says = { "finds no driver", "mesa-vulkan-drivers",
			"VK_DRIVER_FILES is set, to '/nonexistent/icd.json'" } },
	{ .env = gone_driver,
		.key = "vulkan_why",
		.changes = "vulkan ",
		.says = { "driver", "VK_LOADER_DEBUG=all", "VK_DRIVER_FILES is set, to '/" } },
	{ .env = crashing_driver,
		.key = "vulkan_why",
		.changes = "vulkan ",
		.says = { "a driver crashed: Aborted", "VK_LOADER_DEBUG=all" } },
	{ .hidden = { "libEGL.so.1" },
		.key = "egl_why",
		.changes = "egl ",
		.says = { "no EGL", "libEGL.so.1: ", "libegl1" } },
	{ .hidden = { "libGLdispatch.so.0" },
		.key = "egl_why",
		.changes = "egl ",
		.says = { "no EGL", "libGLdispatch.so.0: " } },
	{ .hidden = { "libEGL_mesa.so.0" },
		.env = "__EGL_VENDOR_LIBRARY_FILENAMES=/usr/share/glvnd/egl_vendor.d/50_mesa.json",
		.key = "egl_why",
		.changes = "egl ",
		.says = { "EGL finds no driver that can be loaded", "libegl-mesa0" } },
	{ .env = "__EGL_VENDOR_LIBRARY_DIRS=/nonexistent",
		.key = "egl_why",
		.changes = "egl ",
		.says = { "EGL finds no driver", "libegl-mesa0",
			"__EGL_VENDOR_LIBRARY_DIRS is set, to '/nonexistent'" } },
	{ .env = "GALLIUM_DRIVER=nonsense",
		.key = "egl",
		.changes = "vulkan egl_why ",
		.says = { "EGL_LOG_LEVEL=debug", "GALLIUM_DRIVER is set, to 'nonsense'" } },
	/* All that a machine without graphics lacks. */
	{ .hidden = { "libvulkan.so.1", "libEGL.so.1", "/dev/dri" },
		.key = "egl_why",
		.changes = "vulkan egl drm gbm ",
		.says = { "libegl1" } },
	/* What applications need, and this command does not. */
	{ .hidden = { "libGLESv2.so.2", "/usr/share/vulkan/explicit_layer.d" } },
	{ .env = "LIBGL_DRIVERS_PATH=/nonexistent" },
	{ .env = "VK_INSTANCE_LAYERS=VK_LAYER_KHRONOS_validation" },
	{ .env = "EGL_PLATFORM=wayland" },
/* The sanitizers read there what memory they have. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	{ .hidden = { "/proc" } },
#endif
};

/* With all there, and without. */
static struct stile_tool_said whole, said;

static void take_away(const void *arg) {
	const struct missing *missing = arg;
	hide_begin();
	for (const char *const *hidden = missing->hidden; *hidden != NULL; hidden++) {
		hide(*hidden);
	}
	if (missing->env != NULL) {
		putenv(strdup(missing->env));
	}
}

static const char *name(const struct missing *missing) {
	return missing->hidden[0] != NULL ? missing->hidden[0] : missing->env;
}

/* Lines are broken anywhere. */
static void join_lines(char *text) {
	char *to = text;
	for (const char *from = text; *from != '\0'; from++) {
		bool blank = *from == ' ' || *from == '\n';
		if (!blank || (to > text && to[-1] != ' ')) {
			*to++ = blank ? ' ' : *from;
		}
	}
	*to = '\0';
}

static bool changes(const struct missing *missing, const char *key) {
	char list[128], prefix[32];
	snprintf(list, sizeof(list), "%s %s ", missing->changes == NULL ? "" : missing->changes,
		missing->key == NULL ? "" : missing->key);
	for (char *word = strtok(list, " "); word != NULL; word = strtok(NULL, " ")) {
		snprintf(prefix, sizeof(prefix), "%s", word);
		if (strncmp(key, prefix, strlen(prefix)) == 0) {
			return true;
		}
	}
	return false;
}

static void check_rest(const struct missing *missing) {
	for (size_t i = 0; i < LENGTH(keys); i++) {
		const char *value = json_get(said.out, keys[i]), *as = json_get(whole.out, keys[i]);
		size_t length = (size_t)(json_skip(as) - as);
		ck_assert_msg(changes(missing, keys[i]) || strncmp(value, as, length) == 0,
			"without %s, %s is %.*s", name(missing), keys[i],
			(int)(json_skip(value) - value), value);
	}
}

static void check_words(const struct missing *missing, const char *text, size_t length) {
	for (size_t i = 0; i < 4 && missing->says[i] != NULL; i++) {
		ck_assert_msg(
			memmem(text, length, missing->says[i], strlen(missing->says[i])) != NULL,
			"without %s: no '%s' in %.*s", name(missing), missing->says[i], (int)length,
			text);
	}
}

/* Wrong code: it does not start, or ends in the middle, or the sentence names nothing that can be done. */
static void check(const struct missing *missing) {
	if (missing->needs != NULL && access(missing->needs, F_OK) < 0) {
		return;
	}
	stile_tool_run(
		(const char *const[]){ TOOL, "info", "--json", NULL }, take_away, missing, &said);
	ck_assert_msg(said.status == 0, "without %s: %d, %s", name(missing), said.status, said.err);
	ck_assert_str_eq(json_skip(said.out), "\n");
	check_rest(missing);
	if (missing->key != NULL) {
		const char *value = json_get(said.out, missing->key);
		check_words(missing, value, (size_t)(json_skip(value) - value));
	}
	stile_tool_run((const char *const[]){ TOOL, "info", NULL }, take_away, missing, &said);
	ck_assert_int_eq(said.status, 0);
	join_lines(said.out);
	check_words(missing, said.out, strlen(said.out));
	ck_assert_ptr_nonnull(strstr(said.out, " stile info --formats lists"));
}

START_TEST(device_that_is_missing_is_told_and_the_rest_as_ever) {
	check(&of_devices[_i]);
}
END_TEST

START_TEST(memory_that_is_missing_is_told_and_the_rest_as_ever) {
	check(&of_memory[_i]);
}
END_TEST

START_TEST(library_that_is_missing_is_told_and_the_rest_as_ever) {
	check(&of_systems[_i]);
}
END_TEST

/* What the libraries of Stile are linked to. The guide says what the loader says then. */
START_TEST(what_it_does_not_start_without_is_named) {
	static const struct missing libraries[] = { { .hidden = { "libdrm.so.2" } },
		{ .hidden = { "libgbm.so.1" } }, { .hidden = { "libpixman-1.so.0" } } };
	const struct missing *missing = &libraries[_i];
	char sentence[128];
	snprintf(sentence, sizeof(sentence),
		"error while loading shared libraries: %s: ", missing->hidden[0]);
	stile_tool_run((const char *const[]){ TOOL, "info", NULL }, take_away, missing, &said);
	ck_assert_int_eq(said.status, 127);
	ck_assert_str_eq(said.out, "");
	ck_assert_msg(strstr(said.err, sentence) != NULL, "%s", said.err);
}
END_TEST

/* ---- The program --------------------------------------------------------------------------- */

static void describe_driver(const char *library, const char *path, char env[64]) {
	FILE *file = fopen(path, "we");
	runner_require(file != NULL, "%s cannot be written", path);
	fprintf(file,
		"{ \"file_format_version\": \"1.0.0\", \"ICD\": { \"library_path\": \"%s\", "
		"\"api_version\": \"1.3.0\" } }\n",
		library);
	fclose(file);
	snprintf(env, 64, "VK_DRIVER_FILES=%s", path);
}

static char folder[24], gone[40], crashing[40];

static void start(void) {
	snprintf(folder, sizeof(folder), "/tmp/stile-info-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(gone, sizeof(gone), "%s/gone.json", folder);
	snprintf(crashing, sizeof(crashing), "%s/crashing.json", folder);
	describe_driver("/nonexistent/libvulkan_gone.so", gone, gone_driver);
	describe_driver(CRASHING_DRIVER, crashing, crashing_driver);
	stile_tool_run((const char *const[]){ TOOL, "info", "--json", NULL }, NULL, NULL, &whole);
	ck_assert_int_eq(whole.status, 0);
}

static void stop(void) {
	ck_assert(unlink(gone) == 0 && unlink(crashing) == 0 && rmdir(folder) == 0);
}

static TCase *add_tcase(Suite *s, const char *part) {
	TCase *tc = ledger_tcase_create(part);
	tcase_add_unchecked_fixture(tc, start, stop);
	tcase_set_timeout(tc, 240);
	suite_add_tcase(s, tc);
	return tc;
}

static Suite *suite(void) {
	Suite *s = suite_create("info_without");
	TCase *tc = add_tcase(s, "devices");
	tcase_add_loop_test(
		tc, device_that_is_missing_is_told_and_the_rest_as_ever, 0, LENGTH(of_devices));
	tc = add_tcase(s, "memory");
	tcase_add_loop_test(
		tc, memory_that_is_missing_is_told_and_the_rest_as_ever, 0, LENGTH(of_memory));
	tc = add_tcase(s, "system");
	tcase_add_loop_test(
		tc, library_that_is_missing_is_told_and_the_rest_as_ever, 0, LENGTH(of_systems));
	tcase_add_loop_test(tc, what_it_does_not_start_without_is_named, 0, 3);
	return s;
}

int main(int argc, char **argv) {
	pid_t pid = fork();
	if (pid == 0) {
		_exit(hide_begin() ? EXIT_SUCCESS : RUNNER_SKIP);
	}
	if (runner_reap(pid) != EXIT_SUCCESS) {
		printf("skipped: mounts of one's own are not allowed here (user namespaces), or there is no /boot\n");
		return RUNNER_SKIP;
	}
	return runner_main(argc, argv, suite, NULL);
}
