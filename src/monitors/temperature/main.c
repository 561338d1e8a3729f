/* SPDX-License-Identifier: Apache-2.0 */
/* What the hardware monitoring chips say: temperatures, fans, voltages, by libsensors and so under the labels
 * of sensors3.conf. Reading a chip may take long or hang: hence a process of its own. */
#include <dirent.h>
#include <errno.h>
#include <sensors/error.h>
#include <sensors/sensors.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "hmon/hmon.h"

enum { FOUND };

static const struct hmon_metric metrics[] = {
    {"sensors", HMON_GAUGE, NULL, 0, "sensors that answered"},
    {0},
};

static const struct hmon_metric temperature[] = {{"", HMON_GAUGE, "Cel", 1}, {0}};
static const struct hmon_metric fan[] = {{"", HMON_GAUGE, "/min", 0}, {0}};
static const struct hmon_metric voltage[] = {{"", HMON_GAUGE, "V", 3}, {0}};
static const struct hmon_metric current[] = {{"", HMON_GAUGE, "A", 3}, {0}};
static const struct hmon_metric power[] = {{"", HMON_GAUGE, "W", 3}, {0}};
static const struct hmon_metric energy[] = {{"", HMON_COUNTER, "J", 3}, {0}};
static const struct hmon_metric humidity[] = {{"", HMON_GAUGE, "%", 1}, {0}};

static const struct kind {
	sensors_feature_type feature;
	sensors_subfeature_type value, or_value;
	const char *prefix;
	const struct hmon_metric *metric;
} kinds[] = {
    {SENSORS_FEATURE_TEMP, SENSORS_SUBFEATURE_TEMP_INPUT, SENSORS_SUBFEATURE_UNKNOWN, "temperature",
	temperature},
    {SENSORS_FEATURE_FAN, SENSORS_SUBFEATURE_FAN_INPUT, SENSORS_SUBFEATURE_UNKNOWN, "fan", fan},
    {SENSORS_FEATURE_IN, SENSORS_SUBFEATURE_IN_INPUT, SENSORS_SUBFEATURE_UNKNOWN, "voltage", voltage},
    {SENSORS_FEATURE_CURR, SENSORS_SUBFEATURE_CURR_INPUT, SENSORS_SUBFEATURE_UNKNOWN, "current", current},
    {SENSORS_FEATURE_POWER, SENSORS_SUBFEATURE_POWER_INPUT, SENSORS_SUBFEATURE_POWER_AVERAGE, "power", power},
    {SENSORS_FEATURE_ENERGY, SENSORS_SUBFEATURE_ENERGY_INPUT, SENSORS_SUBFEATURE_UNKNOWN, "energy", energy},
    {SENSORS_FEATURE_HUMIDITY, SENSORS_SUBFEATURE_HUMIDITY_INPUT, SENSORS_SUBFEATURE_UNKNOWN, "humidity",
	humidity},
};

static const struct hmon_family families[] = {
    {"temperature", "CHIP/LABEL", temperature, NULL},
    {"fan", "CHIP/LABEL", fan, NULL},
    {"voltage", "CHIP/LABEL", voltage, NULL},
    {"current", "CHIP/LABEL", current, NULL},
    {"power", "CHIP/LABEL", power, NULL},
    {"energy", "CHIP/LABEL", energy, NULL},
    {"humidity", "CHIP/LABEL", humidity, NULL},
    {0},
};

struct sensor {
	const sensors_chip_name *chip;
	int number; /* of the subfeature */
	int index;
};

struct temperature {
	uint64_t chips; /* which there were when we looked */
	struct sensor *list;
	size_t n;
};

/* --- finding --- */

static const struct kind *kind_of(const sensors_feature *f)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (kinds[i].feature == f->type)
			return &kinds[i];
	return NULL;
}

static const sensors_subfeature *value_of(
    const sensors_chip_name *chip, const sensors_feature *f, const struct kind *k)
{
	const sensors_subfeature *s = sensors_get_subfeature(chip, f, k->value);
	if (!s && k->or_value != SENSORS_SUBFEATURE_UNKNOWN)
		s = sensors_get_subfeature(chip, f, k->or_value);
	return s;
}

/* Under its label; where a chip uses one twice, with the kernel's name after it. */
static int add_metric(struct hmon *h, const char *prefix, const char *label, const sensors_feature *f,
    const struct hmon_metric *m)
{
	char longer[160];
	int index = hmon_add(h, prefix, label, m, 1);
	if (index != -EEXIST)
		return index;
	snprintf(longer, sizeof longer, "%s_%s", label, f->name);
	return hmon_add(h, prefix, longer, m, 1);
}

static int add_sensor(
    struct hmon *h, struct temperature *t, const sensors_chip_name *chip, const sensors_feature *f)
{
	const struct kind *k = kind_of(f);
	const sensors_subfeature *value = k ? value_of(chip, f, k) : NULL;
	char name[80] = "", prefix[120];
	if (!value || sensors_snprintf_chip_name(name, sizeof name, chip) < 0)
		return 0;
	struct sensor *more = reallocarray(t->list, t->n + 1, sizeof *more);
	char *label = sensors_get_label(chip, f);
	snprintf(prefix, sizeof prefix, "%s/%s", k->prefix, name);
	int index = more && label ? add_metric(h, prefix, label, f, k->metric) : -ENOMEM;
	free(label);
	if (more)
		t->list = more;
	if (index < 0)
		return index;
	t->list[t->n++] = (struct sensor){.chip = chip, .number = value->number, .index = index};
	return 0;
}

static int add_all(struct hmon *h, struct temperature *t)
{
	const sensors_chip_name *chip;
	const sensors_feature *f;
	int at = 0, r = 0;
	while (!r && (chip = sensors_get_detected_chips(NULL, &at)))
		for (int feature = 0; !r && (f = sensors_get_features(chip, &feature));)
			r = add_sensor(h, t, chip, f);
	return r;
}

/* Names of what there is in /sys/class/hwmon, whatever their order: when it changes, libsensors has to start
 * over. */
static uint64_t chips_now(void)
{
	DIR *d = opendir("/sys/class/hwmon");
	uint64_t all = 1;
	if (!d)
		return all;
	for (struct dirent *e; (e = readdir(d));) {
		uint64_t hash = 14695981039346656037u;
		for (const char *s = e->d_name; *s; s++)
			hash = (hash ^ (unsigned char)*s) * 1099511628211u;
		all += hash;
	}
	closedir(d);
	return all;
}

static void forget(struct hmon *h, struct temperature *t)
{
	for (size_t i = 0; i < t->n; i++)
		hmon_drop(h, t->list[i].index);
	free(t->list);
	t->list = NULL;
	t->n = 0;
	sensors_cleanup();
}

static int look(struct hmon *h, struct temperature *t)
{
	uint64_t chips = chips_now();
	if (chips == t->chips)
		return 0;
	forget(h, t);
	int r = sensors_init(NULL);
	if (r) {
		hmon_log(h, LOG_ERR, "libsensors: %s", sensors_strerror(r));
		return -EIO;
	}
	t->chips = chips;
	return add_all(h, t);
}

/* --- the monitor --- */

static int temperature_read(struct hmon *h)
{
	struct temperature *t = hmon_data(h);
	int r = look(h, t), answered = 0;
	for (size_t i = 0; i < t->n; i++) {
		double value;
		if (sensors_get_value(t->list[i].chip, t->list[i].number, &value))
			continue;
		hmon_set_double(h, t->list[i].index, value);
		answered++;
	}
	hmon_set_int(h, FOUND, answered);
	return r;
}

/* By default libsensors writes about its configuration file to stderr. */
static void mute(const char *why, int line)
{
}

static void mute_with_file(const char *why, const char *file, int line)
{
}

static void temperature_stop(struct hmon *h)
{
	forget(h, hmon_data(h));
}

static int temperature_start(struct hmon *h)
{
	sensors_parse_error = mute;
	sensors_parse_error_wfn = mute_with_file;
	return look(h, hmon_data(h));
}

static const struct hmon_monitor monitor = {
    .name = "temperature",
    .doc = "temperatures, fans, voltages and power of processors and board",
    .period = "10s",
    .metrics = metrics,
    .families = families,
    .start = temperature_start,
    .read = temperature_read,
    .stop = temperature_stop,
    .data_size = sizeof(struct temperature),
};

int main(int argc, char **argv)
{
	return hmon_main(&monitor, argc, argv);
}
