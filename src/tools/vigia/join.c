/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens, which are secrets: out as one line for a pipe, in from standard input, never as an argument. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "tools/vigia/vigia.h"

enum { TOKEN_MOST = 1000 };

static int put_token(void *data, const struct msg *m)
{
	puts(msg_get(m, "token", ""));
	return 0;
}

static int run_token(struct vigia *v, const struct args *a)
{
	struct msg *q = vigia_query(v, "cluster", "token");
	if (a->flags[0])
		msg_set(q, "role", "master");
	return vigia_ask(v, q, put_token, NULL);
}

const struct command token_command = {.name = "token",
    .words = "",
    .flags = {{"master", NULL, "the newcomer becomes a master"}},
    .doc = "a token for one newcomer to the cluster",
    .more = "  One line for `vigia join` on the other host; it is taken once, within 15 minutes. Whoever has it can join: hand it\n"
	    "  over as you would a key. Only on the host of the cluster's authority, for root and the daemon's own user.\n",
    .run = run_token};

/* A person's is not shown. */
static bool read_token(char token[TOKEN_MOST])
{
	struct termios before, silent;
	bool terminal = isatty(STDIN_FILENO) && !tcgetattr(STDIN_FILENO, &before);
	if (terminal) {
		fputs("token: ", stderr);
		silent = before;
		silent.c_lflag &= (tcflag_t)~ECHO;
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
	}
	bool is = fgets(token, TOKEN_MOST, stdin);
	if (terminal) {
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
		fputc('\n', stderr);
	}
	token[is ? strcspn(token, "\r\n") : 0] = '\0';
	return *token;
}

static int put_cluster(void *data, const struct msg *m)
{
	printf("%s is in the cluster %s\n", msg_get(m, "host", ""), msg_get(m, "cluster", ""));
	return 0;
}

static int run_join(struct vigia *v, const struct args *a)
{
	char token[TOKEN_MOST];
	if (!read_token(token)) {
		complain("no token came on standard input: `vigia token` on the host of the cluster's authority makes one");
		return USAGE;
	}
	struct msg *q = vigia_query(v, "cluster", "join");
	msg_set_bytes(q, "token", token, strlen(token));
	explicit_bzero(token, sizeof token);
	return vigia_ask(v, q, put_cluster, NULL);
}

const struct command join_command = {.name = "join",
    .words = "",
    .doc = "this host joins a cluster, by a token from standard input",
    .more = "  As in `ssh master vigia token | vigia join`. The daemon makes a key of its own, shows the token to a master that the\n"
	    "  token knows, and gets a certificate. For root and the daemon's own user.\n",
    .run = run_join};
