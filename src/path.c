/* SPDX-License-Identifier: MIT */
#include "src/path.h"

#include "src/abi.h"

int path_check(const struct stile_path *path) {
	return path == NULL ? 0 : abi_check_out(path);
}

void path_give(struct stile_path *to, enum stile_path_kind kind, int64_t blocked_ns) {
	if (to != NULL) {
		struct stile_path path = { .kind = kind, .blocked_ns = blocked_ns };
		abi_copy_out(to, &path, sizeof(path));
	}
}

bool path_policy_is_valid(enum stile_user_fences user_fences) {
	return (unsigned)user_fences <= STILE_USER_FENCES_REFUSE;
}
