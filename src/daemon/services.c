/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/services.h"

#include <errno.h>
#include <string.h>

#include "core/channels.h"
#include "core/leases.h"
#include "core/processes.h"
#include "core/view.h"
#include "services/health/health.h"

static const struct {
	const struct service *service;
	bool always; /* the core's own */
} all[] = {
    {&host_service, true},
    {&lease_service, false},
    {&process_service, false},
    {&registry_service, true},
    {&channel_service, true},
    {&health_service, false},
};
enum { ALL = sizeof all / sizeof *all };

_Static_assert(sizeof all / sizeof *all < SERVICES_MOST, "more services than there is room for");

static bool is_said(const struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->services.n; i++)
		if (!strcmp(c->services.v[i].text, name) || !strcmp(c->services.v[i].text, "all"))
			return true;
	return false;
}

void services_choose(struct services *ret, const struct conf *c, const struct service *daemon)
{
	size_t in = 0, out = 0;
	*ret = (struct services){0};
	for (size_t i = 0; i < ALL; i++)
		if (all[i].always || !c || is_said(c, all[i].service->name))
			ret->chosen[in++] = all[i].service;
		else
			ret->left_out[out++] = all[i].service;
	ret->chosen[in] = daemon;
}

bool services_have(const struct services *s, const struct service *service)
{
	const struct service *const *at = s->chosen;
	while (*at && *at != service)
		at++;
	return *at;
}

static bool can_be_chosen(const char *name)
{
	for (size_t i = 0; i < ALL; i++)
		if (!all[i].always && !strcmp(all[i].service->name, name))
			return true;
	return !strcmp(name, "all");
}

int services_check(const struct conf *c, const char *file, struct buf *errors)
{
	size_t before = errors->len;
	for (size_t i = 0; i < c->services.n; i++) {
		const struct conf_word *w = &c->services.v[i];
		if (can_be_chosen(w->text))
			continue;
		buf_putf(errors, "%s:%d: services: found \"%s\", expected ", file, w->line, w->text);
		for (size_t k = 0; k < ALL; k++)
			if (!all[k].always)
				buf_putf(errors, "%s, ", all[k].service->name);
		buf_puts(errors, "or all\n");
	}
	return errors->len > before ? -EINVAL : 0;
}
