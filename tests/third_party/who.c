/* SPDX-License-Identifier: Apache-2.0 */
/* A service that tells who asks whom it takes him for. */
#include <vigia/vigia.h>

static int run_am_i(struct vigia_called *c)
{
	struct vigia_message *m = vigia_answer(c, "who");
	if (m)
		vigia_set_int(m, "uid", vigia_called_uid(c));
	vigia_send(c, m);
	return VIGIA_DONE;
}

static const struct vigia_operation operations[] = {{"am-i", "by uid", .run = run_am_i}, {NULL}};

static const struct vigia_service who = {"who", "by uid", operations};

VIGIA_OFFER(who, NULL)
