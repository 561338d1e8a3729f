/* SPDX-License-Identifier: Apache-2.0 */
#include "os/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What newer kernels know and Debian's headers do not. Each field came with an ABI; older kernels want it to be 0. */
struct ruleset {
	uint64_t files, net, scoped;
};
enum { SCOPED_ABSTRACT_UNIX = 1 };
enum { RIGHT_REFER = 1 << 13, RIGHT_TRUNCATE = 1 << 14, RIGHT_IOCTL_DEVICE = 1 << 15 };
enum { ABI_REFER = 2, ABI_TRUNCATE = 3, ABI_IOCTL = 5, ABI_SCOPED = 6 };

enum { ALL_SINCE_FIRST = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1 };
enum { READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR };
static const uint64_t rights[] = {
    [PLACE_READ] = READ,
    [PLACE_CHANGE] = READ | LANDLOCK_ACCESS_FS_WRITE_FILE | RIGHT_TRUNCATE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
	LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
	LANDLOCK_ACCESS_FS_MAKE_SOCK,
    [PLACE_SOCKETS] = LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE,
};
enum { OF_A_FILE = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | RIGHT_TRUNCATE };

static uint64_t handled_by(int abi)
{
	return ALL_SINCE_FIRST | (abi >= ABI_REFER ? RIGHT_REFER : 0) | (abi >= ABI_TRUNCATE ? RIGHT_TRUNCATE : 0) |
	    (abi >= ABI_IOCTL ? RIGHT_IOCTL_DEVICE : 0);
}

static int allow(int rules, const struct place *place, uint64_t handled)
{
	uint64_t these = rights[place->use] & handled;
	struct stat st;
	int fd = open(place->path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -errno;
	if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
		these &= OF_A_FILE;
	struct landlock_path_beneath_attr beneath = {.allowed_access = these, .parent_fd = fd};
	int r = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0 ? -errno : 0;
	close(fd);
	return r;
}

int landlock_confine(const struct place places[], size_t n, bool abstract)
{
	int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (abi < 0)
		return -errno;
	struct ruleset set = {.files = handled_by(abi), .scoped = abi >= ABI_SCOPED && !abstract ? SCOPED_ABSTRACT_UNIX : 0};
	int r = 0, rules = (int)syscall(SYS_landlock_create_ruleset, &set, sizeof set, 0);
	if (rules < 0)
		return -errno;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = allow(rules, &places[i], set.files);
	if (r == 0 && syscall(SYS_landlock_restrict_self, rules, 0) < 0)
		r = -errno;
	close(rules);
	return r < 0 ? r : abi;
}
