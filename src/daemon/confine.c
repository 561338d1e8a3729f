/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/confine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "os/log.h"

static void tell(const struct sandbox *s)
{
	log_event(*s->lack ? LOG_WARNING : LOG_INFO, "sandbox", "in force: %s%s%s", s->in_force, *s->lack ? "; not in force: " : "",
	    s->lack);
}

/* Its directory, when the configuration says a path; it is made there, and removed. */
static bool socket_place(const char *socket, char dir[PATH_MAX])
{
	const char *slash = strrchr(socket, '/');
	return slash && slash > socket && snprintf(dir, PATH_MAX, "%.*s", (int)(slash - socket), socket) < PATH_MAX;
}

static int enter(const struct conf *c, const char *conf_file, const char *runtime, const char *state, struct sandbox *ret)
{
	char conf_place[PATH_MAX], socket_dir[PATH_MAX];
	struct place places[SANDBOX_PLACES_MAX] = {{runtime, PLACE_CHANGE}, {state, PLACE_CHANGE}};
	size_t n = 2;
	if (conf_file && !sandbox_place_of(conf_file, conf_place))
		places[n++] = (struct place){conf_place, PLACE_READ};
	if (socket_place(c->socket, socket_dir))
		places[n++] = (struct place){socket_dir, PLACE_SOCKETS};
	return sandbox_enter(places, n, ret);
}

int confine(const struct conf *c, const char *conf_file, const char *runtime, const char *state, struct sandbox *ret,
    struct buf *why)
{
	int r = 0;
	if (c->sandbox)
		r = enter(c, conf_file, runtime, state, ret);
	else
		sandbox_leave_out(ret);
	if (!r)
		tell(ret);
	else
		buf_putf(why, "the sandbox: %s",
		    r == -EBUSY ? "a module has started threads while it was loaded, which it would not hold; mend the module, or "
				  "say sandbox = no in vigia.conf"
				: strerror(-r));
	return r;
}
