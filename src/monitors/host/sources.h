/* SPDX-License-Identifier: Apache-2.0 */
/* The files of /proc that `host` reads, kept open. A file that this kernel does not have is left out. */
#ifndef VIGIA_MONITORS_HOST_SOURCES_H
#define VIGIA_MONITORS_HOST_SOURCES_H

#include "hmon/hmon.h"

extern const struct hmon_family host_families[];

struct sources;

/* root: "/proc", or a folder of that shape in tests. NULL: no memory. */
struct sources *sources_new(const char *root);
void sources_free(struct sources *s);
int sources_read(struct sources *s, struct hmon *h);

#endif
