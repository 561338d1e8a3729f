/* SPDX-License-Identifier: Apache-2.0 */
/* Shell completion, made from the table. Names and operations come from the daemon, asked by `vigia completion KIND WORD`.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/vigia/operation.h"
#include "tools/vigia/vigia.h"

/* --- words: what a name may become --- */

struct words {
	const char *node, *monitor; /* what goes before; NULL: nothing */
	word_fn *fn;
	void *data;
};

static void say_word(const struct words *w, const char *name, const char *after)
{
	struct buf out = BUF_INIT;
	if (w->node)
		buf_putf(&out, "%s/", w->node);
	if (w->monitor)
		buf_putf(&out, "%s/", w->monitor);
	buf_puts(&out, name);
	buf_puts(&out, after);
	w->fn(w->data, buf_str(&out));
	buf_release(&out);
}

static int on_node(void *data, const struct msg *m)
{
	say_word(data, msg_get(m, "name", ""), "/");
	return 0;
}

static int on_monitor(void *data, const struct msg *m)
{
	say_word(data, msg_get(m, "monitor", ""), "/");
	return 0;
}

static int on_config(void *data, const struct msg *m)
{
	for (const struct msg *k = m->children; k; k = k->next)
		say_word(data, msg_get(k, "name", ""), "");
	return 0;
}

static int on_name(void *data, const struct msg *m)
{
	say_word(data, msg_get(m, "name", ""), "");
	return 0;
}

/* A word that is no pattern: the shell does not match those. */
static int paths(struct vigia *v, const char *word, struct words *w)
{
	struct path p;
	answer_fn *fn = on_node;
	if (path_init(&p, word, NULL))
		return WRONG;
	int slashes =
	    (strchr(word, '/') != NULL) + (p.metric || (p.monitor && word[strlen(word) - 1] == '/'));
	struct msg *q = slashes > 1 ? vigia_query(v, "config", "get")
				    : vigia_query(v, slashes ? "monitor" : "node", "list");
	if (slashes > 0) {
		fn = on_monitor;
		w->node = p.node ? p.node : "*";
		msg_set(q, "node", p.node && strcmp(p.node, ".") ? p.node : "*");
	}
	if (slashes > 1) {
		fn = on_config;
		w->monitor = p.monitor;
		msg_set(q, "monitor", p.monitor);
	}
	int r = vigia_ask(v, q, fn, w);
	path_release(&p);
	return r;
}

static int nodes(struct vigia *v, const char *word, struct words *w)
{
	return vigia_ask(v, vigia_query(v, "node", "list"), on_name, w);
}

static int on_operation(void *data, const char *name, const char *doc)
{
	say_word(data, name, "");
	return 0;
}

static int operations(struct vigia *v, const char *word, struct words *w)
{
	return operation_each(v, on_operation, w);
}

static int arguments(struct vigia *v, const char *word, struct words *w)
{
	struct msg *operation;
	int r = operation_describe(v, word, NULL, &operation);
	if (r)
		return r;
	for (const struct msg *a = operation->children; a; a = a->next)
		if (!strcmp(a->name, "argument"))
			say_word(w, msg_get(a, "name", ""), "=");
	msg_free(operation);
	return DONE;
}

static const struct {
	const char *name;
	int (*words)(struct vigia *v, const char *word, struct words *w);
} kinds[] = {{"words", paths}, {"nodes", nodes}, {"operations", operations}, {"arguments", arguments}, {NULL, NULL}};

static int kind_named(const char *name)
{
	int i = 0;
	while (kinds[i].name && strcmp(kinds[i].name, name))
		i++;
	return i;
}

int completion_words(struct vigia *v, const char *kind, const char *word, word_fn *fn, void *data)
{
	struct words w = {.fn = fn, .data = data};
	return kinds[kind_named(kind)].words(v, word, &w);
}

enum { PATIENCE_MS = 2000 };

static void say(void *data, const char *word)
{
	puts(word);
}

/* Errors belong to nobody here: the user is in the middle of a line. */
static int quietly(struct vigia *v, const struct args *a)
{
	complaints(false);
	v->patience_ms = PATIENCE_MS;
	int r = vigia_connect(v);
	if (!r)
		r = completion_words(v, a->words[0], a->n > 1 ? a->words[1] : "", say, NULL);
	complaints(true);
	return r;
}

/* --- scripts --- */

static void put_flag_names(const struct flag *flags)
{
	for (int i = 0; i < FLAGS_MAX && flags[i].name; i++)
		printf(" --%s", flags[i].name);
}

static void bash_command(const struct command *c)
{
	printf("\t%s) options='", c->name);
	put_flag_names(c->flags);
	printf("'");
	if (c->completes == COMPLETE_PATHS)
		printf(" names='words'");
	if (c->completes == COMPLETE_NODES)
		printf(" names='nodes'");
	if (c->completes == COMPLETE_COMMANDS)
		printf(" words=$commands names='operations'");
	if (c->completes == COMPLETE_SHELLS)
		printf(" words='bash zsh'");
	puts(" ;;");
}

/* Names are strangers' bytes: they are compared and quoted, never given to `compgen -W`, which expands
 * $(...). */
static void put_bash(void)
{
	puts("# bash completion of vigia, made by `vigia completion bash`\n"
	     "_vigia() {\n"
	     "\tlocal word=${COMP_WORDS[COMP_CWORD]} command= at= options= names= of=${COMP_WORDS[COMP_CWORD]} words= name i");
	printf("\tlocal commands='");
	for (const struct command *const *c = commands; *c; c++)
		printf(" %s", (*c)->name);
	printf("'\n\tlocal global='");
	put_flag_names(global_flags);
	puts("'\n"
	     "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	     "\t\tcase ${COMP_WORDS[i]} in\n"
	     "\t\t--at) at=${COMP_WORDS[++i]} ;;\n"
	     "\t\t-*) ;;\n"
	     "\t\t*) [ -n \"$command\" ] || command=${COMP_WORDS[i]} ;;\n"
	     "\t\tesac\n"
	     "\tdone\n"
	     "\tCOMPREPLY=()\n"
	     "\tcase $command in");
	for (const struct command *const *c = commands; *c; c++)
		bash_command(*c);
	puts("\t'') words=$commands names=operations ;;\n"
	     "\t*.*) names=arguments of=$command ;;\n"
	     "\tesac\n"
	     "\tif [[ $word == -* ]]; then\n"
	     "\t\tCOMPREPLY=($(compgen -W \"$options $global\" -- \"$word\"))\n"
	     "\t\treturn\n"
	     "\tfi\n"
	     "\tCOMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
	     "\tif [ -n \"$names\" ]; then\n"
	     "\t\twhile IFS= read -r name; do\n"
	     "\t\t\t[[ $name != \"$word\"* ]] || COMPREPLY+=(\"$(printf %q \"$name\")\")\n"
	     "\t\tdone < <(vigia ${at:+--at \"$at\"} completion \"$names\" \"$of\" 2>/dev/null)\n"
	     "\tfi\n"
	     "\t[[ ${COMPREPLY[0]-} != *[/=] ]] || compopt -o nospace\n"
	     "}\n"
	     "complete -F _vigia vigia");
}

/* In a zsh `_arguments` or `_describe` text: ' ends the string, [ ] and : mean something. */
static void put_zsh_text(const char *s)
{
	for (; *s; s++) {
		if (*s == '\'')
			fputs("'\\''", stdout);
		else if (strchr("[]:\\`", *s))
			printf("\\%c", *s);
		else
			putchar(*s);
	}
}

static void zsh_flags(const struct flag *flags)
{
	for (int i = 0; i < FLAGS_MAX && flags[i].name; i++) {
		printf(" \\\n\t\t\t'--%s[", flags[i].name);
		put_zsh_text(flags[i].doc);
		printf("]");
		if (flags[i].value)
			printf(":%s:", flags[i].value[0] == 'H' ? "daemon" : flags[i].value);
		putchar('\'');
	}
}

static const char *zsh_words(const struct command *c)
{
	static const char *const actions[] = {[COMPLETE_NOTHING] = NULL,
	    [COMPLETE_PATHS] = "*:name:_vigia_paths",
	    [COMPLETE_NODES] = "*:node:_vigia_nodes",
	    [COMPLETE_COMMANDS] = "*:command:_vigia_commands",
	    [COMPLETE_SHELLS] = "*:shell:(bash zsh)"};
	return actions[c->completes];
}

static void zsh_command(const struct command *c)
{
	printf("\t\t%s) _arguments -S", c->name);
	zsh_flags(c->flags);
	printf(" $global");
	if (zsh_words(c))
		printf(" '%s'", zsh_words(c));
	puts(" ;;");
}

static void put_zsh(void)
{
	puts("#compdef vigia\n"
	     "# zsh completion of vigia, made by `vigia completion zsh`\n"
	     "_vigia_ask() {\n"
	     "\tlocal -a found at\n"
	     "\t(( ${words[(I)--at]} )) && at=(--at $words[${words[(I)--at]}+1])\n"
	     "\tfound=(${(f)\"$(vigia $at completion $1 \"${2-$PREFIX}\" 2>/dev/null)\"})\n"
	     "\tcompadd -S '' -- ${(M)found:#*[/=]}\n"
	     "\tcompadd -- ${found:#*[/=]}\n"
	     "}\n"
	     "_vigia_paths() { _vigia_ask words; }\n"
	     "_vigia_nodes() { _vigia_ask nodes; }\n"
	     "_vigia_commands() {\n"
	     "\tlocal -a all\n"
	     "\tall=(");
	for (const struct command *const *c = commands; *c; c++) {
		printf("\t\t'%s:", (*c)->name);
		put_zsh_text((*c)->doc);
		puts("'");
	}
	puts("\t)\n"
	     "\t_describe command all\n"
	     "\t_vigia_ask operations\n"
	     "}\n"
	     "_vigia() {\n"
	     "\tlocal -a global\n"
	     "\tlocal curcontext=$curcontext state line");
	printf("\tglobal=(");
	zsh_flags(global_flags);
	puts(")\n"
	     "\t_arguments -C $global '1:command:_vigia_commands' '*::argument:->rest'\n"
	     "\t[[ $state == rest ]] || return\n"
	     "\tcase $line[1] in");
	for (const struct command *const *c = commands; *c; c++)
		zsh_command(*c);
	puts("\t\t*.*) _vigia_ask arguments $line[1] ;;\n"
	     "\tesac\n"
	     "}\n"
	     "_vigia \"$@\"");
}

static int run(struct vigia *v, const struct args *a)
{
	const char *what = a->words[0];
	if (!strcmp(what, "bash"))
		put_bash();
	else if (!strcmp(what, "zsh"))
		put_zsh();
	else if (kinds[kind_named(what)].name)
		return quietly(v, a);
	else {
		complain("completion is made for bash and zsh");
		return USAGE;
	}
	return DONE;
}

const struct command completion_command = {.name = "completion",
    .words = "bash|zsh",
    .doc = "prints a shell's completion of this command",
    .more = "  In bash: source <(vigia completion bash). The installed package has both in place.\n",
    .words_min = 1,
    .words_max = 2,
    .completes = COMPLETE_SHELLS,
    .alone = true,
    .run = run};
