/* SPDX-License-Identifier: MIT */
/*
 * stile-negotiate [--output DIR] [--help]
 *
 * Which image can they all use: the software GPU, Vulkan, EGL, the CPU, and, if there is one, a plane of a display? Each
 * describes itself, and the answer is printed, with who refused what, and why. Two images are made by it: the software
 * GPU draws into the first, Vulkan from there into the second, the CPU reads that.
 * Exit status: 0 they have one, and it works, 1 not, 2 wrong input. It writes negotiate.png.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xf86drm.h>
#include <xf86drmMode.h>

#include <stile/create_for.h>
#include <stile/drm.h>
#include <stile/drm_kms.h>
#include <stile/negotiate.h>
#include <stile/stile.h>

#include "demos/gles_drawer.h"
#include "demos/hop.h"
#include "demos/options.h"
#include "demos/vulkan_drawer.h"

enum { SWGPU, MEMORY, VULKAN, EGL, CPU, PLANE, PARTIES };

struct negotiation {
	struct stile_device *devices[PARTIES]; /* of each party, who allocates for it */
	struct vulkan_drawer vulkan;
	struct gles_drawer gles;
	struct stile_party parties[PARTIES];
	size_t count;
	struct stile_layout layout;
	struct stile_image *images[2];
	struct picture card;
	struct picture seen;
};

static int refused(const char *what, const struct stile_report *why) {
	fprintf(stderr, "%s: %s\n", what, why->text);
	return why->error;
}

/* ---- Who takes part ------------------------------------------------------------------------- */

/* By hand: linear, and what it reads is in the first picture's order or the display's. */
static const struct stile_party_modifier linear = { .modifier = DRM_FORMAT_MOD_LINEAR };
static const struct stile_party_format cpu_formats[] = {
	{ DRM_FORMAT_ABGR8888, &linear, 1 },
	{ DRM_FORMAT_XRGB8888, &linear, 1 },
};
static const struct stile_constraints cpu_needs = {
	.size = sizeof(cpu_needs),
	.usage = STILE_USAGE_READ,
};
static const struct stile_party cpu = {
	.size = sizeof(cpu),
	.name = "CPU",
	.formats = cpu_formats,
	.format_count = sizeof(cpu_formats) / sizeof(cpu_formats[0]),
	.needs = &cpu_needs,
	.memory = STILE_MEMORY_DMA_BUF | STILE_MEMORY_MEMFD,
	.sync = STILE_SYNC_CPU,
	.flags = STILE_PARTY_CPU,
};

/* The first plane of a node: it would be nice if it showed the image, too. */
static int describe_plane(int fd, struct stile_party *party) {
	struct stile_drm_info info = { .size = sizeof(info), .fd = fd };
	struct stile_report why = { .size = sizeof(why) };
	struct stile_drm *drm = NULL;
	struct stile_drm_kms *kms = NULL;
	drmSetClientCap(fd, DRM_CLIENT_CAP_UNIVERSAL_PLANES, 1);
	drmModePlaneRes *planes = drmModeGetPlaneResources(fd);
	int ret = planes == NULL || planes->count_planes == 0 ? -ENODEV : 0;
	if (ret == 0) {
		ret = stile_drm_create(&info, &why, &drm);
	}
	if (ret == 0) {
		ret = stile_drm_kms_create(drm, &why, &kms);
	}
	if (ret == 0) {
		ret = stile_drm_plane_get_party(kms, planes->planes[0], &why, party);
	}
	if (ret == 0) {
		party->flags |= STILE_PARTY_OPTIONAL;
	}
	drmModeFreePlaneResources(planes);
	stile_drm_kms_destroy(kms);
	stile_drm_destroy(drm);
	return ret;
}

/* 1: there is one; 0: there is none. */
static size_t find_plane(struct stile_party *party) {
	int ret = -ENODEV;
	for (int i = 0; i < 16 && ret < 0; i++) {
		char path[32];
		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		int fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0) {
			ret = describe_plane(fd, party);
			close(fd);
		}
	}
	return ret == 0 ? 1 : 0;
}

static int open_all(struct negotiation *all) {
	struct stile_report why = { .size = sizeof(why) };
	int ret = stile_device_open("swgpu", NULL, &all->devices[SWGPU]);
	if (ret == 0 && stile_device_open_best(NULL, &why, &all->devices[MEMORY]) < 0) {
		ret = refused("memory", &why);
	}
	if (ret == 0) {
		printf("memory: %s\n", why.text);
		ret = vulkan_drawer_init(&all->vulkan, false);
	}
	if (ret == 0) {
		ret = gles_drawer_init(&all->gles);
	}
	if (ret < 0 && all->gles.refusal.error < 0) {
		ret = refused("EGL", &all->gles.refusal);
	}
	return ret;
}

static int describe_all(struct negotiation *all) {
	struct stile_party *parties = all->parties;
	struct stile_report why = { .size = sizeof(why) };
	for (int i = 0; i < PARTIES; i++) {
		parties[i].size = sizeof(parties[i]);
	}
	if (stile_device_get_party(all->devices[SWGPU], STILE_USAGE_WRITE, &why, &parties[SWGPU]) <
			0 ||
		/* Which has nothing to do with it but to allocate. */
		stile_device_get_party(all->devices[MEMORY], 0, &why, &parties[MEMORY]) < 0 ||
		stile_vulkan_get_party(all->vulkan.stile,
			VK_IMAGE_USAGE_SAMPLED_BIT | VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT, &why,
			&parties[VULKAN]) < 0 ||
		stile_egl_get_party(all->gles.stile, STILE_USAGE_READ, &why, &parties[EGL]) < 0) {
		return refused("a party", &why);
	}
	parties[MEMORY].name = "memory";
	parties[CPU] = cpu;
	all->count = PLANE + find_plane(&parties[PLANE]);
	return 0;
}

static void finish(struct negotiation *all) {
	stile_layout_fini(&all->layout);
	for (int i = 0; i < PARTIES; i++) {
		stile_party_fini(&all->parties[i]);
	}
	gles_drawer_finish(&all->gles);
	vulkan_drawer_finish(&all->vulkan);
	stile_image_unref(all->images[0]);
	stile_image_unref(all->images[1]);
	stile_device_destroy(all->devices[MEMORY]);
	stile_device_destroy(all->devices[SWGPU]);
	picture_finish(&all->seen);
	picture_finish(&all->card);
}

/* ---- What they agree on --------------------------------------------------------------------- */

static int negotiate(struct negotiation *all) {
	static const uint32_t fourccs[] = { DRM_FORMAT_ABGR8888, DRM_FORMAT_XRGB8888 };
	struct stile_want want = {
		.size = sizeof(want),
		.width = all->card.width,
		.height = all->card.height,
		.ladder = STILE_STEP_LINEAR,
		.fourccs = fourccs,
		.fourcc_count = sizeof(fourccs) / sizeof(fourccs[0]),
	};
	struct stile_report why = { .size = sizeof(why) };
	char *text;
	int ret = stile_negotiate(all->parties, all->count, &want, &all->layout, &why);
	if (ret < 0) {
		refused("they have nothing in common", &why);
	}
	/* Also if there is none: who refused it. */
	if (stile_layout_describe(&all->layout, &text) == 0) {
		printf("%s\n", text);
		free(text);
	}
	return ret;
}

/* The best choice that is laid out as the pictures here are. */
static int pick_picture(const struct stile_layout *layout, struct stile_pick *pick) {
	for (uint32_t i = 0; i < layout->tranche_count; i++) {
		const struct stile_tranche *tranche = stile_layout_get_tranche(layout, i);
		for (uint32_t j = 0; j < tranche->choice_count; j++) {
			if (tranche->choices[j].fourcc == DRM_FORMAT_ABGR8888) {
				*pick = (struct stile_pick){ sizeof(*pick), i, j };
				return 0;
			}
		}
	}
	fprintf(stderr,
		"they have ABGR8888 in none of the tranches, and only that is drawn here\n");
	return -EOPNOTSUPP;
}

static int use(struct negotiation *all) {
	struct hop hop = { .fence = "" };
	struct stile_report why = { .size = sizeof(why) };
	struct stile_pick pick;
	int ret = pick_picture(&all->layout, &pick);
	for (int i = 0; i < 2 && ret == 0; i++) {
		if (stile_image_create_for(
			    &all->layout, all->devices, NULL, &pick, &why, &all->images[i]) < 0) {
			return refused("no image", &why);
		}
	}
	if (ret == 0) {
		printf("made: %s\n", why.text);
		ret = vulkan_drawer_set_images(&all->vulkan, all->images[0], all->images[1]);
	}
	if (ret == 0) {
		ret = hop_upload(&hop, all->devices[SWGPU], &all->card, all->images[0]);
	}
	if (ret == 0) {
		ret = hop_vulkan(
			&hop, &all->vulkan, &transform_vulkan, all->images[0], all->images[1]);
	}
	return ret < 0 ? ret : hop_read(&hop, all->images[1], &all->seen);
}

int main(int argc, char **argv) {
	const char *output, *about = "Finds an image that all can use, and says why not others.";
	int status = options_parse(argc, argv, about, &output);
	if (status >= 0) {
		return status;
	}
	struct negotiation all = { .layout = { .size = sizeof(all.layout) } };
	int ret = picture_draw_test_card(320, 240, &all.card);
	if (ret == 0) {
		ret = picture_create(320, 240, &all.seen);
	}
	if (ret == 0) {
		ret = open_all(&all);
	}
	if (ret == 0) {
		ret = describe_all(&all);
	}
	if (ret == 0) {
		ret = negotiate(&all);
	}
	if (ret == 0) {
		ret = use(&all);
	}
	if (ret == 0) {
		status = options_save(output, "negotiate.png", &all.seen);
	} else {
		fprintf(stderr, "stile-negotiate: %s\n", strerror(-ret));
		status = EXIT_WRONG;
	}
	finish(&all);
	return status;
}
