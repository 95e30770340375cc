/* SPDX-License-Identifier: MIT */
#include "interop-tests/conformance/opener.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/device.h>
#include <stile/report.h>

#include "interop-tests/support/drm_node.h"
#include "interop-tests/support/runner.h"

#ifdef TEST_HAS_DRM
#include <stile/drm.h>
#endif
#ifdef TEST_HAS_GBM
#include <gbm.h>
#include <stile/gbm.h>
#endif

/* What STILE_TEST_BACKEND says, cut at its first colon. */
struct choice {
	char name[32];
	const char *rest; /* behind the colon, or NULL */
};

static struct choice get_choice(void) {
	const char *value = getenv("STILE_TEST_BACKEND");
	value = value == NULL ? stile_backend_get_name(0) : value;
	const char *colon = strchr(value, ':');
	struct choice choice = { .rest = colon == NULL ? NULL : colon + 1 };
	snprintf(choice.name, sizeof(choice.name), "%.*s",
		colon == NULL ? (int)strlen(value) : (int)(colon - value), value);
	return choice;
}

static bool is_adapter(const char *name) {
	return strcmp(name, "drm") == 0 || strcmp(name, "gbm") == 0;
}

int opener_check(char why[OPENER_TEXT]) {
	struct choice choice = get_choice();
	bool known = false;
	const char *name;
	for (size_t i = 0; (name = stile_backend_get_name(i)) != NULL; i++) {
		known = known || strcmp(name, choice.name) == 0;
	}
#ifdef TEST_HAS_DRM
	known = known || strcmp(choice.name, "drm") == 0;
#endif
#ifdef TEST_HAS_GBM
	known = known || strcmp(choice.name, "gbm") == 0;
#endif
	if (known && (choice.rest != NULL || !is_adapter(choice.name))) {
		return 0;
	}
	snprintf(why, OPENER_TEXT, "the library was built without %s, or it lacks its driver",
		choice.name);
	return -ENODEV;
}

const char *opener_get_backend(void) {
	static struct choice choice;
	choice = get_choice();
	return is_adapter(choice.name) ? "dmabuf" : choice.name;
}

/* ---- What devices say ----------------------------------------------------------------------- */

static char error[OPENER_TEXT];

static void hear(void *user, enum stile_log_level level, const char *text) {
	(void)user;
	if (level == STILE_LOG_ERROR) {
		snprintf(error, sizeof(error), "%s", text);
	}
}

static const struct stile_device_info heard_device = { .size = sizeof(heard_device), .log = hear };

void opener_forget_errors(void) {
	error[0] = '\0';
}

const char *opener_get_error(void) {
	return error;
}

/* ---- Adapters ------------------------------------------------------------------------------ */

#ifdef TEST_HAS_DRM
/* The device has a descriptor of its own. */
static int open_drm(int node, struct stile_report *report, struct stile_device **out) {
	struct stile_drm_info info = { .size = sizeof(info), .fd = node };
	struct stile_drm *drm;
	int ret = stile_drm_create(&info, report, &drm);
	if (ret == 0) {
		ret = stile_drm_open_device(drm, &heard_device, report, out);
		stile_drm_destroy(drm);
	}
	close(node);
	return ret;
}
#endif

#ifdef TEST_HAS_GBM
/* Making one takes a second where processors are emulated, so they are kept for the next test. */
static struct {
	int node;
	struct gbm_device *gbm;
	bool used;
} pool[OPENER_MAX];
static size_t pool_count;

/* Takes the node over, if it is needed. */
static int find_gbm(int node, struct gbm_device **out) {
	size_t i = 0;
	while (i < pool_count && pool[i].used) {
		i++;
	}
	if (i < pool_count) {
		close(node);
	} else {
		runner_require(i < OPENER_MAX, "opener_finish() is forgotten");
		struct gbm_device *gbm = gbm_create_device(node);
		if (gbm == NULL) {
			close(node);
			return -ENODEV;
		}
		pool[i].node = node;
		pool[i].gbm = gbm;
		pool_count++;
	}
	pool[i].used = true;
	*out = pool[i].gbm;
	return 0;
}

static int open_gbm(int node, struct stile_report *report, struct stile_device **out) {
	struct gbm_device *gbm;
	int ret = find_gbm(node, &gbm);
	if (ret < 0) {
		snprintf(report->text, sizeof(report->text), "no gbm_device");
		return ret;
	}
	return stile_gbm_open_device(gbm, 0, &heard_device, report, out);
}
#endif

void opener_finish(void) {
#ifdef TEST_HAS_GBM
	for (size_t i = 0; i < pool_count; i++) {
		pool[i].used = false;
	}
#endif
}

void opener_close(void) {
#ifdef TEST_HAS_GBM
	while (pool_count > 0) {
		gbm_device_destroy(pool[--pool_count].gbm);
		close(pool[pool_count].node);
	}
#endif
}

static int open_adapter(
	const struct choice *choice, struct stile_report *report, struct stile_device **out) {
	int node = drm_node_open(DRM_NODE_CARD, choice->rest);
	if (node < 0) {
		snprintf(report->text, sizeof(report->text), "no node of %s: %s", choice->rest,
			strerror(-node));
		return node;
	}
#ifdef TEST_HAS_DRM
	if (strcmp(choice->name, "drm") == 0) {
		return open_drm(node, report, out);
	}
#endif
#ifdef TEST_HAS_GBM
	if (strcmp(choice->name, "gbm") == 0) {
		return open_gbm(node, report, out);
	}
#endif
	close(node);
	return -ENODEV;
}

/* ---- All ----------------------------------------------------------------------------------- */

int opener_open(struct stile_device **out, char why[OPENER_TEXT]) {
	struct choice choice = get_choice();
	struct stile_report report = { .size = sizeof(report) };
	struct stile_device_info info = heard_device;
	info.options = choice.rest;
	opener_forget_errors();
	int ret = is_adapter(choice.name) ? open_adapter(&choice, &report, out)
					  : stile_device_open(choice.name, &info, out);
	const char *text = is_adapter(choice.name) ? report.text : error;
	snprintf(why, OPENER_TEXT, "%s", ret == 0 ? "" : text[0] == '\0' ? strerror(-ret) : text);
	return ret;
}
