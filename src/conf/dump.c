/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/conf.h"
#include "conf/options.h"

#include <string.h>

static void dump_section(enum conf_section section, const void *base, const char *indent, bool docs, struct buf *to)
{
	for (const struct conf_option *o = conf_options; o < conf_options + conf_n_options; o++) {
		if (o->section != section)
			continue;
		if (docs)
			buf_putf(to, "%s# %s\n", indent, o->doc);
		buf_putf(to, "%s%s = ", indent, o->name);
		conf_option_print(o, (const char *)base + o->offset, to);
		buf_putc(to, '\n');
	}
}

static void dump_watched(const struct conf *c, struct buf *to)
{
	for (size_t i = 0; i < c->master.n_nodes; i++) {
		buf_putf(to, "\tnode \"%s\" {\n", c->master.nodes[i].name);
		dump_section(CONF_WATCHED, &c->master.nodes[i].watch, "\t\t", false, to);
		buf_puts(to, "\t}\n");
	}
}

static void dump_monitor(const struct conf_monitor *m, struct buf *to)
{
	/* The text goes last and untouched: between its braces nothing may be added, or it would not be verbatim. */
	buf_putf(to, "\nmonitor \"%s\" {%s}\n", m->name, m->text);
}

/* As it is said: without the marks of a file. */
static void put_plain(const struct conf_option *o, const void *field, struct buf *to)
{
	struct buf text = BUF_INIT;
	conf_option_print(o, field, &text);
	for (const char *c = buf_str(&text); *c; c++)
		if (!strchr("\"{}", *c) && !(*c == ' ' && conf_option_is_list(o)))
			buf_putc(to, *c);
	buf_release(&text);
}

void conf_each(const struct conf *c, void (*fn)(void *data, const char *key, const char *value), void *data)
{
	struct buf key = BUF_INIT, value = BUF_INIT;
	for (const struct conf_option *o = conf_options; o < conf_options + conf_n_options; o++) {
		if (o->section == CONF_WATCHED)
			continue;
		buf_clear(&key);
		buf_clear(&value);
		buf_putf(&key, "%s%s%s", conf_section_name(o->section), o->section == CONF_TOP ? "" : ".", o->name);
		put_plain(o, (const char *)c + o->offset, &value);
		fn(data, buf_str(&key), buf_str(&value));
	}
	for (size_t i = 0; i < c->n_monitors; i++) {
		buf_clear(&key);
		buf_putf(&key, "monitor.%s", c->monitors[i].name);
		fn(data, buf_str(&key), c->monitors[i].text);
	}
	buf_release(&key);
	buf_release(&value);
}

void conf_dump(const struct conf *c, FILE *to)
{
	struct buf text = BUF_INIT;

	dump_section(CONF_TOP, c, "", true, &text);
	for (int s = CONF_NODE; s < CONF_SECTIONS; s++) {
		if (s == CONF_WATCHED)
			continue;
		buf_putf(&text, "\n%s {\n", conf_section_name(s));
		dump_section(s, c, "\t", true, &text);
		if (s == CONF_MASTER)
			dump_watched(c, &text);
		buf_puts(&text, "}\n");
	}
	for (size_t i = 0; i < c->n_monitors; i++)
		dump_monitor(&c->monitors[i], &text);
	fwrite(text.data, 1, text.len, to);
	buf_release(&text);
}
