/* SPDX-License-Identifier: Apache-2.0 */
/* A service of a stranger's whose operation keeps its whole program: `vigia sleeper.sleep 10`. */
#include <stdio.h>
#include <unistd.h>
#include <vigia/vigia.h>

static int run_sleep(struct vigia_called *c)
{
	puts("asleep");
	fflush(stdout);
	sleep((unsigned)vigia_get_int(vigia_called_query(c), "seconds", 0));
	vigia_send(c, vigia_answer(c, "awake"));
	return VIGIA_DONE;
}

static const struct vigia_operation operations[] = {
    {"sleep", "answers when it is awake again", 0, {{"seconds", VIGIA_INTEGER, "how long", .required = true}}, run_sleep},
    {NULL},
};

static const struct vigia_service sleeper = {"sleeper", "sleeps", operations};

VIGIA_OFFER(sleeper, NULL)
