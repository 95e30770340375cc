/* SPDX-License-Identifier: MIT */
/* The command `stile`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stile/version.h>

#include "tools/info.h"

static void write_usage(FILE *to) {
	fputs("usage: stile info [--formats] [--json]\n"
	      "       stile --help | --version\n"
	      "\n"
	      "  info       what this machine can share between graphics APIs without a copy, by which\n"
	      "             path, and where not, why\n"
	      "  --formats  with each pixel format, and who takes it\n"
	      "  --json     all of that for programs; docs/info.md has the keys\n",
		to);
}

int main(int argc, char **argv) {
	const char *word = argc > 1 ? argv[1] : "";
	if (strcmp(word, "info") == 0) {
		int ret = info_main(argc - 2, argv + 2);
		if (ret == 2) {
			write_usage(stderr);
		}
		return ret;
	}
	if (argc == 2 && strcmp(word, "--help") == 0) {
		write_usage(stdout);
		return EXIT_SUCCESS;
	}
	if (argc == 2 && strcmp(word, "--version") == 0) {
		printf("stile %s\n", stile_version_get());
		return EXIT_SUCCESS;
	}
	if (argc > 1) {
		fprintf(stderr, "stile: what is '%s'?\n", argc > 2 ? argv[argc - 1] : word);
	}
	write_usage(stderr);
	return 2;
}
