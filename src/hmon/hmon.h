/* SPDX-License-Identifier: Apache-2.0 */
/* libhmon: what a monitor of Vigia is made of.
 *
 * A monitor is one const table, struct hmon_monitor, and a function that reads its sensors. The library does
 * the rest: options, periods, means, the protocol (docs/hmon.md), reconnecting, logging. docs/monitors.md has
 * a whole one.
 *
 * The rules: every read starts with no value, and what it does not set has none: nothing old is ever shown as
 * fresh. Errors are negative errno. Only hmon_main() prints or takes signals; nothing here aborts or exits.
 * One thread: call in only from within start, read and stop, where not said otherwise.
 */
#ifndef VIGIA_HMON_H
#define VIGIA_HMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum hmon_type { HMON_GAUGE, HMON_COUNTER, HMON_STATE, HMON_TEXT };

struct hmon_metric {
	const char *name;
	enum hmon_type type;
	const char *unit; /* UCUM: "By", "s", "Cel", "%"; NULL: "1". States and texts have none */
	int scale;	  /* decimals kept, 0 to 9 */
	const char *doc;  /* one line, or NULL */
};

/* Metrics that each of several things has. For people (--help); hmon_add() makes the real ones. */
struct hmon_family {
	const char *prefix;   /* "net" */
	const char *instance; /* what stands for the thing: "INTERFACE"; NULL: the file names the metrics */
	const struct hmon_metric *metrics;
	const char *doc;
};

enum hmon_option_type {
	HMON_OPTION_TEXT,
	HMON_OPTION_LIST, /* {"a", "b"} */
	HMON_OPTION_INT,
	HMON_OPTION_NUMBER,
	HMON_OPTION_FLAG,     /* true or false */
	HMON_OPTION_DURATION, /* 500ms, 10s, 5min, 1h, 1d, 0 */
};

/* In the monitor's section of vigia.conf, beside `period` and `window`, which every monitor has. */
struct hmon_option {
	const char *name;
	enum hmon_option_type type;
	const char *fallback; /* as it would be written; NULL: "", {}, 0, false */
	const char *doc;
};

struct hmon;

/* Tables end with a nameless entry and may be NULL, as may start and stop. */
struct hmon_monitor {
	const char *name;
	const char *doc;
	const char *period;		   /* the default: "1s" */
	const struct hmon_metric *metrics; /* those always there: 0, 1, 2 ... in this order */
	const struct hmon_family *families;
	const struct hmon_option *options;
	int (*start)(struct hmon *h); /* options are known; best hmon_add() here. Again when they change */
	int (*read)(struct hmon *h);  /* sets values; an error is logged and told to the node */
	void (*stop)(struct hmon *h); /* after a start that did not fail; hmon_add()'s metrics go with it */
	/* Are the options right, beyond their types? Called before start, and alone when only that is asked
	 * (`vigiad --check`): touches nothing, hmon_log()s each mistake as an error and returns -EINVAL. */
	int (*check)(struct hmon *h);
	/* So many bytes, zeroed before each start, are what hmon_data() gives; stop then comes after a start that
	 * failed, too, and they go after it. 0: the data are your own. */
	size_t data_size;
};

/* --- programs --- */

/* The whole of main(). Started by vigiad it speaks on its standard input, a socket; else it connects
 * (--help). */
int hmon_main(const struct hmon_monitor *m, int argc, char **argv);

/* For programs of another purpose: serves a connected stream socket as monitor `name` (NULL: the table's), in
 * this thread, until the other end closes (0) or fails. `options` is what vigia.conf would say, or NULL.
 * Closes fd. */
int hmon_serve(const struct hmon_monitor *m, const char *name, const char *options, int fd);

/* --- the monitor's own --- */

void hmon_set_data(struct hmon *h, void *data);
void *hmon_data(const struct hmon *h);
const char *hmon_name(const struct hmon *h);

/* Options by name; the type must be the table's. Valid until stop. */
const char *hmon_option_text(const struct hmon *h, const char *name);
const char *hmon_option_item(const struct hmon *h, const char *name, size_t i); /* NULL past the end */
int64_t hmon_option_int(const struct hmon *h, const char *name);
double hmon_option_number(const struct hmon *h, const char *name);
bool hmon_option_flag(const struct hmon *h, const char *name);
int64_t hmon_option_ms(const struct hmon *h, const char *name);

/* --- metrics that come and go --- */

/* Adds n metrics "prefix/instance/name" (prefix or instance may be NULL, name "") and returns the index of
 * the first; the others follow it. The table stays borrowed; instance is copied, and what a name can't have
 * in it becomes '_'. Indices of other metrics stay as they are. -EEXIST; -ENOMEM; -E2BIG over 16384. */
int hmon_add(
    struct hmon *h, const char *prefix, const char *instance, const struct hmon_metric *metrics, size_t n);
/* Drops what one hmon_add() added. */
void hmon_drop(struct hmon *h, int first);

/* --- values; an index that is none (negative, dropped) is ignored --- */

/* The integer is the value times 10^scale. */
void hmon_set_int(struct hmon *h, int index, int64_t scaled);
/* Rounded to the scale; NaN, infinite and what does not fit: no value. */
void hmon_set_double(struct hmon *h, int index, double value);
/* A state or text; cut to 1023 bytes, what is not UTF-8 becomes '?'. */
void hmon_set_text(struct hmon *h, int index, const char *text);
void hmon_set_none(struct hmon *h, int index);

/* --- telling people --- */

/* To the system log (priorities of syslog(3)), to stderr, and from LOG_ERR up to the
 * node. The same line again is left out until a read succeeds. */
void hmon_log(struct hmon *h, int priority, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Readable once the monitor has been told to end: what waits long in read() polls it too. -1: there is none.
 */
int hmon_end_fd(const struct hmon *h);

#ifdef __cplusplus
}
#endif
#endif
