/* SPDX-License-Identifier: MIT */
#include "src/import_cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "src/macros.h"
#include "src/os.h"

/* ---- Keys ---------------------------------------------------------------------------------- */

static_assert(offsetof(struct stile_image_info, colour) + sizeof(struct stile_colour) ==
		sizeof(struct stile_image_info),
	"what an image says beside its planes is a part of the key");

/* Words before those of the planes. */
enum { KEY_HEAD = 6 };

static_assert(offsetof(struct import_key, planes) == KEY_HEAD * sizeof(uint64_t) &&
		sizeof(((struct import_key *)0)->planes) == sizeof(uint64_t) * 3 * STILE_MAX_PLANES,
	"a key is words without padding, those of the planes last");

static void key_begin(struct import_key *key, uint32_t plane_count, uint64_t how) {
	key->words = KEY_HEAD + 3 * plane_count;
	key->how = how;
}

static size_t key_bytes(const struct import_key *key) {
	return key->words * sizeof(uint64_t);
}

static uint32_t key_planes(const struct import_key *key) {
	return (uint32_t)(key->words - KEY_HEAD) / 3;
}

/* All of it is below 32: that was checked with the image. */
static uint64_t pack_colour(const struct stile_colour *colour) {
	const uint32_t parts[] = { colour->primaries, colour->transfer, colour->matrix,
		colour->range, colour->horizontal, colour->vertical };
	uint64_t packed = 0;
	for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
		packed = packed << 5 | parts[i];
	}
	return packed;
}

void import_key_of_image(struct import_key *key, const struct stile_image *image, uint64_t how) {
	const struct stile_image_info *info = stile_image_get_info(image);
	key_begin(key, info->plane_count, how);
	key->head[0] = (uint64_t)info->width << 32 | info->height;
	key->head[1] = info->fourcc;
	key->head[2] = info->modifier;
	key->head[3] = pack_colour(&info->colour);
	for (uint32_t i = 0; i < info->plane_count; i++) {
		key->planes[i].buffer = stile_image_get_buffer(image, i);
		key->planes[i].offset = info->planes[i].offset;
		key->planes[i].pitch = info->planes[i].pitch;
	}
}

void import_key_of_buffer(struct import_key *key, struct stile_buffer *buffer, uint64_t how) {
	/* No image is without pixels. */
	*key = (struct import_key){ .planes = { { .buffer = buffer } } };
	key_begin(key, 1, how);
}

static struct import_entry **find_bucket(struct import_cache *cache, const struct import_key *key) {
	/* One buffer is rarely imported in many ways. */
	uint64_t hash = (uint64_t)(uintptr_t)key->planes[0].buffer * 0x9e3779b97f4a7c15;
	return &cache->buckets[hash >> (64 - IMPORT_CACHE_BITS)];
}

/* The buffer of plane i, if no plane before it is in it, or NULL. */
static struct stile_buffer *get_new_buffer(const struct import_key *key, uint32_t i) {
	for (uint32_t k = 0; k < i; k++) {
		if (key->planes[k].buffer == key->planes[i].buffer) {
			return NULL;
		}
	}
	return key->planes[i].buffer;
}

/* ---- Entries, with the lock ----------------------------------------------------------------- */

/* It has users, and nobody tells it any more of the last references. */
static void hold_buffers(struct import_entry *entry) {
	for (uint32_t i = 0; i < key_planes(&entry->key); i++) {
		stile_buffer_ref(entry->key.planes[i].buffer);
	}
	entry->holds = true;
}

/* One more user of what there is, or NULL. */
static struct import_entry *use_entry(struct import_cache *cache, const struct import_key *key) {
	struct import_entry *entry = *find_bucket(cache, key);
	while (entry != NULL && memcmp(&entry->key, key, key_bytes(key)) != 0) {
		entry = entry->next;
	}
	if (entry != NULL) {
		cache->idle -= entry->users == 0;
		entry->users++;
	}
	return entry;
}

static void hear_gone(struct stile_buffer_listener *listener);

/*
 * Somebody drops the last reference on a buffer: whoever uses the entry has none of his own. The cache's lock is
 * taken before those that are held here.
 */
static enum stile_buffer_keep keep_buffer(struct stile_buffer_listener *listener) {
	struct import_ear *ear = CONTAINER_OF(listener, struct import_ear, listener);
	struct import_cache *cache = ear->entry->cache;
	if (!os_trylock(&cache->lock)) {
		return STILE_BUFFER_ASK_AGAIN;
	}
	ear->kept = ear->entry->users > 0;
	bool kept = ear->kept;
	os_unlock(&cache->lock);
	return kept ? STILE_BUFFER_KEEP : STILE_BUFFER_LET_GO;
}

enum { MOST_REFERENCES = 2 * STILE_MAX_PLANES };

/* Nobody uses it any more. How many references on buffers it has: they are the caller's to drop without the lock. */
static uint32_t take_references(
	struct import_entry *entry, struct stile_buffer *buffers[MOST_REFERENCES]) {
	uint32_t count = 0;
	for (uint32_t i = 0; i < key_planes(&entry->key) && entry->holds; i++) {
		buffers[count++] = entry->key.planes[i].buffer;
	}
	for (uint32_t i = 0; i < entry->ear_count; i++) {
		if (entry->ears[i].kept) {
			buffers[count++] = entry->ears[i].buffer;
			entry->ears[i].kept = false;
		}
	}
	return count;
}

static void link_entry(struct import_cache *cache, struct import_entry *entry) {
	struct import_entry **bucket = find_bucket(cache, &entry->key);
	entry->next = *bucket;
	*bucket = entry;
	entry->known = true;
	for (uint32_t i = 0; i < key_planes(&entry->key); i++) {
		struct stile_buffer *buffer = get_new_buffer(&entry->key, i);
		if (buffer != NULL) {
			struct import_ear *ear = &entry->ears[entry->ear_count++];
			ear->entry = entry;
			ear->buffer = buffer;
			ear->kept = false;
			stile_buffer_add_listener(buffer, &ear->listener, hear_gone, keep_buffer);
		}
	}
	entry->refs += entry->ear_count;
	__atomic_fetch_add(&cache->ears, entry->ear_count, __ATOMIC_RELAXED);
}

/* It is found no more. If nobody uses it, the caller destroys it when the lock is free. */
static void unlink_entry(struct import_cache *cache, struct import_entry *entry) {
	struct import_entry **link = find_bucket(cache, &entry->key);
	while (*link != entry) {
		link = &(*link)->next;
	}
	*link = entry->next;
	entry->known = false;
	if (entry->users == 0) {
		cache->idle--;
	} else {
		hold_buffers(entry);
	}
	for (uint32_t i = 0; i < entry->ear_count; i++) {
		/* If it is late for that, hear_gone() runs, and has the reference. */
		if (stile_buffer_remove_listener(&entry->ears[i].listener)) {
			__atomic_fetch_sub(&entry->refs, 1, __ATOMIC_RELAXED);
			__atomic_fetch_sub(&cache->ears, 1, __ATOMIC_RELAXED);
		}
	}
}

/* There is one. A look at all: who has too many is about to have the driver destroy one, which takes longer. */
static struct import_entry *find_longest_idle(const struct import_cache *cache) {
	struct import_entry *longest = NULL;
	for (size_t i = 0; i < IMPORT_CACHE_BUCKETS; i++) {
		for (struct import_entry *e = cache->buckets[i]; e != NULL; e = e->next) {
			if (e->users == 0 &&
				(longest == NULL || e->idle_since < longest->idle_since)) {
				longest = e;
			}
		}
	}
	return longest;
}

/* Nobody uses it any more. Which one is too many now, if any: not known any more, to be destroyed. */
static struct import_entry *keep_idle(struct import_cache *cache, struct import_entry *entry) {
	entry->idle_since = ++cache->puts;
	if (++cache->idle <= cache->max_idle) {
		return NULL;
	}
	struct import_entry *over = find_longest_idle(cache);
	unlink_entry(cache, over);
	return over;
}

/* ---- Entries, without the lock -------------------------------------------------------------- */

static void unref_entry(struct import_entry *entry, uint32_t refs) {
	if (__atomic_fetch_sub(&entry->refs, refs, __ATOMIC_ACQ_REL) == refs) {
		free(entry);
	}
}

/* It is not known any more, and the caller was the last one to know it. */
static void destroy_entry(struct import_entry *entry) {
	if (entry != NULL) {
		entry->destroy(entry);
		unref_entry(entry, 1);
	}
}

/* One of its buffers goes. Nobody uses the entry: it would have kept the buffer. */
static void hear_gone(struct stile_buffer_listener *listener) {
	struct import_entry *entry = CONTAINER_OF(listener, struct import_ear, listener)->entry;
	struct import_cache *cache = entry->cache;
	os_lock(&cache->lock);
	bool known = entry->known;
	if (known) {
		unlink_entry(cache, entry);
	}
	os_unlock(&cache->lock);
	if (known) {
		entry->destroy(entry);
	}
	/* The ear's, and the table's. */
	unref_entry(entry, known ? 2 : 1);
	/* The last access: who waits for it frees the cache. */
	if (__atomic_sub_fetch(&cache->ears, 1, __ATOMIC_ACQ_REL) == 0) {
		os_futex_wake_all(&cache->ears);
	}
}

struct import_entry *import_cache_get(struct import_cache *cache, const struct import_key *key) {
	if (cache->max_idle == 0) {
		return NULL;
	}
	os_lock(&cache->lock);
	struct import_entry *entry = use_entry(cache, key);
	os_unlock(&cache->lock);
	return entry;
}

struct import_entry *import_cache_add(
	struct import_cache *cache, const struct import_key *key, struct import_entry *entry) {
	struct import_entry *quicker = NULL;
	entry->cache = cache;
	entry->refs = 1;
	entry->users = 1;
	entry->holds = false;
	memcpy(&entry->key, key, key_bytes(key));
	os_lock(&cache->lock);
	if (cache->max_idle > 0) {
		quicker = use_entry(cache, key);
	}
	if (quicker == NULL && cache->max_idle > 0) {
		link_entry(cache, entry);
	} else if (quicker == NULL) {
		hold_buffers(entry);
	}
	os_unlock(&cache->lock);
	if (quicker != NULL) {
		destroy_entry(entry);
		return quicker;
	}
	return entry;
}

void import_cache_hold(struct import_cache *cache, struct import_entry *entry) {
	entry->cache = cache;
	entry->refs = 1;
	entry->users = 1;
	key_begin(&entry->key, 0, 0);
}

void import_cache_put(struct import_entry *entry) {
	struct import_cache *cache = entry->cache;
	struct import_entry *over = NULL;
	struct stile_buffer *buffers[MOST_REFERENCES];
	uint32_t count = 0;
	os_lock(&cache->lock);
	if (--entry->users == 0) {
		/* It may be gone as soon as the lock is free. */
		count = take_references(entry, buffers);
		over = entry->known ? keep_idle(cache, entry) : entry;
	}
	os_unlock(&cache->lock);
	destroy_entry(over);
	for (uint32_t i = 0; i < count; i++) {
		stile_buffer_unref(buffers[i]);
	}
}

/* ---- The cache ------------------------------------------------------------------------------ */

void import_cache_init(struct import_cache *cache, int max_idle) {
	*cache = (struct import_cache){ 0 };
	cache->max_idle = max_idle < 0 ? 0 : max_idle == 0 ? IMPORT_CACHE_IDLE : (uint32_t)max_idle;
}

void import_cache_clear(struct import_cache *cache) {
	struct import_entry *idle = NULL;
	os_lock(&cache->lock);
	for (size_t i = 0; i < IMPORT_CACHE_BUCKETS; i++) {
		struct import_entry *entry;
		while ((entry = cache->buckets[i]) != NULL) {
			unlink_entry(cache, entry);
			if (entry->users == 0) {
				entry->next = idle;
				idle = entry;
			}
		}
	}
	os_unlock(&cache->lock);
	while (idle != NULL) {
		struct import_entry *next = idle->next;
		destroy_entry(idle);
		idle = next;
	}
}

void import_cache_finish(struct import_cache *cache) {
	import_cache_clear(cache);
	uint32_t ears;
	while ((ears = __atomic_load_n(&cache->ears, __ATOMIC_ACQUIRE)) != 0) {
		os_futex_wait(&cache->ears, ears, INT64_MAX);
	}
}
