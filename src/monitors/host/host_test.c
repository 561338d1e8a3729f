/* SPDX-License-Identifier: Apache-2.0 */
/* A made-up /proc that changes under the monitor's eyes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "hmon/monitor.h"
#include "sources.h"

static char root[] = "/tmp/vigia-proc-XXXXXX";
static struct hmon h;
static struct sources *s;

static int read_nothing(struct hmon *hmon)
{
	return 0;
}

static const struct hmon_option options[] = {{"skip_networks", HMON_OPTION_LIST, "{\"veth*\"}"}, {0}};
static const struct hmon_monitor none = {.name = "host", .read = read_nothing, .options = options};

static void put(const char *file, const char *text)
{
	char path[200];
	snprintf(path, sizeof path, "%s/%s", root, file);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int begin(void **state)
{
	char path[200];
	strcpy(root, "/tmp/vigia-proc-XXXXXX");
	assert_non_null(mkdtemp(root));
	snprintf(path, sizeof path, "%s/net", root);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof path, "%s/pressure", root);
	assert_int_equal(mkdir(path, 0700), 0);
	struct buf why = BUF_INIT;
	int r = monitor_init(&h, &none, NULL);
	return r ? r : monitor_configure(&h, "", &why);
}

static int end(void **state)
{
	char command[100];
	sources_free(s);
	s = NULL;
	monitor_release(&h);
	snprintf(command, sizeof command, "rm -r %s", root);
	return system(command);
}

static void measure(void)
{
	if (!s)
		s = sources_new(root);
	set_begin(&h.set);
	assert_int_equal(sources_read(s, &h), 0);
	set_end(&h.set);
}

static const struct hmon_metric *find(const char *name, const struct value **ret)
{
	for (size_t i = 0; i < h.set.n; i++) {
		struct buf full = BUF_INIT;
		const struct hmon_metric *m = set_metric(&h.set, i, &full);
		bool same = !strcmp(buf_str(&full), name);
		buf_release(&full);
		if (!same)
			continue;
		*ret = &h.set.now[i];
		return m;
	}
	return NULL;
}

static void is(const char *name, int64_t number, int scale, const char *unit)
{
	const struct value *v;
	const struct hmon_metric *m = find(name, &v);
	if (!m)
		print_error("no %s\n", name);
	assert_non_null(m);
	assert_int_equal(v->kind, VALUE_NUMBER);
	assert_int_equal(v->number, number);
	assert_int_equal(m->scale, scale);
	assert_string_equal(m->unit ? m->unit : "1", unit);
}

static bool is_there(const char *name)
{
	const struct value *v;
	return find(name, &v);
}

static const char stat2[] =
    "cpu  10 20 30 40 50 60 70 80 90 100\n"
    "cpu0 1 2 3 4 5 6 7 8 9 10\n"
    "cpu1 11 12 13 14 15 16 17 18 19 20\n"
    "intr 500 1 2 3\nctxt 600\nbtime 700\nprocesses 800\nprocs_running 2\nprocs_blocked 1\n"
    "softirq 66 1 2 3 4 5 6 7 8 9 10\n";

static void each_line_becomes_its_metrics(void **state)
{
	put("stat", stat2);
	put("loadavg", "0.30 1.05 12.00 2/91 7850\n");
	put("uptime", "123.45 200.00\n");
	put("meminfo",
	    "MemTotal:       1000 kB\nActive(anon):    5 kB\nHugePages_Total:   3\nSwapFree:  7 kB\n");
	put("vmstat", "nr_free_pages 9\npgfault 18446744073709551615\n");
	put("pressure/io", "some avg10=1.25 avg60=0.50 avg300=0.00 total=1234567\n"
			   "full avg10=0.10 avg60=0.00 avg300=0.00 total=99\n");
	measure();
	is("cpu/user", 10, 2, "s");
	is("cpu/1/guest_nice", 20, 2, "s");
	is("kernel/interrupts", 500, 0, "1");
	is("kernel/tasks_blocked", 1, 0, "1");
	is("softirq/rcu", 10, 0, "1");
	is("load/5min", 105, 2, "1");
	is("load/threads", 91, 0, "1");
	is("uptime/up", 12345, 2, "s");
	is("memory/total", 1024000, 0, "By");
	is("memory/active_anon", 5120, 0, "By");
	is("memory/huge_pages_total", 3, 0, "1");
	is("swap/free", 7168, 0, "By");
	is("vmstat/nr_free_pages", 9, 0, "1");
	is("pressure/io/some/10s", 125, 2, "%");
	is("pressure/io/full/total", 99, 6, "s");
	assert_false(is_there("pressure/cpu/some/10s"));
}

static const char header[] = "Inter-| Receive\n face |bytes\n";

static void devices(const char *lines)
{
	char text[1000];
	snprintf(text, sizeof text, "%s%s", header, lines);
	put("net/dev", text);
}

static void interfaces_come_and_go(void **state)
{
	devices("    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n");
	measure();
	is("net/lo/tx_compressed", 16, 0, "1");
	devices("    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 17\n eth1:5 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1\n"
		"eth10: 6 0 0 0 0 0 0 0 0 0 0 0 0 0 0 2\n");
	measure();
	assert_true(h.set.changed);
	is("net/lo/tx_compressed", 17, 0, "1");
	is("net/eth1/rx_bytes", 5, 0, "By");
	devices("eth10: 7 0 0 0 0 0 0 0 0 0 0 0 0 0 0 3\n");
	measure();
	assert_int_equal(h.set.n, 16);
	is("net/eth10/tx_compressed", 3, 0, "1");
	devices("");
	measure();
	assert_int_equal(h.set.n, 0);
	devices("eth0: 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 3\n");
	measure();
	is("net/eth0/rx_bytes", 1, 0, "By");
}

static void those_that_stay_keep_their_index(void **state)
{
	put("stat", stat2);
	measure();
	int ctxt = -1;
	for (size_t i = 0; i < h.set.n; i++)
		if (!strcmp(h.set.slots[h.set.order[i]].metric->name, "context_switches"))
			ctxt = h.set.order[i];
	put("stat", "cpu  10 20 30 40 50 60 70 80 90 100\ncpu1 11 12 13 14 15 16 17 18 19 20\nctxt 601\n");
	measure();
	assert_string_equal(h.set.slots[ctxt].metric->name, "context_switches");
	is("kernel/context_switches", 601, 0, "1");
	is("cpu/1/user", 11, 2, "s");
	assert_false(is_there("cpu/0/user"));
}

static void ends_of_containers_are_left_out(void **state)
{
	static const char with[] = "header\nheader\n  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
				   "veth12ab: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n";
	static const char without[] = "header\nheader\n  eth0: 2 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n";
	put("net/dev", with);
	measure();
	assert_true(is_there("net/eth0/rx_bytes") && !is_there("net/veth12ab/rx_bytes"));
	h.set.changed = false;
	put("net/dev", without);
	measure();
	is("net/eth0/rx_bytes", 2, 0, "By");
	assert_false(h.set.changed); /* nothing is announced anew when a container ends */
}

static void unused_disks_are_left_out_until_used(void **state)
{
	put("diskstats", "   7 0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
			 " 254 0 vda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n");
	measure();
	assert_int_equal(h.set.n, 17);
	is("disk/vda/read_bytes", 3 * 512, 0, "By");
	is("disk/vda/write_time", 8, 3, "s");
	is("disk/vda/discard_bytes", 14 * 512, 0, "By");
	put("diskstats", "   7 0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1\n"
			 " 254 0 vda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 18\n");
	measure();
	assert_int_equal(h.set.n, 34);
	is("disk/loop0/flush_time", 1, 3, "s");
}

static void an_older_kernel_has_fewer_columns(void **state)
{
	put("diskstats", " 8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n");
	measure();
	assert_int_equal(h.set.n, 11);
	is("disk/sda/queue_time", 11, 3, "s");
}

static void a_long_file_is_read_whole(void **state)
{
	static char text[100000];
	size_t n = (size_t)sprintf(text, "intr 77");
	while (n < sizeof text - 100)
		n += (size_t)sprintf(text + n, " 0");
	sprintf(text + n, "\nctxt 5\n");
	put("stat", text);
	measure();
	is("kernel/context_switches", 5, 0, "1");
}

static void nonsense_does_no_harm(void **state)
{
	put("stat", "");
	put("meminfo", "\n\n:::\n   \n- - -\nno newline at the end");
	put("loadavg", "x");
	put("vmstat", "a\nb 1\nb 2\n");
	put("net/dev", "short");
	put("diskstats", "1\n1 2\n1 2 x\n\n");
	measure();
	measure();
	measure();
}

static void a_host_without_any_of_it_has_nothing(void **state)
{
	measure();
	assert_int_equal(h.set.n, 0);
}

static void this_machine_has_all_that_ldms_takes(void **state)
{
	s = sources_new("/proc");
	measure();
	assert_true(is_there("cpu/0/user") && is_there("memory/total") && is_there("vmstat/pgfault"));
	assert_true(is_there("load/1min") && is_there("net/lo/rx_bytes") && is_there("kernel/interrupts"));
	print_message("# %zu values\n", h.set.n);
	bool changed = h.set.changed;
	h.set.changed = false;
	measure();
	assert_true(changed && !h.set.changed);
	for (size_t i = 0; i < h.set.n; i++)
		assert_int_equal(h.set.now[i].kind, VALUE_NUMBER);
}

#define story(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    story(each_line_becomes_its_metrics),
	    story(interfaces_come_and_go),
	    story(those_that_stay_keep_their_index),
	    story(ends_of_containers_are_left_out),
	    story(unused_disks_are_left_out_until_used),
	    story(an_older_kernel_has_fewer_columns),
	    story(a_long_file_is_read_whole),
	    story(nonsense_does_no_harm),
	    story(a_host_without_any_of_it_has_nothing),
	    story(this_machine_has_all_that_ldms_takes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
