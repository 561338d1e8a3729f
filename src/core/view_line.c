/* SPDX-License-Identifier: Apache-2.0 */
#include "core/view_line.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SUM = 9 /* with the space before it */ };

static uint32_t sum_of(const char *bytes, size_t n)
{
	uint32_t sum = 2166136261u;
	for (size_t i = 0; i < n; i++)
		sum = (sum ^ (uint8_t)bytes[i]) * 16777619u;
	return sum;
}

void view_line_put(struct buf *to, const struct view_row *row)
{
	char id[HOST_ID_TEXT];
	size_t from = to->len;
	host_id_format(&row->id, id);
	buf_putf(to, "%s %s %" PRId64 " %s", id, view_state_name(row->state), row->revision, row->name);
	if (*row->addresses)
		buf_putf(to, " %s", row->addresses);
	if (!to->failed)
		buf_putf(to, " %08" PRIx32 "\n", sum_of(to->data + from, to->len - from));
}

static bool sum_is_right(const char *line, size_t n)
{
	char sum[SUM + 1];
	snprintf(sum, sizeof sum, " %08" PRIx32, sum_of(line, n - SUM));
	return !memcmp(line + n - SUM, sum, SUM);
}

static char *take_word(char **rest)
{
	char *word = strsep(rest, " ");
	return word ? word : (char *)"";
}

static int take_revision(const char *word, int64_t *ret)
{
	char *end;
	errno = 0;
	long long n = strtoll(word, &end, 10);
	if (errno || end == word || *end)
		return -EINVAL;
	*ret = n;
	return 0;
}

static int take_row(char *rest, struct view_row *ret)
{
	struct view_row row = {0};
	if (host_id_parse(take_word(&rest), &row.id) || view_state_parse(take_word(&rest), &row.state) ||
	    take_revision(take_word(&rest), &row.revision))
		return -EINVAL;
	const char *name = take_word(&rest), *addresses = rest ? rest : "";
	if (strlen(name) >= sizeof row.name || strlen(addresses) >= sizeof row.addresses)
		return -EINVAL;
	strcpy(row.name, name);
	strcpy(row.addresses, addresses);
	if (!view_row_is_good(&row))
		return -EINVAL;
	*ret = row;
	return 0;
}

int view_line_get(const char *line, size_t n, struct view_row *ret, const char **ret_why)
{
	char copy[VIEW_LINE_MAX + 1];
	*ret_why = "a host's line with its sum";
	if (n < SUM || n > VIEW_LINE_MAX || memchr(line, '\0', n) || !sum_is_right(line, n))
		return -EINVAL;
	memcpy(copy, line, n - SUM);
	copy[n - SUM] = '\0';
	*ret_why = "ID STATE REVISION NAME [ADDRESS...] SUM";
	return take_row(copy, ret);
}

void view_lines_read(const char *text, size_t n, view_fn *fn, view_fault_fn *fault, void *data)
{
	const char *end;
	for (size_t line = 1; n && (end = memchr(text, '\n', n)); line++) {
		struct view_row row;
		const char *why;
		if (!view_line_get(text, (size_t)(end - text), &row, &why))
			fn(data, &row);
		else
			fault(data, line, why);
		n -= (size_t)(end + 1 - text);
		text = end + 1;
	}
}
