/* SPDX-License-Identifier: Apache-2.0 */
/* A service in 30 lines: a number that everybody may read, and add to. docs/libvigia.md builds and runs it, as a program and as
 * a module of the daemon. */
#include <vigia/vigia.h>

static int answer_value(struct vigia_called *c, int64_t value)
{
	struct vigia_message *m = vigia_answer(c, "counter");
	if (m)
		vigia_set_int(m, "value", value);
	vigia_send(c, m);
	return VIGIA_DONE;
}

static int run_get(struct vigia_called *c)
{
	return answer_value(c, *(int64_t *)vigia_called_data(c));
}

static int run_add(struct vigia_called *c)
{
	int64_t *value = vigia_called_data(c), by = vigia_get_int(vigia_called_query(c), "by", 1);
	if (*value > INT64_MAX - by)
		return vigia_fail(c, "too-large", "%lld more is more than it holds", (long long)by);
	return answer_value(c, *value += by);
}

static const struct vigia_answer_field value[] = {{"value", VIGIA_INTEGER, "as it is now"}, {NULL}};

static const struct vigia_operation operations[] = {
    {"get", "the value", .run = run_get, .fields = value},
    {"add", "makes it larger", VIGIA_CHANGES, {{"by", VIGIA_INTEGER, "how much", .fallback = 1}}, run_add,
	.fields = value},
    {NULL},
};

static const struct vigia_service counter = {"counter", "a number for everybody", operations};

static int64_t number;

VIGIA_OFFER(counter, &number)
