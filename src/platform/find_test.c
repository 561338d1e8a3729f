/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/platform.h"

static char dir[] = "/tmp/find-test-XXXXXX";
static const struct platform_type *type;

static void find(const char *name, const char *where, int expected, const char *why_begins)
{
	struct buf why = BUF_INIT;
	type = NULL;
	assert_int_equal(platform_find(&type, name, where, &why), expected);
	if (strncmp(buf_str(&why), why_begins, strlen(why_begins)))
		fail_msg("'%s' does not begin with '%s'", buf_str(&why), why_begins);
	assert_true(!type == !!expected);
	buf_release(&why);
}

/* Is a file of this process's maps? */
static bool is_loaded(const char *part)
{
	char line[1000];
	bool is = false;
	FILE *f = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof line, f))
		is = is || strstr(line, part);
	fclose(f);
	return is;
}

static void direct_is_built_in_and_nats_is_not(void **state)
{
	find("direct", dir, 0, "");
	assert_ptr_equal(type, &platform_direct);
	assert_false(is_loaded("libnats"));
	find("nats", MODULES, 0, "");
	assert_string_equal(type->name, "nats");
	assert_null(type->accepted);
	assert_true(is_loaded("libnats"));
}

static void what_is_not_there_is_named(void **state)
{
	find("carrier-pigeon", dir, -ENOENT, "no platform is named carrier-pigeon: there is no /tmp/find-test-");
	find("../../etc/x", dir, -ENOENT, "no platform is named ../../etc/x");
	find("", dir, -ENOENT, "no platform is named ");
}

static void what_is_no_module_is_refused(void **state)
{
	char path[100];
	snprintf(path, sizeof path, "%s/platform-odd.so", dir);
	fclose(fopen(path, "w"));
	find("odd", dir, -ELIBACC, path);
	unlink(path);
	assert_int_equal(symlink(MODULES "/platform-nats.so", path), 0);
	find("odd", dir, -ELIBBAD, path); /* it is nats */
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(direct_is_built_in_and_nats_is_not),
	    cmocka_unit_test(what_is_not_there_is_named),
	    cmocka_unit_test(what_is_no_module_is_refused),
	};
	if (!mkdtemp(dir))
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return failed;
}
