/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with a file: lines collected in any order, told in the file's. At most FAULTS_MAX. */
#ifndef VIGIA_CONF_FAULTS_H
#define VIGIA_CONF_FAULTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum { FAULTS_MAX = 50 };

struct faults {
	size_t n;
	bool no_memory;
	struct fault {
		int line;
		char *text;
	} v[FAULTS_MAX];
};

void faults_add(struct faults *f, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool faults_any(const struct faults *f);
/* "FILE:LINE: text\n" each, and lets go of them. Bytes that are not printable are shown as '?'. */
void faults_tell(struct faults *f, const char *file, struct buf *to);

#endif
