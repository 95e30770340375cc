/* SPDX-License-Identifier: MIT */
/* The importer's side of a buffer: KERNEL_CONTRACT section 10, by the newer of its two kernels. */
#include "src/attachment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/abi.h"
#include "src/buffer.h"
#include "src/check.h"
#include "src/constraints.h"
#include "src/device.h"
#include "src/report.h"
#include "src/resv.h"
#include "src/sg.h"

/* ---- Attaching ----------------------------------------------------------------------------- */

/* What is needed altogether. The caller's part may be older or newer than we know. */
static int gather_constraints(const struct stile_attach_info *info, struct stile_constraints *all,
	struct stile_report *why) {
	*all = info->device->limits.import;
	if (info->constraints == NULL) {
		return 0;
	}
	int ret = stile_constraints_merge(all, info->constraints);
	if (ret < 0) {
		return report_refuse(why, ret, STILE_REASON_MEMORY, 0, 0, 0,
			"the constraints are impossible: %s", strerror(-ret));
	}
	return 0;
}

static int check_attach(const struct stile_buffer *buffer, const struct stile_attach_info *info,
	struct stile_report *why) {
	if (!buffer_usage_is_valid(info->usage)) {
		return report_refuse(why, -EINVAL, STILE_REASON_USAGE, 0,
			STILE_USAGE_READ | STILE_USAGE_WRITE, info->usage,
			"usage 0x%x: at least one of READ (1) and WRITE (2) is needed, and nothing else",
			info->usage);
	}
	const struct stile_device *device = info->device;
	uint32_t allowed = buffer_get_usage(buffer);
	allowed &= buffer->device == device ? allowed : device->limits.import_usage;
	if ((info->usage & ~allowed) != 0) {
		return report_refuse(why, -EACCES, STILE_REASON_FD_ACCESS, 0, info->usage, allowed,
			"usage 0x%x: the memory and the device allow only 0x%x", info->usage,
			allowed);
	}
	int ret = info->importer == NULL ? 0
					 : abi_check_table(info->importer, sizeof(*info->importer));
	if (ret < 0) {
		return report_refuse(why, ret, STILE_REASON_CALLER, 0, sizeof(*info->importer),
			info->importer->size, "the importer's table of %zu bytes: %s",
			info->importer->size,
			ret == -E2BIG ? "it has ops that are not known here"
				      : "that is no size it can have");
	}
	ret = device->ops->device_check(info->device);
	if (ret < 0) {
		return report_refuse(why, ret, STILE_REASON_DRIVER, 0, 0, 0,
			"the device is lost (%s)", strerror(-ret));
	}
	if (device->ops->sg_map == NULL) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0, 0,
			"a device of the backend %s only allocates: drivers take descriptors of its "
			"memory (stile_buffer_export_fd())",
			device->ops->name);
	}
	return 0;
}

static void attachment_link(struct stile_attachment *attachment) {
	struct stile_buffer *buffer = attachment->buffer;
	attachment->prev = buffer->last_attachment;
	if (attachment->prev != NULL) {
		attachment->prev->next = attachment;
	} else {
		buffer->first_attachment = attachment;
	}
	buffer->last_attachment = attachment;
}

static void attachment_unlink(struct stile_attachment *attachment) {
	struct stile_buffer *buffer = attachment->buffer;
	if (attachment->prev != NULL) {
		attachment->prev->next = attachment->next;
	} else {
		buffer->first_attachment = attachment->next;
	}
	if (attachment->next != NULL) {
		attachment->next->prev = attachment->prev;
	} else {
		buffer->last_attachment = attachment->prev;
	}
}

static void attachment_free(struct stile_attachment *attachment) {
	struct stile_buffer *buffer = attachment->buffer;
	if (buffer->ops->detach != NULL) {
		buffer->ops->detach(buffer, attachment);
	}
	device_unref(attachment->device);
	free(attachment);
}

/* The exporter may veto, then it is among the others. */
static int attachment_join(struct stile_attachment *attachment, struct stile_report *why) {
	struct stile_buffer *buffer = attachment->buffer;
	*why = (struct stile_report){ .size = sizeof(*why) };
	if (buffer_is_locked_by_caller(buffer, "a buffer is attached to")) {
		return report_refuse(why, -EDEADLK, STILE_REASON_CALLER, 0, 0, 0,
			"the caller has the buffer's reservation locked");
	}
	int ret = buffer->ops->attach == NULL ? 0 : buffer->ops->attach(buffer, attachment, why);
	if (ret < 0) {
		why->error = ret;
		return why->reason != STILE_REASON_NONE
			? ret
			: report_refuse(why, ret, STILE_REASON_EXPORTER, 0, 0, 0,
				  "its exporter, %s, refused: %s", buffer->exporter,
				  strerror(-ret));
	}
	ret = buffer_lock(buffer);
	if (ret < 0) {
		if (buffer->ops->detach != NULL) {
			buffer->ops->detach(buffer, attachment);
		}
		return report_refuse(why, ret, STILE_REASON_CALLER, 0, 0, 0,
			"the caller has the buffer's reservation locked");
	}
	attachment_link(attachment);
	stile_resv_unlock(buffer->resv);
	return 0;
}

static int attach(struct stile_buffer *buffer, const struct stile_attach_info *info,
	void (*gone)(void *priv), struct stile_report *why, struct stile_attachment **out) {
	if (buffer == NULL || info->device == NULL) {
		return report_refuse(why, -EINVAL, STILE_REASON_CALLER, 0, 0, 0, "no %s is given",
			buffer == NULL ? "buffer" : "device");
	}
	struct stile_constraints constraints;
	int ret = check_attach(buffer, info, why);
	if (ret == 0) {
		ret = gather_constraints(info, &constraints, why);
	}
	if (ret < 0) {
		return ret;
	}
	struct stile_attachment *attachment = malloc(sizeof(*attachment));
	if (attachment == NULL) {
		return report_refuse(
			why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
	}
	*attachment = (struct stile_attachment){
		.buffer = buffer,
		.device = device_ref(info->device),
		.importer = info->importer,
		.priv = info->priv,
		.name = info->name != NULL ? info->name : info->device->ops->name,
		.constraints = constraints,
		.usage = info->usage,
		.is_picky = info->constraints != NULL,
		.gone = gone,
	};
	ret = attachment_join(attachment, why);
	if (ret < 0) {
		device_unref(attachment->device);
		free(attachment);
		return ret;
	}
	*out = attachment;
	return 0;
}

int attachment_create(struct stile_buffer *buffer, const struct stile_attach_info *info,
	void (*gone)(void *priv), struct stile_report *report, struct stile_attachment **out) {
	*out = NULL;
	struct stile_attach_info known;
	int ret = report_copy_in(report, &known, sizeof(known), info);
	if (ret < 0) {
		return ret;
	}
	struct stile_report why;
	ret = attach(buffer, &known, gone, &why, out);
	if (ret < 0) {
		report_give(report, &why);
	}
	return ret;
}

int stile_buffer_attach(struct stile_buffer *buffer, const struct stile_attach_info *info,
	struct stile_report *report, struct stile_attachment **out) {
	return attachment_create(buffer, info, NULL, report, out);
}

/* ---- Mapping: the reservation is locked ---------------------------------------------------- */

static struct attachment_map *map_find(struct stile_attachment *attachment,
	const struct stile_sg *sg, enum stile_direction direction) {
	struct attachment_map *map = attachment->maps;
	while (map != NULL && (map->sg != sg || map->direction != direction)) {
		map = map->next;
	}
	return map;
}

/* Devices with a cache are told of what the CPU does. */
static void map_list_cached(struct stile_attachment *attachment, struct attachment_map *map) {
	struct stile_buffer *buffer = attachment->buffer;
	pthread_mutex_lock(&buffer->lock);
	map->cached_by = attachment->device;
	map->next_cached = buffer->cached;
	map->cached_link = &buffer->cached;
	if (buffer->cached != NULL) {
		buffer->cached->cached_link = &map->next_cached;
	}
	buffer->cached = map;
	__atomic_fetch_add(&buffer->cached_count, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&buffer->lock);
}

static void map_unlist_cached(struct stile_buffer *buffer, struct attachment_map *map) {
	struct stile_device *device = map->cached_by;
	pthread_mutex_lock(&buffer->lock);
	if (map->direction != STILE_TO_DEVICE) {
		/* Before the CPU cannot ask it any more. */
		device->ops->sg_sync(device, map->sg, 0, map->sg->bytes, true);
	}
	*map->cached_link = map->next_cached;
	if (map->next_cached != NULL) {
		map->next_cached->cached_link = map->cached_link;
	}
	__atomic_fetch_sub(&buffer->cached_count, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&buffer->lock);
}

/* Keep a table that the exporter gave. 0 or -ENOMEM. */
static int map_keep(
	struct stile_attachment *attachment, struct stile_sg *sg, enum stile_direction direction) {
	struct attachment_map *map = map_find(attachment, sg, direction);
	if (map != NULL) {
		map->count++;
		return 0;
	}
	map = attachment->few.sg == NULL ? &attachment->few : malloc(sizeof(*map));
	if (map == NULL) {
		return -ENOMEM;
	}
	*map = (struct attachment_map){
		.next = attachment->maps,
		.sg = sg,
		.direction = direction,
		.count = 1,
	};
	attachment->maps = map;
	if (attachment->device->limits.is_cached) {
		map_list_cached(attachment, map);
	}
	return 0;
}

/* The last map of a table is undone. */
static void map_drop(struct stile_attachment *attachment, struct attachment_map *map) {
	struct attachment_map **link = &attachment->maps;
	while (*link != map) {
		link = &(*link)->next;
	}
	*link = map->next;
	if (map->cached_by != NULL) {
		map_unlist_cached(attachment->buffer, map);
	}
	if (map == &attachment->few) {
		map->sg = NULL;
	} else {
		free(map);
	}
}

static bool is_dynamic(const struct stile_attachment *attachment) {
	return attachment->importer != NULL;
}

/* T-2: who hears of no moves has the storage pinned from map to unmap. */
static int pin_static(struct stile_attachment *attachment) {
	const struct stile_exporter_ops *ops = attachment->buffer->ops;
	if (is_dynamic(attachment) || ops->pin == NULL) {
		return 0;
	}
	return ops->pin(attachment);
}

static void unpin_static(struct stile_attachment *attachment) {
	const struct stile_exporter_ops *ops = attachment->buffer->ops;
	if (!is_dynamic(attachment) && ops->unpin != NULL) {
		ops->unpin(attachment);
	}
}

/* Devices rely on it: an exporter's mistake must not become theirs. */
static bool is_whole(const struct stile_attachment *attachment, const struct stile_sg *sg) {
	const struct stile_buffer *buffer = attachment->buffer;
	if (sg->device == attachment->device && sg->bytes >= buffer->bytes) {
		return true;
	}
	check_warn("exporter \"%s\" maps %llu of a buffer's %llu bytes%s", buffer->exporter,
		(unsigned long long)sg->bytes, (unsigned long long)buffer->bytes,
		sg->device == attachment->device ? "" : ", not for the device that wants them");
	return false;
}

/* What an importer needs beyond its device, whose bus has seen to the rest. */
static bool is_fit(const struct stile_constraints *need, const struct stile_sg *sg) {
	uint64_t align = need->segment_align == 0 ? 1 : need->segment_align;
	bool fits = need->max_segments == 0 || sg->segment_count <= need->max_segments;
	for (size_t i = 0; i < sg->segment_count && fits; i++) {
		const struct stile_sg_segment *segment = &sg->segments[i];
		bool last = i + 1 == sg->segment_count;
		uint64_t end = segment->address + segment->bytes - 1;
		fits = segment->address % align == 0 && (last || segment->bytes % align == 0) &&
			(need->max_segment == 0 || segment->bytes <= need->max_segment) &&
			(need->address_bits == 0 || need->address_bits == 64 ||
				end >> need->address_bits == 0);
	}
	return fits;
}

static int check_table(const struct stile_attachment *attachment, const struct stile_sg *sg) {
	if (!is_whole(attachment, sg)) {
		return -EINVAL;
	}
	return attachment->is_picky && !is_fit(&attachment->constraints, sg) ? -ERANGE : 0;
}

static int map_by_exporter(
	struct stile_attachment *attachment, enum stile_direction direction, struct stile_sg **sg) {
	*sg = NULL;
	int ret = pin_static(attachment);
	if (ret < 0) {
		return ret;
	}
	ret = attachment->buffer->ops->map(attachment, direction, sg);
	if (ret == 0 && *sg == NULL) {
		ret = -ENOMEM;
	} else if (ret == 0) {
		ret = check_table(attachment, *sg);
		if (ret < 0) {
			attachment->buffer->ops->unmap(attachment, *sg, direction);
		}
	}
	if (ret < 0) {
		unpin_static(attachment);
	}
	return ret;
}

static void unmap_by_exporter(
	struct stile_attachment *attachment, struct stile_sg *sg, enum stile_direction direction) {
	attachment->buffer->ops->unmap(attachment, sg, direction);
	unpin_static(attachment);
}

static int check_map(const struct stile_attachment *attachment, enum stile_direction direction,
	int64_t deadline_ns) {
	static const uint32_t needed[] = {
		[STILE_BIDIRECTIONAL] = STILE_USAGE_READ | STILE_USAGE_WRITE,
		[STILE_TO_DEVICE] = STILE_USAGE_READ,
		[STILE_FROM_DEVICE] = STILE_USAGE_WRITE,
	};
	if ((unsigned)direction >= STILE_NO_DIRECTION || deadline_ns < 0) {
		return -EINVAL;
	}
	int ret = buffer_check_locked(attachment->buffer, "a buffer is mapped for a device");
	if (ret < 0) {
		return ret;
	}
	if ((needed[direction] & ~attachment->usage) != 0) {
		return -EACCES;
	}
	return attachment->device->ops->device_check(attachment->device);
}

int stile_attachment_map(struct stile_attachment *attachment, enum stile_direction direction,
	int64_t deadline_ns, struct stile_cancel *cancel, const struct stile_sg **out) {
	*out = NULL;
	int ret = check_map(attachment, direction, deadline_ns);
	if (ret < 0) {
		return ret;
	}
	struct stile_sg *sg;
	ret = map_by_exporter(attachment, direction, &sg);
	if (ret < 0) {
		return ret;
	}
	/* T-4: who knows nothing of moves must not see one half done. */
	if (!is_dynamic(attachment)) {
		ret = resv_wait_at(attachment->buffer->resv, STILE_RESV_KERNEL, deadline_ns, cancel,
			__builtin_return_address(0));
	}
	if (ret == 0) {
		ret = map_keep(attachment, sg, direction);
	}
	if (ret < 0) {
		unmap_by_exporter(attachment, sg, direction);
		return ret;
	}
	*out = sg;
	return 0;
}

static void unmap_once(struct stile_attachment *attachment, struct attachment_map *map) {
	struct stile_sg *sg = map->sg;
	enum stile_direction direction = map->direction;
	if (--map->count == 0) {
		map_drop(attachment, map);
	}
	unmap_by_exporter(attachment, sg, direction);
}

void stile_attachment_unmap(struct stile_attachment *attachment, const struct stile_sg *sg,
	enum stile_direction direction) {
	if (buffer_check_locked(attachment->buffer, "a buffer is unmapped from a device") < 0) {
		return;
	}
	struct attachment_map *map = map_find(attachment, sg, direction);
	if (map == NULL) {
		check_warn("an attachment of \"%s\" unmaps what it has not mapped in direction %d",
			attachment->name, direction);
		return;
	}
	unmap_once(attachment, map);
}

int stile_attachment_map_unlocked(struct stile_attachment *attachment,
	enum stile_direction direction, int64_t deadline_ns, struct stile_cancel *cancel,
	const struct stile_sg **out) {
	*out = NULL;
	int ret = buffer_lock(attachment->buffer);
	if (ret < 0) {
		return ret;
	}
	ret = stile_attachment_map(attachment, direction, deadline_ns, cancel, out);
	stile_resv_unlock(attachment->buffer->resv);
	return ret;
}

void stile_attachment_unmap_unlocked(struct stile_attachment *attachment, const struct stile_sg *sg,
	enum stile_direction direction) {
	struct stile_buffer *buffer = attachment->buffer;
	if (buffer_lock(buffer) == 0) {
		stile_attachment_unmap(attachment, sg, direction);
		stile_resv_unlock(buffer->resv);
	}
}

/* ---- Staying and moving: the reservation is locked ----------------------------------------- */

int stile_attachment_pin(struct stile_attachment *attachment) {
	struct stile_buffer *buffer = attachment->buffer;
	int ret = buffer_check_locked(buffer, "a buffer is pinned");
	if (ret < 0) {
		return ret;
	}
	if (!is_dynamic(attachment)) {
		check_warn("\"%s\", which hears of no moves, pins a buffer: mapping does that",
			attachment->name);
		return -EINVAL;
	}
	ret = buffer->ops->pin == NULL ? 0 : buffer->ops->pin(attachment);
	if (ret == 0) {
		attachment->pins++;
	}
	return ret;
}

static void unpin_once(struct stile_attachment *attachment) {
	attachment->pins--;
	if (attachment->buffer->ops->unpin != NULL) {
		attachment->buffer->ops->unpin(attachment);
	}
}

void stile_attachment_unpin(struct stile_attachment *attachment) {
	if (buffer_check_locked(attachment->buffer, "a buffer is unpinned") < 0) {
		return;
	}
	if (attachment->pins == 0) {
		check_warn("\"%s\" unpins a buffer that it has not pinned", attachment->name);
		return;
	}
	unpin_once(attachment);
}

bool attachment_is_static_user(const struct stile_attachment *attachment) {
	return attachment->maps != NULL && !stile_attachment_is_revocable(attachment);
}

int stile_buffer_check_movable(struct stile_buffer *buffer, struct stile_report *why) {
	return report_begin(why) < 0 ? -EINVAL : buffer_check_movable(buffer, false, why);
}

int buffer_check_movable(
	struct stile_buffer *buffer, bool whatever_is_shown, struct stile_report *why) {
	const char *user = NULL, *what = NULL;
	if (!whatever_is_shown && __atomic_load_n(&buffer->shown, __ATOMIC_SEQ_CST) > 0) {
		what = "a descriptor of it is in the hands of others, or it came by one";
	} else if (__atomic_load_n(&buffer->mapped, __ATOMIC_SEQ_CST) > 0) {
		what = "it is mapped for the CPU (stile_buffer_mmap())";
	} else if (buffer->vmaps > 0) {
		what = "it is mapped for the CPU (stile_buffer_vmap())";
	}
	for (struct stile_attachment *i = buffer->first_attachment; i != NULL && what == NULL;
		i = i->next) {
		user = i->name;
		what = i->pins > 0                     ? "has it pinned"
			: attachment_is_static_user(i) ? "has it mapped, and hears of no moves"
						       : NULL;
	}
	if (what == NULL) {
		return 0;
	}
	struct stile_report found;
	report_refuse(&found, -EBUSY, STILE_REASON_PINNED, 0, 0, 0,
		"the storage stays where it is: %s%s%s", user == NULL ? "" : user,
		user == NULL ? "" : " ", what);
	report_give(why, &found);
	return -EBUSY;
}

void stile_buffer_move_notify(struct stile_buffer *buffer) {
	if (buffer_check_locked(buffer, "a buffer is about to be moved") < 0) {
		return;
	}
	for (struct stile_attachment *i = buffer->first_attachment; i != NULL; i = i->next) {
		if (stile_attachment_is_revocable(i)) {
			i->importer->move_notify(i);
		}
	}
}

int stile_buffer_get_constraints(
	struct stile_buffer *buffer, struct stile_constraints *constraints) {
	int ret = abi_check_out(constraints);
	if (ret == 0) {
		ret = buffer_check_locked(buffer, "the constraints of a buffer are asked for");
	}
	if (ret < 0) {
		return ret;
	}
	struct stile_constraints all = { .size = sizeof(all) };
	for (struct stile_attachment *i = buffer->first_attachment; i != NULL; i = i->next) {
		constraints_combine(&all, &i->constraints);
	}
	abi_copy_out(constraints, &all, sizeof(all));
	return 0;
}

struct stile_attachment *stile_buffer_next_attachment(
	struct stile_buffer *buffer, struct stile_attachment *after) {
	return after == NULL ? buffer->first_attachment : after->next;
}

/* ---- The end ------------------------------------------------------------------------------- */

/* With the reservation locked. */
static void undo_all(struct stile_attachment *attachment) {
	while (attachment->maps != NULL) {
		unmap_once(attachment, attachment->maps);
	}
	while (attachment->pins > 0) {
		unpin_once(attachment);
	}
}

void stile_buffer_detach(struct stile_buffer *buffer, struct stile_attachment *attachment) {
	if (buffer == NULL || attachment == NULL || attachment->buffer != buffer) {
		check_warn("%s is detached from %s",
			attachment == NULL ? "no attachment" : "an attachment",
			buffer == NULL ? "no buffer" : "a buffer that it is not of");
		return;
	}
	if (buffer_lock(buffer) < 0) {
		return;
	}
	if (attachment->maps != NULL || attachment->pins > 0) {
		check_warn("\"%s\" detaches from a buffer that it has %s", attachment->name,
			attachment->maps != NULL ? "mapped" : "pinned");
		undo_all(attachment);
	}
	attachment_unlink(attachment);
	stile_resv_unlock(buffer->resv);
	attachment_free(attachment);
}

/*
 * Nobody else can reach the attachments any more, but the exporter's ops may rely on the lock. Not so
 * those of a backend: a thread of a device that drops the last reference must not wait for whoever has
 * a reservation locked that is shared, and waits for that device.
 */
static bool lock_last(struct stile_buffer *buffer) {
	int ret = stile_resv_trylock(buffer->resv);
	if (ret < 0 && buffer->backend == NULL) {
		ret = buffer_lock(buffer);
	}
	return ret == 0;
}

void attachment_drop_all(struct stile_buffer *buffer) {
	struct stile_attachment *next;
	for (struct stile_attachment *attachment = buffer->first_attachment; attachment != NULL;
		attachment = next) {
		void (*gone)(void *) = attachment->gone;
		next = attachment->next;
		if (gone == NULL) {
			check_warn("\"%s\" is attached to a buffer whose last reference is gone",
				attachment->name);
		}
		bool locked = lock_last(buffer);
		undo_all(attachment);
		attachment_unlink(attachment);
		if (locked) {
			stile_resv_unlock(buffer->resv);
		}
		if (gone != NULL) {
			gone(attachment->priv);
		}
		attachment_free(attachment);
	}
}

/* ---- What it is ---------------------------------------------------------------------------- */

bool stile_attachment_is_revocable(const struct stile_attachment *attachment) {
	return is_dynamic(attachment) && attachment->importer->move_notify != NULL;
}

struct stile_device *stile_attachment_get_device(const struct stile_attachment *attachment) {
	return attachment->device;
}

struct stile_buffer *stile_attachment_get_buffer(const struct stile_attachment *attachment) {
	return attachment->buffer;
}

const struct stile_constraints *stile_attachment_get_constraints(
	const struct stile_attachment *attachment) {
	return &attachment->constraints;
}

void *stile_attachment_get_priv(const struct stile_attachment *attachment) {
	return attachment->priv;
}

void stile_attachment_set_exporter_priv(struct stile_attachment *attachment, void *priv) {
	attachment->exporter_priv = priv;
}

void *stile_attachment_get_exporter_priv(const struct stile_attachment *attachment) {
	return attachment->exporter_priv;
}
