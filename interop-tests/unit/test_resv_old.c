/* SPDX-License-Identifier: MIT */
/* The exclusive and shared fences of old documents, in today's terms: KERNEL_CONTRACT section 21. */
#include <check.h>
#include <errno.h>

#include <stile/resv_old.h>
#include <stile/wait.h>

#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"

static struct stile_resv resv;
static struct stile_fence *reader, *writer;

static void setup(void) {
	stile_resv_init(&resv);
	reader = plain_fence_create();
	writer = plain_fence_create();
	ck_assert_int_eq(stile_resv_lock(&resv, NULL, NULL), 0);
}

static void teardown(void) {
	stile_resv_unlock(&resv);
	stile_resv_fini(&resv);
	stile_fence_unref(reader);
	stile_fence_unref(writer);
	ck_assert_int_eq(plain_fence_count(), 0);
}

static enum stile_resv_usage usage_of(const struct stile_fence *fence) {
	struct stile_resv_iter iter;
	const struct stile_fence *at;
	stile_resv_iter_begin(&iter, &resv, STILE_RESV_BOOKKEEP);
	do {
		at = stile_resv_iter_next(&iter);
	} while (at != NULL && at != fence);
	ck_assert_ptr_nonnull(at);
	return stile_resv_iter_get_usage(&iter);
}

/* Wrong code: shared for who writes; an exclusive one that drops the readers, as it once did. */
START_TEST(shared_is_read_and_exclusive_is_write) {
	ck_assert_int_eq(stile_resv_reserve_shared(&resv), 0);
	ck_assert_int_eq(stile_resv_add_shared_fence(&resv, reader), 0);
	ck_assert_int_eq(stile_resv_add_excl_fence(&resv, writer), 0);
	ck_assert_int_eq(usage_of(reader), STILE_RESV_READ);
	ck_assert_int_eq(usage_of(writer), STILE_RESV_WRITE);
}
END_TEST

/* No reservation was needed for it. Wrong code: the room that was made for a shared one used up. */
START_TEST(exclusive_leaves_the_room_of_a_shared_one) {
	struct stile_fence *more[4];
	for (int i = 0; i < 4; i++) {
		more[i] = plain_fence_create();
		ck_assert_int_eq(stile_resv_reserve_shared(&resv), 0);
		ck_assert_int_eq(stile_resv_add_shared_fence(&resv, more[i]), 0);
		stile_fence_unref(more[i]);
	}
	ck_assert_int_eq(stile_resv_reserve_shared(&resv), 0);
	ck_assert_int_eq(stile_resv_add_excl_fence(&resv, writer), 0);
	ck_assert_int_eq(stile_resv_add_shared_fence(&resv, reader), 0);
}
END_TEST

/* "Nobody writes." Wrong code: NULL taken for a fence; what is pending forgotten. */
START_TEST(no_exclusive_fence_changes_nothing) {
	ck_assert_int_eq(stile_resv_add_excl_fence(&resv, writer), 0);
	ck_assert_int_eq(stile_resv_add_excl_fence(&resv, NULL), 0);
	ck_assert_int_eq(usage_of(writer), STILE_RESV_WRITE);
}
END_TEST

/* Wrong code: the readers are asked for as well, or nothing is given. */
START_TEST(exclusive_one_is_given) {
	struct stile_fence *got;
	ck_assert_int_eq(stile_resv_reserve_shared(&resv), 0);
	ck_assert_int_eq(stile_resv_add_shared_fence(&resv, reader), 0);
	ck_assert_int_eq(stile_resv_get_excl_fence(&resv, &got), 0);
	ck_assert_ptr_null(got);
	ck_assert_int_eq(stile_resv_add_excl_fence(&resv, writer), 0);
	ck_assert_int_eq(stile_resv_get_excl_fence(&resv, &got), 0);
	ck_assert_ptr_eq(got, writer);
	stile_fence_unref(got);
}
END_TEST

/* Wrong code: `all` the wrong way round. */
START_TEST(all_means_the_shared_ones_too) {
	ck_assert_int_eq(stile_resv_reserve_shared(&resv), 0);
	ck_assert_int_eq(stile_resv_add_shared_fence(&resv, reader), 0);
	ck_assert(stile_resv_test_signaled_old(&resv, false));
	ck_assert(!stile_resv_test_signaled_old(&resv, true));
	ck_assert_int_eq(stile_resv_wait_old(&resv, false, 0, NULL), 0);
	ck_assert_int_eq(stile_resv_wait_old(&resv, true, 0, NULL), -ETIME);
	stile_fence_signal(reader);
	ck_assert(stile_resv_test_signaled_old(&resv, true));
	ck_assert_int_eq(stile_resv_wait_old(&resv, true, 0, NULL), 0);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("resv_old");
	TCase *tcase = ledger_tcase_create("old forms");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, shared_is_read_and_exclusive_is_write);
	tcase_add_test(tcase, exclusive_leaves_the_room_of_a_shared_one);
	tcase_add_test(tcase, no_exclusive_fence_changes_nothing);
	tcase_add_test(tcase, exclusive_one_is_given);
	tcase_add_test(tcase, all_means_the_shared_ones_too);
	suite_add_tcase(s, tcase);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
