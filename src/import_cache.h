/* SPDX-License-Identifier: MIT */
#ifndef SRC_IMPORT_CACHE_H
#define SRC_IMPORT_CACHE_H

/*
 * What an adapter had its driver make of memory is found again by who imports the same memory in the same
 * layout. An entry that is in use keeps its buffers; one that is not does not, is bounded in number, and goes
 * with the first of its buffers.
 *
 * Who finds an entry has references on its buffers, and mostly goes on having them: so an entry that comes into
 * use takes none, and hears when somebody drops the last one, which it then takes over. Two atomic operations
 * less for each import and end.
 */

#include <stdbool.h>
#include <stdint.h>

#include <stile/buffer_listener.h>
#include <stile/image.h>

/** All in which two imports may differ. */
struct import_key {
	uint64_t words; /* of the following, that are compared; this one, too */
	uint64_t how;
	uint64_t head[4];
	struct {
		struct stile_buffer *buffer;
		uint64_t offset;
		uint64_t pitch;
	} planes[STILE_MAX_PLANES];
};

struct import_entry;
struct import_cache;

/* An entry's ear at one of its buffers. */
struct import_ear {
	struct stile_buffer_listener listener;
	struct import_entry *entry;
	struct stile_buffer *buffer;
	bool kept; /* the last reference on the buffer is the entry's; under the cache's lock */
};

/** The first member of what an adapter makes, which malloc() or calloc() gave. Private to import_cache.c. */
struct import_entry {
	/* The adapter's, set before it comes here: gives the driver's object up; the struct is the cache's. No lock is held. */
	void (*destroy)(struct import_entry *entry);
	struct import_cache *cache;
	uint32_t refs; /* on the memory of the struct: of its user or the table, and of each ear */

	/* Under the cache's lock. */
	uint32_t users;
	bool known; /* it is in the table */
	bool holds; /* a reference on the buffer of each plane: it was not known all the time */
	struct import_entry *next;
	uint64_t idle_since; /* of the cache's puts; without users only */
	struct import_key key;
	struct import_ear ears[STILE_MAX_PLANES];
	uint32_t ear_count;
};

enum {
	IMPORT_CACHE_BITS = 8,
	IMPORT_CACHE_BUCKETS = 1 << IMPORT_CACHE_BITS,
	IMPORT_CACHE_IDLE = 64
};

struct import_cache {
	uint32_t max_idle; /* 0: nothing is kept, and nothing shared */

	uint32_t ears; /* of all entries, by atomic access */
	uint32_t lock;
	/* Under the lock. */
	uint32_t idle; /* entries without users */
	uint64_t puts;
	struct import_entry *buckets[IMPORT_CACHE_BUCKETS];
};

/** `max_idle` as applications say it: 0 is the default, less than 0 none. */
void import_cache_init(struct import_cache *cache, int max_idle);

/** All that is in use has been given back. Waits for buffers that are just going. */
void import_cache_finish(struct import_cache *cache);

/** The device is lost: what there is is found no more, and goes as soon as nobody uses it. */
void import_cache_clear(struct import_cache *cache);

/** `how`: what else the adapter makes of it, e.g. a usage. */
void import_key_of_image(struct import_key *key, const struct stile_image *image, uint64_t how);
void import_key_of_buffer(struct import_key *key, struct stile_buffer *buffer, uint64_t how);

/** One more user of what there is, or NULL. The caller has references on the key's buffers. */
struct import_entry *import_cache_get(struct import_cache *cache, const struct import_key *key);

/**
 * Put in what was made just now, with the caller as its user. Somebody may have been quicker: then
 * it is destroyed, and the other one is given.
 */
struct import_entry *import_cache_add(
	struct import_cache *cache, const struct import_key *key, struct import_entry *entry);

/** The same for what nobody is to find, and that is of no buffers. */
void import_cache_hold(struct import_cache *cache, struct import_entry *entry);

/** One user less. */
void import_cache_put(struct import_entry *entry);

#endif
