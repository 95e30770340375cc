/* SPDX-License-Identifier: MIT */
/*
 * All buffers of the process (KERNEL_CONTRACT B-5, B-6), and which file is whose. The table holds no
 * references: the last one goes under its lock. A file stays its buffer's until no device has anything of it
 * in a cache any more: else there were two objects for one memory.
 */
#include <errno.h>
#include <search.h>
#include <time.h>

#include "src/backend.h"
#include "src/buffer.h"
#include "src/os.h"

static uint32_t lock;
static struct stile_buffer *first;
static void *files;        /* struct buffer_file of all, as tsearch() keeps them */
static uint32_t forgotten; /* how many were; who waits for one sleeps on it */
static bool has_waiters;

/*
 * Whose a descriptor of such a number was last. With who keeps descriptors it is the same buffer's each
 * time, and then one question to the kernel, whether it is a duplicate of the buffer's own, answers two:
 * whose file it is, and what it allows. Where numbers change hands, that is seen here, and not asked.
 */
enum { NUMBERS = 64 };
static struct {
	struct stile_buffer *buffer;
	bool again; /* it was the same one's before */
} numbers[NUMBERS];

static int file_compare(const void *left, const void *right) {
	const struct buffer_file *a = left, *b = right;
	if (a->dev != b->dev) {
		return a->dev < b->dev ? -1 : 1;
	}
	return a->ino == b->ino ? 0 : a->ino < b->ino ? -1 : 1;
}

/* With the lock. */
static struct stile_buffer *find(const struct stat *st) {
	const struct buffer_file key = { .dev = st->st_dev, .ino = st->st_ino };
	struct buffer_file **found = tfind(&key, &files, file_compare);
	return found == NULL ? NULL : (*found)->buffer;
}

void buffer_table_add(struct stile_buffer *buffer) {
	os_lock(&lock);
	buffer->next = first;
	buffer->link = &first;
	if (first != NULL) {
		first->link = &buffer->next;
	}
	first = buffer;
	os_unlock(&lock);
}

/* With the lock. */
static void note_number(int fd, struct stile_buffer *buffer) {
	unsigned i = (unsigned)fd % NUMBERS;
	numbers[i].again = numbers[i].buffer == buffer;
	numbers[i].buffer = buffer;
}

static bool allows_all_for_good(const struct stile_buffer *buffer) {
	return buffer->seals_are_final && buffer->backend != NULL &&
		buffer_get_usage(buffer) == (STILE_USAGE_READ | STILE_USAGE_WRITE);
}

struct stile_buffer *buffer_table_find_duplicate(int fd) {
	unsigned i = (unsigned)fd % NUMBERS;
	os_lock(&lock);
	struct stile_buffer *buffer = numbers[i].again ? numbers[i].buffer : NULL;
	if (buffer != NULL && (!allows_all_for_good(buffer) || !buffer_try_ref(buffer))) {
		buffer = NULL;
	}
	os_unlock(&lock);
	if (buffer != NULL && !os_is_duplicate(fd, buffer->backend->buffer_fd(buffer))) {
		stile_buffer_unref(buffer);
		buffer = NULL;
	}
	return buffer;
}

struct stile_buffer *buffer_table_find(int fd, const struct stat *st) {
	for (;;) {
		os_lock(&lock);
		struct stile_buffer *buffer = find(st);
		bool found = buffer == NULL || buffer_try_ref(buffer);
		if (found) {
			note_number(fd, buffer);
		}
		uint32_t seen = forgotten;
		if (!found) {
			has_waiters = true;
		}
		os_unlock(&lock);
		if (found) {
			return buffer;
		}
		/* It is just going, and its devices still write back what they hold. */
		os_futex_wait(&forgotten, seen, INT64_MAX);
	}
}

int buffer_table_set_file(struct stile_buffer *buffer, const struct stat *st) {
	int ret = 0;
	os_lock(&lock);
	struct stile_buffer *known = find(st);
	if (known != NULL || buffer->file_count == buffer->max_files) {
		ret = known == buffer ? 0 : -EEXIST;
	} else {
		struct buffer_file *file = &buffer->files[buffer->file_count];
		*file = (struct buffer_file){ st->st_dev, st->st_ino, buffer };
		if (tsearch(file, &files, file_compare) != NULL) {
			buffer->file_count++;
		} else {
			ret = -ENOMEM;
		}
	}
	os_unlock(&lock);
	return ret;
}

bool buffer_table_get_inode(struct stile_buffer *buffer, ino_t *inode) {
	os_lock(&lock);
	bool known = buffer->file_count > 0;
	*inode = known ? buffer->files[buffer->file_count - 1].ino : 0;
	os_unlock(&lock);
	return known;
}

/* With the lock. */
static void forget_files(struct stile_buffer *buffer) {
	for (size_t i = 0; i < NUMBERS && buffer->file_count > 0; i++) {
		if (numbers[i].buffer == buffer) {
			numbers[i].buffer = NULL;
		}
	}
	while (buffer->file_count > 0) {
		tdelete(&buffer->files[--buffer->file_count], &files, file_compare);
	}
}

/* With the lock: is the reference that is to be dropped one that can be? If it is the last one, nobody gets another. */
static enum stile_buffer_keep ask_to_keep(struct stile_buffer *buffer) {
	bool last = __atomic_load_n(&buffer->refs, __ATOMIC_ACQUIRE) == 1;
	return last ? buffer_ask_listeners(buffer) : STILE_BUFFER_LET_GO;
}

bool buffer_table_drop(struct stile_buffer *buffer) {
	static const struct timespec a_moment = { .tv_nsec = 20000 };
	enum stile_buffer_keep answer;
	os_lock(&lock);
	while ((answer = ask_to_keep(buffer)) != STILE_BUFFER_LET_GO) {
		os_unlock(&lock);
		if (answer == STILE_BUFFER_KEEP) {
			return false;
		}
		/*
		 * Who holds what the listener needs may wait for locks that were held here. Asleep, not by
		 * sched_yield(): he may be of lower priority, on this processor.
		 */
		nanosleep(&a_moment, NULL);
		os_lock(&lock);
	}
	bool last = __atomic_fetch_sub(&buffer->refs, 1, __ATOMIC_ACQ_REL) == 1;
	if (last) {
		*buffer->link = buffer->next;
		if (buffer->next != NULL) {
			buffer->next->link = buffer->link;
		}
		/* What an application exports may take long to end, and what is in caches then is its affair. */
		if (buffer->backend == NULL) {
			forget_files(buffer);
		}
	}
	os_unlock(&lock);
	return last;
}

void buffer_table_forget_file(struct stile_buffer *buffer) {
	if (buffer->file_count == 0) {
		return;
	}
	os_lock(&lock);
	forget_files(buffer);
	forgotten++;
	bool wake = has_waiters;
	has_waiters = false;
	os_unlock(&lock);
	if (wake) {
		os_futex_wake_all(&forgotten);
	}
}

bool buffer_try_ref(struct stile_buffer *buffer) {
	uint32_t refs = __atomic_load_n(&buffer->refs, __ATOMIC_RELAXED);
	while (refs > 0) {
		if (__atomic_compare_exchange_n(&buffer->refs, &refs, refs + 1, true,
			    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
			return true;
		}
	}
	return false;
}

uint64_t buffer_find_bytes(int fd, const struct stat *st) {
	os_lock(&lock);
	const struct stile_buffer *buffer = find(st);
	uint64_t bytes = buffer != NULL ? buffer->bytes : 0;
	os_unlock(&lock);
	if (buffer != NULL) {
		return bytes;
	}
	/* Nothing but a dma-buf is sought in: it would move the owner's place in the file. */
	int64_t size = os_is_dma_buf(fd) ? os_seek_bytes(fd) : st->st_size;
	return size < 0 ? 0 : (uint64_t)size;
}

struct stile_buffer *stile_buffer_iter_next(struct stile_buffer *after) {
	os_lock(&lock);
	struct stile_buffer *buffer = after == NULL ? first : after->next;
	if (buffer != NULL) {
		stile_buffer_ref(buffer);
	}
	os_unlock(&lock);
	stile_buffer_unref(after);
	return buffer;
}
