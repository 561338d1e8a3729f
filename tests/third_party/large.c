/* SPDX-License-Identifier: Apache-2.0 */
/* A service of a stranger's that answers as much as it is asked for: `vigia large.give 2000000`. */
#include <stdlib.h>
#include <vigia/vigia.h>

static int run_give(struct vigia_called *c)
{
	size_t n = (size_t)vigia_get_int(vigia_called_query(c), "bytes", 0);
	void *bytes = calloc(n + 1, 1);
	struct vigia_message *m = vigia_answer(c, "given");
	vigia_set_bytes(m, "data", bytes, n);
	free(bytes);
	vigia_send(c, m);
	return VIGIA_DONE;
}

static const struct vigia_operation operations[] = {
    {"give", "answers with so many", 0, {{"bytes", VIGIA_INTEGER, "how many", .required = true}}, run_give},
    {NULL},
};

static const struct vigia_service large = {"large", "gives", operations};

VIGIA_OFFER(large, NULL)
