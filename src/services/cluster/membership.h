/* SPDX-License-Identifier: Apache-2.0 */
/* This host's place in its cluster, as a service: making the cluster, joining it, who is in it, news of whom to believe (decision 0017).
 *
 *   membership.c  what there is, jobs for a worker, and what follows from news
 *   operations.c  what can be asked
 *   newcomer.c    a newcomer's way to a master, which waits and so is a worker's
 *   login.c       certificates of users, who sign what they ask of other hosts
 *   certify.c     certificates of third parties
 *   follow.c      news go from masters to those who follow them
 *   renew.c       a new certificate, a new key of the authority's
 *
 * What waits for a disk or a network is done by a worker, one job after the other; all else on the loop.
 */
#ifndef VIGIA_CLUSTER_MEMBERSHIP_H
#define VIGIA_CLUSTER_MEMBERSHIP_H

#include "core/core.h"
#include "identity/authority.h"
#include "identity/place.h"
#include "identity/revoked.h"
#include "identity/token.h"
#include "identity/tokens.h"

struct job;
struct follow;
struct follower;
struct inquiry;

struct membership {
	struct core *core;
	char *directory; /* of the vault */
	struct vault *vault; /* NULL: none */
	struct authority *authority; /* NULL: its key is not here */
	struct tokens *tokens;
	struct place *place; /* NULL: this host is in no cluster */
	char masters[TOKEN_MASTERS + 1]; /* where a token said they are; "": none did */
	struct job *jobs, **jobs_end; /* the first is under way */
	uv_timer_t tick;
	struct follower *followers;
	struct follow *follows;
	void (*joined)(int result, const char *why); /* as membership_join() was told; NULL: it is over */
	void (*changed)(void); /* this host is in a cluster now, or is no more */
	bool stopping;
	/* renew.c */
	bool renews, papers_came;
	bool is_due; /* it is time, or the authority's key is another: noticed */
	int64_t renew_at_s; /* not before */
	struct host_id asks; /* a master */
	struct inquiry *renewal;
};

extern const struct service cluster_service;

/* Before the loop; what there is is opened. Errors are a refusal to start. */
int membership_open(struct membership *m, const char *state_directory, const struct host_id *self, struct buf *why);
int membership_start(struct membership *m, struct core *core, void (*changed)(void));
void membership_stop(struct membership *m);
void membership_release(struct membership *m);
/* As cluster.join; `joined` is called when it is over: 0, or negative errno with why. -EBADMSG: it is no token. */
int membership_join(struct membership *m, const char *token, void (*joined)(int result, const char *why), struct buf *why);

/* --- jobs --- */

/* What is here of vault, authority, tokens and place is a job's while it runs, but for what any thread may ask of a place. */
struct job {
	struct membership *m;
	struct call *call; /* who waits for it; NULL: nobody, or not any more */
	int (*run)(struct job *j); /* by the worker */
	void (*done)(struct job *j); /* on the loop; result and why say how it went */
	int result;
	struct buf why;
	int64_t now_s;
	void (*ready)(void *owner, const char *token, const char *why); /* who asked for a token, where it was no call */
	void *owner;
	char text[TOKEN_TEXT_MAX]; /* what run was given, or gives */
	struct token token;
	unsigned roles;
	int64_t life_s;
	struct buf request, certificate;
	struct certificate facts; /* of that */
	/* As they are when it starts; what run makes, done takes. */
	struct vault *vault;
	struct authority *authority;
	struct tokens *tokens;
	struct place *place;
	uv_work_t work;
	struct job *next;
};

/* NULL: no memory. c may be NULL; as the state of a call its operation's over is job_over. */
struct job *job_new(struct membership *m, struct call *c, int (*run)(struct job *j), void (*done)(struct job *j));
void job_start(struct job *take_job);
/* Of one that is not to start after all. */
void job_drop(struct job *j);
/* Ends its call, if it has one, as its result says. */
void job_end(struct job *j);
void job_over(struct call *c);

/* --- operations.c --- */

/* As core->invite. */
void membership_invite(struct core *core, void (*ready)(void *owner, const char *token, const char *why), void *owner);

/* --- membership.c: what follows --- */

/* place, authority or tokens are others now. */
void membership_changed(struct membership *m);
/* The list or the authority is another: who is not believed any more goes, and who follows hears. */
void membership_news(struct membership *m);

/* --- newcomer.c --- */

/* Shows the token to the first master that answers, and becomes a host of its cluster: the files are in the vault then. */
int newcomer_join(struct vault *v, const struct host_id *self, const struct token *t, int64_t now_s, struct buf *why);

/* --- renew.c --- */

int renew_run(struct call *c), renew_run_reissue(struct call *c), renew_run_rotate(struct call *c);
/* If it is time. */
void renew_tick(struct membership *m);
void renew_stop(struct membership *m);

/* --- login.c --- */

int login_run(struct call *c), login_run_audience(struct call *c);

/* --- certify.c --- */

int certify_run(struct call *c);

/* --- follow.c --- */

int follow_run(struct call *c);
void follow_over(struct call *c);
void follow_tell(struct membership *m);
/* Asks masters that are not asked yet. */
void follow_tick(struct membership *m);
void follow_stop(struct membership *m);
/* An answer's or a host's papers: authority and list. */
void papers_put(struct msg *to, const struct trust *t);

#endif
