/* SPDX-License-Identifier: MIT */
#include "demos/proof.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t memory_inode(struct stile_image *image) {
	struct stat st = { 0 };
	int fd;
	if (stile_buffer_export_fd(stile_image_get_buffer(image, 0), STILE_USAGE_READ, &fd) == 0) {
		fstat(fd, &st);
		close(fd);
	}
	return st.st_ino;
}

static int count_mappings(uint64_t inode) {
	FILE *maps = fopen("/proc/self/maps", "re");
	if (maps == NULL) {
		return 0;
	}
	int count = 0;
	char line[512];
	while (fgets(line, sizeof(line), maps) != NULL) {
		/* address, rights, offset, device, inode, name */
		unsigned long mapped = 0;
		count += sscanf(line, "%*s %*s %*s %*s %lu", &mapped) == 1 && mapped == inode &&
			(strstr(line, "/memfd:") != NULL || strstr(line, "/dmabuf:") != NULL);
	}
	fclose(maps);
	return count;
}

void proof_begin(struct evidence *evidence, const char *api, struct stile_image *image) {
	*evidence = (struct evidence){ .inode = memory_inode(image) };
	snprintf(evidence->api, sizeof(evidence->api), "%s", api);
	snprintf(evidence->image, sizeof(evidence->image), "%s", stile_image_get_info(image)->name);
	evidence->mappings_before = count_mappings(evidence->inode);
}

int proof_mark(struct evidence *evidence, struct stile_image *image) {
	static uint8_t last = 10;
	evidence->mappings_after = count_mappings(evidence->inode);
	struct stile_buffer *buffer = stile_image_get_buffer(image, 0);
	void *memory;
	int ret = stile_buffer_mmap(buffer, STILE_USAGE_READ | STILE_USAGE_WRITE, &memory);
	if (ret < 0) {
		return ret;
	}
	for (int i = 0; i < 4; i++) {
		evidence->written[i] = last = (uint8_t)(last + 7);
	}
	memcpy((uint8_t *)memory + stile_image_get_info(image)->planes[0].offset, evidence->written,
		4);
	stile_buffer_munmap(buffer, memory);
	return 0;
}

bool proof_holds(const struct evidence *evidence) {
	return evidence->mappings_after > evidence->mappings_before &&
		memcmp(evidence->written, evidence->read, 4) == 0;
}
