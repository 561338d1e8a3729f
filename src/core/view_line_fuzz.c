/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the file of the view: rows and faults, and each row comes back from its own line as it was. What stands before
 * a sum is tried with the right sum as well, or nothing would come past it. */
#include <stdlib.h>
#include <string.h>

#include "base/fuzz.h"
#include "core/view_line.h"

static void on_row(void *data, const struct view_row *row)
{
	struct buf line = BUF_INIT;
	struct view_row again;
	const char *why;
	view_line_put(&line, row);
	if (line.len > VIEW_LINE_MAX || view_line_get(line.data, line.len - 1, &again, &why))
		abort();
	if (!host_id_is(&again.id, &row->id) || again.state != row->state || again.revision != row->revision ||
	    strcmp(again.name, row->name) || strcmp(again.addresses, row->addresses))
		abort();
	buf_release(&line);
}

static void on_fault(void *data, size_t line, const char *why)
{
	if (!line || !*why)
		abort();
}

static void with_its_sum(const uint8_t *data, size_t size)
{
	uint32_t sum = 2166136261u;
	struct buf line = BUF_INIT;
	for (size_t i = 0; i < size; i++)
		sum = (sum ^ data[i]) * 16777619u;
	buf_put(&line, data, size);
	buf_putf(&line, " %08x\n", sum);
	view_lines_read(line.data, line.len, on_row, on_fault, NULL);
	buf_release(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	view_lines_read((const char *)data, size, on_row, on_fault, NULL);
	with_its_sum(data, size);
	return 0;
}
