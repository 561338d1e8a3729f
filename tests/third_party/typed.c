/* SPDX-License-Identifier: Apache-2.0 */
/* A stranger's program that asks by typed functions: typed SOCKET HOST */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <vigia/operations.h>

static int on_info(void *data, const struct vigia_message *m)
{
	struct vigia_host_info_answer a = vigia_host_info_read(m);
	(void)data;
	printf("%s %s %s\n", a.name, a.byte_order, a.memory > 0 && a.booted > 0 ? "made of something" : "empty");
	return 0;
}

static int on_event(void *data, const struct vigia_message *m)
{
	struct vigia_channel_list_answer a = vigia_channel_list_read(m);
	(void)data;
	printf("%s %" PRId64 " %s\n", a.key, a.sequence, a.public_ ? "for all" : "not for all");
	return 0;
}

static int on_process(void *data, const struct vigia_message *m)
{
	struct vigia_process_start_answer a = vigia_process_start_read(m);
	(void)data;
	printf("%s %" PRId64 "\n", a.state, a.code);
	return 0;
}

static int ask(struct vigia *v, struct vigia_message *query, const char *host, vigia_answer_fn *fn)
{
	struct vigia_error error = {{0}, {0}};
	int r = vigia_call(v, host, query, 0, fn, NULL, &error);
	if (r)
		fprintf(stderr, "%s: %s\n", error.code, error.text);
	return r;
}

int main(int argc, char **argv)
{
	static const char *const words[] = {"sh", "-c", "exit 7", NULL};
	const int64_t tag = 4;
	struct vigia_channel_create_options all = {.public_ = true};
	struct vigia_channel_put_options event = {.tag = &tag, .data = "hello", .data_n = 5};
	struct vigia *v;
	if (argc < 3 || vigia_open(&v, argv[1], NULL))
		return 1;
	int r = ask(v, vigia_host_info_query(), argv[2], on_info);
	r = r ? r : ask(v, vigia_channel_create_query("typed", &all), NULL, NULL);
	r = r ? r : ask(v, vigia_channel_put_query("typed", &event), NULL, NULL);
	r = r ? r : ask(v, vigia_channel_list_query(NULL), NULL, on_event);
	r = r ? r : ask(v, vigia_process_start_query(words, NULL), NULL, on_process);
	vigia_close(v);
	return r != 0;
}
