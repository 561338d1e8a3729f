/* SPDX-License-Identifier: Apache-2.0 */
#include "modules/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libvigia/vigia.h"
#include "modules/called.h"

/* vigia.h's types and op.h's are the same words in the same order. */
_Static_assert((int)VIGIA_NAME == (int)OP_NAME && (int)VIGIA_WORDS == (int)OP_WORDS && (int)VIGIA_SPAN == (int)OP_SPAN, "types");
_Static_assert((int)VIGIA_ARGUMENTS == (int)OP_ARGS_MAX, "arguments");

/* What may stand in a file's name. */
static int file_of(const char *dir, const char *name, char *ret, size_t size)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");
	if (!n || n > 32 || name[n])
		return -EINVAL;
	return snprintf(ret, size, "%s/service-%s.so", dir, name) < (int)size ? 0 : -ENAMETOOLONG;
}

bool module_is_there(const char *dir, const char *name)
{
	char file[PATH_MAX];
	return !file_of(dir, name, file, sizeof file) && !access(file, F_OK);
}

static void take_argument(struct op_arg *to, const struct vigia_argument *from)
{
	*to = (struct op_arg){.name = from->name, .type = (enum op_type)from->type, .doc = from->doc ? from->doc : "",
	    .required = from->required, .fallback = from->fallback};
	if (to->type == OP_DURATION)
		to->fallback *= 1000000;
}

static const struct op_field *fields_of(const struct vigia_operation *o)
{
	size_t n = 0;
	for (const struct vigia_answer_field *f = o->fields; f && f->name; f++)
		n++;
	struct op_field *fields = n ? calloc(n + 1, sizeof *fields) : NULL;
	for (size_t i = 0; fields && i < n; i++)
		fields[i] = (struct op_field){o->fields[i].name, (enum op_type)o->fields[i].type,
		    o->fields[i].doc ? o->fields[i].doc : ""};
	return fields;
}

static void take_operation(struct op *to, const struct vigia_module *module, const struct vigia_operation *from)
{
	*to = (struct op){.noun = module->service->name, .verb = from->name, .doc = from->doc ? from->doc : "",
	    .flags = (from->flags & VIGIA_CHANGES ? OP_ACTS : 0u) | (from->flags & VIGIA_STREAMS ? OP_STREAMS : 0u),
	    .roles = ROLE_CLIENT, .run = called_run, .over = called_over, .fields = fields_of(from)};
	for (int i = 0; i < OP_ARGS_MAX && from->arguments[i].name; i++)
		take_argument(&to->args[i], &from->arguments[i]);
	to->owner = called_target_new(module, from);
}

static const struct service *service_of(const struct vigia_module *module)
{
	size_t n = 0;
	while (module->service->operations[n].name)
		n++;
	struct op *ops = calloc(n + 1, sizeof *ops);
	struct service *s = calloc(1, sizeof *s);
	for (size_t i = 0; ops && s && i < n; i++)
		take_operation(&ops[i], module, &module->service->operations[i]);
	if (!ops || !s) {
		free(ops);
		free(s);
		return NULL;
	}
	*s = (struct service){.name = module->service->name, .doc = module->service->doc ? module->service->doc : "", .ops = ops};
	return s;
}

static int check(const struct vigia_module *module, const char *name, const char *file, struct buf *why)
{
	if (!module || module->size != sizeof(struct vigia_operation))
		buf_putf(why, module ? "%s was built with another version of vigia.h" : "%s is no service's module", file);
	else if (strcmp(module->service->name, name))
		buf_putf(why, "%s is of the service %s", file, module->service->name);
	else
		return 0;
	return -ELIBBAD;
}

int module_load(const struct service **ret, const char *dir, const char *name, struct buf *why)
{
	char file[PATH_MAX];
	int r = file_of(dir, name, file, sizeof file);
	if (r || access(file, F_OK)) {
		buf_putf(why, "no service is named %s, and there is no service-%s.so in %s", name, name, dir);
		return -ENOENT;
	}
	void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	if (!handle) {
		buf_putf(why, "%s can't be loaded: %s", file, dlerror());
		return -ELIBACC;
	}
	const struct vigia_module *module = dlsym(handle, "vigia_module");
	r = check(module, name, file, why);
	if (r) {
		dlclose(handle);
		return r;
	}
	*ret = service_of(module);
	return *ret ? 0 : -ENOMEM;
}
