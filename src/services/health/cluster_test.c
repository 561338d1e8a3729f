/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/health/cluster.h"

static struct cluster c;
static struct limits limits;

static int set_up(void **state)
{
	return cluster_init(&c, "n1", &limits);
}

static int tear_down(void **state)
{
	cluster_release(&c);
	return 0;
}

/* "a:gauge:2 b:text:0": a sealed config. */
static struct config *config_of(const char *words)
{
	char name[32], type[16];
	int scale, used;
	size_t n = 0;
	for (const char *s = words; *s; s++)
		n += *s == ':';
	struct config *config = config_new(n / 2);
	for (size_t i = 0; i < n / 2; i++, words += used) {
		assert_int_equal(sscanf(words, " %31[^:]:%15[^:]:%d%n", name, type, &scale, &used), 3);
		config->metrics[i] = (struct metric){strdup(name), strdup(""), strdup(""),
		    (enum metric_type)metric_type_from(type), (uint8_t)scale};
	}
	const char *why;
	size_t at;
	assert_int_equal(config_seal(config, &why, &at), 0);
	return config;
}

static void describe(struct monitor *m, const char *words, unsigned generation)
{
	assert_int_equal(monitor_describe(&c, m, cluster_intern(&c, config_of(words)), generation), 0);
}

static void put_number(struct monitor *m, const char *name, int64_t n)
{
	m->values[config_find(m->config, name)] = (struct value){.kind = VALUE_NUMBER, .number = n};
}

static void put_text(struct monitor *m, const char *name, const char *s)
{
	m->values[config_find(m->config, name)] = (struct value){.kind = VALUE_TEXT, .text = strdup(s)};
}

static const struct value *value_of(const struct monitor *m, const char *name)
{
	return &m->values[config_find(m->config, name)];
}

static void nodes_and_monitors_are_made_once(void **state)
{
	struct node *n = cluster_node(&c, "n2");
	assert_ptr_equal(cluster_node(&c, "n2"), n);
	assert_int_equal(limits_used(&limits, LIMIT_NODES), 2);
	assert_ptr_equal(cluster_find(&c, "n1"), c.self);
	assert_null(cluster_find(&c, "n3"));
	assert_int_not_equal(n->id, c.self->id);
	struct monitor *m = cluster_monitor(&c, n, "load");
	assert_ptr_equal(cluster_monitor(&c, n, "load"), m);
	assert_ptr_not_equal(cluster_monitor(&c, c.self, "load"), m);
	assert_ptr_equal(m->node, n);
	assert_int_equal(c.monitors_n, 2);
}

static void equal_configs_are_shared(void **state)
{
	struct config *first = cluster_intern(&c, config_of("a:gauge:2 b:text:0"));
	assert_ptr_equal(cluster_intern(&c, config_of("a:gauge:2 b:text:0")), first);
	assert_ptr_not_equal(cluster_intern(&c, config_of("a:gauge:3 b:text:0")), first);
	assert_ptr_equal(cluster_config(&c, first->digest), first);
	assert_null(cluster_config(&c, first->digest + 1));
	assert_int_equal(c.configs_n, 2);
	assert_int_equal(first->refs, 1);
}

static void configs_that_nobody_follows_go(void **state)
{
	char words[64];
	struct monitor *m = cluster_monitor(&c, c.self, "load");
	describe(m, "kept:gauge:0", 1);
	uint64_t kept = m->config->digest;
	for (int i = 0; i < 1000; i++) {
		snprintf(words, sizeof words, "kept:gauge:0 come-and-go-%d:gauge:0", i);
		cluster_intern(&c, config_of(words));
	}
	assert_true(c.configs_n <= 32);
	assert_ptr_equal(cluster_config(&c, kept), m->config);
}

static void every_config_that_is_followed_is_known(void **state)
{
	char words[64], name[24];
	for (int i = 0; i < 200; i++) {
		snprintf(words, sizeof words, "m%d:gauge:0", i);
		snprintf(name, sizeof name, "monitor%d", i);
		describe(cluster_monitor(&c, c.self, name), words, 1);
	}
	for (size_t i = 0; i < c.self->monitors.n; i++) {
		const struct monitor *m = c.self->monitors.things[i];
		assert_ptr_equal(cluster_config(&c, m->config->digest), m->config);
	}
	for (size_t i = 1; i < c.configs_n; i++)
		assert_true(c.configs[i - 1]->digest < c.configs[i]->digest);
}

static void values_of_metrics_that_stay_survive_a_new_config(void **state)
{
	struct monitor *m = cluster_monitor(&c, c.self, "load");
	describe(m, "a:gauge:2 gone:gauge:0 text:text:0 scale:gauge:1 type:gauge:0", 1);
	assert_int_equal(c.metrics_n, 5);
	put_number(m, "a", 7);
	put_number(m, "gone", 8);
	put_text(m, "text", "stays");
	put_number(m, "scale", 9);
	put_number(m, "type", 10);
	describe(m, "new:gauge:0 text:text:0 type:counter:0 scale:gauge:2 a:gauge:2 more:text:0", 2);
	assert_int_equal(c.metrics_n, 6);
	assert_int_equal(m->generation, 2);
	assert_int_equal(value_of(m, "a")->number, 7);
	assert_string_equal(value_of(m, "text")->text, "stays");
	assert_int_equal(value_of(m, "new")->kind, VALUE_NONE);
	assert_int_equal(value_of(m, "scale")->kind, VALUE_NONE);
	assert_int_equal(value_of(m, "type")->kind, VALUE_NONE);
	assert_int_equal(value_of(m, "more")->kind, VALUE_NONE);
}

static void the_same_config_under_a_new_generation_disturbs_nothing(void **state)
{
	struct monitor *m = cluster_monitor(&c, c.self, "load");
	describe(m, "a:gauge:0", 1);
	put_number(m, "a", 7);
	m->link_sequence = 17;
	describe(m, "a:gauge:0", 2);
	assert_int_equal(value_of(m, "a")->number, 7);
	assert_int_equal(m->generation, 2);
	assert_int_equal(m->link_sequence, 0);
}

static void who_is_forgotten_takes_all_its_own_along(void **state)
{
	struct node *n = cluster_node(&c, "n2");
	struct monitor *m = cluster_monitor(&c, n, "load");
	describe(m, "a:text:0", 1);
	put_text(m, "a", "x");
	cluster_forget(&c, n);
	assert_int_equal(limits_used(&limits, LIMIT_NODES), 1);
	assert_null(cluster_find(&c, "n2"));
	assert_int_equal(c.monitors_n, 0);
	assert_int_equal(c.metrics_n, 0);
}

static void a_monitor_is_late_after_twice_its_period_and_3_s(void **state)
{
	enum { S = 1000000000 };
	struct monitor *m = cluster_monitor(&c, c.self, "load");
	assert_int_equal(monitor_state(m, 0), MONITOR_OLD);
	describe(m, "a:gauge:0", 1);
	m->config->period_ns = S;
	m->connected = true;
	assert_int_equal(monitor_state(m, 3LL * S), MONITOR_OLD); /* has sent nothing yet, and is in time */
	assert_int_equal(monitor_state(m, 3LL * S + 1), MONITOR_LATE);
	m->arrived_ns = S;
	assert_int_equal(monitor_state(m, 4LL * S), MONITOR_CURRENT);
	assert_int_equal(monitor_state(m, 4LL * S + 1), MONITOR_LATE);
	m->config->period_ns = 10LL * S;
	assert_int_equal(monitor_state(m, 21LL * S), MONITOR_CURRENT);
	assert_int_equal(monitor_state(m, 21LL * S + 1), MONITOR_LATE);
	m->config->period_ns = 0;
	assert_int_equal(monitor_state(m, 1000LL * S), MONITOR_CURRENT);
	m->connected = false;
	assert_int_equal(monitor_state(m, S), MONITOR_GONE);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(nodes_and_monitors_are_made_once),
	    T(equal_configs_are_shared),
	    T(configs_that_nobody_follows_go),
	    T(every_config_that_is_followed_is_known),
	    T(values_of_metrics_that_stay_survive_a_new_config),
	    T(the_same_config_under_a_new_generation_disturbs_nothing),
	    T(who_is_forgotten_takes_all_its_own_along),
	    T(a_monitor_is_late_after_twice_its_period_and_3_s),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
