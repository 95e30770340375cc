/* SPDX-License-Identifier: MIT */
/* The demos' messages, when the other side sends what it should not. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "demos/pass.h"
#include "interop-tests/interop/images.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/mail.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"

enum {
	MANY = 10,
	BYTES = 8,
	ROOM = 256,
};

static char zeros[ROOM];

/* One message with so many descriptors of the same memory, as no pass_send() would make it. */
static void send_many(int socket, char *data, size_t bytes, size_t fd_count) {
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int) * MANY)];
	} control = { 0 };
	ck_assert_uint_le(fd_count, MANY);
	int fd = memory_create(4096, 0), fds[MANY];
	struct iovec iov = { .iov_base = data, .iov_len = bytes };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count),
	};
	for (size_t i = 0; i < fd_count; i++) {
		fds[i] = fd;
	}
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
	memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
	ck_assert_int_eq(sendmsg(socket, &message, MSG_NOSIGNAL), (ssize_t)bytes);
	close(fd);
}

/* The ledger sees what is leaked. Wrong code: room for the padding counted as room for one more. */
START_TEST(more_descriptors_than_fit_are_refused_and_closed) {
	static const size_t counts[] = { PASS_MAX_FDS + 1, MANY };
	int ends[2];
	struct {
		int fds[PASS_MAX_FDS];
		int guard[MANY];
	} room;
	memset(&room, 0x5a, sizeof(room));
	const int untouched = room.guard[0];
	mail_pair(ends);
	send_many(ends[0], zeros, BYTES, counts[_i]);
	char data[BYTES];
	size_t count = 7;
	ck_assert_int_eq(pass_receive(ends[1], data, BYTES, room.fds, &count), -EBADMSG);
	ck_assert_uint_eq(count, 0);
	for (size_t i = 0; i < MANY; i++) {
		ck_assert_int_eq(room.guard[i], untouched);
	}
	close(ends[0]);
	close(ends[1]);
}
END_TEST

/* Wrong code: a limit that is one too strict; descriptors that children inherit. */
START_TEST(as_many_descriptors_as_fit_are_the_callers) {
	int ends[2], fds[PASS_MAX_FDS];
	mail_pair(ends);
	send_many(ends[0], zeros, BYTES, PASS_MAX_FDS);
	char data[BYTES];
	size_t count;
	ck_assert_int_eq(pass_receive(ends[1], data, BYTES, fds, &count), 0);
	ck_assert_uint_eq(count, PASS_MAX_FDS);
	for (size_t i = 0; i < count; i++) {
		ck_assert_int_eq(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
		close(fds[i]);
	}
	close(ends[0]);
	close(ends[1]);
}
END_TEST

/* Wrong code: the descriptors of a message that is refused for its length stay open. */
START_TEST(descriptors_of_a_message_of_another_length_are_closed) {
	int ends[2], fds[PASS_MAX_FDS];
	mail_pair(ends);
	send_many(ends[0], zeros, _i == 0 ? BYTES - 1 : BYTES + 1, 2);
	char data[BYTES];
	size_t count;
	ck_assert_int_eq(pass_receive(ends[1], data, BYTES, fds, &count), -EBADMSG);
	ck_assert_uint_eq(count, 0);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

/* ---- Images --------------------------------------------------------------------------------- */

enum { SIDE = 64 };

/* Two processes in small: each device has objects of its own for the same memory. */
static struct stile_device *here, *there;
static struct stile_image *image;
static int ends[2];

static void open_both(void) {
	here = images_open_device();
	there = images_open_device();
	image = images_create(here, SIDE, SIDE, DRM_FORMAT_ABGR8888);
	mail_pair(ends);
}

static void close_both(void) {
	close(ends[0]);
	close(ends[1]);
	stile_image_unref(image);
	stile_device_destroy(there);
	stile_device_destroy(here);
}

/* What pass_send_image() sends: so many bytes, and the memory and the work as descriptors. */
static size_t send_as_bytes(char data[ROOM], int fds[PASS_MAX_FDS]) {
	size_t count;
	ck_assert_int_eq(pass_send_image(ends[0], image), 0);
	ssize_t bytes = recv(ends[1], data, ROOM, MSG_PEEK | MSG_TRUNC);
	ck_assert(bytes > 0 && bytes <= ROOM);
	ck_assert_int_eq(pass_receive(ends[1], data, (size_t)bytes, fds, &count), 0);
	ck_assert_uint_eq(count, 2);
	return (size_t)bytes;
}

/*
 * Wrong code: an image taken from what has more descriptors than planes and a fence, the rest leaked;
 * or from what has no fence, as if the work were done.
 */
START_TEST(image_with_other_than_its_descriptors_is_refused) {
	static const size_t counts[] = { 1, 3, PASS_MAX_FDS, PASS_MAX_FDS + 1, MANY };
	struct stile_image *received = image;
	char data[ROOM];
	int fds[PASS_MAX_FDS];
	/* All but the descriptors is as the other side would say it. */
	size_t bytes = send_as_bytes(data, fds);
	close(fds[0]);
	close(fds[1]);
	send_many(ends[0], data, bytes, counts[_i]);
	ck_assert_int_eq(pass_receive_image(ends[1], there, &received), -EBADMSG);
	ck_assert_ptr_null(received);
}
END_TEST

/* Wrong code: the image stays open, or is given out, when what should be its fence is none. */
START_TEST(image_with_a_fence_that_is_none_is_refused) {
	struct stile_image *received = image;
	char data[ROOM];
	int fds[PASS_MAX_FDS];
	size_t bytes = send_as_bytes(data, fds);
	const int wrong[] = { fds[0], fds[0] };
	ck_assert_int_eq(pass_send(ends[0], data, bytes, wrong, 2), 0);
	close(fds[0]);
	close(fds[1]);
	ck_assert_int_eq(pass_receive_image(ends[1], there, &received), -EINVAL);
	ck_assert_ptr_null(received);
}
END_TEST

/* Wrong code: the work stays behind, or arrives as one that only writers wait for. */
START_TEST(pending_work_travels_with_the_image) {
	struct stile_fence *work = plain_fence_create();
	struct stile_image *received;
	images_add_work(image, STILE_USAGE_WRITE, work);
	ck_assert_int_eq(pass_send_image(ends[0], image), 0);
	ck_assert_int_eq(pass_receive_image(ends[1], there, &received), 0);
	struct stile_fence *arrived = images_get_work(received);
	ck_assert_int_eq(stile_fence_get_status(arrived), 0);
	stile_fence_signal(work);
	ck_assert_int_eq(plain_fence_finish(arrived), 1);
	stile_fence_unref(arrived);
	stile_fence_unref(work);
	stile_image_unref(received);
}
END_TEST

/* Wrong code: only one fence goes along, or the first that ends is taken for all. */
START_TEST(all_pending_work_travels_with_the_image) {
	struct stile_fence *work[] = { plain_fence_create(), plain_fence_create() };
	struct stile_image *received;
	images_add_work(image, STILE_USAGE_WRITE, work[0]);
	images_add_work(image, STILE_USAGE_WRITE, work[1]);
	ck_assert_int_eq(pass_send_image(ends[0], image), 0);
	ck_assert_int_eq(pass_receive_image(ends[1], there, &received), 0);
	struct stile_fence *arrived = images_get_work(received);
	stile_fence_signal(work[_i]);
	ck_assert_int_eq(stile_fence_get_status(arrived), 0);
	stile_fence_signal(work[1 - _i]);
	ck_assert_int_eq(plain_fence_finish(arrived), 1);
	stile_fence_unref(arrived);
	stile_fence_unref(work[0]);
	stile_fence_unref(work[1]);
	stile_image_unref(received);
}
END_TEST

/* Wrong code: who receives an image that is only read waits for readers; what is done is pending. */
START_TEST(image_without_pending_writes_arrives_ready) {
	struct stile_fence *reading = plain_fence_create();
	struct stile_image *received;
	images_add_work(image, STILE_USAGE_READ, reading);
	ck_assert_int_eq(pass_send_image(ends[0], image), 0);
	ck_assert_int_eq(pass_receive_image(ends[1], there, &received), 0);
	struct stile_fence *arrived = images_get_work(received);
	ck_assert_int_eq(stile_fence_get_status(arrived), 1);
	stile_fence_unref(arrived);
	stile_fence_signal(reading);
	stile_fence_unref(reading);
	stile_image_unref(received);
}
END_TEST

/* Wrong code: work that has failed is over, so the picture arrives as if it were right. */
START_TEST(image_whose_drawing_has_failed_is_not_sent) {
	struct stile_fence *work = plain_fence_create();
	char byte;
	images_add_work(image, STILE_USAGE_WRITE, work);
	stile_fence_set_error(work, -EIO);
	stile_fence_signal(work);
	ck_assert_int_eq(pass_send_image(ends[0], image), -EIO);
	ck_assert_int_eq(recv(ends[1], &byte, 1, MSG_DONTWAIT), -1);
	stile_fence_unref(work);
}
END_TEST

static Suite *make_suite(void) {
	Suite *suite = suite_create("pass");
	TCase *tcase = ledger_tcase_create("messages");
	tcase_add_loop_test(tcase, more_descriptors_than_fit_are_refused_and_closed, 0, 2);
	tcase_add_test(tcase, as_many_descriptors_as_fit_are_the_callers);
	tcase_add_loop_test(tcase, descriptors_of_a_message_of_another_length_are_closed, 0, 2);
	suite_add_tcase(suite, tcase);
	tcase = ledger_tcase_create("images");
	tcase_add_checked_fixture(tcase, open_both, close_both);
	tcase_add_loop_test(tcase, image_with_other_than_its_descriptors_is_refused, 0, 5);
	tcase_add_test(tcase, image_with_a_fence_that_is_none_is_refused);
	tcase_add_test(tcase, pending_work_travels_with_the_image);
	tcase_add_loop_test(tcase, all_pending_work_travels_with_the_image, 0, 2);
	tcase_add_test(tcase, image_without_pending_writes_arrives_ready);
	tcase_add_test(tcase, image_whose_drawing_has_failed_is_not_sent);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make_suite, NULL);
}
