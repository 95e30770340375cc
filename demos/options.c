/* SPDX-License-Identifier: MIT */
#include "demos/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "demos/window.h"

static const char *name_of(const char *path) {
	const char *slash = strrchr(path, '/');
	return slash == NULL ? path : slash + 1;
}

static int refuse(const char *program, const char *what) {
	fprintf(stderr, "%s: cannot use %s\n", program, what);
	fprintf(stderr, "usage: %s [--output DIR] [--help]\n", program);
	return EXIT_INPUT;
}

int options_parse(int argc, char **argv, const char *about, const char **output) {
	static const struct option known[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *program = name_of(argv[0]);
	int letter;
	*output = ".";
	opterr = 0;
	while ((letter = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (letter == 'h') {
			printf("usage: %s [--output DIR] [--help]\n%s\n", program, about);
			return EXIT_RIGHT;
		}
		if (letter != 'o') {
			return refuse(program, argv[optind - 1]);
		}
		*output = optarg;
	}
	if (optind < argc) {
		return refuse(program, argv[optind]);
	}
	if (mkdir(*output, 0777) < 0 && errno != EEXIST) {
		fprintf(stderr, "%s: cannot make %s: %s\n", program, *output, strerror(errno));
		return EXIT_INPUT;
	}
	return -1;
}

int options_save(const char *output, const char *name, const struct picture *picture) {
	char path[4096], why[256];
	snprintf(path, sizeof(path), "%s/%s", output, name);
	if (picture_save(path, picture, why) < 0) {
		fprintf(stderr, "cannot write %s\n", why);
		return EXIT_INPUT;
	}
	printf("Wrote %s\n", path);
	window_show(name, picture);
	return EXIT_RIGHT;
}
