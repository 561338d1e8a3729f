/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/dice_test.h"
#include "proto/id.h"

#define HOST "000102030405060708090a0b0c0dfeff"

static const struct host_id host = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 254, 255}};
static const struct host_id none;

static void a_host_s_id_is_its_32_digits(void **state)
{
	char text[HOST_ID_TEXT];
	struct host_id id;
	host_id_format(&host, text);
	assert_string_equal(text, HOST);
	assert_int_equal(host_id_parse(HOST, &id), 0);
	assert_true(host_id_is(&id, &host));
	assert_false(host_id_is_none(&id));
	assert_false(host_id_is(&id, &none));
	assert_true(host_id_is_none(&none));
}

static void an_entity_is_its_host_process_and_number(void **state)
{
	char text[ENTITY_ID_TEXT];
	struct entity_id id, most = {host, UINT32_MAX, UINT64_MAX};
	entity_id_format(&most, text);
	assert_string_equal(text, HOST "/4294967295/18446744073709551615");
	assert_int_equal(entity_id_parse(text, &id), 0);
	assert_true(entity_id_is(&id, &most));
	assert_int_equal(entity_id_parse(HOST "/0/7", &id), 0);
	assert_int_equal(id.process, 0);
	assert_int_equal(id.entity, 7);
	assert_false(entity_id_is(&id, &most));
}

static void a_channel_is_its_host_and_number(void **state)
{
	char text[CHANNEL_ID_TEXT];
	struct channel_id id, most = {host, UINT64_MAX};
	channel_id_format(&most, text);
	assert_string_equal(text, HOST "#18446744073709551615");
	assert_int_equal(channel_id_parse(text, &id), 0);
	assert_true(channel_id_is(&id, &most));
	id.number--;
	assert_false(channel_id_is(&id, &most));
	id = most;
	id.host.bytes[15]--;
	assert_false(channel_id_is(&id, &most));
}

static void no_other_text_is_an_id(void **state)
{
	static const char *const hosts[] = {"", "0", HOST "0", HOST " ", " " HOST,
	    "000102030405060708090A0b0c0dfeff", "00010203-0405-0607-0809-0a0b0c0dfeff",
	    "000102030405060708090a0b0c0dfef", "000102030405060708090a0b0c0dfefg"};
	static const char *const entities[] = {"", HOST, HOST "/", HOST "/1", HOST "/1/", HOST "//1",
	    HOST "/1/2/", HOST "/1/2 ", HOST "/01/2", HOST "/1/00", HOST "/+1/2", HOST "/-1/2",
	    HOST "/4294967296/1", HOST "/1/18446744073709551616", HOST "#1", HOST "#1/2",
	    HOST "/99999999999999999999/1"};
	static const char *const channels[] = {"", HOST, HOST "#", HOST "/1", HOST "#01", HOST "#1#",
	    HOST "#18446744073709551616", HOST "# 1", HOST "#a", HOST "##1"};
	struct host_id h = host;
	struct entity_id e = {host, 1, 2};
	struct channel_id c = {host, 3};
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
		assert_int_equal(host_id_parse(hosts[i], &h), -EINVAL);
	for (size_t i = 0; i < sizeof entities / sizeof *entities; i++)
		assert_int_equal(entity_id_parse(entities[i], &e), -EINVAL);
	for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
		assert_int_equal(channel_id_parse(channels[i], &c), -EINVAL);
	assert_true(host_id_is(&h, &host) && e.process == 1 && e.entity == 2 && c.number == 3);
}

static void all_ids_come_back(void **state)
{
	dice_begin();
	for (int i = 0; i < 10000; i++) {
		char text[ENTITY_ID_TEXT];
		struct entity_id e = {.process = (uint32_t)dice_number(), .entity = (uint64_t)dice_number()},
				 f;
		for (size_t k = 0; k < sizeof e.host.bytes; k++)
			e.host.bytes[k] = (uint8_t)dice();
		entity_id_format(&e, text);
		assert_int_equal(entity_id_parse(text, &f), 0);
		assert_true(entity_id_is(&e, &f));
		struct channel_id c = {e.host, e.entity}, d;
		channel_id_format(&c, text);
		assert_int_equal(channel_id_parse(text, &d), 0);
		assert_true(channel_id_is(&c, &d));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_host_s_id_is_its_32_digits),
	    cmocka_unit_test(an_entity_is_its_host_process_and_number),
	    cmocka_unit_test(a_channel_is_its_host_and_number),
	    cmocka_unit_test(no_other_text_is_an_id),
	    cmocka_unit_test(all_ids_come_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
