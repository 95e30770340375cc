/* SPDX-License-Identifier: MIT */
/*
 * What the kernel's dma-bufs cost beyond the calls of the kernel that are needed: for a kernel that has
 * udmabuf and vgem, as the one that is booted for it. Ratios are what counts: it is emulated, with a clock that
 * counts instructions, of the kernel's as well as ours.
 */
#include <errno.h>
#include <linux/dma-buf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stile/access.h>
#include <stile/buffer.h>
#include <stile/carrier.h>
#include <stile/device.h>
#include <stile/fence.h>
#include <stile/image.h>

#include "interop-tests/bench/bench.h"
#include "interop-tests/support/vgem.h"

enum { BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE };

/* Those of vgem end after 10 s by themselves. */
#define RENEW_NS INT64_C(4000000000)

struct kernel {
	struct stile_device *device;
	struct stile_image *image;
	struct stile_buffer *buffer;
	int fd;
	int vgem;

	/* Pending, and in the kernel's reservation as that of a writer. */
	int number;
	int file;
	struct stile_fence *fence;
	int64_t made_ns;
	bool is_theirs; /* not ours: put there without Stile */
};

static void must(bool ok, const char *what) {
	if (!ok) {
		fprintf(stderr, "kernel: %s failed: %s\n", what, strerror(errno));
		abort();
	}
}

static void report(struct bench_row row) {
	row.group = "kernel";
	row.baseline_name = row.baseline_name == NULL ? "" : row.baseline_name;
	bench_report(&row);
}

/* ---- Something that is pending ------------------------------------------------------------- */

static void fence_drop(struct kernel *kernel) {
	if (kernel->fence != NULL) {
		vgem_signal(kernel->vgem, kernel->number);
		stile_fence_unref(kernel->fence);
		if (!kernel->is_theirs) {
			close(kernel->file);
		}
		kernel->fence = NULL;
	}
}

static void fence_renew(struct kernel *kernel) {
	if (kernel->fence != NULL && bench_now() - kernel->made_ns < RENEW_NS) {
		return;
	}
	fence_drop(kernel);
	if (kernel->is_theirs) {
		kernel->number = vgem_attach(kernel->vgem, kernel->fd, true);
		must(kernel->number >= 0, "a fence of vgem's");
		kernel->fence = stile_fence_get_stub();
		kernel->made_ns = bench_now();
		return;
	}
	kernel->file = vgem_sync_file(kernel->vgem, &kernel->number);
	must(kernel->file >= 0, "a sync_file of vgem's");
	must(stile_fence_import_fd(
		     kernel->device, STILE_FD_SYNC_FILE, 0, kernel->file, &kernel->fence) == 0,
		"its import");
	must(stile_buffer_import_fence(kernel->buffer, STILE_USAGE_WRITE, kernel->fence) == 0,
		"the import into the buffer");
	kernel->made_ns = bench_now();
}

/* ---- The ways ------------------------------------------------------------------------------ */

static void bare_import(const struct kernel *kernel) {
	struct dma_buf_import_sync_file import = { .flags = DMA_BUF_SYNC_WRITE,
		.fd = kernel->file };
	must(ioctl(kernel->fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &import) == 0, "IMPORT_SYNC_FILE");
}

static void bare_export(const struct kernel *kernel) {
	struct dma_buf_export_sync_file export = { .flags = DMA_BUF_SYNC_WRITE };
	must(ioctl(kernel->fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &export) == 0, "EXPORT_SYNC_FILE");
	close(export.fd);
}

#define RUN(name, body) \
	static int64_t name(void *data, size_t n) { \
		struct kernel *kernel = data; \
		fence_renew(kernel); \
		int64_t began = bench_now(); \
		for (size_t i = 0; i < n; i++) { \
			body; \
		} \
		return bench_now() - began; \
	}

static void put_in(const struct kernel *kernel) {
	must(stile_buffer_import_fence(kernel->buffer, STILE_USAGE_WRITE, kernel->fence) == 0,
		"stile_buffer_import_fence()");
}

static void take_out(const struct kernel *kernel) {
	struct stile_fence *fence;
	must(stile_buffer_export_fence(kernel->buffer, STILE_USAGE_WRITE, &fence) == 0,
		"stile_buffer_export_fence()");
	stile_fence_unref(fence);
}

static void use(const struct kernel *kernel) {
	const struct stile_access_info info = { .size = sizeof(info), .usage = STILE_USAGE_WRITE };
	struct stile_access access;
	must(stile_access_begin(kernel->image, &info, &access) == 0, "stile_access_begin()");
	must(stile_access_end(&access, kernel->fence) == 0, "stile_access_end()");
}

static void import_known(const struct kernel *kernel) {
	struct stile_buffer *buffer;
	must(stile_buffer_import_fd(kernel->device, kernel->fd, BOTH, NULL, &buffer) == 0,
		"stile_buffer_import_fd()");
	stile_buffer_unref(buffer);
}

static void ask_fstat(const struct kernel *kernel) {
	struct stat st;
	must(fstat(kernel->fd, &st) == 0, "fstat()");
}

RUN(run_bare_import, bare_import(kernel))
RUN(run_bare_export, bare_export(kernel))
RUN(run_bare_both, bare_export(kernel); bare_import(kernel))
RUN(run_import, put_in(kernel))
RUN(run_export, take_out(kernel))
RUN(run_access, use(kernel))
RUN(run_import_known, import_known(kernel))
RUN(run_fstat, ask_fstat(kernel))

/* ---- Rows ---------------------------------------------------------------------------------- */

static void measure(struct kernel *kernel, const char *name, int64_t (*run)(void *, size_t),
	const char *baseline, int64_t (*run_baseline)(void *, size_t), double most,
	const char *goal) {
	struct bench_way ways[] = {
		{ .run = run, .data = kernel },
		{ .run = run_baseline, .data = kernel },
	};
	bench_measure(ways, 2);
	const char *unit = getenv("STILE_BENCH_UNIT");
	struct bench_row row = {
		.value = ways[0].median / 1000,
		.unit = unit == NULL ? "us" : unit,
		.baseline_name = baseline,
		.baseline = ways[1].median / 1000,
		.ratio = ways[0].median / ways[1].median,
		.goal = goal,
		.met = ways[0].median <= most * ways[1].median,
	};
	snprintf(row.name, sizeof(row.name), "%s", name);
	report(row);
}

static void measure_calls(void) {
	int64_t calls = trace_count("--kernel-traced-alone");
	report((struct bench_row){
		.name = "system calls of an access, nobody outside",
		.value = (double)calls,
		.unit = "calls",
		.goal = "0",
		.met = calls == 0,
	});
	calls = trace_count("--kernel-traced-pending");
	report((struct bench_row){
		.name = "the same, shown, pending outside",
		.value = (double)calls,
		.unit = "calls",
		.baseline_name = "EXPORT, close, IMPORT",
		.baseline = 3,
		.ratio = (double)calls / 3,
		.goal = "",
		.met = true,
	});
}

/* ---- Life ---------------------------------------------------------------------------------- */

static void kernel_close(struct kernel *kernel) {
	fence_drop(kernel);
	if (kernel->fd >= 0) {
		close(kernel->fd);
	}
	stile_image_unref(kernel->image);
	stile_device_destroy(kernel->device);
	close(kernel->vgem);
}

/* 0 or -errno, why not. */
static int kernel_open(struct kernel *kernel, bool shown) {
	const struct stile_image_info info = {
		.size = sizeof(info),
		.width = 64,
		.height = 64,
		.fourcc = DRM_FORMAT_ARGB8888,
		.usage = BOTH,
		.modifier = DRM_FORMAT_MOD_LINEAR,
	};
	*kernel = (struct kernel){ .fd = -1 };
	kernel->vgem = vgem_open();
	if (kernel->vgem < 0) {
		return kernel->vgem;
	}
	int ret = stile_device_open("udmabuf", NULL, &kernel->device);
	if (ret == 0) {
		ret = stile_image_create(kernel->device, &info, &kernel->image);
	}
	if (ret == 0) {
		kernel->buffer = stile_image_get_buffer(kernel->image, 0);
		ret = shown ? stile_buffer_export_fd(kernel->buffer, BOTH, &kernel->fd) : 0;
	}
	if (ret < 0) {
		kernel_close(kernel);
	}
	return ret;
}

int bench_kernel(void) {
	struct kernel kernel;
	int ret = kernel_open(&kernel, true);
	if (ret < 0) {
		fprintf(stderr,
			"kernel: this needs a kernel with vgem and udmabuf (%s): "
			"./run bench kernel boots one\n",
			strerror(-ret));
		return ret;
	}
	measure(&kernel, "a fence into a dma-buf", run_import, "IMPORT_SYNC_FILE", run_bare_import,
		1.1, "ratio <= 1.1");
	fence_drop(&kernel);
	kernel.is_theirs = true;
	measure(&kernel, "a fence out of a dma-buf", run_export, "EXPORT_SYNC_FILE, close",
		run_bare_export, 1.1, "ratio <= 1.1");
	fence_drop(&kernel);
	kernel.is_theirs = false;
	measure(&kernel, "begin and end of a write, pending", run_access, "EXPORT, close, IMPORT",
		run_bare_both, 2, "ratio <= 2");
	measure(&kernel, "import of a known dma-buf by fd", run_import_known, "fstat", run_fstat, 3,
		"ratio <= 3");
	kernel_close(&kernel);
	measure_calls();
	return 0;
}

static int trace_access(bool shown) {
	struct kernel kernel;
	int ret = kernel_open(&kernel, shown);
	if (ret < 0) {
		return ret;
	}
	if (shown) {
		fence_renew(&kernel);
	} else {
		kernel.fence = stile_fence_get_stub();
	}
	use(&kernel);
	trace_begin();
	use(&kernel);
	trace_end();
	if (!shown) {
		stile_fence_unref(kernel.fence);
		kernel.fence = NULL;
	}
	kernel_close(&kernel);
	return 0;
}

int bench_kernel_traced_alone(void) {
	return trace_access(false);
}

int bench_kernel_traced_pending(void) {
	return trace_access(true);
}
