/* SPDX-License-Identifier: MIT */
#ifndef STILE_SWGPU_TEST_H
#define STILE_SWGPU_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/buffer.h>
#include <stile/device.h>
#include <stile/macros.h>
#include <stile/swgpu.h>

STILE_BEGIN_DECLS

/*
 * What makes the software GPU a tool for tests: where memory is, what goes
 * wrong, and when. docs/testing-without-a-gpu.md shows how to use it.
 *
 * Options of a device, in stile_device_info.options, as lines or words of
 * `key=value`: those of profiles (docs/profiles.md), and
 *
 *     profile=NAME   a profile that the library knows
 *     profile=/PATH  one from a file
 *     seed=N         deterministic mode
 *     fault=...      as STILE_SWGPU_FAULT: kind@n, with commas between
 *
 * The environment's STILE_SWGPU_PROFILE, STILE_SWGPU_SEED and
 * STILE_SWGPU_FAULT come after, but not in set-user-ID programs.
 */

/* ---- Profiles ------------------------------------------------------------ */

/** The name of a profile, by number from 0; NULL past the last. @since 0.1 */
STILE_API const char *stile_swgpu_profile_get_name(size_t index);

/** Its options as text, to begin an own one with; NULL: unknown. @since 0.1 */
STILE_API const char *stile_swgpu_profile_get_text(const char *name);

/* ---- Memory -------------------------------------------------------------- */

/** Where a buffer's bytes are. */
enum stile_swgpu_placement {
	STILE_SWGPU_NOWHERE = 0, /**< there was no need of them yet */
	STILE_SWGPU_SYSTEM,      /**< in a file in memory */
	STILE_SWGPU_LOCAL,       /**< in the device's own memory, which no
	                              descriptor shows */
	STILE_SWGPU_FOREIGN,     /**< another exporter's */
};

/** How the device's own memory is used. */
struct stile_swgpu_memory {
	size_t size;      /**< sizeof(struct stile_swgpu_memory) */
	uint64_t bytes;   /**< of all; 0: the profile has none */
	uint64_t used;    /**< by buffers, and by what they just moved from */
	uint64_t largest; /**< free in one piece */
	uint64_t moves;   /**< buffers that moved, ever */
};

/** Where the bytes of a buffer are. Locks its reservation. @since 0.1 */
STILE_API enum stile_swgpu_placement stile_swgpu_get_placement(
	struct stile_buffer *buffer);

/**
 * How full the device's own memory is. Never blocks.
 *
 * @param device       a swgpu device; borrowed
 * @param[out] memory  the caller having set its size
 *
 * @retval 0        *memory is valid
 * @retval -EINVAL  not a swgpu device, or memory->size is impossible
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_get_memory(
	struct stile_device *device, struct stile_swgpu_memory *memory);

/**
 * Move buffers in the device's own memory together, as far as nothing holds
 * them where they are. Their users' fences are respected: the moves are
 * commands, and this does not wait for them. Buffers whose reservation is
 * locked by somebody are left alone.
 *
 * @param device  a swgpu device; borrowed
 * @retval 0        there was nothing to move
 * @retval other    how many buffers are being moved
 * @retval -EINVAL  not a swgpu device
 * @retval -EIO     the device is lost
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_defragment(
	struct stile_device *device);

/* ---- Faults -------------------------------------------------------------- */

/** Why an address could not be accessed. */
enum stile_swgpu_fault_reason {
	STILE_SWGPU_FAULT_NONE = 0,
	STILE_SWGPU_FAULT_UNKNOWN,   /**< nothing was ever mapped there */
	STILE_SWGPU_FAULT_UNMAPPED,  /**< something is, but not at the moment */
	STILE_SWGPU_FAULT_FREED,     /**< something was, until it was freed */
	STILE_SWGPU_FAULT_DIRECTION, /**< it is mapped for the other direction */
	STILE_SWGPU_FAULT_WIDTH, /**< the device has not as many address bits */
};

/** What the device has to say of its last fault. */
struct stile_swgpu_fault {
	size_t size; /**< sizeof(struct stile_swgpu_fault) */
	enum stile_swgpu_fault_reason reason;
	bool write;       /**< it was to be written */
	uint64_t address; /**< the first byte that could not be accessed */
	uint64_t command; /**< number of the command, from 1, of the device */
	uint64_t count;   /**< faults so far */
	char text[256];   /**< one sentence for people */
};

/**
 * Ask about the last fault. Never blocks.
 *
 * @param device      a swgpu device; borrowed
 * @param[out] fault  the caller having set its size
 *
 * @retval 0        *fault is valid; its count is 0 if there was none
 * @retval -EINVAL  not a swgpu device, or fault->size is impossible
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_get_fault(
	struct stile_device *device, struct stile_swgpu_fault *fault);

/** What may go wrong on request. */
enum stile_swgpu_injection_kind {
	STILE_SWGPU_DELAY = 1, /**< the command takes delay_ns longer */
	STILE_SWGPU_REORDER,   /**< its queue lets the others go first, until
	                            they have nothing to do; for delay_ns at
	                            most, 0: a second */
	STILE_SWGPU_ERROR,     /**< its list ends with `error` */
	STILE_SWGPU_HANG,      /**< it never ends: the time-out does */
	STILE_SWGPU_LOSE,      /**< the device is lost from then on */
	STILE_SWGPU_NO_MEMORY, /**< not a command: the n-th allocation of
	                            storage fails with -ENOMEM */
};

/** What is to go wrong, and when. */
struct stile_swgpu_injection {
	size_t size; /**< sizeof(struct stile_swgpu_injection) */
	enum stile_swgpu_injection_kind kind;
	uint64_t at; /**< the n-th command, or allocation, that begins from now
	                  on; from 1. Waits and moves are no commands */
	int error;   /**< -errno; 0: -EIO */
	int64_t delay_ns;
};

/**
 * Have something go wrong, once. Any number may be pending. May block for
 * memory.
 *
 * @param device     a swgpu device; borrowed
 * @param injection  borrowed
 *
 * @retval 0        noted
 * @retval -EINVAL  not a swgpu device, an unknown kind, `at` is 0, error is no
 *                  -errno, delay_ns is negative, or a size is impossible
 * @retval -E2BIG   injection is newer than the library and uses fields it does
 *                  not know
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_inject(struct stile_device *device,
	const struct stile_swgpu_injection *injection);

/**
 * Lose the device now: all pending fences end with -EIO, so does every call.
 * What is being executed is finished, and ends with -EIO. Never blocks.
 *
 * @param device  a swgpu device; borrowed
 *
 * @retval 0        it is lost
 * @retval -EINVAL  not a swgpu device
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_lose(struct stile_device *device);

/* ---- Deterministic mode -------------------------------------------------- */

/*
 * With a seed, the device has no threads. Commands of all queues are executed
 * one after another by whoever waits for a fence (any wait of Stile that would
 * sleep, however soon its deadline is), by stile_swgpu_step() and by
 * stile_device_dispatch(); stile_device_get_fd() tells of them to nobody. Which
 * queue is next, whatever the priorities, and how long a command takes on the
 * device's virtual clock, follows from the seed. The same calls from one thread
 * give the same trace.
 */

/**
 * Execute one command, or end one list, if there is something that can go on: a
 * list of n commands takes n + 1 steps.
 *
 * @param device  a swgpu device; borrowed
 * @retval 1        something was done
 * @retval 0        nothing can go on, or the device is not deterministic
 * @retval -EINVAL  not a swgpu device
 * @since 0.1
 */
STILE_API int stile_swgpu_step(struct stile_device *device);

/**
 * Let virtual time pass: what timed out ends with -ETIME, in the order of the
 * deadlines. Executes nothing.
 *
 * @param device  a deterministic swgpu device; borrowed
 * @param ns      how much
 *
 * @retval 0        it has
 * @retval -EINVAL  not a deterministic swgpu device, or ns is negative
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_advance(
	struct stile_device *device, int64_t ns);

/** The virtual clock in ns, from 0; -EINVAL as above. @since 0.1 */
STILE_API int64_t stile_swgpu_get_clock(struct stile_device *device);

/**
 * Receives what the device does, a line at a time, without a newline. Must not
 * call Stile.
 *
 * @param user  as given
 * @param line  begins with the time in ns (virtual, if it is deterministic);
 *              borrowed, valid during the call
 * @since 0.1
 */
typedef void (*stile_swgpu_trace_fn)(void *user, const char *line);

/**
 * Have a function told of submissions, commands, ends, faults and moves.
 *
 * @param device  a swgpu device; borrowed
 * @param fn      on the thread where it happens; NULL: nobody
 * @param user    handed to it
 *
 * @retval 0        set; the one before is not called any more
 * @retval -EINVAL  not a swgpu device
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_set_trace(
	struct stile_device *device, stile_swgpu_trace_fn fn, void *user);

STILE_END_DECLS

#endif
