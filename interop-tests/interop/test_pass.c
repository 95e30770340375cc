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

/* Wrong code: an image taken from what has more descriptors than planes, the rest leaked. */
START_TEST(image_with_too_many_descriptors_is_refused) {
	static const size_t counts[] = { 2, PASS_MAX_FDS, PASS_MAX_FDS + 1, MANY };
	struct stile_device *device = images_open_device();
	struct stile_image *image = images_create(device, 64, 64, DRM_FORMAT_ABGR8888);
	struct stile_fence *fence;
	char data[ROOM];
	int ends[2];
	mail_pair(ends);
	/* All but the descriptors is as the other side would say it. */
	ck_assert_int_eq(pass_send_image(ends[0], image, NULL), 0);
	ssize_t bytes = recv(ends[1], data, sizeof(data), MSG_TRUNC);
	ck_assert(bytes > 0 && bytes <= ROOM);
	stile_image_unref(image);
	send_many(ends[0], data, (size_t)bytes, counts[_i]);
	ck_assert_int_eq(pass_receive_image(ends[1], device, &image, &fence), -EBADMSG);
	ck_assert_ptr_null(image);
	ck_assert_ptr_null(fence);
	close(ends[0]);
	close(ends[1]);
	stile_device_destroy(device);
}
END_TEST

static Suite *make_suite(void) {
	Suite *suite = suite_create("pass");
	TCase *tcase = ledger_tcase_create("messages");
	tcase_add_loop_test(tcase, more_descriptors_than_fit_are_refused_and_closed, 0, 2);
	tcase_add_test(tcase, as_many_descriptors_as_fit_are_the_callers);
	tcase_add_loop_test(tcase, descriptors_of_a_message_of_another_length_are_closed, 0, 2);
	tcase_add_loop_test(tcase, image_with_too_many_descriptors_is_refused, 0, 4);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make_suite, NULL);
}
