/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <semaphore.h>
#include <string.h>
#include <time.h>

#include "mounts.h"
#include "prober.h"

/* --- mounts --- */

static struct mounts m;

static void parse(const char *text)
{
	mounts_release(&m);
	assert_int_equal(mounts_parse(&m, text), 0);
}

static void only_what_holds_data_counts(void **state)
{
	parse("22 27 0:21 / /proc rw,relatime - proc proc rw\n"
	      "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n"
	      "30 25 0:27 / /run/user/0 rw - tmpfs tmpfs rw\n"
	      "31 25 0:28 / /dev/shm rw - tmpfs tmpfs rw\n"
	      "32 25 0:29 / /home rw shared:1 master:2 - nfs4 server:/home rw\n"
	      "33 25 0:30 / /net rw - autofs systemd-1 rw\n"
	      "34 25 0:31 / /mnt/s rw - fuse.sshfs host: rw\n");
	assert_int_equal(m.n, 4);
	assert_string_equal(m.list[0].instance, "-");
	assert_string_equal(m.list[1].instance, "dev-shm");
	assert_string_equal(m.list[2].device, "server:/home");
	assert_string_equal(m.list[3].type, "fuse.sshfs");
}

static void a_bind_mount_counts_once(void **state)
{
	parse("27 1 254:0 / / rw - ext4 /dev/vda rw\n42 27 254:0 /a /b rw - ext4 /dev/vda rw\n");
	assert_int_equal(m.n, 1);
}

static void a_unit_that_may_not_write_there_makes_nothing_read_only(void **state)
{
	parse("27 1 254:0 / / rw - ext4 /dev/vda rw\n42 27 8:2 / /boot ro,relatime - ext4 /dev/sda2 rw\n"
	      "43 27 8:3 / /srv rw - ext4 /dev/sda3 ro,errors=remount-ro\n44 27 8:4 / /rom ro - squashfs /dev/sda4 ro\n"
	      "45 27 0:24 /systemd/inaccessible/dir /usr/lib/modules ro - tmpfs tmpfs rw,mode=755\n");
	assert_int_equal(m.n, 4);
	assert_false(m.list[1].read_only);
	assert_true(m.list[2].read_only);
	assert_true(m.list[3].read_only);
}

static void odd_paths_are_escaped(void **state)
{
	parse("27 1 8:1 / /srv/my\\040data-1 rw - ext4 /dev/sda1 rw\n");
	assert_string_equal(m.list[0].path, "/srv/my data-1");
	assert_string_equal(m.list[0].instance, "srv-my\\x20data\\x2d1");
}

static void nonsense_is_skipped(void **state)
{
	parse("");
	assert_int_equal(m.n, 0);
	parse(" - \n27 1 x - ext4 /dev/sda\n27 1 8:1 / - ext4 /dev/sda1\n\n27 1 8:1 / /\\0 rw - ext4\n");
	assert_int_equal(m.n, 0);
	mounts_release(&m);
}

/* --- the prober --- */

static sem_t server_back;

static int ask(const char *path, struct statvfs *ret)
{
	if (strstr(path, "hang"))
		while (sem_wait(&server_back))
			;
	if (strstr(path, "gone")) {
		errno = ENOENT;
		return -1;
	}
	ret->f_blocks = 7;
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Once more and more until the answer has come back, which takes the freed thread a moment. */
static enum probe_state ask_until(struct prober *p, int number, enum probe_state wanted)
{
	for (int i = 0; i < 200 && prober_result(p, number)->state != wanted; i++) {
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
		assert_int_equal(prober_ask(p, 50), 0);
	}
	return prober_result(p, number)->state;
}

static void all_are_asked(void **state)
{
	struct prober *p = prober_new(ask);
	int a = prober_add(p, "/a"), gone = prober_add(p, "/gone"), b = prober_add(p, "/b");
	assert_int_equal(prober_ask(p, 1000), 0);
	assert_int_equal(prober_result(p, a)->is.f_blocks, 7);
	assert_int_equal(prober_result(p, b)->state, PROBE_OK);
	assert_int_equal(prober_result(p, gone)->state, PROBE_ERROR);
	assert_int_equal(prober_result(p, gone)->error, ENOENT);
	prober_free(p);
}

static void a_hung_one_holds_up_nobody(void **state)
{
	struct prober *p = prober_new(ask);
	int first = prober_add(p, "/hang1"), a = prober_add(p, "/a"), second = prober_add(p, "/hang2"),
	    b = prober_add(p, "/b");
	int64_t from = now_ms();
	assert_int_equal(prober_ask(p, 50), 0);
	assert_in_range(now_ms() - from, 100, 400);
	assert_int_equal(prober_result(p, first)->state, PROBE_HUNG);
	assert_int_equal(prober_result(p, second)->state, PROBE_HUNG);
	assert_int_equal(prober_result(p, a)->state, PROBE_OK);
	assert_int_equal(prober_result(p, b)->state, PROBE_OK);

	from = now_ms(); /* known to hang, they are not asked again */
	assert_int_equal(prober_ask(p, 50), 0);
	assert_true(now_ms() - from < 40);
	assert_int_equal(prober_result(p, a)->state, PROBE_OK);

	sem_post(&server_back);
	sem_post(&server_back);
	for (int i = 0; i < 100; i++) /* enough for the asking anew, too */
		sem_post(&server_back);
	assert_int_equal(ask_until(p, first, PROBE_OK), PROBE_OK);
	assert_int_equal(ask_until(p, second, PROBE_OK), PROBE_OK);
	prober_free(p);
	while (!sem_trywait(&server_back))
		;
}

static void a_hung_one_may_be_removed(void **state)
{
	struct prober *p = prober_new(ask);
	int hang = prober_add(p, "/hang");
	assert_int_equal(prober_ask(p, 20), 0);
	prober_remove(p, hang);
	int a = prober_add(p, "/a");
	assert_int_equal(a, hang);
	assert_int_equal(prober_ask(p, 1000), 0);
	assert_int_equal(prober_result(p, a)->state, PROBE_OK);
	sem_post(&server_back);
	prober_free(p);
	nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
}

int main(void)
{
	sem_init(&server_back, 0, 0);
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_what_holds_data_counts),
	    cmocka_unit_test(a_bind_mount_counts_once),
	    cmocka_unit_test(a_unit_that_may_not_write_there_makes_nothing_read_only),
	    cmocka_unit_test(odd_paths_are_escaped),
	    cmocka_unit_test(nonsense_is_skipped),
	    cmocka_unit_test(all_are_asked),
	    cmocka_unit_test(a_hung_one_holds_up_nobody),
	    cmocka_unit_test(a_hung_one_may_be_removed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
