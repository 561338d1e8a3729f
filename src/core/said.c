/* SPDX-License-Identifier: Apache-2.0 */
#include "core/said.h"

#include <stdio.h>
#include <string.h>

static void take_line(struct said *s)
{
	char name[64], id_text[HOST_ID_TEXT], more[16] = "";
	struct host_id id;
	s->line[s->n] = '\0';
	s->n = 0;
	if (sscanf(s->line, "host %63s %32s %15s", name, id_text, more) >= 2 && !host_id_parse(id_text, &id)) {
		strcpy(s->name, name);
		s->id = id;
		s->already = !strcmp(more, "already");
		s->known = true;
	} else if (s->line[strspn(s->line, " ")]) {
		strcpy(s->last, s->line);
	}
}

void said_take(struct said *s, const char *bytes, size_t n)
{
	for (; n; bytes++, n--) {
		if (*bytes == '\n')
			take_line(s);
		else if (*bytes != '\r' && s->n < sizeof s->line - 1)
			s->line[s->n++] = (unsigned char)*bytes < ' ' || *bytes == 0x7f ? '?' : *bytes;
	}
}

void said_end(struct said *s)
{
	if (s->n)
		take_line(s);
}
