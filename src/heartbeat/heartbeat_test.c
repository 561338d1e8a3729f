/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "heartbeat/heartbeat.h"
#include "heartbeat/probe.h"
#include "heartbeat/private.h"

#define MS ((int64_t)1000000)

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void sleep_ms(int64_t ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * MS}, NULL);
}

/* ---- a connection over loopback, both ends non-blocking ---- */

static void make_pair(int fd[2])
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &len), 0);
	fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd[0], (struct sockaddr *)&a, len), 0);
	fd[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(fd[1] >= 0);
	fcntl(fd[0], F_SETFL, O_NONBLOCK);
	close(listener);
}

/* ---- one side: a socket, its reader, its heartbeat ---- */

struct side {
	int fd;
	bool reads;
	struct heartbeat *h;
	struct side *peer; /* in-band: where a beat of ours is seen */
	int in_band_beats; /* under way to us */
	size_t got, beat_bytes_in_data;
	int changes;
	enum step_state seen[32];
};

static void note_change(struct heartbeat *h, void *owner)
{
	struct side *s = owner;

	s->seen[s->changes++ % 32] = heartbeat_state(h);
}

static int beat_in_band(struct heartbeat *h, void *owner)
{
	struct side *s = owner;

	s->peer->in_band_beats++;
	return 0;
}

static void read_all(struct side *s)
{
	unsigned char buf[4096];
	ssize_t n;

	while ((n = recv(s->fd, buf, sizeof buf, 0)) > 0) {
		s->got += (size_t)n;
		s->beat_bytes_in_data += (size_t)n - heartbeat_strip(buf, (size_t)n);
		heartbeat_data(s->h, now_ns());
	}
	if (n == 0 || (n < 0 && errno != EAGAIN))
		heartbeat_closed(s->h, n ? -errno : 0, now_ns());
}

static void turn_side(struct side *s, short revents)
{
	if (s->reads && revents & (POLLIN | POLLHUP) && heartbeat_transport(s->h) != HEARTBEAT_PROBE)
		read_all(s);
	for (; s->in_band_beats > 0; s->in_band_beats--)
		heartbeat_beat_seen(s->h, now_ns());
	heartbeat_handle(s->h, revents, now_ns());
}

static bool live(const struct side *s)
{
	return heartbeat_state(s->h) != STEP_DOWN || heartbeat_reason(s->h) != STEP_CLOSED;
}

/* Plays a loop over the given sides. */
static void turn(struct side *sides, int n, int64_t for_ms)
{
	int64_t end = now_ns() + for_ms * MS;
	struct pollfd p[2];

	while (now_ns() < end) {
		int64_t next = end;

		for (int i = 0; i < n; i++) {
			short own = sides[i].reads ? POLLIN : 0;

			p[i] = (struct pollfd){
			    live(&sides[i]) ? sides[i].fd : -1, own | heartbeat_events(sides[i].h), 0};
			if (heartbeat_next(sides[i].h) < next)
				next = heartbeat_next(sides[i].h);
		}
		int64_t wait = (next - now_ns() + MS - 1) / MS;
		poll(p, (nfds_t)n, wait < 0 ? 0 : (int)wait);
		for (int i = 0; i < n; i++)
			turn_side(&sides[i], p[i].revents);
	}
}

static struct heartbeat_config config(enum heartbeat_transport t, int64_t interval_ms)
{
	return (struct heartbeat_config){
	    .transport = t, .interval_ns = interval_ms * MS, .changed = note_change};
}

static void open_sides(struct side s[2], const struct heartbeat_config *c)
{
	int fd[2];

	make_pair(fd);
	for (int i = 0; i < 2; i++)
		s[i] = (struct side){.fd = fd[i], .reads = true, .peer = &s[1 - i]};
	assert_int_equal(heartbeat_watch(fd[0], c, &s[0], now_ns(), &s[0].h), 0);
	assert_int_equal(heartbeat_answer(fd[1], c, &s[1], now_ns(), &s[1].h), 0);
}

static void close_sides(struct side s[2])
{
	for (int i = 0; i < 2; i++) {
		heartbeat_free(s[i].h);
		close(s[i].fd);
	}
}

static struct heartbeat_counts counts(const struct side *s)
{
	struct heartbeat_counts c;

	heartbeat_counts(s->h, &c);
	return c;
}

static void assert_beats_between(const struct side s[2], uint32_t low, uint32_t high)
{
	assert_in_range(counts(&s[0]).sent, low, high);
	assert_in_range(counts(&s[0]).received, counts(&s[0]).sent - 1, counts(&s[0]).sent);
	assert_in_range(counts(&s[1]).received, counts(&s[0]).received, counts(&s[0]).sent);
	assert_in_range(counts(&s[1]).sent, counts(&s[1]).received - 1, counts(&s[1]).received);
}

static void assert_state(const struct side *s, enum step_state state, enum step_reason reason)
{
	assert_string_equal(step_state_name(heartbeat_state(s->h)), step_state_name(state));
	assert_string_equal(step_reason_text(heartbeat_reason(s->h)), step_reason_text(reason));
}

/* ---- the manual ---- */

static void urgent_beats_are_echoed_and_counted(void **state)
{
	struct heartbeat_config c = config(HEARTBEAT_URGENT, 20);
	struct side s[2];

	open_sides(s, &c);
	turn(s, 2, 1000);
	assert_beats_between(s, 40, 51);
	assert_int_equal(s[0].got + s[1].got, 0);
	assert_state(&s[0], STEP_UP, STEP_ANSWERS);
	assert_state(&s[1], STEP_UP, STEP_ANSWERS);
	assert_in_range(counts(&s[0]).round_trip_ns, 1, 20 * MS);
	close_sides(s);
}

static void in_band_beats_need_the_owners_two_calls(void **state)
{
	struct heartbeat_config c = config(HEARTBEAT_IN_BAND, 20);
	struct side s[2];
	struct heartbeat *h;

	assert_int_equal(heartbeat_watch(0, &c, NULL, now_ns(), &h), -EINVAL);
	c.write_beat = beat_in_band;
	open_sides(s, &c);
	turn(s, 2, 500);
	assert_in_range(counts(&s[0]).received, 18, 26);
	assert_state(&s[0], STEP_UP, STEP_ANSWERS);
	close_sides(s);
}

static void off_shows_as_not_watched_and_only_the_end_counts(void **state)
{
	struct heartbeat_config c = config(HEARTBEAT_OFF, 20);
	struct side s[2];

	open_sides(s, &c);
	turn(s, 2, 100);
	assert_state(&s[0], STEP_NOT_WATCHED, STEP_NO_REASON);
	assert_int_equal(counts(&s[0]).sent, 0);
	shutdown(s[1].fd, SHUT_RDWR);
	turn(s, 1, 20);
	assert_state(&s[0], STEP_DOWN, STEP_CLOSED);
	close_sides(s);
}

static void an_end_is_known_at_once(void **state)
{
	struct heartbeat_config c = config(HEARTBEAT_URGENT, 500);
	struct side s[2];

	open_sides(s, &c);
	turn(s, 2, 600);
	heartbeat_free(s[1].h);
	close(s[1].fd);
	turn(s, 1, 20);
	assert_state(&s[0], STEP_DOWN, STEP_CLOSED);
	assert_int_equal(s[0].changes, 1);
	heartbeat_free(s[0].h);
	close(s[0].fd);
}

/* A partner in a process of its own, in which only the library's thread lives. */
static pid_t fork_answerer(const int fd[2], const struct heartbeat_config *c)
{
	struct heartbeat_thread *t;
	struct heartbeat *h;
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(fd[0]);
	if (heartbeat_start_thread(&t) < 0 || heartbeat_answer(fd[1], c, NULL, now_ns(), &h) < 0)
		_exit(1);
	heartbeat_thread_serve(t, h);
	for (;;)
		pause();
}

static void watch_a_process(struct side *s, struct heartbeat_config *c, pid_t *ret_pid)
{
	struct heartbeat_config answer = *c;
	int fd[2];

	answer.changed = NULL;
	make_pair(fd);
	*ret_pid = fork_answerer(fd, &answer);
	assert_true(*ret_pid > 0);
	close(fd[1]);
	*s = (struct side){.fd = fd[0], .reads = true};
	assert_int_equal(heartbeat_watch(fd[0], c, s, now_ns(), &s->h), 0);
}

static void end_process(struct side *s, pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	heartbeat_free(s->h);
	close(s->fd);
}

static int keepalive_of(int fd)
{
	int on = -1;

	getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &(socklen_t){sizeof on});
	return on;
}

static void a_stopped_daemon_is_busy_then_down_then_back(void **state)
{
	struct heartbeat_config c = config(HEARTBEAT_URGENT, 500);
	struct side s;
	pid_t pid;

	c.busy_turns_down = true;
	watch_a_process(&s, &c, &pid);
	turn(&s, 1, 1100);
	assert_state(&s, STEP_UP, STEP_ANSWERS);
	assert_int_equal(s.changes, 0);
	kill(pid, SIGSTOP);
	turn(&s, 1, 1050);
	assert_state(&s, STEP_BUSY, STEP_HOST_ANSWERS);
	assert_int_equal(s.changes, 1);
	turn(&s, 1, 2000);
	assert_state(&s, STEP_DOWN, STEP_STOPPED);
	assert_int_equal(s.changes, 2);
	turn(&s, 1, 2000);
	assert_state(&s, STEP_DOWN, STEP_STOPPED);
	assert_int_equal(s.changes, 2);
	assert_int_equal(keepalive_of(s.fd), 1);
	kill(pid, SIGCONT);
	turn(&s, 1, 100);
	assert_state(&s, STEP_UP, STEP_ANSWERS);
	assert_int_equal(keepalive_of(s.fd), 0);
	end_process(&s, pid);
}

static void an_occupied_program_is_busy_for_as_long_as_it_likes(void **state)
{
	struct heartbeat_config c = config(HEARTBEAT_URGENT, 200);
	struct side s;
	pid_t pid;

	watch_a_process(&s, &c, &pid);
	turn(&s, 1, 500);
	kill(pid, SIGSTOP);
	turn(&s, 1, 4000);
	assert_state(&s, STEP_BUSY, STEP_HOST_ANSWERS);
	assert_int_equal(s.changes, 1);
	kill(pid, SIGCONT);
	turn(&s, 1, 100);
	assert_state(&s, STEP_UP, STEP_ANSWERS);
	end_process(&s, pid);
}

static void our_own_sleep_is_nobodys_fault(void **state)
{
	struct heartbeat_config c = config(HEARTBEAT_URGENT, 100);
	struct side s;
	pid_t pid;

	c.busy_turns_down = true;
	watch_a_process(&s, &c, &pid);
	turn(&s, 1, 300);
	sleep_ms(1500);
	turn(&s, 1, 300);
	assert_state(&s, STEP_UP, STEP_ANSWERS);
	assert_int_equal(s.changes, 0);
	end_process(&s, pid);
}

/* The reader stops, 50 beats' time passes, data waits: only one beat is under way, no byte of it is data. */
static void no_beat_leaks_into_the_data_of_a_stalled_reader(void **state)
{
	struct heartbeat_config c = config(HEARTBEAT_URGENT, 10);
	struct side s[2];

	open_sides(s, &c);
	turn(s, 2, 100);
	s[1].reads = false;
	for (int i = 0; i < 50; i++) {
		assert_int_equal(send(s[0].fd, "aaaa", 4, MSG_NOSIGNAL), 4);
		turn(s, 2, 10);
	}
	assert_int_equal(s[1].got, 0);
	assert_int_equal(heartbeat_state(s[0].h), STEP_BUSY);
	s[1].reads = true;
	turn(s, 2, 200);
	assert_int_equal(s[1].got, 200);
	assert_int_equal(s[1].beat_bytes_in_data, 0);
	assert_int_equal(heartbeat_state(s[0].h), STEP_UP);
	close_sides(s);
}

/* Where room was promised is none: data is dropped, repeated ever more seldom, and answered each time. */
static void a_stalled_reader_whose_memory_is_full_is_busy(void **state)
{
	struct heartbeat_config c = config(HEARTBEAT_URGENT, 100);
	struct tcp_info info = {0};
	struct side s[2];
	char data[1000] = {0};

	open_sides(s, &c);
	turn(s, 2, 300);
	setsockopt(s[1].fd, SOL_SOCKET, SO_RCVBUF, &(int){1}, sizeof(int));
	for (int i = 0; i < 20; i++)
		assert_int_equal(send(s[0].fd, data, sizeof data, MSG_NOSIGNAL), sizeof data);
	for (int i = 0; i < 20 && info.tcpi_backoff <= 3; i++) {
		turn(s, 1, 1000);
		assert_int_equal(getsockopt(s[0].fd, IPPROTO_TCP, TCP_INFO, &info, &(socklen_t){sizeof info}), 0);
	}
	if (info.tcpi_unacked == 0 || info.tcpi_backoff <= 3) { /* this kernel found the memory */
		close_sides(s);
		skip();
	}
	for (int i = 0; i < s[0].changes; i++)
		assert_int_not_equal(s[0].seen[i], STEP_DOWN);
	assert_state(&s[0], STEP_BUSY, STEP_HOST_ANSWERS);
	close_sides(s);
}

static void a_stalled_reader_of_the_watcher_accuses_nobody(void **state)
{
	struct heartbeat_config c = config(HEARTBEAT_URGENT, 20);
	struct side s[2];

	open_sides(s, &c);
	turn(s, 2, 100);
	s[0].reads = false;
	for (int i = 0; i < 50; i++) {
		assert_int_equal(send(s[1].fd, "aaaa", 4, MSG_NOSIGNAL), 4);
		turn(s, 2, 10);
	}
	assert_state(&s[0], STEP_UP, STEP_ANSWERS);
	s[0].reads = true;
	turn(s, 2, 100);
	assert_int_equal(s[0].got, 200);
	assert_int_equal(s[0].beat_bytes_in_data + s[0].changes, 0);
	close_sides(s);
}

/* ---- every byte value under urgent beats ---- */

static unsigned char byte_at(size_t i)
{
	return (unsigned char)((i * 2654435761U) >> 13 ^ i);
}

struct bulk {
	size_t total, sent, got;
	bool wrong;
};

static void send_some(int fd, struct bulk *b)
{
	unsigned char buf[20000];
	size_t n = b->total - b->sent < sizeof buf ? b->total - b->sent : sizeof buf;
	ssize_t w;

	for (size_t i = 0; i < n; i++)
		buf[i] = byte_at(b->sent + i);
	w = n ? send(fd, buf, n, MSG_NOSIGNAL) : 0;
	if (w > 0)
		b->sent += (size_t)w;
}

static void receive_some(struct side *s, struct bulk *b)
{
	unsigned char buf[70000];
	ssize_t n = recv(s->fd, buf, sizeof buf, 0);

	for (ssize_t i = 0; i < n; i++)
		b->wrong |= buf[i] != byte_at(b->got + (size_t)i);
	if (n <= 0)
		return;
	b->got += (size_t)n;
	heartbeat_data(s->h, now_ns());
}

/* Stalls for 30 ms out of every 200. */
static bool stalls(void)
{
	return now_ns() / MS % 200 < 30;
}

static void carry(struct side *from, struct side *to, struct bulk *b, int64_t limit_ms)
{
	int64_t end = now_ns() + limit_ms * MS;
	struct pollfd p[2];

	while (b->got < b->total && !b->wrong && now_ns() < end) {
		bool stalled = stalls();

		p[0] = (struct pollfd){from->fd,
		    (short)(heartbeat_events(from->h) | POLLIN | (b->sent < b->total ? POLLOUT : 0)), 0};
		p[1] = (struct pollfd){to->fd, (short)(heartbeat_events(to->h) | (stalled ? 0 : POLLIN)), 0};
		poll(p, 2, 1);
		if (p[0].revents & POLLOUT)
			send_some(from->fd, b);
		if (p[1].revents & POLLIN)
			receive_some(to, b);
		heartbeat_handle(from->h, p[0].revents, now_ns());
		heartbeat_handle(to->h, p[1].revents, now_ns());
	}
}

static void transfer(bool from_watcher)
{
	struct heartbeat_config c = config(HEARTBEAT_URGENT, 10);
	struct bulk b = {.total = 100000000};
	struct side s[2];
	int which = from_watcher ? 0 : 1;

	open_sides(s, &c);
	carry(&s[which], &s[1 - which], &b, 20000);
	assert_false(b.wrong);
	assert_int_equal(b.got, b.total);
	turn(s, 2, 100);
	assert_true(counts(&s[0]).received > 3);
	assert_state(&s[0], STEP_UP, STEP_ANSWERS);
	print_message("# %u beats, %u echoes\n", counts(&s[0]).sent, counts(&s[0]).received);
	close_sides(s);
}

static void a_hundred_megabytes_to_the_answerer_arrive_whole(void **state)
{
	transfer(true);
}

static void a_hundred_megabytes_to_the_watcher_arrive_whole(void **state)
{
	transfer(false);
}

/* ---- which transport ---- */

static void a_probe_on_a_fresh_connection_finds_urgent(void **state)
{
	struct heartbeat_config c = config(HEARTBEAT_PROBE, 20);
	struct side s[2];

	open_sides(s, &c);
	assert_int_equal(heartbeat_transport(s[0].h), HEARTBEAT_PROBE);
	turn(s, 2, 200);
	assert_int_equal(heartbeat_transport(s[0].h), HEARTBEAT_URGENT);
	assert_int_equal(heartbeat_transport(s[1].h), HEARTBEAT_URGENT);
	assert_true(counts(&s[0]).received > 5);
	assert_int_equal(s[0].got + s[1].got, 0);
	close_sides(s);
}

static void in_mid_stream_urgent_is_refused_and_acks_are_left(void **state)
{
	struct heartbeat_config c = config(HEARTBEAT_PROBE, 100);
	struct side s = {.reads = true};
	int fd[2];

	make_pair(fd);
	assert_int_equal(send(fd[0], "x", 1, 0), 1);
	assert_int_equal(heartbeat_watch(fd[0], &c, &s, now_ns(), &s.h), -EOPNOTSUPP);
	c.transport = HEARTBEAT_ACKS;
	assert_int_equal(heartbeat_watch(fd[0], &c, &s, now_ns(), &s.h), 0);
	s.fd = fd[0];
	turn(&s, 1, 4500);
	assert_state(&s, STEP_UP, STEP_HOST_ANSWERS);
	close(fd[1]);
	turn(&s, 1, 50);
	assert_state(&s, STEP_DOWN, STEP_CLOSED);
	heartbeat_free(s.h);
	close(fd[0]);
}

static void what_is_not_tcp_has_no_urgent_byte(void **state)
{
	struct heartbeat_config c = config(HEARTBEAT_URGENT, 100);
	struct heartbeat *h;
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(heartbeat_watch(fd[0], &c, NULL, now_ns(), &h), -EOPNOTSUPP);
	c.transport = HEARTBEAT_ACKS;
	assert_int_equal(heartbeat_watch(fd[0], &c, NULL, now_ns(), &h), -EOPNOTSUPP);
	close(fd[0]);
	close(fd[1]);
}

/* ---- the probe by itself ---- */

static short ready(int fd, short events)
{
	struct pollfd p = {fd, events, 0};

	poll(&p, 1, 20);
	return p.revents;
}

static enum probe_result go(struct probe *p)
{
	return probe_handle(p, ready(p->fd, probe_events(p)), now_ns());
}

static void the_dialer_asks_and_the_acceptor_sends_it_back(void **state)
{
	struct probe dialer, acceptor;
	int fd[2];
	char c;

	make_pair(fd);
	assert_int_equal(probe_accept(&acceptor, fd[1], now_ns()), 0);
	assert_int_equal(probe_dial(&dialer, fd[0], now_ns()), 0);
	assert_int_equal(go(&acceptor), PROBE_URGENT);
	assert_int_equal(go(&dialer), PROBE_URGENT);
	assert_int_equal(recv(fd[1], &c, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
	close(fd[0]);
	close(fd[1]);
}

static void a_cleared_flag_is_taken_out_of_the_data(void **state)
{
	struct probe dialer, acceptor;
	int64_t begun = now_ns();
	int fd[2];
	char c;

	make_pair(fd);
	probe_accept(&acceptor, fd[1], begun);
	probe_dial(&dialer, fd[0], begun);
	assert_int_equal(probe_handle(&dialer, 0, begun + 199 * MS), PROBE_PENDING);
	assert_int_equal(probe_handle(&dialer, 0, begun + 201 * MS), PROBE_PLAIN);
	close(fd[0]);
	close(fd[1]);

	make_pair(fd);
	probe_accept(&acceptor, fd[1], begun);
	assert_int_equal(send(fd[0], "\x16", 1, 0), 1);
	assert_int_equal(go(&acceptor), PROBE_PENDING);
	assert_int_equal(send(fd[0], "<", 1, 0), 1);
	sleep_ms(5);
	assert_int_equal(go(&acceptor), PROBE_PLAIN);
	assert_int_equal(recv(fd[1], &c, 1, 0), 1);
	assert_int_equal(c, '<');
	close(fd[0]);
	close(fd[1]);
}

static void a_dialer_who_does_not_probe_loses_nothing(void **state)
{
	static const char *const first[] = {"<stream", "\x16\x03\x01"};
	struct probe acceptor;
	char buf[16];
	int fd[2];

	for (size_t i = 0; i < 2; i++) {
		make_pair(fd);
		probe_accept(&acceptor, fd[1], now_ns());
		send(fd[0], first[i], strlen(first[i]), 0);
		assert_int_equal(go(&acceptor), PROBE_NONE);
		assert_int_equal(recv(fd[1], buf, sizeof buf, 0), strlen(first[i]));
		close(fd[0]);
		close(fd[1]);
	}
}

/* Where both are known to probe, the byte is the dialer's even before 0x03, and he may wait for our data. */
static void an_agreed_probe_needs_no_second_byte(void **state)
{
	static const char *const first[] = {"\x16\x03\x01", "\x16"};
	struct probe acceptor;
	int64_t begun = now_ns();
	char buf[16];
	int fd[2];

	for (size_t i = 0; i < 2; i++) {
		size_t follows = strlen(first[i]) - 1;
		int64_t later;

		make_pair(fd);
		probe_accept(&acceptor, fd[1], begun);
		acceptor.agreed = true;
		send(fd[0], first[i], follows + 1, 0);
		assert_int_equal(go(&acceptor), PROBE_PENDING);
		assert_in_range(acceptor.deadline_ns, begun + 1000 * MS, now_ns() + 1000 * MS);
		if (!follows)
			assert_int_equal(go(&acceptor), PROBE_PENDING);
		later = follows ? now_ns() : acceptor.deadline_ns;
		assert_int_equal(probe_handle(&acceptor, 0, later), PROBE_PLAIN);
		assert_int_equal(recv(fd[1], buf, sizeof buf, 0), follows ? (int)follows : -1);
		close(fd[0]);
		close(fd[1]);
	}
}

static void who_hangs_up_is_noticed_while_probing(void **state)
{
	struct probe acceptor;
	int fd[2];

	make_pair(fd);
	probe_accept(&acceptor, fd[1], now_ns());
	close(fd[0]);
	assert_int_equal(go(&acceptor), PROBE_BROKEN);
	close(fd[1]);
}

/* ---- a thread of its own ---- */

static void threads_serve_both_sides_beside_blocking_owners(void **state)
{
	struct heartbeat_config c = config(HEARTBEAT_URGENT, 20);
	struct heartbeat_thread *t;
	struct side s[2];

	open_sides(s, &c);
	assert_int_equal(heartbeat_start_thread(&t), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(heartbeat_thread_serve(t, s[i].h), 0);
	sleep_ms(1000);
	assert_in_range(counts(&s[0]).received, 35, 51);
	assert_int_equal(heartbeat_state(s[0].h), STEP_UP);
	heartbeat_free(s[1].h);
	s[1].h = NULL;
	shutdown(s[1].fd, SHUT_RDWR);
	sleep_ms(50);
	heartbeat_stop_thread(t);
	assert_state(&s[0], STEP_DOWN, STEP_CLOSED);
	close_sides(s);
}

static void neighbours_beat_together_and_crowds_do_not(void **state)
{
	enum { MANY = 200, SLOTS = 256, SLOT_MS = 10 };
	struct heartbeat_config c = config(HEARTBEAT_URGENT, SLOTS * SLOT_MS);
	bool used[SLOTS] = {0};
	struct side s[MANY][2];
	int slots = 0;

	for (int i = 0; i < MANY; i++) {
		int64_t begun = now_ns();
		open_sides(s[i], &c);
		int64_t first = heartbeat_next(s[i][0].h);
		assert_in_range(first, begun, now_ns() + c.interval_ns);
		assert_int_equal(first % (SLOT_MS * MS), 0);
		slots += !used[first / (SLOT_MS * MS) % SLOTS];
		used[first / (SLOT_MS * MS) % SLOTS] = true;
	}
	assert_in_range(slots, MANY / 16, MANY / 4);
	for (int i = 0; i < MANY; i++)
		close_sides(s[i]);
}

static void it_is_small(void **state)
{
	assert_in_range(sizeof(struct heartbeat), 1, 299);
	print_message("# %zu bytes a connection\n", sizeof(struct heartbeat));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(urgent_beats_are_echoed_and_counted),
	    cmocka_unit_test(in_band_beats_need_the_owners_two_calls),
	    cmocka_unit_test(off_shows_as_not_watched_and_only_the_end_counts),
	    cmocka_unit_test(an_end_is_known_at_once),
	    cmocka_unit_test(a_stopped_daemon_is_busy_then_down_then_back),
	    cmocka_unit_test(an_occupied_program_is_busy_for_as_long_as_it_likes),
	    cmocka_unit_test(our_own_sleep_is_nobodys_fault),
	    cmocka_unit_test(no_beat_leaks_into_the_data_of_a_stalled_reader),
	    cmocka_unit_test(a_stalled_reader_whose_memory_is_full_is_busy),
	    cmocka_unit_test(a_stalled_reader_of_the_watcher_accuses_nobody),
	    cmocka_unit_test(a_hundred_megabytes_to_the_answerer_arrive_whole),
	    cmocka_unit_test(a_hundred_megabytes_to_the_watcher_arrive_whole),
	    cmocka_unit_test(a_probe_on_a_fresh_connection_finds_urgent),
	    cmocka_unit_test(in_mid_stream_urgent_is_refused_and_acks_are_left),
	    cmocka_unit_test(what_is_not_tcp_has_no_urgent_byte),
	    cmocka_unit_test(the_dialer_asks_and_the_acceptor_sends_it_back),
	    cmocka_unit_test(a_cleared_flag_is_taken_out_of_the_data),
	    cmocka_unit_test(a_dialer_who_does_not_probe_loses_nothing),
	    cmocka_unit_test(an_agreed_probe_needs_no_second_byte),
	    cmocka_unit_test(who_hangs_up_is_noticed_while_probing),
	    cmocka_unit_test(threads_serve_both_sides_beside_blocking_owners),
	    cmocka_unit_test(neighbours_beat_together_and_crowds_do_not),
	    cmocka_unit_test(it_is_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
