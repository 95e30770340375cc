/* SPDX-License-Identifier: MIT */
/*
 * Who hears of a buffer's end. One lock for all, a leaf but for the table's, under which listeners are asked: a listener that is removed while its buffer goes must
 * not touch the buffer.
 */
#include "src/buffer.h"
#include "src/os.h"

static uint32_t lock;

void stile_buffer_add_listener(struct stile_buffer *buffer, struct stile_buffer_listener *listener,
	stile_buffer_listener_fn gone, stile_buffer_keep_fn keep) {
	os_lock(&lock);
	*listener = (struct stile_buffer_listener){
		.buffer = buffer,
		.next = buffer->listeners,
		.link = &buffer->listeners,
		.gone = gone,
		.keep = keep,
	};
	if (listener->next != NULL) {
		listener->next->link = &listener->next;
	}
	__atomic_store_n(&buffer->listeners, listener, __ATOMIC_RELAXED);
	os_unlock(&lock);
}

/* With the lock. False: it is not in a list any more. */
static bool unlink_listener(struct stile_buffer_listener *listener) {
	if (listener->buffer == NULL) {
		return false;
	}
	/* If it was the only one, the buffer may be freed from here on. */
	__atomic_store_n(listener->link, listener->next, __ATOMIC_RELEASE);
	if (listener->next != NULL) {
		listener->next->link = listener->link;
	}
	listener->buffer = NULL;
	return true;
}

bool stile_buffer_remove_listener(struct stile_buffer_listener *listener) {
	os_lock(&lock);
	bool removed = unlink_listener(listener);
	os_unlock(&lock);
	return removed;
}

bool buffer_has_listeners(const struct stile_buffer *buffer) {
	return __atomic_load_n(&buffer->listeners, __ATOMIC_ACQUIRE) != NULL;
}

enum stile_buffer_keep buffer_ask_listeners(struct stile_buffer *buffer) {
	enum stile_buffer_keep answer = STILE_BUFFER_LET_GO;
	if (!buffer_has_listeners(buffer)) {
		return answer;
	}
	os_lock(&lock);
	for (struct stile_buffer_listener *i = buffer->listeners;
		i != NULL && answer == STILE_BUFFER_LET_GO; i = i->next) {
		answer = i->keep == NULL ? STILE_BUFFER_LET_GO : i->keep(i);
	}
	os_unlock(&lock);
	return answer;
}

void buffer_tell_listeners(struct stile_buffer *buffer) {
	while (buffer_has_listeners(buffer)) {
		os_lock(&lock);
		struct stile_buffer_listener *listener = buffer->listeners;
		if (listener != NULL) {
			unlink_listener(listener);
		}
		os_unlock(&lock);
		if (listener != NULL) {
			listener->gone(listener);
		}
	}
}
