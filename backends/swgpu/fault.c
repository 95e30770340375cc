/* SPDX-License-Identifier: MIT */
#include "backends/swgpu/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/swgpu/swgpu.h"
#include "backends/swgpu/trace.h"
#include "src/abi.h"
#include "src/check.h"
#include "src/device.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/report.h"

enum { MAX_ERRNO = 4095 };

struct faults {
	uint64_t commands;    /* that began; by atomic access */
	uint64_t allocations; /* the same */
	uint32_t pending;     /* as `count`, to be read without the lock */

	uint32_t lock;
	/* All below is under the lock. */
	struct stile_swgpu_injection *injections; /* `at` is a number from the beginning */
	size_t count, capacity;
	struct stile_swgpu_fault last;
};

static const struct kind {
	const char *name;
	enum stile_swgpu_injection_kind kind;
	enum { VALUE_NONE, VALUE_TIME, VALUE_ERROR } value;
	bool has_to;
} kinds[] = {
	{ "delay", STILE_SWGPU_DELAY, VALUE_TIME, true },
	{ "reorder", STILE_SWGPU_REORDER, VALUE_TIME, false },
	{ "error", STILE_SWGPU_ERROR, VALUE_ERROR, false },
	{ "hang", STILE_SWGPU_HANG, VALUE_NONE, false },
	{ "lose", STILE_SWGPU_LOSE, VALUE_NONE, false },
	{ "nomem", STILE_SWGPU_NO_MEMORY, VALUE_NONE, false },
};

static const struct {
	const char *name;
	int error;
} errors[] = {
	{ "EACCES", -EACCES },
	{ "EAGAIN", -EAGAIN },
	{ "EBADMSG", -EBADMSG },
	{ "EBUSY", -EBUSY },
	{ "ECANCELED", -ECANCELED },
	{ "EDEADLK", -EDEADLK },
	{ "EFAULT", -EFAULT },
	{ "EINVAL", -EINVAL },
	{ "EIO", -EIO },
	{ "ENODATA", -ENODATA },
	{ "ENODEV", -ENODEV },
	{ "ENOENT", -ENOENT },
	{ "ENOMEM", -ENOMEM },
	{ "ENOSPC", -ENOSPC },
	{ "EOPNOTSUPP", -EOPNOTSUPP },
	{ "EOVERFLOW", -EOVERFLOW },
	{ "EOWNERDEAD", -EOWNERDEAD },
	{ "ERANGE", -ERANGE },
	{ "ETIME", -ETIME },
	{ "ETIMEDOUT", -ETIMEDOUT },
};

const char *faults_get_name(enum stile_swgpu_injection_kind kind) {
	for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
		if (kinds[i].kind == kind) {
			return kinds[i].name;
		}
	}
	return "?";
}

/* ---- The language -------------------------------------------------------------------------- */

/* Digits, and nothing that strtoull() takes besides. */
static bool parse_number(const char **at, uint64_t *out) {
	uint64_t number = 0;
	const char *begin = *at;
	for (; **at >= '0' && **at <= '9'; (*at)++) {
		if (__builtin_mul_overflow(number, (uint64_t)10, &number) ||
			__builtin_add_overflow(number, (uint64_t)(**at - '0'), &number)) {
			return false;
		}
	}
	*out = number;
	return *at != begin;
}

static bool parse_time(const char *text, int64_t *ns) {
	static const struct {
		const char *name;
		int64_t ns;
	} units[] = { { "ns", 1 }, { "us", 1000 }, { "ms", 1000000 }, { "s", 1000000000 } };
	uint64_t number;
	if (!parse_number(&text, &number) || number > INT64_MAX) {
		return false;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
		if (strcmp(text, units[i].name) == 0) {
			return !__builtin_mul_overflow((int64_t)number, units[i].ns, ns);
		}
	}
	return false;
}

static bool parse_error(const char *text, int *error) {
	for (size_t i = 0; i < ARRAY_LENGTH(errors); i++) {
		if (strcmp(text, errors[i].name) == 0) {
			*error = errors[i].error;
			return true;
		}
	}
	uint64_t number;
	if (*text++ != '-' || !parse_number(&text, &number) || *text != '\0' || number == 0 ||
		number > MAX_ERRNO) {
		return false;
	}
	*error = -(int)number;
	return true;
}

static bool parse_value(
	const struct kind *kind, const char *value, struct stile_swgpu_injection *injection) {
	if (value == NULL) {
		return !kind->has_to;
	}
	switch (kind->value) {
	case VALUE_TIME:
		return parse_time(value, &injection->delay_ns);
	case VALUE_ERROR:
		return parse_error(value, &injection->error);
	default:
		return false;
	}
}

static bool parse_word(const char *word, struct stile_swgpu_injection *injection) {
	*injection = (struct stile_swgpu_injection){ .size = sizeof(*injection) };
	size_t length = strcspn(word, "@");
	const struct kind *kind = kinds;
	while (kind < kinds + ARRAY_LENGTH(kinds) &&
		(strncmp(word, kind->name, length) != 0 || kind->name[length] != '\0')) {
		kind++;
	}
	if (kind == kinds + ARRAY_LENGTH(kinds) || word[length] != '@') {
		return false;
	}
	injection->kind = kind->kind;
	const char *at = word + length + 1;
	if (!parse_number(&at, &injection->at) || injection->at == 0) {
		return false;
	}
	if (*at != ':' && *at != '\0') {
		return false;
	}
	return parse_value(kind, *at == ':' ? at + 1 : NULL, injection);
}

static int refuse(const char *word, struct stile_report *why) {
	return report_refuse(why, -EINVAL, STILE_REASON_OPTION, 0, 0, 0,
		"fault \"%.64s\" is not understood: delay@3:5ms, reorder@4, error@2:EIO, hang@7, "
		"lose@9, nomem@1 are some, with commas between",
		word);
}

static int parse(struct faults *faults, const char *text, struct stile_report *why) {
	while (*text != '\0') {
		char word[64];
		size_t length = strcspn(text, ",");
		snprintf(word, sizeof(word), "%.*s", (int)(length < 4096 ? length : 4096), text);
		struct stile_swgpu_injection injection;
		if (length >= sizeof(word) || !parse_word(word, &injection)) {
			return refuse(word, why);
		}
		int ret = faults_inject(faults, &injection);
		if (ret < 0) {
			return report_refuse(
				why, ret, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
		}
		text += length;
		if (*text == ',' && *++text == '\0') {
			return refuse(",", why);
		}
	}
	return 0;
}

/* ---- What is to go wrong ------------------------------------------------------------------- */

int faults_create(const char *text, struct faults **out, struct stile_report *why) {
	*out = NULL;
	struct faults *faults = calloc(1, sizeof(*faults));
	int ret = faults == NULL
		? report_refuse(why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory")
		: parse(faults, text, why);
	if (ret < 0) {
		faults_destroy(faults);
		return ret;
	}
	*out = faults;
	return 0;
}

void faults_destroy(struct faults *faults) {
	if (faults != NULL) {
		free(faults->injections);
		free(faults);
	}
}

static uint64_t counted(const struct faults *faults, enum stile_swgpu_injection_kind kind) {
	const uint64_t *count =
		kind == STILE_SWGPU_NO_MEMORY ? &faults->allocations : &faults->commands;
	return __atomic_load_n(count, __ATOMIC_RELAXED);
}

/* The lock is held. */
static int make_room(struct faults *faults) {
	if (faults->count < faults->capacity) {
		return 0;
	}
	size_t capacity = faults->capacity == 0 ? 8 : 2 * faults->capacity;
	struct stile_swgpu_injection *injections =
		realloc(faults->injections, capacity * sizeof(*injections));
	if (injections == NULL) {
		return -ENOMEM;
	}
	faults->injections = injections;
	faults->capacity = capacity;
	return 0;
}

int faults_inject(struct faults *faults, const struct stile_swgpu_injection *injection) {
	check_alloc();
	os_lock(&faults->lock);
	int ret = make_room(faults);
	if (ret == 0) {
		struct stile_swgpu_injection *added = &faults->injections[faults->count++];
		*added = *injection;
		if (__builtin_add_overflow(added->at, counted(faults, added->kind), &added->at)) {
			added->at = UINT64_MAX;
		}
		__atomic_store_n(&faults->pending, (uint32_t)faults->count, __ATOMIC_RELAXED);
	}
	os_unlock(&faults->lock);
	return ret;
}

/* The first that is for this one, of allocations or of commands. */
static bool take(struct faults *faults, bool allocation, uint64_t number,
	struct stile_swgpu_injection *injection) {
	if (__atomic_load_n(&faults->pending, __ATOMIC_RELAXED) == 0) {
		return false;
	}
	bool found = false;
	os_lock(&faults->lock);
	for (size_t i = 0; i < faults->count && !found; i++) {
		const struct stile_swgpu_injection *at = &faults->injections[i];
		found = at->at == number && (at->kind == STILE_SWGPU_NO_MEMORY) == allocation;
		if (found) {
			*injection = *at;
			faults->count--;
			memmove(&faults->injections[i], &faults->injections[i + 1],
				(faults->count - i) * sizeof(*at));
		}
	}
	__atomic_store_n(&faults->pending, (uint32_t)faults->count, __ATOMIC_RELAXED);
	os_unlock(&faults->lock);
	return found;
}

uint64_t faults_next_command(struct faults *faults) {
	return __atomic_add_fetch(&faults->commands, 1, __ATOMIC_RELAXED);
}

bool faults_take(struct faults *faults, uint64_t command, struct stile_swgpu_injection *injection) {
	return take(faults, false, command, injection);
}

bool faults_next_allocation(struct faults *faults) {
	struct stile_swgpu_injection injection;
	uint64_t number = __atomic_add_fetch(&faults->allocations, 1, __ATOMIC_RELAXED);
	return take(faults, true, number, &injection);
}

/* ---- What went wrong ----------------------------------------------------------------------- */

static const char *reason_text(enum stile_swgpu_fault_reason reason) {
	switch (reason) {
	case STILE_SWGPU_FAULT_UNMAPPED:
		return "what is there is not mapped for the device at the moment";
	case STILE_SWGPU_FAULT_FREED:
		return "what was mapped there has been freed";
	case STILE_SWGPU_FAULT_DIRECTION:
		return "it is mapped for the other direction only";
	case STILE_SWGPU_FAULT_WIDTH:
		return "the device has not as many address bits";
	default:
		return "nothing was ever mapped there";
	}
}

void faults_note(struct swgpu *gpu, uint64_t command, const struct bus_fault *fault) {
	struct faults *faults = gpu->faults;
	struct stile_swgpu_fault told = {
		.size = sizeof(told),
		.reason = fault->reason,
		.write = fault->write,
		.address = fault->address,
		.command = command,
	};
	snprintf(told.text, sizeof(told.text),
		"command %llu could not %s address 0x%llx of the device's bus: %s",
		(unsigned long long)command, fault->write ? "write to" : "read from",
		(unsigned long long)fault->address, reason_text(fault->reason));
	os_lock(&faults->lock);
	told.count = faults->last.count + 1;
	faults->last = told;
	os_unlock(&faults->lock);
	trace_print(gpu->trace, "fault #%llu %s 0x%llx: %s", (unsigned long long)command,
		fault->write ? "write" : "read", (unsigned long long)fault->address,
		reason_text(fault->reason));
	device_log(gpu->device, STILE_LOG_ERROR, "swgpu: %s", told.text);
}

void faults_get(struct faults *faults, struct stile_swgpu_fault *fault) {
	os_lock(&faults->lock);
	*fault = faults->last;
	os_unlock(&faults->lock);
}

/* ---- In public ----------------------------------------------------------------------------- */

int stile_swgpu_get_fault(struct stile_device *device, struct stile_swgpu_fault *fault) {
	struct swgpu *gpu = swgpu_get(device);
	if (gpu == NULL || abi_check_out(fault) < 0) {
		return -EINVAL;
	}
	struct stile_swgpu_fault known;
	faults_get(gpu->faults, &known);
	abi_copy_out(fault, &known, sizeof(known));
	return 0;
}

static bool injection_is_valid(const struct stile_swgpu_injection *injection) {
	return injection->kind >= STILE_SWGPU_DELAY && injection->kind <= STILE_SWGPU_NO_MEMORY &&
		injection->at > 0 && injection->error <= 0 && injection->error >= -MAX_ERRNO &&
		injection->delay_ns >= 0;
}

int stile_swgpu_inject(struct stile_device *device, const struct stile_swgpu_injection *injection) {
	struct swgpu *gpu = swgpu_get(device);
	struct stile_swgpu_injection known;
	if (gpu == NULL) {
		return -EINVAL;
	}
	int ret = abi_copy_in(&known, sizeof(known), injection);
	if (ret < 0) {
		return ret;
	}
	return injection_is_valid(&known) ? faults_inject(gpu->faults, &known) : -EINVAL;
}
