/* SPDX-License-Identifier: Apache-2.0 */
#include "sources.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "layout.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* --- what the lines hold: the kernel's Documentation/filesystems/proc.rst, admin-guide/iostats.rst,
 * accounting/psi.rst. Processor times are in hundredths of a second (USER_HZ) on every machine of ours, so
 * scale 2 takes them as they are. Tables end with a nameless entry, which --help wants; n never counts it. */

static const struct hmon_metric cpu[] = {
    {"user", HMON_COUNTER, "s", 2, "time in programs, niced ones aside"},
    {"nice", HMON_COUNTER, "s", 2, "time in niced programs"},
    {"system", HMON_COUNTER, "s", 2, "time in the kernel"},
    {"idle", HMON_COUNTER, "s", 2, "time with nothing to do"},
    {"iowait", HMON_COUNTER, "s", 2, "idle time in which input or output was awaited"},
    {"irq", HMON_COUNTER, "s", 2, "time in interrupts"},
    {"softirq", HMON_COUNTER, "s", 2, "time in soft interrupts"},
    {"steal", HMON_COUNTER, "s", 2, "time that the hypervisor gave to others"},
    {"guest", HMON_COUNTER, "s", 2, "time running guests, also in user"},
    {"guest_nice", HMON_COUNTER, "s", 2, "time running niced guests, also in nice"},
    {0},
};

static const struct hmon_metric kernel[] = {
    {"interrupts", HMON_COUNTER, "1", 0, "interrupts served"},
    {"context_switches", HMON_COUNTER, "1", 0, "switches from one task to another"},
    {"boot_time", HMON_GAUGE, "s", 0, "when it booted, since 1970"},
    {"forks", HMON_COUNTER, "1", 0, "processes and threads made"},
    {"tasks_running", HMON_GAUGE, "1", 0, "tasks that run or could"},
    {"tasks_blocked", HMON_GAUGE, "1", 0, "tasks that wait for a disk"},
    {0},
};
static const char *const kernel_keys[] = {
    "intr", "ctxt", "btime", "processes", "procs_running", "procs_blocked"};

static const struct hmon_metric softirq[] = {
    {"total", HMON_COUNTER, "1", 0, "soft interrupts served"},
    {"hi", HMON_COUNTER, "1", 0, NULL},
    {"timer", HMON_COUNTER, "1", 0, NULL},
    {"net_tx", HMON_COUNTER, "1", 0, NULL},
    {"net_rx", HMON_COUNTER, "1", 0, NULL},
    {"block", HMON_COUNTER, "1", 0, NULL},
    {"irq_poll", HMON_COUNTER, "1", 0, NULL},
    {"tasklet", HMON_COUNTER, "1", 0, NULL},
    {"sched", HMON_COUNTER, "1", 0, NULL},
    {"hrtimer", HMON_COUNTER, "1", 0, NULL},
    {"rcu", HMON_COUNTER, "1", 0, NULL},
    {0},
};

static const struct hmon_metric load[] = {
    {"1min", HMON_GAUGE, "1", 2, "mean number of tasks that ran, could or waited for a disk, over a minute"},
    {"5min", HMON_GAUGE, "1", 2, "the same over 5 minutes"},
    {"15min", HMON_GAUGE, "1", 2, "the same over 15 minutes"},
    {"running", HMON_GAUGE, "1", 0, "threads that run or could, now"},
    {"threads", HMON_GAUGE, "1", 0, "threads there are"},
    {"last_pid", HMON_GAUGE, "1", 0, "number given to the newest process"},
    {0},
};

static const struct hmon_metric uptime[] = {
    {"up", HMON_COUNTER, "s", 2, "since it booted"},
    {"idle", HMON_COUNTER, "s", 2, "time idle, of all processors together"},
    {0},
};

static const struct hmon_metric network[] = {
    {"rx_bytes", HMON_COUNTER, "By", 0, "received"},
    {"rx_packets", HMON_COUNTER, "1", 0, "received"},
    {"rx_errors", HMON_COUNTER, "1", 0, "bad packets received"},
    {"rx_dropped", HMON_COUNTER, "1", 0, "received and dropped"},
    {"rx_fifo", HMON_COUNTER, "1", 0, "lost: the buffer was full"},
    {"rx_frame", HMON_COUNTER, "1", 0, "lost: bad frames"},
    {"rx_compressed", HMON_COUNTER, "1", 0, "compressed packets received"},
    {"rx_multicast", HMON_COUNTER, "1", 0, "multicast packets received"},
    {"tx_bytes", HMON_COUNTER, "By", 0, "sent"},
    {"tx_packets", HMON_COUNTER, "1", 0, "sent"},
    {"tx_errors", HMON_COUNTER, "1", 0, "packets that could not be sent"},
    {"tx_dropped", HMON_COUNTER, "1", 0, "dropped instead of sent"},
    {"tx_fifo", HMON_COUNTER, "1", 0, "lost: the buffer was full"},
    {"tx_collisions", HMON_COUNTER, "1", 0, "collisions"},
    {"tx_carrier", HMON_COUNTER, "1", 0, "lost: no carrier"},
    {"tx_compressed", HMON_COUNTER, "1", 0, "compressed packets sent"},
    {0},
};

static const struct hmon_metric disk[] = {
    {"reads", HMON_COUNTER, "1", 0, "reads done"},
    {"reads_merged", HMON_COUNTER, "1", 0, "reads joined with a neighbour"},
    {"read_bytes", HMON_COUNTER, "By", 0, "read"},
    {"read_time", HMON_COUNTER, "s", 3, "time of all reads together"},
    {"writes", HMON_COUNTER, "1", 0, "writes done"},
    {"writes_merged", HMON_COUNTER, "1", 0, "writes joined with a neighbour"},
    {"write_bytes", HMON_COUNTER, "By", 0, "written"},
    {"write_time", HMON_COUNTER, "s", 3, "time of all writes together"},
    {"in_flight", HMON_GAUGE, "1", 0, "requests under way"},
    {"io_time", HMON_COUNTER, "s", 3, "time with a request under way"},
    {"queue_time", HMON_COUNTER, "s", 3, "io_time times requests under way"},
    {"discards", HMON_COUNTER, "1", 0, "discards done"},
    {"discards_merged", HMON_COUNTER, "1", 0, "discards joined with a neighbour"},
    {"discard_bytes", HMON_COUNTER, "By", 0, "discarded"},
    {"discard_time", HMON_COUNTER, "s", 3, "time of all discards together"},
    {"flushes", HMON_COUNTER, "1", 0, "flushes done"},
    {"flush_time", HMON_COUNTER, "s", 3, "time of all flushes together"},
    {0},
};
enum { SECTOR = 512 };
static const uint16_t disk_factors[] = {1, 1, SECTOR, 1, 1, 1, SECTOR, 1, 1, 1, 1, 1, 1, SECTOR, 1, 1, 1};

static const struct hmon_metric pressure[] = {
    {"10s", HMON_GAUGE, "%", 2, "share of the last 10 s in which tasks were held up"},
    {"60s", HMON_GAUGE, "%", 2, "share of the last minute in which tasks were held up"},
    {"300s", HMON_GAUGE, "%", 2, "share of the last 5 minutes in which tasks were held up"},
    {"total", HMON_COUNTER, "s", 6, "time in which tasks were held up"},
    {0},
};

static const uint16_t kibi[] = {1024};

const struct hmon_family host_families[] = {
    {"cpu", NULL, cpu, "all processors together"},
    {"cpu", "N", cpu, "one processor"},
    {"kernel", NULL, kernel, NULL},
    {"softirq", NULL, softirq, NULL},
    {"load", NULL, load, NULL},
    {"uptime", NULL, uptime, NULL},
    {"memory", NULL, NULL, "each line of /proc/meminfo: memory/total, memory/available, swap/free ..."},
    {"vmstat", NULL, NULL, "each line of /proc/vmstat, under the kernel's name; nr_... are gauges, of pages"},
    {"pressure", "RESOURCE/some", pressure, "some tasks were held up; RESOURCE: cpu, memory, io"},
    {"pressure", "RESOURCE/full", pressure, "all tasks were held up"},
    {"disk", "DISK", disk, NULL},
    {"net", "INTERFACE", network, NULL},
    {0},
};

/* --- what a line measures --- */

static void measures(
    struct line *line, const char *prefix, const struct hmon_metric *metrics, size_t n, size_t there)
{
	line->prefix = prefix;
	line->metrics = metrics;
	line->n = n < there ? n : there;
}

static int names_instance(struct line *line, const char *s, size_t len)
{
	line->instance = strndup(s, len);
	return line->instance ? 0 : -ENOMEM;
}

static bool key_is(const struct words *w, const char *name)
{
	return strlen(name) == w->key_len && !memcmp(w->key, name, w->key_len);
}

static int decide_stat(const struct words *w, struct line *line, const struct hmon *h)
{
	for (size_t i = 0; i < COUNT(kernel_keys); i++)
		if (key_is(w, kernel_keys[i]))
			measures(line, "kernel", &kernel[i], 1, w->count);
	if (key_is(w, "softirq"))
		measures(line, "softirq", softirq, COUNT(softirq) - 1, w->count);
	if (w->key_len < 3 || memcmp(w->key, "cpu", 3))
		return 0;
	measures(line, "cpu", cpu, COUNT(cpu) - 1, w->count);
	return w->key_len > 3 ? names_instance(line, w->key + 3, w->key_len - 3) : 0;
}

static int decide_load(const struct words *w, struct line *line, const struct hmon *h)
{
	measures(line, "load", load, COUNT(load) - 1, w->count);
	return 0;
}

static int decide_uptime(const struct words *w, struct line *line, const struct hmon *h)
{
	measures(line, "uptime", uptime, COUNT(uptime) - 1, w->count);
	return 0;
}

/* The host's ends of what leads into containers: they come and go by the minute, and what passes through them passes
 * through another interface, too. */
static bool skipped(const struct hmon *h, const char *name, size_t n)
{
	char copy[64];
	const char *pattern;
	snprintf(copy, sizeof copy, "%.*s", (int)n, name);
	for (size_t i = 0; (pattern = hmon_option_item(h, "skip_networks", i)); i++)
		if (!fnmatch(pattern, copy, 0))
			return true;
	return false;
}

static int decide_network(const struct words *w, struct line *line, const struct hmon *h)
{
	if (skipped(h, w->key, w->key_len - 1))
		return 0;
	measures(line, "net", network, COUNT(network) - 1, w->count);
	return names_instance(line, w->key, w->key_len - 1);
}

static bool all_zero(const char *s, const char *end)
{
	while (s < end && (*s == '0' || *s == ' '))
		s++;
	return s == end;
}

/* A block device that nobody ever used (a kernel makes 8 loop devices at boot) is left out until it is. */
static int decide_disk(const struct words *w, struct line *line, const struct hmon *h)
{
	if (all_zero(w->numbers, w->end)) {
		line->whole = true;
		return 0;
	}
	measures(line, "disk", disk, COUNT(disk) - 1, w->count);
	line->factors = disk_factors;
	return names_instance(line, w->key, w->key_len);
}

static int decide_pressure(const struct words *w, struct line *line, const struct hmon *h)
{
	measures(line, NULL, pressure, COUNT(pressure) - 1, w->count);
	return names_instance(line, w->key, w->key_len);
}

/* --- lines that name their one metric themselves --- */

static int names_metric(struct line *line, const char *prefix, const struct hmon_metric *m, const char *name)
{
	struct hmon_metric *own = malloc(sizeof *own + strlen(name) + 1);
	if (!own)
		return -ENOMEM;
	*own = *m;
	own->name = strcpy((char *)(own + 1), name);
	line->own = own;
	measures(line, prefix, own, 1, 1);
	return 0;
}

/* "HugePages_Total" and "Active(anon)" as huge_pages_total and active_anon; 'A' after a small letter begins a
 * word. */
static void tidy(char *to, size_t size, const char *s, size_t len)
{
	size_t n = 0;
	for (size_t i = 0; i < len && n + 3 < size; i++) {
		bool word = i && isupper((unsigned char)s[i]) && islower((unsigned char)s[i - 1]);
		if (word || s[i] == '(')
			to[n++] = '_';
		if (isalnum((unsigned char)s[i]) || s[i] == '_')
			to[n++] = (char)tolower((unsigned char)s[i]);
	}
	to[n] = '\0';
}

static bool begins(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

static int decide_memory(const struct words *w, struct line *line, const struct hmon *h)
{
	char name[64];
	bool kib = memmem(w->numbers, (size_t)(w->end - w->numbers), "kB", 2);
	const struct hmon_metric m = {.type = HMON_GAUGE, .unit = kib ? "By" : "1"};
	tidy(name, sizeof name, w->key, w->key_len);
	line->factors = kib ? kibi : NULL;
	if (begins(name, "mem_"))
		return names_metric(line, "memory", &m, name + 4);
	if (begins(name, "swap_"))
		return names_metric(line, "swap", &m, name + 5);
	return names_metric(line, "memory", &m, name);
}

static bool is_counter(const char *name)
{
	static const char *const counters[] = {"nr_dirtied", "nr_written", "nr_throttled_written",
	    "nr_vmscan_write", "nr_vmscan_immediate_reclaim", "nr_foll_pin_acquired", "nr_foll_pin_released",
	    "nr_tlb_"};
	for (size_t i = 0; i < COUNT(counters); i++)
		if (begins(name, counters[i]))
			return true;
	return !begins(name, "nr_") && strcmp(name, "workingset_nodes");
}

static int decide_vmstat(const struct words *w, struct line *line, const struct hmon *h)
{
	char name[96];
	snprintf(name, sizeof name, "%.*s", (int)w->key_len, w->key);
	const struct hmon_metric m = {.type = is_counter(name) ? HMON_COUNTER : HMON_GAUGE};
	return names_metric(line, "vmstat", &m, name);
}

/* --- the files --- */

/* `prefix` is for lines that have none of their own. `whole`: one read gives all of it. */
static const struct source {
	const char *path;
	layout_decide_fn *decide;
	struct shape shape;
	const char *prefix;
	bool whole;
} table[] = {
    {"stat", decide_stat, .whole = true},
    {"loadavg", decide_load, {.keyless = true}, .whole = true},
    {"uptime", decide_uptime, {.keyless = true}, .whole = true},
    {"meminfo", decide_memory, .whole = true},
    {"vmstat", decide_vmstat},
    {"pressure/cpu", decide_pressure, {.assigned = true}, "pressure/cpu", true},
    {"pressure/memory", decide_pressure, {.assigned = true}, "pressure/memory", true},
    {"pressure/io", decide_pressure, {.assigned = true}, "pressure/io", true},
    {"diskstats", decide_disk, {.lead = 2}},
    {"net/dev", decide_network, {.header = 2}},
};

struct file {
	int fd; /* -1: this kernel does not have it */
	struct layout layout;
};

struct sources {
	char *text; /* of the file being read, NUL-terminated */
	size_t size;
	struct file files[COUNT(table)];
};

enum { TEXT_FIRST = 16384 };

static int open_file(const char *root, const char *path)
{
	char full[4096];
	if (snprintf(full, sizeof full, "%s/%s", root, path) >= (int)sizeof full)
		return -1;
	return open(full, O_RDONLY | O_CLOEXEC);
}

struct sources *sources_new(const char *root)
{
	struct sources *s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	for (size_t i = 0; i < COUNT(table); i++)
		s->files[i].fd = open_file(root, table[i].path);
	return s;
}

void sources_free(struct sources *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < COUNT(table); i++) {
		if (s->files[i].fd >= 0)
			close(s->files[i].fd);
		layout_release(&s->files[i].layout);
	}
	free(s->text);
	free(s);
}

static int grow(struct sources *s)
{
	size_t size = s->size ? s->size * 2 : TEXT_FIRST;
	char *text = realloc(s->text, size);
	if (!text)
		return -ENOMEM;
	s->text = text;
	s->size = size;
	return 0;
}

/* All of the file into s->text. A short read only means the end in files that the kernel makes in one go. */
static int read_file(struct sources *s, int fd, bool whole)
{
	size_t len = 0;
	ssize_t n;
	do {
		int r = len + 1 < s->size ? 0 : grow(s);
		if (r)
			return r;
		n = pread(fd, s->text + len, s->size - len - 1, (off_t)len);
		if (n < 0)
			return -errno;
		len += (size_t)n;
	} while (n && !(whole && len + 1 < s->size));
	s->text[len] = '\0';
	return 0;
}

static int learn(struct sources *s, const struct source *source, struct file *f, struct hmon *h)
{
	struct layout fresh;
	int r = layout_learn(&fresh, &f->layout, &source->shape, source->decide, source->prefix, s->text, h);
	layout_release(&f->layout);
	f->layout = fresh;
	return r;
}

static int read_source(struct sources *s, const struct source *source, struct file *f, struct hmon *h)
{
	int r = read_file(s, f->fd, source->whole);
	if (r || (f->layout.n && layout_read(&f->layout, &source->shape, s->text, h)))
		return r;
	r = learn(s, source, f, h);
	return r || layout_read(&f->layout, &source->shape, s->text, h) ? r : -EBADMSG;
}

/* A file that can't be read (pressure on a kernel that has it switched off) is given up; the others go on. */
int sources_read(struct sources *s, struct hmon *h)
{
	for (size_t i = 0; i < COUNT(table); i++) {
		struct file *f = &s->files[i];
		int r = f->fd >= 0 ? read_source(s, &table[i], f, h) : 0;
		if (r == -ENOMEM || r == -E2BIG)
			return r;
		if (r) {
			close(f->fd);
			f->fd = -1;
		}
	}
	return 0;
}
