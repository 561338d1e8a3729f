/* SPDX-License-Identifier: Apache-2.0 */
#include "os/host.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "os/utf8.h"

/* The first label; what a name may not hold becomes '-'. */
static void short_name(const char *node, char *to, size_t size)
{
	size_t n = 0;

	while (n + 1 < size && node[n] && node[n] != '.') {
		char c = node[n];
		to[n++] = isalnum((unsigned char)c) || strchr("_-", c) ? c : '-';
	}
	to[n] = '\0';
	if (!isalnum((unsigned char)to[0]))
		snprintf(to, size, "localhost");
}

static void printable(char *s)
{
	size_t n = strlen(s), at = 0;

	while (at < n) {
		size_t length = utf8_char(s + at, n - at);
		if (length == 0 || (unsigned char)s[at] < 0x20 || s[at] == 0x7f)
			s[at] = '?';
		at += length ? length : 1;
	}
}

/* PRETTY_NAME="Debian GNU/Linux 12 (bookworm)" of os-release(5). */
static bool pretty_name(char *to, size_t size)
{
	char line[512];
	bool found = false;
	FILE *f = fopen("/etc/os-release", "re");

	if (!f)
		f = fopen("/usr/lib/os-release", "re");
	while (f && !found && fgets(line, sizeof line, f)) {
		if (strncmp(line, "PRETTY_NAME=", 12) != 0)
			continue;
		const char *value = line + 12 + strspn(line + 12, "\"'");
		snprintf(to, size, "%.*s", (int)strcspn(value, "\"'\n"), value);
		found = to[0] != '\0';
	}
	if (f)
		fclose(f);
	return found;
}

static void system_name(const struct utsname *u, char *to, size_t size)
{
	char pretty[96];

	if (pretty_name(pretty, sizeof pretty))
		snprintf(to, size, "%s, %.20s %.40s", pretty, u->sysname, u->release);
	else
		snprintf(to, size, "%.20s %.40s", u->sysname, u->release);
	printable(to);
}

static void boot_id(char to[37])
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (!f || !fgets(to, 37, f) || strspn(to, "0123456789abcdef-") != 36)
		to[0] = '\0';
	if (f)
		fclose(f);
}

static int64_t booted_ns(void)
{
	long long seconds = 0;
	char line[256];
	FILE *f = fopen("/proc/stat", "re");

	while (f && seconds == 0 && fgets(line, sizeof line, f))
		sscanf(line, "btime %lld", &seconds);
	if (f)
		fclose(f);
	return seconds * 1000000000;
}

void host_facts(struct host_facts *ret_facts)
{
	struct host_facts h = {0};
	struct utsname u = {0};
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

	uname(&u);
	short_name(u.nodename, h.name, sizeof h.name);
	system_name(&u, h.system, sizeof h.system);
	snprintf(h.machine, sizeof h.machine, "%s", u.machine);
	boot_id(h.boot_id);
	h.booted_ns = booted_ns();
	h.processors = processors > 0 ? (int)processors : 0;
	h.memory = pages > 0 && page > 0 ? (int64_t)pages * page : 0;
	h.big_endian = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
	*ret_facts = h;
}
