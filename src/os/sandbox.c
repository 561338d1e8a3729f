/* SPDX-License-Identifier: Apache-2.0 */
#include "os/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/syscalls.h"

/* They have threads of their own, and stop all others from another process. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = true };
#else
enum { SANITIZED = false };
#endif

/* /etc whole: what is in it is replaced by renaming (resolv.conf, hosts, passwd), and a rule holds for a file, not a name.
 * /usr and /lib*: name services, gconv and libgcc_s come in when they are first needed. */
static const struct place of_libc[] = {{"/usr", PLACE_READ}, {"/lib", PLACE_READ}, {"/lib32", PLACE_READ}, {"/lib64", PLACE_READ},
    {"/libx32", PLACE_READ}, {"/etc", PLACE_READ}, {"/proc", PLACE_READ}, {"/sys/devices/system/cpu", PLACE_READ},
    {"/dev/random", PLACE_READ}, {"/dev/urandom", PLACE_READ}, {"/dev/null", PLACE_CHANGE}};
enum { OF_LIBC = sizeof of_libc / sizeof *of_libc };

static void add(char text[SANDBOX_TEXT_MAX + 1], const char *what, const char *why)
{
	size_t n = strlen(text);

	snprintf(text + n, SANDBOX_TEXT_MAX + 1 - n, "%s%s%s", n ? ", " : "", what, why);
}

/* r: what came of it. */
static void note(struct sandbox *s, const char *what, int r)
{
	char why[80];

	snprintf(why, sizeof why, " (%s)", r == -ENOSYS || r == -EOPNOTSUPP ? "not in this kernel" : strerror(-r));
	add(r < 0 ? s->lack : s->in_force, what, r < 0 ? why : "");
}

/* --- capabilities --------------------------------------------------------------------------------------------------- */

static int drop_capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0}, now[_LINUX_CAPABILITY_U32S_3];

	/* Who is not root may not do this, and with no_new_privs it bounds nothing any more. */
	for (int c = 0; prctl(PR_CAPBSET_DROP, c, 0, 0, 0) == 0; c++)
		;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return -errno;
	/* Its unit has capset refused, and none left to drop. */
	if (syscall(SYS_capget, &head, now) == 0 && !memcmp(now, none, sizeof none))
		return 0;
	return syscall(SYS_capset, &head, none) < 0 ? -errno : 0;
}

/* --- files ---------------------------------------------------------------------------------------------------------- */

/* Where resolv.conf really is: on many hosts another program's, below /run. */
static const char *resolver_place(char real[PATH_MAX])
{
	if (!realpath("/etc/resolv.conf", real))
		return "/etc";
	*strrchr(real, '/') = '\0';
	return *real ? real : "/etc";
}

static bool notifies_abstract(void)
{
	const char *where = getenv("NOTIFY_SOCKET");

	return where && *where == '@';
}

static int confine_files(const struct place places[], size_t n)
{
	struct place all[OF_LIBC + 1 + SANDBOX_PLACES_MAX];
	char resolver[PATH_MAX];

	memcpy(all, of_libc, sizeof of_libc);
	all[OF_LIBC] = (struct place){resolver_place(resolver), PLACE_READ};
	memcpy(all + OF_LIBC + 1, places, n * sizeof *places);
	return landlock_confine(all, OF_LIBC + 1 + n, notifies_abstract());
}

static bool is_shared(const char *dir)
{
	static const char *const shared[] = {"/etc", "/home", "/root", "/tmp", "/var/tmp", "/dev/shm", "/run", "/var", NULL};
	const char *home = getenv("HOME");

	for (const char *const *s = shared; *s; s++)
		if (!strcmp(*s, dir))
			return true;
	return home && !strcmp(home, dir);
}

int sandbox_place_of(const char *file, char ret[PATH_MAX])
{
	if (!realpath(file, ret))
		return -errno;
	char *slash = strrchr(ret, '/');
	*slash = '\0';
	if (!*ret || is_shared(ret))
		*slash = '/';
	return 0;
}

/* --- all of it ------------------------------------------------------------------------------------------------------ */

/* Landlock and capabilities are a thread's. */
static bool is_alone(void)
{
	DIR *d = opendir("/proc/self/task");
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n <= 3; /* with . and .. */
}

static void enter(const struct place places[], size_t n, struct sandbox *s)
{
	char landlock[24] = "landlock";

	note(s, "no new privileges", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0);
	int r = confine_files(places, n);
	if (r > 0)
		snprintf(landlock, sizeof landlock, "landlock %d", r);
	note(s, landlock, r);
	note(s, "no capabilities", drop_capabilities());
	note(s, "seccomp", syscalls_confine());
	if (!*s->in_force)
		strcpy(s->in_force, "nothing");
}

static void leave_out(struct sandbox *s, const char *why)
{
	*s = (struct sandbox){.in_force = "nothing"};
	add(s->lack, "all of it", why);
}

int sandbox_enter(const struct place places[], size_t n, struct sandbox *ret)
{
	struct sandbox s = {0};

	if (n > SANDBOX_PLACES_MAX)
		return -E2BIG;
	if (!SANITIZED && !is_alone())
		return -EBUSY;
	if (SANITIZED)
		leave_out(&s, " (this vigiad was built with a sanitizer)");
	else
		enter(places, n, &s);
	*ret = s;
	return 0;
}

void sandbox_leave_out(struct sandbox *ret)
{
	leave_out(ret, " (the configuration says sandbox = no)");
}
