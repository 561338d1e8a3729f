/* SPDX-License-Identifier: Apache-2.0 */
/* Another implementation of the service `process`, with one operation of it: clients can't tell. */
#include <stdio.h>
#include <string.h>
#include <vigia/vigia.h>

static int run_list(struct vigia_called *c)
{
	struct vigia_message *m = vigia_answer(c, "process");
	if (m) {
		vigia_set_int(m, "pid", 4711);
		vigia_set_text(m, "program", "made-up");
	}
	vigia_send(c, m);
	return VIGIA_DONE;
}

static const struct vigia_operation operations[] = {
    {"list", "the processes of this host", 0,
	{{"program", VIGIA_PATTERN, "by their program"}, {"user", VIGIA_TEXT, "by name or uid"}}, run_list},
    {NULL},
};

static const struct vigia_service process = {"process", "processes that are made up", operations};

int main(void)
{
	struct vigia *v;
	struct vigia_error error = {0};
	int r = vigia_open(&v, NULL, &error);
	if (!r)
		r = vigia_serve(v, &process, NULL, &error);
	while (r >= 0)
		r = vigia_wait(v, -1);
	fprintf(stderr, "%s: %s\n", error.code, error.text);
	return 1;
}
