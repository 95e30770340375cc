/* SPDX-License-Identifier: MIT */
/* What it costs to import a picture that was imported before, and what stays of a thousand that were. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <EGL/egl.h>
#include <EGL/eglext.h>

#include <stile/stile.h>

#include "demos/gles_drawer.h"
#include "interop-tests/bench/fence.h"
#include "interop-tests/bench/interop.h"

enum { BUFFERS = 1000, ROUNDS = 5, DESCRIPTORS = 4096 };

typedef void (*image_target_fn)(GLenum target, EGLImage image);

struct imports {
	struct gles_drawer drawer;
	struct stile_device *device;
	struct stile_image *image;
	struct stile_image_info info; /* of it, with descriptors */
	image_target_fn target;
};

static struct stile_image *create_image(struct stile_device *device, uint32_t width,
	uint32_t height, struct stile_image_info *exported) {
	const struct stile_image_info info = {
		.size = sizeof(info),
		.width = width,
		.height = height,
		.fourcc = DRM_FORMAT_ABGR8888,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.modifier = DRM_FORMAT_MOD_LINEAR,
	};
	struct stile_image *image;
	*exported = (struct stile_image_info){ .size = sizeof(*exported) };
	if (stile_image_create(device, &info, &image) < 0 ||
		stile_image_export(image, exported) < 0) {
		abort();
	}
	exported->name = NULL;
	return image;
}

/* ---- One picture, again and again ----------------------------------------------------------- */

/* What a program without Stile does for a descriptor that came. */
static int64_t run_driver(void *data, size_t n) {
	const struct imports *imports = data;
	const struct stile_image_info *info = &imports->info;
	const EGLAttrib attributes[] = {
		EGL_WIDTH,
		info->width,
		EGL_HEIGHT,
		info->height,
		EGL_LINUX_DRM_FOURCC_EXT,
		info->fourcc,
		EGL_DMA_BUF_PLANE0_FD_EXT,
		info->planes[0].fd,
		EGL_DMA_BUF_PLANE0_OFFSET_EXT,
		(EGLAttrib)info->planes[0].offset,
		EGL_DMA_BUF_PLANE0_PITCH_EXT,
		info->planes[0].pitch,
		EGL_DMA_BUF_PLANE0_MODIFIER_LO_EXT,
		0,
		EGL_DMA_BUF_PLANE0_MODIFIER_HI_EXT,
		0,
		EGL_NONE,
	};
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		EGLImage image = eglCreateImage(imports->drawer.display, EGL_NO_CONTEXT,
			EGL_LINUX_DMA_BUF_EXT, NULL, attributes);
		GLuint texture;
		glGenTextures(1, &texture);
		glBindTexture(GL_TEXTURE_2D, texture);
		/* Without this it cannot be sampled. */
		glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MIN_FILTER, GL_NEAREST);
		glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MAG_FILTER, GL_NEAREST);
		imports->target(GL_TEXTURE_2D, image);
		if (image == EGL_NO_IMAGE || glGetError() != GL_NO_ERROR) {
			abort();
		}
		glDeleteTextures(1, &texture);
		eglDestroyImage(imports->drawer.display, image);
	}
	return bench_now() - began;
}

static void import_once(const struct imports *imports, struct stile_image *image) {
	struct stile_egl_image *imported;
	if (stile_egl_import_image(imports->drawer.stile, image, NULL, &imported) < 0) {
		abort();
	}
	stile_egl_image_destroy(imported);
}

static int64_t run_by_image(void *data, size_t n) {
	const struct imports *imports = data;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		import_once(imports, imports->image);
	}
	return bench_now() - began;
}

static void import_by_fd(const struct imports *imports, const struct stile_image_info *info) {
	struct stile_image *image;
	if (stile_image_import(imports->device, info, NULL, &image) < 0) {
		abort();
	}
	import_once(imports, image);
	stile_image_unref(image);
}

static int64_t run_by_fd(void *data, size_t n) {
	const struct imports *imports = data;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		import_by_fd(imports, &imports->info);
	}
	return bench_now() - began;
}

static void report_ratio(const char *name, const struct bench_way *way,
	const struct bench_way *driver, const char *goal, double least) {
	struct bench_row row = {
		.value = way->median,
		.unit = "ns",
		.baseline_name = "eglCreateImage, texture, destroy",
		.baseline = driver->median,
		.ratio = driver->median / way->median,
		.goal = goal,
		.met = driver->median >= least * way->median,
	};
	snprintf(row.name, sizeof(row.name), "%s", name);
	interop_report(row);
}

static void measure_one(struct imports *imports) {
	imports->image = create_image(imports->device, 1920, 1080, &imports->info);
	struct bench_way ways[] = {
		{ .run = run_driver, .data = imports },
		{ .run = run_by_image, .data = imports },
		{ .run = run_by_fd, .data = imports },
	};
	fence_pin(0);
	bench_measure(ways, sizeof(ways) / sizeof(ways[0]));
	fence_unpin();
	report_ratio(
		"EGL re-import by stile_image", &ways[1], &ways[0], "value <= baseline / 100", 100);
	report_ratio("EGL re-import by fd", &ways[2], &ways[0], "value <= baseline / 10", 10);
	close(imports->info.planes[0].fd);
	stile_image_unref(imports->image);
}

/* ---- A thousand in rotation ----------------------------------------------------------------- */

static double count_descriptors(void) {
	DIR *dir = opendir("/proc/self/fd");
	if (dir == NULL) {
		abort();
	}
	double n = 0;
	while (readdir(dir) != NULL) {
		n++;
	}
	closedir(dir);
	return n;
}

static double resident_kib(void) {
	char text[128] = "";
	FILE *file = fopen("/proc/self/statm", "re");
	if (file == NULL || fgets(text, sizeof(text), file) == NULL) {
		abort();
	}
	fclose(file);
	unsigned long pages = strtoul(strchr(text, ' '), NULL, 10);
	return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1024;
}

/*
 * Buffers of which the application keeps the images, so that what is kept of imports is what the cache
 * keeps; or their descriptors only, as they come from a peer, so that each import is of a new buffer.
 */
static void measure_rotation(struct imports *imports, bool keep_images, const char *name) {
	static struct stile_image *images[BUFFERS];
	static struct stile_image_info infos[BUFFERS];
	double fds = 0, kib = 0;
	for (size_t i = 0; i < BUFFERS; i++) {
		images[i] = create_image(imports->device, 64, 64, &infos[i]);
		if (!keep_images) {
			stile_image_unref(images[i]);
		}
	}
	for (int round = 0; round <= ROUNDS; round++) {
		for (size_t i = 0; i < BUFFERS; i++) {
			import_by_fd(imports, &infos[i]);
		}
		/* From the first round on, everything is warm. */
		fds = round == 0 ? count_descriptors() : fds;
		kib = round == 0 ? resident_kib() : kib;
	}
	fds = count_descriptors() - fds;
	kib = resident_kib() - kib;
	for (size_t i = 0; i < BUFFERS; i++) {
		close(infos[i].planes[0].fd);
		if (keep_images) {
			stile_image_unref(images[i]);
		}
	}
	struct bench_row rows[] = {
		{ .value = fds, .unit = "fds", .goal = "value <= 0", .met = fds <= 0 },
		{ .value = kib, .unit = "KiB", .goal = "value <= 256 KiB", .met = kib <= 256 },
	};
	for (size_t i = 0; i < 2; i++) {
		snprintf(rows[i].name, sizeof(rows[i].name), "1000 in rotation, %s", name);
		interop_report(rows[i]);
	}
}

/* A thousand buffers have two descriptors each. */
static void raise_limit(struct rlimit *before) {
	getrlimit(RLIMIT_NOFILE, before);
	struct rlimit raised = *before;
	raised.rlim_cur = raised.rlim_max < DESCRIPTORS ? raised.rlim_max : DESCRIPTORS;
	setrlimit(RLIMIT_NOFILE, &raised);
}

int interop_bench_import(void) {
	static struct imports imports;
	struct rlimit limit;
	int ret = gles_drawer_init(&imports.drawer);
	if (ret == 0) {
		ret = stile_device_open("swgpu", NULL, &imports.device);
	}
	if (ret == 0) {
		imports.target = (image_target_fn)eglGetProcAddress("glEGLImageTargetTexture2DOES");
		raise_limit(&limit);
		measure_one(&imports);
		measure_rotation(&imports, true, "images kept");
		measure_rotation(&imports, false, "descriptors kept");
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	stile_device_destroy(imports.device);
	gles_drawer_finish(&imports.drawer);
	return ret;
}
