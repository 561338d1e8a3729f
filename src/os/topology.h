/* SPDX-License-Identifier: Apache-2.0 */
/* How a host's processors are made up: the numbers, and a text for people.
 *
 * vigia-topology (src/topology) finds it out and writes it as lines, so that the daemon has none of the 2 MiB that hwloc
 * takes:   packages 2 | nodes 8 | cores 64 | threads 128 | cache L3 8 33554432 | tree 2 x package(...)
 */
#ifndef VIGIA_OS_TOPOLOGY_H
#define VIGIA_OS_TOPOLOGY_H

#include <stddef.h>
#include <stdint.h>

enum { TOPOLOGY_CACHES_MAX = 10, TOPOLOGY_TREE_MAX = 1023, TOPOLOGY_TEXT_MAX = 4096 };

struct host_cache {
	char name[8]; /* "L1d", "L2" */
	int32_t count;
	int64_t size; /* bytes each, of the largest */
};

struct host_topology {
	int32_t packages, nodes, cores, threads; /* nodes: of NUMA; threads: hardware threads */
	int32_t caches_n;
	struct host_cache caches[TOPOLOGY_CACHES_MAX]; /* nearest to memory first */
	/* "package(L3 32 MiB(2 x L2 1 MiB(core(2 x thread))), NUMA 24 GiB)"; a longer one is cut */
	char tree[TOPOLOGY_TREE_MAX + 1];
};

/* Those lines. 0, or -EPROTO: they are none. */
int topology_parse(const char *text, size_t n, struct host_topology *ret);

#endif
