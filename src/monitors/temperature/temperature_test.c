/* SPDX-License-Identifier: Apache-2.0 */
/* Chips that never were: a made-up sysfs tree, bound where libsensors looks (it knows /sys only), in a mount
 * namespace of this process. That takes root; without it these tests are skipped. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static char hwmon[4096]; /* the made-up class/hwmon; empty: could not be made */

static void put(const char *chip, const char *file, const char *value)
{
	char path[4400];
	snprintf(path, sizeof path, "%s/%s", hwmon, chip);
	assert_true(!mkdir(path, 0755) || errno == EEXIST);
	snprintf(path, sizeof path, "%s/%s/%s", hwmon, chip, file);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "%s\n", value);
	fclose(f);
}

static void take_away(const char *chip, const char *file)
{
	char path[4400];
	snprintf(path, sizeof path, "%s/%s/%s", hwmon, chip, file);
	assert_int_equal(unlink(path), 0);
}

/* The kernel of a virtual machine may have no class/hwmon: then all of class is made up. */
static int make_tree(void **state)
{
	bool has_class = !access("/sys/class/hwmon", F_OK);
	char root[] = "/tmp/vigia-sysfs-XXXXXX";
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return 0;
	if (!mkdtemp(root) || mount("none", root, "tmpfs", 0, NULL) ||
	    mount(root, has_class ? "/sys/class/hwmon" : "/sys/class", NULL, MS_BIND, NULL)) {
		rmdir(root);
		return 0;
	}
	umount(root);
	rmdir(root);
	snprintf(hwmon, sizeof hwmon, "/sys/class/hwmon");
	return has_class || !mkdir(hwmon, 0755) ? 0 : -1;
}

static void needs_tree(void)
{
	if (*hwmon)
		return;
	print_message("# skipped: needs root, for a mount namespace\n");
	skip();
}

/* What --once prints of a metric: "45.5 Cel gauge"; "" when it is not there. */
static const char *reading(const char *metric)
{
	static char line[512];
	char command[4200], name[256];
	snprintf(command, sizeof command, "%s --once", getenv("PROGRAM"));
	FILE *f = popen(command, "r");
	assert_non_null(f);
	char found[256] = "";
	while (fgets(line, sizeof line, f)) {
		char value[64], unit[64] = "", type[64] = "";
		int n = sscanf(line, "%255s %63s %63s %63s", name, value, unit, type);
		if (n >= 3 && !strcmp(name, metric))
			snprintf(found, sizeof found, "%s %s%s%s", value, unit, n > 3 ? " " : "", type);
	}
	assert_int_equal(pclose(f), 0);
	return strcpy(line, found);
}

static void a_machine_without_sensors_is_no_error(void **state)
{
	needs_tree();
	assert_string_equal(reading("sensors"), "0 1 gauge");
}

static void chips_are_read_under_their_labels(void **state)
{
	needs_tree();
	put("hwmon0", "name", "coretemp");
	put("hwmon0", "temp1_input", "45500");
	put("hwmon0", "temp1_label", "Package id 0");
	put("hwmon1", "name", "madeup");
	put("hwmon1", "fan2_input", "1200");
	put("hwmon1", "in0_input", "1104");
	put("hwmon1", "temp7_input", "-5000");
	assert_string_equal(reading("temperature/coretemp-virtual-0/Package_id_0"), "45.5 Cel gauge");
	assert_string_equal(reading("fan/madeup-virtual-0/fan2"), "1200 /min gauge");
	assert_string_equal(reading("voltage/madeup-virtual-0/in0"), "1.104 V gauge");
	assert_string_equal(reading("temperature/madeup-virtual-0/temp7"), "-5.0 Cel gauge");
	assert_string_equal(reading("sensors"), "4 1 gauge");
}

static void a_label_used_twice_is_told_apart(void **state)
{
	needs_tree();
	put("hwmon0", "temp2_input", "50000");
	put("hwmon0", "temp2_label", "Package id 0");
	assert_string_equal(reading("temperature/coretemp-virtual-0/Package_id_0"), "45.5 Cel gauge");
	assert_string_equal(reading("temperature/coretemp-virtual-0/Package_id_0_temp2"), "50.0 Cel gauge");
}

static void a_sensor_that_does_not_answer_has_no_value(void **state)
{
	needs_tree();
	put("hwmon1", "fan2_input", "broken");
	assert_string_equal(reading("fan/madeup-virtual-0/fan2"), "none gauge");
	take_away("hwmon1", "in0_input");
	assert_string_equal(reading("voltage/madeup-virtual-0/in0"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_machine_without_sensors_is_no_error),
	    cmocka_unit_test(chips_are_read_under_their_labels),
	    cmocka_unit_test(a_label_used_twice_is_told_apart),
	    cmocka_unit_test(a_sensor_that_does_not_answer_has_no_value),
	};
	return cmocka_run_group_tests(tests, make_tree, NULL);
}
