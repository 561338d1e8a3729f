/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/services.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/channels.h"
#include "core/leases.h"
#include "core/limited.h"
#include "core/processes.h"
#include "core/view.h"
#include "modules/module.h"
#include "os/paths.h"
#include "services/audit/service.h"
#include "services/cluster/membership.h"
#include "services/settings/service.h"
#include "services/health/health.h"

static const struct {
	const struct service *service;
	bool always; /* the core's own */
} all[] = {
    {&host_service, true},
    {&cluster_service, true},
    {&lease_service, false},
    {&process_service, false},
    {&registry_service, true},
    {&channel_service, true},
    {&limit_service, true},
    {&audit_service, true},
    {&settings_service, true},
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

/* --- modules --- */

enum { PLACES = 2 };

struct places {
	char dir[PLACES][4200];
};

/* Vigia's own, wherever the prefix was moved to, and those of this daemon's user. */
static int find_places(struct places *p, struct buf *why)
{
	char *state, self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	if (n < 0)
		return -errno;
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	snprintf(p->dir[0], sizeof p->dir[0], "%s/../libexec/vigia", self);
	int r = paths_state(&state, why);
	if (r)
		return r;
	snprintf(p->dir[1], sizeof p->dir[1], "%s/services", state);
	free(state);
	return 0;
}

static const char *place_of(const struct places *p, const char *name)
{
	for (int i = 0; i < PLACES; i++)
		if (module_is_there(p->dir[i], name))
			return p->dir[i];
	return NULL;
}

static bool is_own(const char *name)
{
	for (size_t i = 0; i < ALL; i++)
		if (!all[i].always && !strcmp(all[i].service->name, name))
			return true;
	return !strcmp(name, "all");
}

static bool has_noun(const struct service *s, const char *noun)
{
	const struct op *op = s->ops;
	while (op->noun && strcmp(op->noun, noun))
		op++;
	return op->noun;
}

/* Its operations would have a noun that others have. */
static bool is_taken(const struct services *s, const char *name)
{
	for (const struct service *const *at = s->chosen; *at; at++)
		if (!strcmp((*at)->name, name) || has_noun(*at, name))
			return true;
	return false;
}

static int load(struct services *s, const struct places *places, const char *name, struct buf *why)
{
	size_t n = 0;
	const char *dir = place_of(places, name);
	while (s->chosen[n])
		n++;
	if (is_taken(s, name) || n == SERVICES_MOST) {
		buf_putf(why, "services: %s is one too many, or there already", name);
		return -EEXIST;
	}
	return module_load(&s->chosen[n], dir ? dir : places->dir[1], name, why);
}

int services_load(struct services *s, const struct conf *c, struct buf *why)
{
	struct places places;
	int r = find_places(&places, why);
	for (size_t i = 0; !r && i < c->services.n; i++)
		if (!is_own(c->services.v[i].text))
			r = load(s, &places, c->services.v[i].text, why);
	return r;
}

static bool can_be_chosen(const struct places *p, const char *name)
{
	return is_own(name) || place_of(p, name);
}

int services_check(const struct conf *c, const char *file, struct buf *errors)
{
	size_t before = errors->len;
	struct places places;
	int r = find_places(&places, errors);
	for (size_t i = 0; !r && i < c->services.n; i++) {
		const struct conf_word *w = &c->services.v[i];
		if (can_be_chosen(&places, w->text))
			continue;
		buf_putf(errors, "%s:%d: services: found \"%s\", expected ", file, w->line, w->text);
		for (size_t k = 0; k < ALL; k++)
			if (!all[k].always)
				buf_putf(errors, "%s, ", all[k].service->name);
		buf_putf(errors, "all, or the NAME of a service-NAME.so in %s or %s\n", places.dir[0], places.dir[1]);
	}
	return r ? r : errors->len > before ? -EINVAL : 0;
}
