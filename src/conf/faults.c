/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/faults.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void make_printable(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

void faults_add(struct faults *f, int line, const char *format, ...)
{
	char *text;
	va_list ap;

	if (f->n == FAULTS_MAX)
		return;
	va_start(ap, format);
	int n = vasprintf(&text, format, ap);
	va_end(ap);
	if (n < 0) {
		f->no_memory = true;
		return;
	}
	make_printable(text);
	size_t at = f->n++;
	for (; at > 0 && f->v[at - 1].line > line; at--)
		f->v[at] = f->v[at - 1];
	f->v[at] = (struct fault){line, text};
}

bool faults_any(const struct faults *f)
{
	return f->n > 0 || f->no_memory;
}

void faults_tell(struct faults *f, const char *file, struct buf *to)
{
	for (size_t i = 0; i < f->n; i++) {
		buf_putf(to, "%s:%d: %s\n", file, f->v[i].line, f->v[i].text);
		free(f->v[i].text);
	}
	if (f->n == FAULTS_MAX)
		buf_putf(to, "%s: and perhaps more\n", file);
	f->n = 0;
}
