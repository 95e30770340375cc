/* SPDX-License-Identifier: MIT */
#include "interop-tests/model/buffer_steps.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include <stile/buffer.h>
#include <stile/exporter.h>
#include <stile/swgpu_test.h>

#include "interop-tests/model/buffer_twin.h"
#include "interop-tests/model/history.h"
#include "interop-tests/model/own_buffer.h"

enum { MAX_OPTIONS = 128 };

bool are_cached[DEVICES];

/* What is needed, and what a device allocates, differ. */
const struct profile profiles[PROFILES] = {
	{ "profile=plain frame_run=1", { { false, false }, false, false, 1 }, false },
	{ "profile=address-32", { { true, false }, false, false, 0 }, false },
	{ "profile=contiguous", { { false, true }, false, false, 0 }, false },
	{ "profile=local-memory local_memory=36K frame_run=2", { { false, false }, false, true, 2 },
		false },
	{ "profile=non-coherent frame_run=1", { { false, false }, false, false, 1 }, true },
	{ "profile=iommu max_segments=1 address_bits=32 frame_run=1",
		{ { true, true }, true, false, 1 }, false },
	{ "profile=local-memory local_memory=1M address_bits=32 coherent=no",
		{ { true, false }, false, true, 0 }, true },
};

/* ---- Steps: devices and buffers ----------------------------------------------------------- */

void do_open(const struct history_step *step) {
	const struct profile *profile = &profiles[step->b];
	bool deterministic = (step->how & HOW_DETERMINISTIC) != 0;
	char options[MAX_OPTIONS], seed[MAX_OPTIONS] = "";
	if (deterministic) {
		snprintf(seed, sizeof(seed), " seed=%" PRIu64, step->number);
	}
	snprintf(options, sizeof(options), "%s%s", profile->options, seed);
	int ret = stile_device_open("swgpu",
		&(struct stile_device_info){
			.size = sizeof(struct stile_device_info), .options = options },
		&devices[step->a]);
	same(ret, 0, "opening", step->a);
	buffer_model_open(step->a, &profile->traits);
	are_cached[step->a] = profile->is_cached;
	own_buffer_has_threads = own_buffer_has_threads || !deterministic;
}

/* What has not begun ends with -ECANCELED. */
void do_destroy(const struct history_step *step) {
	stile_device_destroy(devices[step->a]);
	devices[step->a] = NULL;
	buffer_model_destroy(step->a);
	for (size_t i = 0; i < buffer_model_op_count(); i++) {
		if (buffer_model_op_status(i) != 0) {
			same(status_of(op_fences[i]), buffer_model_op_status(i), "the status",
				(int)i);
		}
	}
}

static struct stile_resv *resv_of(int number) {
	return number == NONE ? NULL : &resvs[number];
}

void do_create(const struct history_step *step) {
	struct stile_buffer_info info = {
		.size = sizeof(info),
		.bytes = step->count,
		.resv = resv_of(step->c),
	};
	same(stile_buffer_create(devices[step->b], &info, &buffers[step->a]), 0, "create", step->a);
	buffer_model_create(step->a, step->b, step->count, step->c);
}

void do_export(const struct history_step *step) {
	struct own_buffer_info info = {
		.origin = (enum buffer_model_origin)step->b,
		.bytes = step->count,
		.usage = step->how & HOW_READ_ONLY ? BUFFER_MODEL_READ : BUFFER_MODEL_BOTH,
		.pieces = step->how & HOW_TWO_PIECES && step->count > PAGE ? 2 : 1,
		.value = (uint32_t)step->number,
		.resv = resv_of(step->c),
	};
	buffers[step->a] = own_buffer_create(step->a, &info);
	buffer_model_export(step->a, info.origin, info.bytes, info.usage, info.pieces, step->c);
	buffer_model_write(step->a, 0, info.bytes, info.value);
}

void do_ref(const struct history_step *step) {
	stile_buffer_ref(buffers[step->a]);
	buffer_model_ref(step->a);
}

void do_unref(const struct history_step *step) {
	stile_buffer_unref(buffers[step->a]);
	buffer_model_unref(step->a);
}

/* ---- Steps: attachments ------------------------------------------------------------------- */

/* A call that needs the lock, without; or one that takes it, with it. */
static void compare_misuse(int ret, const char *what, int number) {
	same(ret, -EDEADLK, what, number);
	buffer_model_tell();
}

static struct buffer_model_needs needs_of(const struct history_step *step) {
	return (struct buffer_model_needs){ (step->how & HOW_LOW) != 0,
		(step->how & HOW_SINGLE) != 0 };
}

static const struct stile_importer_ops deaf = { .size = sizeof(struct stile_importer_ops) };

static int attach(const struct history_step *step, struct importer *importer) {
	static const struct stile_importer_ops *const ops[] = { NULL, &hearing, &deaf };
	struct stile_constraints constraints = {
		.size = sizeof(constraints),
		.address_bits = step->how & HOW_LOW ? 32 : 0,
		.max_segments = step->how & HOW_SINGLE ? 1 : 0,
	};
	struct stile_attach_info info = {
		.size = sizeof(info),
		.device = importer->device,
		.usage = is_mistaken(step) ? STILE_USAGE_READ : (uint32_t)step->list[1],
		.constraints = &constraints,
		.importer = ops[step->list[0]],
		.priv = importer,
		.name = "model",
	};
	struct stile_report report = { .size = sizeof(report) };
	int ret = stile_buffer_attach(buffers[step->b], &info, &report, &importer->attachment);
	same(report.error, ret, "the report's error", step->a);
	same(ret == -EBUSY, report.reason == STILE_REASON_PINNED, "the reason", step->a);
	return ret;
}

static void compare_attachment(int number) {
	const struct importer *importer = &importers[number];
	const struct stile_attachment *attachment = importer->attachment;
	const struct stile_constraints *got = stile_attachment_get_constraints(attachment);
	struct buffer_model_needs needs = buffer_model_attachment_needs(number);
	bool hears = buffer_model_attachment_manner(number) == BUFFER_MODEL_DYNAMIC;
	if (stile_attachment_get_device(attachment) != importer->device ||
		stile_attachment_get_buffer(attachment) !=
			buffers[buffer_model_attachment_buffer(number)] ||
		stile_attachment_get_priv(attachment) != importer) {
		history_differ("attachment %d is of something else", number);
	}
	same(stile_attachment_is_revocable(attachment), hears, "is_revocable", number);
	if (!buffer_model_get_traits(buffer_model_attachment_device(number))->has_iommu) {
		same(got->address_bits != 0 && got->address_bits <= 32, needs.low,
			"a narrow address", number);
		same(got->max_segments == 1, needs.single, "one segment", number);
	}
}

void do_attach(const struct history_step *step) {
	struct importer *importer = &importers[step->a];
	*importer = (struct importer){ .device = devices[step->c] };
	if (is_mistaken(step)) {
		lock(step->b);
		int ret = attach(step, importer);
		unlock(step->b);
		compare_misuse(ret, "attach with the lock", step->a);
		return;
	}
	int veto = step->how & HOW_VETO ? -ENOSPC : 0;
	own_buffer_veto = veto;
	int ret = attach(step, importer);
	own_buffer_veto = 0;
	same(ret,
		buffer_model_attach(step->a, step->b, step->c,
			(enum buffer_model_manner)step->list[0], (uint32_t)step->list[1],
			needs_of(step), veto, ret),
		"attach", step->a);
	same(importer->attachment == NULL, ret != 0, "no attachment", step->a);
	if (ret == 0) {
		compare_attachment(step->a);
	}
}

void do_detach(const struct history_step *step) {
	int buffer = buffer_model_attachment_buffer(step->a);
	stile_buffer_detach(buffers[buffer], importers[step->a].attachment);
	buffer_model_detach(step->a);
}

/* T-6: whole pages, all of them, as the device needs them. */
static void compare_segments(int number, const struct stile_sg *sg) {
	int attachment = buffer_model_map_attachment(number);
	int buffer = map_buffer(number);
	struct buffer_model_needs needs = buffer_model_attachment_needs(attachment);
	struct mapping *mapping = &mappings[number];
	struct stile_sg_iter iter;
	struct stile_sg_segment segment;
	uint64_t bytes = 0;
	*mapping = (struct mapping){ .sg = sg };
	stile_sg_iter_begin(&iter, sg);
	while (stile_sg_iter_next_segment(&iter, &segment)) {
		if (mapping->count == BUFFER_MODEL_PAGES || segment.bytes == 0 ||
			segment.address % PAGE != 0 || segment.bytes % PAGE != 0) {
			history_differ("mapping %d has too many segments, or odd ones", number);
		}
		if (needs.low && segment.address + segment.bytes > UINT64_C(1) << 32) {
			history_differ("mapping %d is too high", number);
		}
		mapping->segments[mapping->count++] = segment;
		bytes += segment.bytes;
	}
	same((int64_t)bytes, (int64_t)((bytes_of(buffer) + PAGE - 1) / PAGE * PAGE),
		"the bytes of segments", number);
	same((int64_t)stile_sg_get_segment_count(sg), (int64_t)mapping->count,
		"the count of segments", number);
	if (needs.single) {
		same((int64_t)mapping->count, 1, "the count of segments", number);
	}
}

/* Of two mistakes nobody can say which one is found first. */
static enum stile_direction direction_of(const struct history_step *step) {
	bool reads = (buffer_model_attachment_usage(step->b) & BUFFER_MODEL_READ) != 0;
	if (is_mistaken(step)) {
		return reads ? STILE_TO_DEVICE : STILE_FROM_DEVICE;
	}
	return (enum stile_direction)step->c;
}

static int map_it(const struct history_step *step, bool polls, const struct stile_sg **sg) {
	struct stile_attachment *attachment = importers[step->b].attachment;
	enum stile_direction direction = direction_of(step);
	int64_t deadline_ns = polls ? 0 : INT64_MAX;
	bool locks_inside = (step->how & HOW_LOCKED) == 0;
	bool locks = !locks_inside != (is_mistaken(step));
	int buffer = buffer_model_attachment_buffer(step->b);
	if (locks) {
		lock(buffer);
	}
	int ret = locks_inside
		? stile_attachment_map_unlocked(attachment, direction, deadline_ns, NULL, sg)
		: stile_attachment_map(attachment, direction, deadline_ns, NULL, sg);
	if (locks) {
		unlock(buffer);
	}
	return ret;
}

void do_map(const struct history_step *step) {
	const struct stile_sg *sg;
	int buffer = buffer_model_attachment_buffer(step->b);
	bool polls = (step->how & HOW_POLLS) != 0 || is_gate_closed();
	bool had_room = has_room(buffer, 0);
	int ret = map_it(step, polls, &sg);
	same(sg == NULL, ret != 0, "no table", step->a);
	if (is_mistaken(step)) {
		compare_misuse(ret, "map with the wrong lock", step->a);
		return;
	}
	same(ret,
		buffer_model_map(step->a, step->b, (enum buffer_model_direction)step->c, polls,
			see(buffer, had_room), ret),
		"map", step->a);
	if (ret == 0) {
		compare_segments(step->a, sg);
	}
}

void do_unmap(const struct history_step *step) {
	struct stile_attachment *attachment =
		importers[buffer_model_map_attachment(step->a)].attachment;
	enum stile_direction direction = (enum stile_direction)buffer_model_map_direction(step->a);
	const struct stile_sg *sg = mappings[step->a].sg;
	int buffer = map_buffer(step->a);
	if (step->how & HOW_LOCKED) {
		lock(buffer);
		stile_attachment_unmap(attachment, sg, direction);
		unlock(buffer);
	} else {
		stile_attachment_unmap_unlocked(attachment, sg, direction);
	}
	buffer_model_unmap(step->a);
}

void do_pin(const struct history_step *step) {
	struct stile_attachment *attachment = importers[step->a].attachment;
	int buffer = buffer_model_attachment_buffer(step->a);
	bool had_room = has_room(buffer, 0);
	if (is_mistaken(step)) {
		compare_misuse(stile_attachment_pin(attachment), "pin without the lock", step->a);
		return;
	}
	lock(buffer);
	int ret = stile_attachment_pin(attachment);
	unlock(buffer);
	same(ret, buffer_model_pin(step->a, see(buffer, had_room), ret), "pin", step->a);
}

void do_unpin(const struct history_step *step) {
	int buffer = buffer_model_attachment_buffer(step->a);
	lock(buffer);
	stile_attachment_unpin(importers[step->a].attachment);
	unlock(buffer);
	buffer_model_unpin(step->a);
}

/* ---- Steps: descriptors ------------------------------------------------------------------- */

static bool is_writable(int fd) {
	return (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR;
}

/* D-1, B-2. */
static void compare_fd(int number) {
	int fd = fds[number];
	same(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC, "CLOEXEC", number);
	same(lseek(fd, 0, SEEK_END), (off_t)bytes_of(buffer_model_fd_buffer(number)),
		"the size by lseek", number);
}

void do_export_fd(const struct history_step *step) {
	bool had_room = has_room(step->b, 0);
	bool mistaken = is_mistaken(step);
	int fd = 0;
	if (mistaken) {
		lock(step->b);
	}
	uint32_t usage = mistaken ? STILE_USAGE_READ : (uint32_t)step->c;
	int ret = stile_buffer_export_fd(buffers[step->b], usage, &fd);
	same(fd < 0, ret != 0, "no descriptor", step->a);
	if (mistaken) {
		unlock(step->b);
		compare_misuse(ret, "export_fd with the lock", step->b);
		return;
	}
	same(ret,
		buffer_model_export_fd(step->a, step->b, usage, ret == 0 && is_writable(fd),
			see(step->b, had_room), ret),
		"export_fd", step->b);
	if (ret == 0) {
		fds[step->a] = fd;
		compare_fd(step->a);
	}
}

void do_import_fd(const struct history_step *step) {
	int number = buffer_model_fd_buffer(step->a);
	bool was_alive = buffer_model_is_alive(number);
	struct stile_buffer *got;
	int ret = stile_buffer_import_fd(
		devices[step->b], fds[step->a], (uint32_t)step->c, NULL, &got);
	same(ret, buffer_model_import_fd(step->a, step->b, (uint32_t)step->c), "import_fd",
		step->a);
	if (ret != 0) {
		same(got == NULL, true, "no buffer", step->a);
		return;
	}
	/* B-5. */
	if (was_alive && got != buffers[number]) {
		history_differ("importing %d gives another buffer", number);
	}
	buffers[number] = got;
}

void do_import(const struct history_step *step) {
	struct stile_buffer *got;
	int ret = stile_buffer_import(
		devices[step->b], buffers[step->a], (uint32_t)step->c, NULL, &got);
	same(ret, buffer_model_import(step->a, (uint32_t)step->c), "import", step->a);
	if (got != (ret == 0 ? buffers[step->a] : NULL)) {
		history_differ("importing %d gives another buffer", step->a);
	}
}

void do_close(const struct history_step *step) {
	close(fds[step->a]);
	buffer_model_close(step->a);
}

/* ---- Steps: mistakes ---------------------------------------------------------------------- */

/* Each is told, and nothing else happens. */
void do_mistake(const struct history_step *step) {
	struct stile_buffer *buffer = buffers[step->a];
	struct stile_map map = { .address = &map };
	switch ((enum mistake)step->c) {
	case MISTAKE_MUNMAP:
		stile_buffer_munmap(buffer, map.address);
		break;
	case MISTAKE_VUNMAP:
		stile_buffer_vunmap_unlocked(buffer, &map);
		break;
	case MISTAKE_DETACH:
		stile_buffer_detach(buffer, importers[step->b].attachment);
		break;
	case MISTAKES:
		break;
	}
	buffer_model_tell();
}
