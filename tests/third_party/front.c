/* SPDX-License-Identifier: Apache-2.0 */
/* A service that does nothing itself: who asks is handed on to the host that he names; how often is counted. */
#include <vigia/vigia.h>

static int64_t *times(struct vigia_called *c)
{
	return vigia_called_data(c);
}

static int run_go(struct vigia_called *c)
{
	++*times(c);
	return vigia_hand_on(c, vigia_get_text(vigia_called_query(c), "host", ""));
}

static int run_times(struct vigia_called *c)
{
	struct vigia_message *m = vigia_answer(c, "front");
	if (m)
		vigia_set_int(m, "times", *times(c));
	vigia_send(c, m);
	return VIGIA_DONE;
}

static const struct vigia_operation operations[] = {
    {"go", "hands on", .arguments = {{"host", VIGIA_TEXT, "to whom", .required = true}}, .run = run_go},
    {"times", "how often it did", .run = run_times},
    {NULL},
};

static const struct vigia_service front = {"front", "another has it", operations};

static int64_t number;

VIGIA_OFFER(front, &number)
