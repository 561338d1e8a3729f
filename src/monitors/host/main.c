/* SPDX-License-Identifier: Apache-2.0 */
/* The host as its kernel tells it: everything that can't block, in one process. */
#include <errno.h>

#include "sources.h"

static int host_start(struct hmon *h)
{
	struct sources *s = sources_new(hmon_option_text(h, "proc"));
	hmon_set_data(h, s);
	if (!s)
		return -ENOMEM;
	int r = sources_read(s, h); /* so that the first config is whole */
	if (r)
		sources_free(s);
	return r;
}

static int host_read(struct hmon *h)
{
	return sources_read(hmon_data(h), h);
}

static void host_stop(struct hmon *h)
{
	sources_free(hmon_data(h));
}

static const struct hmon_option options[] = {
    {"proc", HMON_OPTION_TEXT, "/proc", "where the kernel's files are"},
    {"skip_networks", HMON_OPTION_LIST, "{\"veth*\", \"cali*\", \"lxc*\"}", "patterns of interfaces to leave out; {}: none"},
    {0},
};

static const struct hmon_monitor monitor = {
    .name = "host",
    .doc = "processors, load, memory, swap, pressure, uptime, processes, disks and network of this machine",
    .families = host_families,
    .options = options,
    .start = host_start,
    .read = host_read,
    .stop = host_stop,
};

int main(int argc, char **argv)
{
	return hmon_main(&monitor, argc, argv);
}
