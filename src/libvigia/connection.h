/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a struct vigia: a socket, what waits to leave it, and the calls under way. */
#ifndef VIGIA_LIBVIGIA_CONNECTION_H
#define VIGIA_LIBVIGIA_CONNECTION_H

#include "base/buf.h"
#include "libvigia/vigia.h"
#include "proto/frame.h"
#include "proto/id.h"
#include "proto/msg.h"

struct causal;
struct held;
struct offer;
struct polling;
struct ask; /* a call or a subscription under way */

struct ask_type {
	int (*frame)(struct vigia *v, struct ask *a, const struct frame *f); /* answer, partial, event or loss */
	void (*over)(struct ask *a, int result, const struct vigia_error *error);
};

struct ask {
	const struct ask_type *type;
	uint64_t number;
	char what[64]; /* is asked: "noun.verb" */
	int64_t deadline_ns; /* monotonic; INT64_MAX: none any more */
	union {
		struct vigia_asked asked;
		struct vigia_subscriber subscriber;
		struct offer *offer;
		struct polling *polling;
	};
	/* Of a subscription: */
	struct channel_id channel;
	int64_t after;	  /* as it was asked; -1: from now on */
	unsigned waiting; /* frames, for their causes */
	bool unanswered;
	bool masked;	  /* who waited for what its mask leaves out would wait in vain */
	bool follows;	  /* its channel is known, and others wait for what it brings */
	struct ask *next;
};

enum { ASKS = 64 /* hash buckets */, OUT_MAX = 8 << 20 };

struct vigia {
	int fd, error;
	struct buf out;
	size_t sent;
	struct frame_cutter cutter;
	struct ask *asks[ASKS];
	unsigned asks_n;
	uint64_t last;
	bool met, has_put;
	char host[64];
	struct vigia_error why; /* of error */
	uint64_t refused;	/* events */
	struct vigia_error refusal;
	struct causal *order;	/* of what is subscribed to; NULL: nothing ever was */
	size_t held;		/* bytes that wait in it, or to be taken into it: */
	struct held *early, *last_early;
	unsigned unanswered;	/* subscriptions */
	struct offer *offers;	/* services of this program */
	struct vigia_called *called;
};

/* Fills *ret_error, if any; returns r. */
int say(struct vigia_error *ret_error, int r, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* connect.c: a socket to a daemon. */
int connect_to(const char *at, struct vigia_error *ret_error);

/* ask.c */
struct ask *ask_new(struct vigia *v, const struct ask_type *type, int64_t deadline_ms);
void ask_forget(struct vigia *v, struct ask *a);
struct ask *ask_find(struct vigia *v, uint64_t number);
/* All end with this. */
void ask_end_all(struct vigia *v, int result, const struct vigia_error *error);
/* Those whose deadline is over end. */
void ask_check_deadlines(struct vigia *v);
int64_t ask_next_deadline_ns(const struct vigia *v);
int ask_send(struct vigia *v, struct ask *a, unsigned flags, const char *host, struct msg *take_query,
    int64_t deadline_ms);
int ask_take_frame(struct vigia *v, const struct frame *f);

/* channel.c; the subscription may be cancelled by that. */
void subscription_show(struct ask *a, const struct frame_event *e);
void subscription_show_loss(struct ask *a, uint64_t lost, uint64_t before);

/* order.c: 0, -EPROTO or -ENOMEM. */
int order_follow(struct vigia *v, struct ask *a, const struct channel_id *channel, uint64_t sequence);
/* A subscription whose channel is not known yet: what others bring waits until it is, for as long as for a cause. */
void order_expect(struct vigia *v, struct ask *a, bool expected);
/* It goes, or is cancelled. */
void order_leave(struct vigia *v, struct ask *a);
/* An event or a loss: shown now or later. */
int order_take(struct vigia *v, struct ask *a, const struct frame *f);
/* Shows all whose turn has come. */
void order_settle(struct vigia *v);
/* What waits of this one is shown, whatever it waits for; it may be cancelled by that. */
void order_hurry(struct vigia *v, uint64_t ask);
int64_t order_wake_ns(const struct vigia *v);
void order_release(struct vigia *v);
/* The causes of what is put now: at most FRAME_CAUSES_MAX. */
size_t order_causes(const struct vigia *v, struct frame_cause *ret);
void order_heard(struct vigia *v, const struct frame_cause *causes, size_t n);

/* service.c: queries of what this program offers, and their end. */
int service_take_frame(struct vigia *v, const struct frame *f);
void service_release(struct vigia *v);

/* vigia.c */
int flush_out(struct vigia *v);

#endif
