/* SPDX-License-Identifier: MIT */
/* An application that uses GBM. It is apart from consumer.c, since a graphics library is behind it. */
#include <stdio.h>

#include <stile/gbm.h>

int main(void) {
	/* Linking it is the test: a machine need not have a node that GBM opens. */
	int (*open_device)(struct gbm_device *, uint32_t, const struct stile_device_info *,
		struct stile_report *, struct stile_device **) = stile_gbm_open_device;
	struct stile_report report = { .size = sizeof(report) };
	struct stile_device *device;
	int ret = stile_device_open_best(NULL, &report, &device);
	printf("A consumer with GBM: %s\n", report.text);
	stile_device_destroy(device);
	return ret == 0 && open_device != NULL ? 0 : 1;
}
