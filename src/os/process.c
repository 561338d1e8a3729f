/* SPDX-License-Identifier: Apache-2.0 */
#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/utf8.h"

enum {
	KERNEL_THREAD = 0x00200000, /* PF_KTHREAD, see proc(5) on flags */
	COMM_MAX = 15,		    /* what the kernel keeps of a name */
	TEXT_MAX = 4096,
	PATH_SIZE = 32,
};

void process_units(struct process_units *ret)
{
	struct timespec up;

	clock_gettime(CLOCK_BOOTTIME, &up);
	ret->booted_ns = clock_wall_ns() - (up.tv_sec * 1000000000LL + up.tv_nsec);
	ret->tick_ns = 1000000000 / sysconf(_SC_CLK_TCK);
	ret->page = sysconf(_SC_PAGESIZE);
}

/* --- parsing ---------------------------------------------------------------------------------------------------- */

/* The next number of the text; false: there is none, or it is too large. */
static bool number(const char **at, const char *end, int64_t *ret)
{
	const char *s = *at;
	int64_t n = 0;

	while (s < end && (*s == ' ' || *s == '\t'))
		s++;
	bool minus = s < end && *s == '-';
	const char *digits = s += minus;
	for (; s < end && *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *s - '0', &n))
			return false;
	*at = s;
	*ret = minus ? -n : n;
	return s > digits;
}

/* Saturates: a product of a stranger's number. */
static int64_t times(int64_t n, int64_t unit)
{
	int64_t r;

	return n < 0 ? 0 : __builtin_mul_overflow(n, unit, &r) ? INT64_MAX : r;
}

static int64_t sum(int64_t a, int64_t b)
{
	int64_t r;

	return __builtin_add_overflow(a, b, &r) ? INT64_MAX : r;
}

static bool is_id(int64_t n)
{
	return n >= 0 && n <= INT32_MAX;
}

/* Fields of stat after the state, from proc(5): 4 is the first. */
enum { PPID = 4, FLAGS = 9, UTIME = 14, STIME, THREADS = 20, START = 22, RSS = 24, FIELDS };

/* "77 (a name) S 1 ...": the name may hold all but a NUL, so it ends at the last parenthesis. */
int process_parse_stat(const char *text, size_t n, const struct process_units *u, struct process *ret)
{
	struct process p = {0};
	int64_t field[FIELDS], pid;
	const char *at = text, *end = text + n;

	if (!number(&at, end, &pid) || !is_id(pid) || end - at < 2 || at[0] != ' ' || at[1] != '(')
		return -EPROTO;
	const char *name = at + 2, *after = memrchr(name, ')', (size_t)(end - name));
	if (!after || end - after < 4 || after[1] != ' ' || after[2] <= ' ' || after[2] > '~')
		return -EPROTO;
	at = after + 3;
	for (int i = PPID; i < FIELDS; i++)
		if (!number(&at, end, &field[i]))
			return -EPROTO;
	if (!is_id(field[PPID]) || !is_id(field[THREADS]))
		return -EPROTO;
	p.key = (struct process_key){(int32_t)pid, field[START]};
	p.parent = (int32_t)field[PPID];
	p.state = after[2];
	p.kernel = field[FLAGS] & KERNEL_THREAD;
	p.threads = (int32_t)field[THREADS];
	p.started_ns = sum(u->booted_ns, times(field[START], u->tick_ns));
	p.cpu_ns = times(sum(field[UTIME], field[STIME]), u->tick_ns);
	p.memory = times(field[RSS], u->page);
	utf8_harmless(p.program, sizeof p.program, name, (size_t)(after - name));
	*ret = p;
	return 0;
}

/* Behind "\nUid:"; NULL: there is none. A name in Name: can't bring a line, its newline is escaped. */
static const char *line_of(const char *text, size_t n, const char *label)
{
	const char *found = memmem(text, n, label, strlen(label));

	return found ? found + strlen(label) : NULL;
}

static bool uid_at(const char **at, const char *end, uid_t *ret)
{
	int64_t n;

	if (!number(at, end, &n) || n < 0 || n > UINT32_MAX)
		return false;
	*ret = (uid_t)n;
	return true;
}

int process_parse_status(const char *text, size_t n, struct process *ret)
{
	const char *end = text + n, *group = line_of(text, n, "\nTgid:"), *pid = line_of(text, n, "\nPid:");
	const char *uids = line_of(text, n, "\nUid:");
	uid_t real, effective, saved;
	int64_t leader, self;

	if (!group || !pid || !uids || !number(&group, end, &leader) || !number(&pid, end, &self) ||
	    !uid_at(&uids, end, &real) || !uid_at(&uids, end, &effective) || !uid_at(&uids, end, &saved))
		return -EPROTO;
	if (leader != self)
		return -ESRCH;
	ret->real_uid = real;
	ret->uid = effective;
	ret->saved_uid = saved;
	return 0;
}

/* A name that the kernel cut, whole from the path in the first word. */
static void take_long_name(const char *word, size_t n, struct process *p)
{
	const char *slash = memrchr(word, '/', n), *name = slash ? slash + 1 : word;
	size_t length = (size_t)(word + n - name), have = strlen(p->program);

	if (have == COMM_MAX && length > have && memcmp(name, p->program, have) == 0)
		utf8_harmless(p->program, sizeof p->program, name, length);
}

void process_take_command(const char *bytes, size_t n, struct process *p)
{
	char words[TEXT_MAX];

	while (n && (bytes[n - 1] == '\0' || bytes[n - 1] == ' '))
		n--;
	n = n < sizeof words ? n : sizeof words;
	take_long_name(bytes, strnlen(bytes, n), p);
	for (size_t i = 0; i < n; i++)
		words[i] = bytes[i] ? bytes[i] : ' ';
	utf8_harmless(p->command, sizeof p->command, words, n);
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

/* Bytes, or negative errno. */
static ssize_t read_file(int dir, const char *name, char *to, size_t size)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -errno : read(fd, to, size);

	n = fd >= 0 && n < 0 ? -errno : n;
	if (fd >= 0)
		close(fd);
	return n == -ENOENT ? -ESRCH : n;
}

static int read_stat(int dir, const struct process_units *u, struct process *ret)
{
	char text[TEXT_MAX];
	ssize_t n = read_file(dir, "stat", text, sizeof text);

	return n < 0 ? (int)n : process_parse_stat(text, (size_t)n, u, ret);
}

static int read_status(int dir, struct process *ret)
{
	char text[TEXT_MAX];
	ssize_t n = read_file(dir, "status", text, sizeof text);

	return n < 0 ? (int)n : process_parse_status(text, (size_t)n, ret);
}

/* One process's folder: what is read by way of it is never another's. */
static int open_folder(int proc, int32_t pid)
{
	char path[PATH_SIZE];

	if (pid <= 0)
		return -ESRCH;
	snprintf(path, sizeof path, "%d", (int)pid);
	int dir = openat(proc, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return dir >= 0 ? dir : errno == ENOENT ? -ESRCH : -errno;
}

/* The kernel gives what is in its folder to root then. */
static bool is_guarded(int dir, uid_t uid)
{
	struct stat st;

	return fstatat(dir, "status", &st, 0) == 0 && st.st_uid != uid;
}

int process_read(int proc, int32_t pid, const struct process_units *u, struct process *ret)
{
	struct process p;
	int dir = open_folder(proc, pid), r = dir < 0 ? dir : read_stat(dir, u, &p);

	if (r == 0)
		r = read_status(dir, &p);
	if (r == 0)
		p.guarded = is_guarded(dir, p.uid);
	if (dir >= 0)
		close(dir);
	if (r == 0)
		*ret = p;
	return r;
}

bool process_is(int proc, const struct process_key *key)
{
	static const struct process_units none;
	struct process p;
	int dir = open_folder(proc, key->pid);
	bool is = dir >= 0 && read_stat(dir, &none, &p) == 0 && p.key.start == key->start;

	if (dir >= 0)
		close(dir);
	return is;
}
