/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes of a daemon and the few figures of each that a person wants first: what `status` and `top` show.
 *
 * Fed with answers, in any order; rates come from counters, between the two newest periods that came.
 * A figure that is not known is NAN.
 */
#ifndef VIGIA_TOOLS_FLEET_H
#define VIGIA_TOOLS_FLEET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/names.h"
#include "proto/msg.h"
#include "tools/vigia/table.h"

/* What is asked for: a pattern a query. */
struct figure_query {
	const char *monitor, *metric;
	bool brief;   /* enough for a look: no rates of networks and disks */
	bool counter; /* its past makes rates at once */
};
extern const struct figure_query
    figure_queries[]; /* ends with a nameless one; the first is the processor's */

enum fleet_rate { RATE_IDLE, RATE_RECEIVED, RATE_SENT, RATE_READ, RATE_WRITTEN, RATES };

struct reading;

struct fleet_node {
	char *name;
	char state[16], reason[96], system[160], version[24];
	int64_t since_ns, heard_ns, time_ns; /* wall; time: of the newest period */
	int64_t monitors, processors;
	double load, memory_total, memory_available, uptime;
	struct reading *readings;
	size_t readings_n;
	int64_t before_ns; /* of the period that rates were last computed with */
	int64_t past_ns;   /* of an earlier one, from history; 0: none */
	double rates[RATES];
	bool listed;
};

struct fleet {
	struct names nodes;
};

void fleet_release(struct fleet *f);
/* A `node list` answer. Between fleet_list_begin and _end all are listed; who was not is dropped. */
void fleet_take_node(struct fleet *f, const struct msg *node);
void fleet_list_begin(struct fleet *f);
void fleet_list_end(struct fleet *f);
/* A `monitor` answer with values. */
void fleet_take_values(struct fleet *f, const struct msg *monitor);
/* Computes the rates of nodes that have a new period. */
void fleet_rates(struct fleet *f);

/* A `monitor history` answer, samples from before what is known: after the last of them fleet_past_rates()
 * has rates without waiting for a next period. */
void fleet_take_past(struct fleet *f, const struct msg *series);
void fleet_past_rates(struct fleet *f);

struct fleet_node *fleet_at(const struct fleet *f, size_t i);
/* Is it there, or are its figures those of the past? */
bool node_live(const struct fleet_node *n);

/* In percent; bytes a second; degrees Celsius of the hottest. */
double node_cpu(const struct fleet_node *n);
double node_memory(const struct fleet_node *n);
double node_temperature(const struct fleet_node *n);
double node_rate(const struct fleet_node *n, enum fleet_rate which);
double node_load(const struct fleet_node *n);

/* Green to red, for a share in percent. */
enum tone percent_tone(double percent);
enum tone temperature_tone(double celsius);
/* Much, for so many processors? */
enum tone load_tone(const struct fleet_node *n);

#endif
