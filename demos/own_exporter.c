/* SPDX-License-Identifier: MIT */
/*
 * stile-own-exporter: memory of one's own as buffers.
 *
 * A camera has a ring of frames in one anonymous memory, and exports each as a buffer. From there on
 * it is a buffer as any other: devices attach and map it, the CPU reads it, fences say who is using
 * it. Two GPUs with addresses of 32 bits want a frame: GPU 1 cannot reach it, GPU 2 has an IOMMU, by
 * which it can. Exit status: 0 all went as told, 1 it did not.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include <stile/stile.h>
#include <stile/swgpu_list.h>

enum { FRAMES = 2, FRAME_BYTES = 256 * 1024 };

/* ---- The exporter --------------------------------------------------------------------------- */

struct frame {
	unsigned number;
	uint8_t *pixels; /* whole pages */
};

static unsigned exported; /* frames that somebody has */

/* A device would like to use the memory. Who cannot have it there says so here. */
static int frame_attach(struct stile_buffer *buffer, struct stile_attachment *attachment,
	struct stile_report *why) {
	const struct frame *frame = stile_buffer_get_priv(buffer);
	(void)why;
	uint32_t bits = stile_attachment_get_constraints(attachment)->address_bits;
	printf("camera: a device would like frame %u, at ", frame->number);
	if (bits == 0) {
		printf("any address\n");
	} else {
		printf("an address of %u bits\n", bits);
	}
	return 0;
}

/* It is about to: where the pieces are, of which its bus then makes what it sees. */
static int frame_map(struct stile_attachment *attachment, enum stile_direction direction,
	struct stile_sg **out) {
	const struct frame *frame = stile_buffer_get_priv(stile_attachment_get_buffer(attachment));
	const struct stile_sg_range range = {
		.memory = frame->pixels,
		.address = STILE_ADDRESS_UNKNOWN, /* that is for the system to know */
		.bytes = FRAME_BYTES,
	};
	struct stile_sg *sg;
	int ret = stile_sg_create(&sg);
	if (ret < 0) {
		return ret;
	}
	ret = stile_sg_append(sg, &range);
	if (ret == 0) {
		ret = stile_sg_map(sg, stile_attachment_get_device(attachment), direction);
	}
	if (ret < 0) {
		stile_sg_destroy(sg);
		return ret;
	}
	*out = sg;
	return 0;
}

static void frame_unmap(
	struct stile_attachment *attachment, struct stile_sg *sg, enum stile_direction direction) {
	(void)attachment;
	stile_sg_unmap(sg, direction);
	stile_sg_destroy(sg);
}

/* The CPU: it is mapped as long as the camera is there. */
static int frame_mmap(struct stile_buffer *buffer, uint32_t usage, uint64_t offset, uint64_t bytes,
	void **address) {
	const struct frame *frame = stile_buffer_get_priv(buffer);
	(void)usage;
	(void)bytes;
	*address = frame->pixels + offset;
	return 0;
}

/* Nobody has it any more. */
static void frame_release(struct stile_buffer *buffer) {
	const struct frame *frame = stile_buffer_get_priv(buffer);
	printf("camera: frame %u is back\n", frame->number);
	exported--;
}

static const struct stile_exporter_ops frame_ops = {
	.size = sizeof(frame_ops),
	.attach = frame_attach,
	.map = frame_map,
	.unmap = frame_unmap,
	.mmap = frame_mmap,
	.release = frame_release,
};

static int frame_export(struct frame *frame, struct stile_buffer **out) {
	const struct stile_exporter_info info = {
		.size = sizeof(info),
		.exporter = "camera",
		.ops = &frame_ops,
		.priv = frame,
		.bytes = FRAME_BYTES,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
	};
	int ret = stile_buffer_export(&info, out);
	exported += ret == 0;
	return ret;
}

/* ---- Who uses a frame, and knows nothing of the camera -------------------------------------- */

static void print_log(void *user, enum stile_log_level level, const char *text) {
	if (level == STILE_LOG_ERROR) {
		printf("%s:  %s\n", (const char *)user, text);
	}
}

/* Mark where each piece begins, by its address on the device's bus. */
static int record(struct stile_swgpu_list *list, const struct stile_sg *sg) {
	struct stile_sg_iter iter;
	struct stile_sg_segment piece;
	int ret = 0;
	stile_sg_iter_begin(&iter, sg);
	while (ret == 0 && stile_sg_iter_next_segment(&iter, &piece)) {
		ret = stile_swgpu_list_fill_address(list, piece.address, 1, '#');
	}
	return ret;
}

/* Have that done some time, and say in the buffer's reservation until when it is used. */
static int process(
	struct stile_device *gpu, const struct stile_sg *sg, struct stile_buffer *buffer) {
	struct stile_swgpu_list *list;
	struct stile_fence *done;
	int ret = stile_swgpu_list_create(gpu, &list);
	if (ret < 0) {
		return ret;
	}
	ret = record(list, sg);
	if (ret == 0) {
		ret = stile_swgpu_submit(stile_swgpu_get_queue(gpu), list, NULL, &done);
	}
	if (ret < 0) {
		stile_swgpu_list_destroy(list);
		return ret;
	}
	ret = stile_buffer_import_fence(buffer, STILE_USAGE_WRITE, done);
	stile_fence_unref(done);
	return ret;
}

/* How many marks the CPU sees, once those who write are done. */
static int count_marks(struct stile_buffer *buffer) {
	void *memory;
	int count = 0, ret = stile_buffer_mmap(buffer, STILE_USAGE_READ, &memory);
	if (ret < 0) {
		return ret;
	}
	ret = stile_buffer_begin_cpu_access(buffer, STILE_USAGE_READ, INT64_MAX, NULL);
	if (ret == 0) {
		for (size_t i = 0; i < FRAME_BYTES; i++) {
			count += ((const char *)memory)[i] == '#';
		}
		ret = stile_buffer_end_cpu_access(buffer, STILE_USAGE_READ);
		printf("CPU:    marks: %d\n", count);
	}
	stile_buffer_munmap(buffer, memory);
	return ret < 0 ? ret : count;
}

/* Have a GPU work on a buffer: how many marks it made, or -errno. */
static int work(char *name, const char *profile, struct stile_buffer *buffer) {
	struct stile_device_info info = {
		.size = sizeof(info), .log = print_log, .log_user = name, .options = profile
	};
	struct stile_attach_info attach = {
		.size = sizeof(attach), .usage = STILE_USAGE_READ | STILE_USAGE_WRITE, .name = name
	};
	struct stile_attachment *attachment;
	const struct stile_sg *sg;
	int ret = stile_device_open("swgpu", &info, &attach.device);
	if (ret < 0) {
		return ret;
	}
	ret = stile_buffer_attach(buffer, &attach, NULL, &attachment);
	if (ret < 0) {
		goto out_device;
	}
	ret = stile_attachment_map_unlocked(attachment, STILE_BIDIRECTIONAL, INT64_MAX, NULL, &sg);
	if (ret < 0) {
		goto out_attachment;
	}
	printf("%s:  mapped; pieces for the CPU: %zu, for the device: %zu\n", name,
		stile_sg_get_range_count(sg), stile_sg_get_segment_count(sg));
	ret = process(attach.device, sg, buffer);
	ret = ret < 0 ? ret : count_marks(buffer);
	stile_attachment_unmap_unlocked(attachment, sg, STILE_BIDIRECTIONAL);
out_attachment:
	stile_buffer_detach(buffer, attachment);
out_device:
	stile_device_destroy(attach.device);
	return ret;
}

int main(void) {
	static char names[][6] = { "GPU 1", "GPU 2" };
	struct frame frames[FRAMES];
	struct stile_buffer *buffers[FRAMES];
	uint8_t *ring = mmap(NULL, FRAMES * FRAME_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool ok = ring != MAP_FAILED;
	for (unsigned i = 0; i < FRAMES && ok; i++) {
		frames[i] = (struct frame){ .number = i, .pixels = ring + i * FRAME_BYTES };
		ok = frame_export(&frames[i], &buffers[i]) == 0;
	}
	if (!ok) {
		return 1;
	}
	ok = work(names[0], "profile=address-32", buffers[1]) == -ERANGE &&
		work(names[1], "profile=address-32 iommu=yes max_segment=64K", buffers[1]) > 0;
	for (unsigned i = 0; i < FRAMES; i++) {
		stile_buffer_unref(buffers[i]);
	}
	munmap(ring, FRAMES * FRAME_BYTES);
	return ok && exported == 0 ? 0 : 1;
}
