/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/file.h"
#include "os/host.h"
#include "os/lock.h"
#include "os/log.h"
#include "os/notify.h"
#include "os/paths.h"
#include "os/secret.h"
#include "os/utf8.h"

static char dir[] = "/tmp/vigia-os-XXXXXX";
static char path[200];

static const char *in_dir(const char *name)
{
	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static int make_dir(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[100];

	snprintf(command, sizeof command, "rm -r %s", dir);
	return system(command);
}

static int listen_at(const char *file)
{
	struct sockaddr_un a;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	unlink(file);
	assert_int_equal(paths_address(file, &a, NULL), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

/* "" when nothing came. */
static const char *heard(int fd)
{
	static char text[4096];
	ssize_t n = recv(fd, text, sizeof text - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void clocks_go_on(void **state)
{
	int64_t a = clock_mono_ns(), b = clock_mono_ns();

	assert_true(b >= a && b - a < 1000000000);
	assert_true(clock_wall_ns() > 1700000000LL * 1000000000);
}

/* --- files ------------------------------------------------------------------------------------------------------ */

static int synced;

/* In libc's place, for all of this program. */
int fsync(int fd)
{
	synced++;
	return fdatasync(fd);
}

static const char *contents(const char *file)
{
	static char text[100];
	FILE *f = fopen(file, "r");
	size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;

	if (f)
		fclose(f);
	text[n] = '\0';
	return text;
}

static void a_file_is_replaced_whole_and_on_disk(void **state)
{
	struct stat st;

	synced = 0;
	assert_int_equal(file_replace(in_dir("small"), "first\n"), 0);
	assert_int_equal(synced, 2); /* the file, and the directory that names it */
	assert_int_equal(file_replace(path, "second\n"), 0);
	assert_string_equal(contents(path), "second\n");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(file_replace(in_dir("no/such"), ""), -ENOENT);
}

static void a_file_that_can_not_be_replaced_stays_as_it_was(void **state)
{
	struct rlimit before, small = {.rlim_cur = 4};

	assert_int_equal(file_replace(in_dir("small"), "old"), 0);
	getrlimit(RLIMIT_FSIZE, &before);
	small.rlim_max = before.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &small);
	int r = file_replace(path, "longer than the disk");
	setrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(r, -EFBIG);
	assert_string_equal(contents(path), "old");
	assert_int_equal(access(in_dir("small.new"), F_OK), -1);
}

/* --- paths ------------------------------------------------------------------------------------------------------ */

static void expect(int (*get)(char **ret, struct buf *why), const char *expected)
{
	char *dir_found = NULL;

	assert_int_equal(get(&dir_found, NULL), 0);
	assert_string_equal(dir_found, expected);
	free(dir_found);
}

static void xdg_decides_where_things_lie(void **state)
{
	setenv("XDG_RUNTIME_DIR", "/x/run", 1);
	setenv("XDG_STATE_HOME", "/x/state", 1);
	expect(paths_runtime, "/x/run/vigia");
	expect(paths_state, "/x/state/vigia");
	setenv("XDG_RUNTIME_DIR", "relative", 1);
	unsetenv("XDG_STATE_HOME");
	if (geteuid() == 0) {
		expect(paths_runtime, "/run/vigia");
		expect(paths_state, "/var/lib/vigia");
	}
	unsetenv("XDG_RUNTIME_DIR");
}

static void as_a_user(void)
{
	struct buf why = BUF_INIT;
	char *s = NULL;

	if (setresuid(12345, 12345, 12345) < 0)
		_exit(2);
	setenv("HOME", "/home/u", 1);
	if (paths_runtime(&s, NULL) < 0 || strcmp(s, "/run/user/12345/vigia") != 0)
		_exit(3);
	if (paths_state(&s, NULL) < 0 || strcmp(s, "/home/u/.local/state/vigia") != 0)
		_exit(4);
	unsetenv("HOME");
	if (paths_state(&s, &why) != -ENOENT || !strstr(buf_str(&why), "no home directory"))
		_exit(5);
	if (paths_make(dir, NULL) != -EPERM)
		_exit(6);
	_exit(0);
}

static void a_user_has_his_own_places(void **state)
{
	int status;

	if (geteuid() != 0)
		skip();
	pid_t pid = fork();
	if (pid == 0)
		as_a_user();
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

static void a_directory_is_made_for_its_owner_alone(void **state)
{
	struct buf why = BUF_INIT;
	struct stat st;

	assert_int_equal(paths_make(in_dir("a/b/vigia"), &why), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(paths_make(path, &why), 0);
	chmod(path, 0770);
	assert_int_equal(paths_make(path, &why), -EPERM);
	assert_non_null(strstr(buf_str(&why), "others may write in"));
	fclose(fopen(in_dir("file"), "w"));
	assert_int_equal(paths_make(path, NULL), -ENOTDIR);
	assert_int_equal(paths_make(in_dir("file/below"), NULL), -ENOTDIR);
	buf_release(&why);
}

static void a_socket_path_has_its_length(void **state)
{
	struct buf why = BUF_INIT;
	struct sockaddr_un a;
	char file[109];

	memset(file, 'x', 108);
	file[0] = '/';
	file[108] = '\0';
	assert_int_equal(paths_address(file, &a, &why), -ENAMETOOLONG);
	assert_non_null(strstr(buf_str(&why), "107 bytes at most, this has 108"));
	file[107] = '\0';
	assert_int_equal(paths_address(file, &a, NULL), 0);
	assert_string_equal(a.sun_path, file);
	buf_release(&why);
}

static void a_client_finds_its_daemon(void **state)
{
	struct buf why = BUF_INIT;
	struct sockaddr_un a;
	char own[300];

	setenv("XDG_RUNTIME_DIR", dir, 1);
	setenv("VIGIA_SOCKET", "/said", 1);
	assert_int_equal(paths_find_socket("/given", &a, &why), 0);
	assert_string_equal(a.sun_path, "/given");
	assert_int_equal(paths_find_socket(NULL, &a, &why), 0);
	assert_string_equal(a.sun_path, "/said");
	unsetenv("VIGIA_SOCKET");
	assert_int_equal(paths_make(in_dir("vigia"), NULL), 0);
	if (access("/run/vigia/vigiad.sock", F_OK) < 0) {
		assert_int_equal(paths_find_socket(NULL, &a, &why), -ENOENT);
		assert_non_null(strstr(buf_str(&why), "no vigiad runs here: there is no "));
	}
	snprintf(own, sizeof own, "%s", in_dir("vigia/vigiad.sock"));
	int fd = listen_at(own);
	assert_int_equal(paths_find_socket(NULL, &a, &why), 0);
	assert_string_equal(a.sun_path, own);
	close(fd);
	unsetenv("XDG_RUNTIME_DIR");
	buf_release(&why);
}

static void the_configuration_is_given_or_found(void **state)
{
	char *file = NULL;

	assert_int_equal(paths_config("/given", &file, NULL), 0);
	assert_string_equal(file, "/given");
	free(file);
	setenv("XDG_CONFIG_HOME", dir, 1);
	if (access("/etc/vigia/vigia.conf", F_OK) < 0)
		assert_int_equal(paths_config(NULL, &file, NULL), -ENOENT);
	mkdir(in_dir("vigia"), 0700);
	fclose(fopen(in_dir("vigia/vigia.conf"), "w"));
	assert_int_equal(paths_config(NULL, &file, NULL), 0);
	assert_string_equal(file, path);
	free(file);
	unsetenv("XDG_CONFIG_HOME");
}

/* --- lock ------------------------------------------------------------------------------------------------------- */

static void one_daemon_a_directory(void **state)
{
	struct buf why = BUF_INIT;
	char expected[200];
	int fd, other;

	assert_int_equal(lock_take(dir, &fd, &why), 0);
	assert_int_equal(lock_take(dir, &other, &why), -EBUSY);
	snprintf(expected, sizeof expected, "another vigiad (process %d) has its files in %s", (int)getpid(), dir);
	assert_memory_equal(buf_str(&why), expected, strlen(expected));
	lock_drop(dir, fd);
	assert_int_equal(access(in_dir("vigiad.pid"), F_OK), -1);
	assert_int_equal(lock_take(dir, &fd, &why), 0);
	lock_drop(dir, fd);
	buf_clear(&why);
	assert_int_equal(lock_take("/nonexistent", &fd, &why), -ENOENT);
	assert_string_equal(buf_str(&why), "/nonexistent/vigiad.pid: No such file or directory");
	buf_release(&why);
}

/* --- log -------------------------------------------------------------------------------------------------------- */

static void an_event_is_one_harmless_line(void **state)
{
	char file[200];
	snprintf(file, sizeof file, "%s", in_dir("syslog"));
	int fd = listen_at(file);

	log_sockets(NULL, file);
	log_open("vigiad");
	log_event(LOG_WARNING, "node", "from %s: a\nb\x1b[31m\\ \xc3\xa9 \xff \xc2\x85", "n1");
	const char *line = heard(fd);
	assert_memory_equal(line, "<28>", 4);
	assert_non_null(strstr(line, ": node: from n1: a\\nb\\x1b[31m\\\\ \xc3\xa9 \\xff \\xc2\\x85"));
	assert_null(strchr(line, '\n'));

	char *large = malloc(5000);
	memset(large, '\n', 4999);
	large[4999] = '\0';
	log_event(LOG_ERR, "node", "%s", large);
	line = strstr(heard(fd), "node: ");
	assert_true(strlen(line) <= LOG_LINE_MAX && strlen(line) > LOG_LINE_MAX - 8);
	assert_string_equal(line + strlen(line) - 3, "...");
	free(large);

	log_event(LOG_DEBUG, "node", "not said");
	assert_string_equal(heard(fd), "");
	log_close();
	close(fd);
}

static void the_journal_comes_first(void **state)
{
	char journal[200], syslog_file[200];
	snprintf(journal, sizeof journal, "%s", in_dir("journal"));
	snprintf(syslog_file, sizeof syslog_file, "%s", in_dir("syslog"));
	int j = listen_at(journal), s = listen_at(syslog_file);

	log_sockets(journal, syslog_file);
	log_open("vigiad");
	log_event(LOG_INFO, "history", "opened");
	const char *text = heard(j);
	assert_non_null(strstr(text, "PRIORITY=6\nSYSLOG_IDENTIFIER=vigiad\n"));
	assert_non_null(strstr(text, "\nVIGIA_COMPONENT=history\nMESSAGE=history: opened\n"));
	assert_string_equal(heard(s), "");
	close(j);
	log_event(LOG_INFO, "history", "again");
	assert_non_null(strstr(heard(s), "history: again"));
	log_close();
	close(s);
}

static void a_flood_is_counted(void **state)
{
	char file[200];
	snprintf(file, sizeof file, "%s", in_dir("syslog"));
	int fd = listen_at(file), said = 0;

	log_sockets(NULL, file);
	log_open("vigiad");
	for (int i = 0; i < 1000; i++) {
		log_event(LOG_INFO, "peer", "event %d", i);
		said += heard(fd)[0] != '\0';
	}
	assert_in_range(said, LOG_BURST, LOG_BURST + 5);
	assert_int_equal(log_lost(), 1000 - said);
	log_event(LOG_ERR, "peer", "an error is still heard");
	assert_non_null(strstr(heard(fd), "still heard"));
	log_event(LOG_INFO, "other", "so are others");
	assert_non_null(strstr(heard(fd), "so are others"));
	char expected[64];
	snprintf(expected, sizeof expected, "peer: %d more left out", 1000 - said);
	log_flush();
	assert_non_null(strstr(heard(fd), expected));
	log_flush();
	assert_string_equal(heard(fd), "");
	log_close();
	close(fd);
}

/* A log that nobody reads: the daemon does not wait for it. */
static void a_log_that_stands_still_holds_nobody_up(void **state)
{
	char file[200];
	snprintf(file, sizeof file, "%s", in_dir("syslog"));
	int fd = listen_at(file);
	int64_t from_ns = clock_mono_ns();
	int stderr_copy = dup(2);

	log_sockets(NULL, file);
	log_open("vigiad");
	close(2);
	for (int i = 0; i < 40; i++)
		log_event(LOG_INFO, "peer", "event %d", i);
	dup2(stderr_copy, 2);
	close(stderr_copy);
	assert_true(clock_mono_ns() - from_ns < 1000000000);
	assert_true(log_lost() > 0);
	log_close();
	close(fd);
}

/* --- notify ----------------------------------------------------------------------------------------------------- */

static void the_service_manager_is_told(void **state)
{
	assert_int_equal(notify_ready(), 0);
	int fd = listen_at(in_dir("notify"));
	setenv("NOTIFY_SOCKET", path, 1);
	assert_int_equal(notify_ready(), 1);
	assert_string_equal(heard(fd), "READY=1");
	assert_int_equal(notify_watchdog(), 1);
	assert_string_equal(heard(fd), "WATCHDOG=1");
	assert_int_equal(notify_stopping(), 1);
	assert_string_equal(heard(fd), "STOPPING=1");
	assert_int_equal(notify_reloading(), 1);
	assert_non_null(strstr(heard(fd), "RELOADING=1\nMONOTONIC_USEC="));
	assert_int_equal(notify_status("two\nlines"), 1);
	assert_string_equal(heard(fd), "STATUS=two lines");
	close(fd);
	assert_true(notify_ready() < 0);
	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_int_equal(notify_ready(), -EINVAL);
	unsetenv("NOTIFY_SOCKET");
}

static void an_abstract_socket_too(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char name[64];
	int n = snprintf(name, sizeof name, "@vigia-test-%d", (int)getpid());
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(a.sun_path + 1, name + 1, n - 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, offsetof(struct sockaddr_un, sun_path) + n), 0);
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(notify_ready(), 1);
	assert_string_equal(heard(fd), "READY=1");
	unsetenv("NOTIFY_SOCKET");
	close(fd);
}

static void the_watchdog_is_for_this_process(void **state)
{
	char pid[16];

	assert_int_equal(notify_watchdog_ns(), 0);
	setenv("WATCHDOG_USEC", "20000000", 1);
	assert_true(notify_watchdog_ns() == 20000000000);
	setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(notify_watchdog_ns(), 0);
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_true(notify_watchdog_ns() == 20000000000);
	setenv("WATCHDOG_USEC", "x", 1);
	assert_int_equal(notify_watchdog_ns(), 0);
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

/* --- host, secrets, text ---------------------------------------------------------------------------------------- */

static void a_host_has_facts(void **state)
{
	struct host_facts h;

	host_facts(&h);
	assert_true(h.name[0] != '\0' && !strchr(h.name, '.'));
	assert_non_null(strstr(h.system, "Linux"));
	assert_true(h.machine[0] != '\0');
	assert_int_equal(strlen(h.boot_id), 36);
	assert_true(h.processors > 0 && h.memory > 1 << 24);
	assert_true(h.booted_ns > 0 && h.booted_ns <= clock_wall_ns() + 1000000000);
}

static void secrets_differ_and_compare(void **state)
{
	char a[SECRET_SIZE], b[SECRET_SIZE], hex[SHA256_HEX_SIZE];

	assert_int_equal(secret_new(a), 0);
	assert_int_equal(secret_new(b), 0);
	assert_int_equal(strspn(a, "0123456789abcdef"), 32);
	assert_true(secret_equal(a, a));
	assert_false(secret_equal(a, b));
	assert_false(secret_equal(a, "short"));
	assert_int_equal(sha256_hex("abc", 3, hex), 0);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void only_well_formed_utf8_is_text(void **state)
{
	assert_int_equal(utf8_char("a", 1), 1);
	assert_int_equal(utf8_char("\xc3\xa9", 2), 2);
	assert_int_equal(utf8_char("\xe2\x82\xac", 3), 3);
	assert_int_equal(utf8_char("\xf0\x9f\x98\x80", 4), 4);
	assert_int_equal(utf8_char("", 0), 0);
	assert_int_equal(utf8_char("\xc3", 1), 0);
	assert_int_equal(utf8_char("\xc0\x80", 2), 0);
	assert_int_equal(utf8_char("\xe0\x80\x80", 3), 0);
	assert_int_equal(utf8_char("\xed\xa0\x80", 3), 0);
	assert_int_equal(utf8_char("\xf4\x90\x80\x80", 4), 0);
	assert_int_equal(utf8_char("\x80", 1), 0);
	assert_int_equal(utf8_char("\xff", 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(clocks_go_on),
	    cmocka_unit_test(a_file_is_replaced_whole_and_on_disk),
	    cmocka_unit_test(a_file_that_can_not_be_replaced_stays_as_it_was),
	    cmocka_unit_test(xdg_decides_where_things_lie),
	    cmocka_unit_test(a_user_has_his_own_places),
	    cmocka_unit_test(a_directory_is_made_for_its_owner_alone),
	    cmocka_unit_test(a_socket_path_has_its_length),
	    cmocka_unit_test(a_client_finds_its_daemon),
	    cmocka_unit_test(the_configuration_is_given_or_found),
	    cmocka_unit_test(one_daemon_a_directory),
	    cmocka_unit_test(an_event_is_one_harmless_line),
	    cmocka_unit_test(the_journal_comes_first),
	    cmocka_unit_test(a_flood_is_counted),
	    cmocka_unit_test(a_log_that_stands_still_holds_nobody_up),
	    cmocka_unit_test(the_service_manager_is_told),
	    cmocka_unit_test(an_abstract_socket_too),
	    cmocka_unit_test(the_watchdog_is_for_this_process),
	    cmocka_unit_test(a_host_has_facts),
	    cmocka_unit_test(secrets_differ_and_compare),
	    cmocka_unit_test(only_well_formed_utf8_is_text),
	};

	return cmocka_run_group_tests_name("os", tests, make_dir, remove_dir);
}
