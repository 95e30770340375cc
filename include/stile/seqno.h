/* SPDX-License-Identifier: MIT */
#ifndef STILE_SEQNO_H
#define STILE_SEQNO_H

#include <stdint.h>

#include <stile/macros.h>

STILE_BEGIN_DECLS

struct stile_buffer;
struct stile_fence;

/**
 * A 32-bit word in shared memory that whoever does the work raises, and the
 * fences that it ends.
 *
 * *For peers that trust each other only*: whoever has the word can end every
 * fence on it, too early or with no work done, for all others.
 *
 * The word is either in a memory file of its own, where a fence is waited for
 * by sleeping on the word itself, so that a wake-up costs no more than that; or
 * anywhere in a buffer, where nobody can be woken: waits there look at it again
 * and again, at first at once, in the end every millisecond.
 *
 * Who creates the word is its producer. It keeps one end of a socket, which
 * hangs up when it ends or drops its last reference: what the word has not
 * reached by then ends with -EOWNERDEAD for all importers that were given the
 * other end. A process that was killed while it waited leaves a sleeper in the
 * count, which costs later raisers one needless system call each, no more.
 *
 * Reference counted: stile_seqno_ref(), stile_seqno_unref(). Each of its fences
 * has a reference.
 * Thread-safety: internal.
 */
struct stile_seqno;

/** When a fence on a word is done. */
enum stile_seqno_condition {
	/**
	 * The word has reached the value: (int32_t)(word - value) >= 0, so it
	 * may wrap around, and a value exactly 2^31 away is not reached.
	 */
	STILE_SEQNO_GEQUAL = 1,
	/** The word is not 0, whatever the value. */
	STILE_SEQNO_NONZERO = 2,
};

/**
 * Make a word of one's own, 0 at first, and be its producer. A child made by
 * fork is not: it does not keep the importers waiting when the producer ends.
 * Never blocks.
 *
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_seqno_create(struct stile_seqno **out);

/**
 * Take a word over from its producer, or from somebody else who took it over.
 * Never blocks.
 *
 * @param word_fd      borrowed, never closed; duplicated
 * @param liveness_fd  likewise; -1: none, so nobody learns of the producer's
 *                     end, and nothing but their expiry ends its fences then
 * @param[out] out     new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EBADF   a descriptor is not open
 * @retval -EINVAL  word_fd is not a memory file, or liveness_fd is not a
 *                  connected or formerly connected AF_UNIX SOCK_SEQPACKET
 *                  socket
 * @retval -EPERM   the memory could be made smaller by others: it lacks
 *                  F_SEAL_SHRINK
 * @retval -EACCES  word_fd is not both readable and writable, which even those
 *                  need who only wait: they are counted
 * @retval -ERANGE  the memory has not room for a word and its count
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_seqno_import_fd(
	int word_fd, int liveness_fd, struct stile_seqno **out);

/**
 * Use a word inside a buffer. It has no producer that anybody knows of. Never
 * blocks.
 *
 * @param buffer    borrowed; a reference is taken
 * @param offset    of the word in bytes, a multiple of 4
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  the offset is no multiple of 4
 * @retval -ERANGE  the word is not inside the buffer
 * @retval -EACCES  the buffer came from a read-only descriptor, or its memory
 *                  is sealed against writing
 * @retval -ENOMEM  out of memory, or no room in the address space
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_seqno_from_buffer(
	struct stile_buffer *buffer, uint64_t offset, struct stile_seqno **out);

/**
 * Make descriptors of the word, for stile_seqno_import_fd() elsewhere. Never
 * blocks.
 *
 * @param seqno             borrowed
 * @param[out] word_fd      new descriptor, CLOEXEC, the caller's; -1 on failure
 * @param[out] liveness_fd  likewise; also -1 if the word was imported without
 *
 * @retval 0        the descriptors are valid
 * @retval -EINVAL  the word is in a buffer: pass that one on
 * @retval -EMFILE  the process has no descriptor left
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_seqno_export_fd(
	struct stile_seqno *seqno, int *word_fd, int *liveness_fd);

/** Take a reference. Returns seqno. Never blocks. @since 0.1 */
STILE_API struct stile_seqno *stile_seqno_ref(struct stile_seqno *seqno);

/**
 * Drop a reference. The last one of the producer tells the importers that
 * nobody raises the word any more. Never blocks.
 *
 * @param seqno  the reference to give up; NULL is ignored
 * @since 0.1
 */
STILE_API void stile_seqno_unref(struct stile_seqno *seqno);

/**
 * Look at the word. What was written before it got this value is visible
 * afterwards. Never blocks.
 *
 * @param seqno  borrowed
 * @since 0.1
 */
STILE_API uint32_t stile_seqno_get_value(const struct stile_seqno *seqno);

/**
 * Set the word. All that the caller wrote before is visible to whoever learns
 * of it. Wakes those who sleep on it, by one system call; makes none if nobody
 * does. Never blocks.
 *
 * The fences on it end when they are looked at, by those who wait or by the
 * thread that watches for callbacks: so a word that was reset, or that has gone
 * on by 2^31 before anybody looked, ends nothing. Raise it in small steps.
 *
 * @param seqno  borrowed
 * @param value  what to store
 * @since 0.1
 */
STILE_API void stile_seqno_set_value(struct stile_seqno *seqno, uint32_t value);

/**
 * Make a fence that ends when the word meets a condition, and stays so whatever
 * becomes of the word. It is a STILE_FENCE_USER fence; its owner is the
 * producer, where that is known.
 *
 * All GEQUAL fences of one object are of one context, ordered by value; a
 * NONZERO fence has a context of its own.
 *
 * Callbacks are run by a thread of the library, one for all fences of the
 * object while they need it. It ends them early with -EAGAIN if the system
 * refuses it, and with -ECHILD in a child made by fork, which has none: a child
 * has to import the word anew. A fence ends with -EOWNERDEAD if the producer
 * went before the word met the condition. What is not done through the word is
 * noticed after at most 50 ms by who waits. Never blocks.
 *
 * @param seqno      borrowed; a reference is taken
 * @param value      for STILE_SEQNO_GEQUAL
 * @param condition  when it is done
 * @param[out] out   new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  unknown condition
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_seqno_create_fence(
	struct stile_seqno *seqno, uint32_t value,
	enum stile_seqno_condition condition, struct stile_fence **out);

STILE_END_DECLS

#endif
