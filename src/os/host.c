/* SPDX-License-Identifier: Apache-2.0 */
#include "os/host.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
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

/* --- addresses ---------------------------------------------------------------------------------------------------- */

static bool read_v4(const struct sockaddr *a, struct host_address *ret)
{
	const struct in_addr *in = &((const struct sockaddr_in *)a)->sin_addr;
	uint32_t n = ntohl(in->s_addr);

	ret->loopback = n >> 24 == 127;
	ret->link_local = n >> 16 == 0xa9fe;
	return inet_ntop(AF_INET, in, ret->text, sizeof ret->text);
}

static bool read_v6(const struct sockaddr *a, struct host_address *ret)
{
	const struct in6_addr *in = &((const struct sockaddr_in6 *)a)->sin6_addr;

	ret->loopback = IN6_IS_ADDR_LOOPBACK(in);
	ret->link_local = IN6_IS_ADDR_LINKLOCAL(in);
	return inet_ntop(AF_INET6, in, ret->text, sizeof ret->text);
}

static bool read_address(const struct ifaddrs *i, struct host_address *ret)
{
	struct host_address a = {0};
	int family = i->ifa_addr && i->ifa_flags & IFF_UP ? i->ifa_addr->sa_family : AF_UNSPEC;
	bool ok = family == AF_INET ? read_v4(i->ifa_addr, &a) : family == AF_INET6 && read_v6(i->ifa_addr, &a);

	snprintf(a.interface, sizeof a.interface, "%s", i->ifa_name);
	printable(a.interface);
	if (ok)
		*ret = a;
	return ok;
}

size_t host_addresses(struct host_address ret[], size_t n)
{
	struct ifaddrs *all = NULL;
	struct host_address a;
	size_t have = 0;

	if (getifaddrs(&all) < 0)
		return 0;
	for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
		if (!read_address(i, &a))
			continue;
		if (have < n)
			ret[have] = a;
		have++;
	}
	freeifaddrs(all);
	return have;
}
