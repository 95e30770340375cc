/* SPDX-License-Identifier: MIT */
/*
 * stile-demo [PICTURE.png] [--output DIR] [--processes 1|2] [--memory BACKEND[:OPTIONS]|best]
 *            [--surfaceless]
 *
 * A picture crosses the software GPU, Vulkan and GLES without being copied between them, each hop
 * behind a fence. Exit status: 0 the result is right, as far as it came: a driver may refuse the memory;
 * 1 it is not, 2 wrong input, or no such memory.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "demos/job.h"
#include "demos/window.h"

enum { EXIT_RIGHT = 0, EXIT_WRONG = 1, EXIT_INPUT = 2 };

struct options {
	const char *picture; /* NULL: the test card */
	const char *output;
	const char *memory; /* NULL: the software GPU's */
	int processes;
	bool surfaceless; /* GLES on Mesa's surfaceless platform instead of EGL's software device */
	bool peer;
};

static int usage(const char *problem, const char *what) {
	fprintf(stderr, "stile-demo: %s%s\n", problem, what);
	fprintf(stderr,
		"usage: stile-demo [PICTURE.png] [--output DIR] [--processes 1|2] "
		"[--memory BACKEND[:OPTIONS]|best] [--surfaceless]\n");
	return EXIT_INPUT;
}

static int parse(int argc, char **argv, struct options *options) {
	static const struct option known[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "memory", required_argument, NULL, 'm' },
		{ "processes", required_argument, NULL, 'p' },
		{ "surfaceless", no_argument, NULL, 's' },
		{ "peer", no_argument, NULL, 'P' },
		{ NULL, 0, NULL, 0 },
	};
	*options = (struct options){ .output = ".", .processes = 1 };
	int letter;
	opterr = 0;
	while ((letter = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (letter) {
		case 'o':
			options->output = optarg;
			break;
		case 'm':
			options->memory = optarg;
			break;
		case 'p':
			if (strcmp(optarg, "1") != 0 && strcmp(optarg, "2") != 0) {
				return usage("--processes takes 1 or 2, not ", optarg);
			}
			options->processes = optarg[0] - '0';
			break;
		case 's':
			options->surfaceless = true;
			break;
		case 'P':
			options->peer = true;
			break;
		default:
			return usage("cannot use ", argv[optind - 1]);
		}
	}
	if (argc - optind > 1) {
		return usage("one picture at a time, not also ", argv[optind + 1]);
	}
	options->picture = argv[optind];
	return EXIT_RIGHT;
}

/* ---- What it found ------------------------------------------------------------------------ */

static void print_hop(const char *from, const char *to, const char *memory, const struct hop *hop) {
	char blocked[32] = "no";
	if (hop->path.blocked_ns > 0) {
		snprintf(blocked, sizeof(blocked), "%.0f µs", (double)hop->path.blocked_ns / 1e3);
	}
	printf("%-15s %-15s %-22s %-18s %-27s %-12s %6.0f µs\n", from, to, memory,
		hop->fence[0] == '\0' ? "-" : hop->fence, hop_path_text(hop), blocked,
		(double)hop->duration_ns / 1e3);
}

static void print_hops(const struct job *job, int processes) {
	const char *gles = processes == 1 ? "GLES" : "GLES, process 2", *last = gles;
	const char *shared = "shared, not copied";
	printf("%-15s %-15s %-22s %-18s %-27s %-12s %9s\n", "from", "to", "memory", "fence",
		"how it crossed", "blocked", "time");
	print_hop("CPU", "swgpu", "copied in, by a queue", &job->hops[HOP_UPLOAD]);
	print_hop("swgpu", "Vulkan", shared, &job->hops[HOP_VULKAN]);
	if (job->refusal[0] == '\0') {
		print_hop("Vulkan", gles, shared, &job->hops[HOP_GLES]);
	} else {
		printf("%-15s %-15s REFUSED: %s\n", "Vulkan", gles, job->refusal);
		last = "Vulkan";
	}
	print_hop(last, "CPU", shared, &job->hops[HOP_CPU]);
}

/* What those outside of the process hear of the work, by the kernel's reservations of the images. */
static void print_told(const struct job *job) {
	static const char *const names[] = { "swgpu's on A", "Vulkan's on B", "GLES's on C" };
	printf("\nWhat the kernel knows of the work:\n");
	for (int i = HOP_UPLOAD; i < (job->refusal[0] == '\0' ? HOP_CPU : HOP_GLES); i++) {
		const struct hop *hop = &job->hops[i];
		const char *told = "nothing: it was over by then";
		if (hop->told.kind == STILE_PATH_KERNEL) {
			told = "when it ends";
		} else if (hop->told.kind == STILE_PATH_HELD) {
			told = "nothing: the kernel cannot have that fence";
		}
		printf("  %-14s %s", names[i], told);
		if (hop->exported.kind == STILE_PATH_KERNEL) {
			printf("; a sync_file out of a VkSemaphore, for which the driver blocked %.0f µs",
				(double)hop->exported.blocked_ns / 1e3);
		} else if (hop->exported.kind == STILE_PATH_HANDLE) {
			printf("; the driver has no sync_file of it");
		}
		printf("\n");
	}
}

static bool print_evidence(const struct job *job) {
	bool all = true;
	printf("\nNothing was copied:\n");
	for (int i = 0; i < (job->refusal[0] == '\0' ? EVIDENCE_COUNT : EVIDENCE_COUNT / 2); i++) {
		const struct evidence *evidence = &job->evidence[i];
		const uint8_t *in = evidence->written, *out = evidence->read;
		bool holds = proof_holds(evidence);
		all = all && holds;
		printf("  %-6s has image %s: inode %llu mapped %d times, before the import %d; "
		       "wrote %02x%02x%02x%02x to the memory, %s reads %02x%02x%02x%02x: %s\n",
			evidence->api, evidence->image, (unsigned long long)evidence->inode,
			evidence->mappings_after, evidence->mappings_before, in[0], in[1], in[2],
			in[3], evidence->api, out[0], out[1], out[2], out[3], holds ? "yes" : "NO");
	}
	return all;
}

static int save(const struct job *job, const char *directory) {
	char path[4096], why[256];
	snprintf(path, sizeof(path), "%s/shared.png", directory);
	if (picture_save(path, &job->result, why) < 0) {
		fprintf(stderr, "stile-demo: cannot write %s\n", why);
		return EXIT_INPUT;
	}
	printf("\nWrote %s\n", path);
	return EXIT_RIGHT;
}

static int conclude(struct job *job, const struct options *options) {
	unsigned largest = 256;
	print_hops(job, options->processes);
	if (job->is_kernel) {
		print_told(job);
	}
	bool proven = print_evidence(job);
	int status = save(job, options->output);
	if (status != EXIT_RIGHT) {
		return status;
	}
	if (job_compare(job, &largest) < 0) {
		fprintf(stderr, "stile-demo: not enough memory to check the result\n");
		return EXIT_WRONG;
	}
	printf("Against the same drawing on the CPU: largest difference of %u x %u pixels is %u/255: "
	       "%s\n",
		job->result.width, job->result.height, largest, largest <= 1 ? "right" : "WRONG");
	window_show("shared.png", &job->result);
	return proven && largest <= 1 ? EXIT_RIGHT : EXIT_WRONG;
}

static int carry(const struct options *options, const struct picture *picture) {
	struct job job;
	int status = options->memory == NULL ? EXIT_WRONG : EXIT_INPUT;
	if (job_init(&job, picture, options->memory) == 0) {
		job.surfaceless = options->surfaceless;
		int ret = options->processes == 1 ? job_run_here(&job) : job_run_with_peer(&job);
		status = ret < 0 ? EXIT_WRONG : conclude(&job, options);
	}
	job_finish(&job);
	return status;
}

int main(int argc, char **argv) {
	struct options options;
	int status = parse(argc, argv, &options);
	if (status != EXIT_RIGHT) {
		return status;
	}
	if (options.peer) {
		return job_run_peer(STDIN_FILENO, options.surfaceless) < 0 ? EXIT_WRONG
									   : EXIT_RIGHT;
	}
	struct picture picture;
	char why[256] = "not enough memory";
	int ret = options.picture == NULL ? picture_draw_test_card(512, 512, &picture)
					  : picture_load(options.picture, &picture, why);
	if (ret < 0) {
		fprintf(stderr, "stile-demo: %s\n", why);
		return EXIT_INPUT;
	}
	if (mkdir(options.output, 0777) < 0 && errno != EEXIST) {
		fprintf(stderr, "stile-demo: cannot make %s: %s\n", options.output,
			strerror(errno));
		status = EXIT_INPUT;
	} else {
		status = carry(&options, &picture);
	}
	picture_finish(&picture);
	return status;
}
