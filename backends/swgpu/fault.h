/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_SWGPU_FAULT_H
#define BACKENDS_SWGPU_FAULT_H

/* What goes wrong on request, and what went wrong. Thread-safe; the lock is a leaf. */

#include <stdbool.h>
#include <stdint.h>

#include <stile/report.h>
#include <stile/swgpu_test.h>

#include "backends/swgpu/bus.h"

struct faults;
struct swgpu;

/**
 * `text` is STILE_SWGPU_FAULT's language, checked here: words with commas between, each
 *
 *     KIND@N or KIND@N:VALUE
 *
 * where N counts from 1, in decimal, and KIND and VALUE are
 *
 *     delay    a time: 5ms, or in ns, us, s; it has to be there
 *     reorder  a time; the longest that it may last; else a second
 *     error    EIO, ENODATA ..., or -5; else -EIO
 *     hang, lose, nomem  no value
 *
 * Nothing at all is no fault. 0, -ENOMEM or what report_refuse() gave, naming the word.
 */
int faults_create(const char *text, struct faults **out, struct stile_report *why);
void faults_destroy(struct faults *faults);

int faults_inject(struct faults *faults, const struct stile_swgpu_injection *injection);

/** A command begins: its number from 1. */
uint64_t faults_next_command(struct faults *faults);
/** True: that is to go wrong with this command; asked again, the next that is, in the order of injection. */
bool faults_take(struct faults *faults, uint64_t command, struct stile_swgpu_injection *injection);
/** Storage is to be allocated: true if that is to fail. */
bool faults_next_allocation(struct faults *faults);

/** "delay", ... */
const char *faults_get_name(enum stile_swgpu_injection_kind kind);

/** A command met a fault: it is noted, traced, and goes to the device's log. No lock is held. */
void faults_note(struct swgpu *gpu, uint64_t command, const struct bus_fault *fault);
void faults_get(struct faults *faults, struct stile_swgpu_fault *fault);

#endif
