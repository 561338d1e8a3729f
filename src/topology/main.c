/* SPDX-License-Identifier: Apache-2.0 */
/* vigia-topology: how this host's processors are made up, as lines for os/topology.h. vigiad runs it once. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hwloc.h>

#include "base/buf.h"
#include "os/topology.h"

/* Whoever waits for us gives up by then, should the kernel or a plug-in of hwloc's hang. */
enum { PATIENCE_S = 20 };

static void put_size(struct buf *to, uint64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
	double n = (double)bytes / 1024;
	size_t u = 0;

	for (; n >= 1023.5 && u + 1 < sizeof units / sizeof *units; u++)
		n /= 1024;
	buf_putf(to, n < 9.95 && n != (int)n ? " %.1f %s" : " %.0f %s", n, units[u]);
}

/* --- the tree ----------------------------------------------------------------------------------------------------- */

static void put_name(struct buf *to, hwloc_obj_t o)
{
	static const struct {
		hwloc_obj_type_t type;
		const char *name;
	} names[] = {{HWLOC_OBJ_PACKAGE, "package"}, {HWLOC_OBJ_NUMANODE, "NUMA"}, {HWLOC_OBJ_CORE, "core"},
	    {HWLOC_OBJ_PU, "thread"}};
	char type[32];

	hwloc_obj_type_snprintf(type, sizeof type, o, 0);
	const char *name = type;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (o->type == names[i].type)
			name = names[i].name;
	buf_puts(to, name);
	if (o->type == HWLOC_OBJ_NUMANODE)
		put_size(to, o->attr->numanode.local_memory);
	else if (hwloc_obj_type_is_dcache(o->type))
		put_size(to, o->attr->cache.size);
}

static void put_object(struct buf *to, hwloc_obj_t o);

/* Neighbours that look alike are counted: "2 x core(thread)". */
static void put_alike(struct buf *to, hwloc_obj_t first, bool *any)
{
	struct buf text = BUF_INIT, next = BUF_INIT;

	for (hwloc_obj_t o = first; o;) {
		unsigned n = 1;
		buf_clear(&text);
		put_object(&text, o);
		for (o = o->next_sibling; o; o = o->next_sibling, n++) {
			buf_clear(&next);
			put_object(&next, o);
			if (strcmp(buf_str(&text), buf_str(&next)) != 0)
				break;
		}
		buf_puts(to, *any ? ", " : "");
		if (n > 1)
			buf_putf(to, "%u x ", n);
		buf_put(to, text.data, text.len);
		*any = true;
	}
	buf_release(&text);
	buf_release(&next);
}

static void put_object(struct buf *to, hwloc_obj_t o)
{
	bool any = false;

	put_name(to, o);
	if (!o->first_child && !o->memory_first_child)
		return;
	buf_putc(to, '(');
	put_alike(to, o->memory_first_child, &any);
	put_alike(to, o->first_child, &any);
	buf_putc(to, ')');
}

/* Without the machine around it all. */
static void put_tree(struct buf *to, hwloc_topology_t t)
{
	hwloc_obj_t machine = hwloc_get_root_obj(t);
	bool any = false;

	put_alike(to, machine->memory_first_child, &any);
	put_alike(to, machine->first_child, &any);
}

/* --- the numbers -------------------------------------------------------------------------------------------------- */

static int count(hwloc_topology_t t, hwloc_obj_type_t type)
{
	int n = hwloc_get_nbobjs_by_type(t, type);

	return n > 0 ? n : 0;
}

static void put_caches(struct buf *to, hwloc_topology_t t)
{
	for (int depth = 0; depth < hwloc_topology_get_depth(t); depth++) {
		uint64_t size = 0;
		char type[32];
		hwloc_obj_t first = hwloc_get_obj_by_depth(t, depth, 0);
		if (!hwloc_obj_type_is_cache(first->type))
			continue;
		for (hwloc_obj_t o = first; o; o = o->next_cousin)
			size = o->attr->cache.size > size ? o->attr->cache.size : size;
		hwloc_obj_type_snprintf(type, sizeof type, first, 0);
		buf_putf(to, "cache %.7s %u %llu\n", type, hwloc_get_nbobjs_by_depth(t, depth), (unsigned long long)size);
	}
}

static void put_all(struct buf *to, hwloc_topology_t t)
{
	struct buf tree = BUF_INIT;

	buf_putf(to, "packages %d\nnodes %d\ncores %d\nthreads %d\n", count(t, HWLOC_OBJ_PACKAGE), count(t, HWLOC_OBJ_NUMANODE),
	    count(t, HWLOC_OBJ_CORE), count(t, HWLOC_OBJ_PU));
	put_caches(to, t);
	put_tree(&tree, t);
	buf_putf(to, "tree %.*s%s\n", TOPOLOGY_TREE_MAX - 3, buf_str(&tree), tree.len > TOPOLOGY_TREE_MAX - 3 ? "..." : "");
	buf_release(&tree);
}

int main(void)
{
	struct buf text = BUF_INIT;
	hwloc_topology_t t;

	alarm(PATIENCE_S);
	if (hwloc_topology_init(&t) < 0 || hwloc_topology_load(t) < 0) {
		fputs("vigia-topology: hwloc can't tell\n", stderr);
		return 1;
	}
	put_all(&text, t);
	hwloc_topology_destroy(t);
	fputs(buf_str(&text), stdout);
	int failed = text.failed || fflush(stdout) != 0;
	buf_release(&text);
	return failed;
}
