/* SPDX-License-Identifier: MIT */
/* All buffers for people: KERNEL_CONTRACT B-7. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "src/attachment.h"
#include "src/buffer.h"
#include "src/macros.h"

static void describe_head(struct stile_buffer *buffer, FILE *to) {
	char name[STILE_BUFFER_NAME_BYTES];
	stile_buffer_get_name(buffer, name);
	/* Not counted: the one of whoever looks. */
	uint32_t refs = __atomic_load_n(&buffer->refs, __ATOMIC_RELAXED) - 1;
	uint32_t usage = buffer_get_usage(buffer);
	fprintf(to, "buffer \"%s\": %" PRIu64 " byte%s, %s%s, %u reference%s, exported by %s",
		name[0] == '\0' ? "<none>" : name, buffer->bytes, PLURAL(buffer->bytes),
		usage & STILE_USAGE_READ ? "r" : "", usage & STILE_USAGE_WRITE ? "w" : "", refs,
		PLURAL(refs), buffer->exporter);
	ino_t inode;
	if (buffer_table_get_inode(buffer, &inode)) {
		fprintf(to, ", inode %ju", (uintmax_t)inode);
	}
	fputc('\n', to);
}

/* With the reservation locked. 0 or -ENOMEM. */
static int describe_users(struct stile_buffer *buffer, FILE *to) {
	size_t size = (size_t)stile_resv_describe(buffer->resv, NULL, 0) + 1;
	char *fences = malloc(size);
	if (fences == NULL) {
		return -ENOMEM;
	}
	stile_resv_describe(buffer->resv, fences, size);
	fputs(fences, to);
	free(fences);
	size_t count = 0;
	for (struct stile_attachment *i = buffer->first_attachment; i != NULL; i = i->next) {
		fprintf(to, "\tattached: %s%s%s%s\n", i->name,
			stile_attachment_is_revocable(i) ? ", hears of moves" : "",
			i->maps != NULL ? ", mapped" : "", i->pins > 0 ? ", pinned" : "");
		count++;
	}
	fprintf(to, "\t%zu attached\n", count);
	return 0;
}

/* 0, -EDEADLK or -ENOMEM. */
static int describe(struct stile_buffer *buffer, FILE *to) {
	describe_head(buffer, to);
	int ret = buffer_lock(buffer);
	if (ret == 0) {
		ret = describe_users(buffer, to);
		stile_resv_unlock(buffer->resv);
	}
	return ret;
}

int stile_buffer_describe_all(char **text) {
	*text = NULL;
	size_t size = 0, count = 0;
	FILE *to = open_memstream(text, &size);
	if (to == NULL) {
		return -ENOMEM;
	}
	int ret = 0;
	uint64_t bytes = 0;
	struct stile_buffer *buffer = NULL;
	while (ret == 0 && (buffer = stile_buffer_iter_next(buffer)) != NULL) {
		ret = describe(buffer, to);
		bytes += buffer->bytes;
		count++;
	}
	stile_buffer_unref(ret < 0 ? buffer : NULL);
	fprintf(to, "%zu buffer%s, %" PRIu64 " byte%s\n", count, PLURAL(count), bytes,
		PLURAL(bytes));
	if (fclose(to) != 0 && ret == 0) {
		ret = -ENOMEM;
	}
	if (ret < 0) {
		free(*text);
		*text = NULL;
	}
	return ret;
}
