/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_FAKE_SYNC_FILE_H
#define SUPPORT_FAKE_SYNC_FILE_H

#include <stddef.h>
#include <stdint.h>

/*
 * The kernel's sync_files where no driver makes any: descriptors that really can be polled, and an
 * ioctl() for the library's objects that looks at its arguments as closely as the kernel does
 * (contract S-1 to S-8). Any thread. What needs more than a few files or leaves fails the test.
 */

/** Begin, and forget what there was. */
void fake_sync_file_begin(void);

/** End: the system's ioctl() is back. Descriptors that were given out are the caller's to close. */
void fake_sync_file_end(void);

/** A new sync_file of `leaves` pending fences, numbered on; CLOEXEC, the caller's. */
int fake_sync_file_create(size_t leaves);

/** The number of the first leaf that was made for this file; also of a duplicate. */
size_t fake_sync_file_first_leaf(int fd);

/** End a leaf: status 1 or a negative errno; the files made of it become readable. */
void fake_sync_file_signal(size_t leaf, int status, int64_t timestamp_ns);

/** Have a file end though its leaves are pending: an array that ends with any member. */
void fake_sync_file_signal_whole(int fd, int status);

/** How many leaves a file has by now. */
size_t fake_sync_file_count(int fd);

/** The earliest deadline that a leaf was told of; INT64_MAX: none. */
int64_t fake_sync_file_deadline(size_t leaf);

/** Let the next `times` calls of this request fail with this errno. */
void fake_sync_file_fail(unsigned long request, int error, unsigned times);

/** How many calls of this request there were, those that failed too. */
unsigned fake_sync_file_calls(unsigned long request);

/** The requests that the system's header may not have yet. */
extern const unsigned long fake_sync_file_set_deadline;

#endif
