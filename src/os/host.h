/* SPDX-License-Identifier: Apache-2.0 */
/* Facts of this host that stand while it runs. What can't be found out is "" or 0. */
#ifndef VIGIA_OS_HOST_H
#define VIGIA_OS_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct host_facts {
	char name[64];	   /* short, and fit to be an HMON name */
	char system[160];  /* "Debian GNU/Linux 12 (bookworm), Linux 6.1.0-18-amd64" */
	char machine[65];  /* "x86_64" */
	char boot_id[37];  /* one life of the kernel */
	int64_t booted_ns; /* wall clock */
	int64_t memory;	   /* bytes */
	int processors;	   /* online */
	bool big_endian;
};

void host_facts(struct host_facts *ret_facts);

/* An address that others may reach this host by. It may change from one moment to the next. */
struct host_address {
	char interface[16];
	char text[46]; /* "10.0.0.1", "2001:db8::1", without prefix length */
	bool loopback, link_local;
};

/* Those of interfaces that are up, at most n of them; how many there are. */
size_t host_addresses(struct host_address ret[], size_t n);

#endif
