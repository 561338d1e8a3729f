/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of services, written for programs: typed functions and more. From a daemon, or from what `vigiad --describe`
 * wrote. */
#include "stubs/stubs.h"

#include <errno.h>
#include <string.h>

#include "proto/xml.h"
#include "tools/vigia/vigia.h"

struct writing {
	const struct stubs_form *form;
	const struct args *services; /* words[0] is the form */
	struct buf out;
	char service[64]; /* of the operation before */
	unsigned n;
};

static bool is_wanted(const struct writing *w, const char *service)
{
	for (int i = 1; i < w->services->n; i++)
		if (!strcmp(w->services->words[i], service))
			return true;
	return w->services->n == 1;
}

static int on_operation(void *data, const struct msg *m)
{
	struct writing *w = data;
	const char *service = stubs_get(m, "service");
	if (!is_wanted(w, service))
		return 0;
	if (!stubs_is_fit(m)) {
		complain("%s of the service %s has names that no operation can have", stubs_get(m, "name"), service);
		return WRONG;
	}
	if (!w->n++ && w->form->begin)
		w->form->begin(&w->out);
	w->form->operation(&w->out, m, strcmp(service, w->service) != 0);
	snprintf(w->service, sizeof w->service, "%s", service);
	return 0;
}

static int on_root(void *data, const struct msg *hmon)
{
	return 0;
}

static int on_row(void *data, const struct xml_row *row)
{
	return 0;
}

static int on_end(void *data)
{
	return 0;
}

static int read_all(struct xml *x, FILE *from)
{
	char bytes[65536];
	size_t n;
	int r = 0;
	while (!r && (n = fread(bytes, 1, sizeof bytes, from)))
		r = xml_feed(x, bytes, n);
	return r ? r : ferror(from) ? -EIO : 0;
}

static int from_file(struct writing *w, const char *name)
{
	static const struct xml_sink sink = {on_root, on_operation, on_row, on_end};
	FILE *from = fopen(name, "re");
	struct xml *x = from ? xml_new(&sink, w) : NULL;
	if (!x) {
		complain("%s: %s", name, strerror(errno));
		return WRONG;
	}
	xml_trust(x);
	int r = read_all(x, from);
	if (r)
		complain("%s: %s", name, r == -EPROTO ? xml_why(x) : strerror(-r));
	xml_free(x);
	fclose(from);
	return r ? WRONG : DONE;
}

static int from_daemon(struct vigia *v, struct writing *w)
{
	int r = vigia_connect(v);
	return r ? r : vigia_ask(v, vigia_query(v, "service", "describe"), on_operation, w);
}

static int finish(struct writing *w)
{
	if (!w->n) {
		complain("there are no operations of that");
		return WRONG;
	}
	if (w->form->end)
		w->form->end(&w->out);
	if (w->out.failed) {
		complain("no memory");
		return WRONG;
	}
	fwrite(w->out.data, 1, w->out.len, stdout);
	return DONE;
}

static int refuse_form(const char *name)
{
	struct buf list = BUF_INIT;
	for (const struct stubs_form *const *f = stubs_forms; *f; f++)
		buf_putf(&list, "%s%s (%s)", list.len ? ", " : "", (*f)->name, (*f)->doc);
	complain("there is no form \"%s\": %s", name, buf_str(&list));
	buf_release(&list);
	return USAGE;
}

static int run(struct vigia *v, const struct args *a)
{
	struct writing w = {.form = stubs_form_named(a->words[0]), .services = a, .out = BUF_INIT};
	if (!w.form)
		return refuse_form(a->words[0]);
	int r = a->flags[0] ? from_file(&w, a->flags[0]) : from_daemon(v, &w);
	if (!r)
		r = finish(&w);
	buf_release(&w.out);
	return r;
}

const struct command stubs_command = {
    .name = "stubs",
    .words = "FORM [SERVICE...]",
    .doc = "typed functions for programs, from what services can be asked",
    .more = "  Forms: c, a header over libvigia; python, methods for the package vigia; dictionary, words for a fuzzer;\n"
	    "  manual, a page for scdoc(1). Of all services, or of those named.\n",
    .flags = {{"from", "FILE", "not from a daemon, but from what `vigiad --describe` wrote"}, {NULL}},
    .words_min = 1,
    .words_max = -1,
    .alone = true,
    .run = run,
};
