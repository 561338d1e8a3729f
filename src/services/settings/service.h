/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of a running daemon: shown, and changed for good only once what changed has come up.
 *
 * A change is taken at once and tried. If what it changed has not come up in time (it listens; monitors run that ran, or are new;
 * masters answer that answered, or are new), or if who asked for it is gone before, because his way here has broken, the configuration of before
 * is in force again. Settings are on disk (`settings` in the state directory, conf/settings.h) only when the change has come
 * up: one that ends the daemon is undone by its start. One change at a time.
 */
#ifndef VIGIA_SERVICES_SETTINGS_SERVICE_H
#define VIGIA_SERVICES_SETTINGS_SERVICE_H

#include "conf/conf.h"
#include "core/core.h"

/* What the daemon can. */
struct settings_daemon {
	/* The file anew, and these settings over it: in force, and what was before is kept. 0, and `told` has what there is to know; or
	 * negative, `told` says what is wrong, and all is as before. */
	int (*take)(const struct settings *over, struct buf *told);
	/* Has come up what it changed? 0; -EAGAIN: not yet, `why` says what has not; or it never will. */
	int (*is_up)(struct buf *why);
	/* What was kept is let go, or is in force again. */
	void (*keep)(void);
	void (*undo)(void);
	const struct conf *(*conf)(void); /* in force */
};

struct settings_change {
	struct core *core;
	const struct settings_daemon *daemon;
	char *path; /* of the settings */
	struct settings settings; /* on disk and in force */
	/* The change under way. */
	enum { SETTINGS_IDLE, SETTINGS_COMING_UP, SETTINGS_SAVING } state;
	struct call *call; /* who waits for it; NULL: he has gone */
	struct settings tried;
	struct buf told, text; /* text: of the file */
	int saved;
	uint64_t until_ms; /* by the loop's clock */
	uv_timer_t timer;
	uv_work_t work;
};

extern const struct service settings_service;

/* What `settings` of this directory says; -EINVAL: what and where. A file that is missing is an empty one. */
int settings_load(const char *state_directory, struct settings *ret, struct buf *why);
/* Takes the settings; daemon must outlive it. */
int settings_start(struct core *core, const struct settings_daemon *daemon, const char *state_directory, struct settings *take);
/* A change under way is undone. */
void settings_stop(struct core *core);
void settings_forget(struct core *core);
/* A change is under way: none else may be. */
bool settings_are_busy(const struct core *core);

#endif
