/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's log: one line an event, whatever a peer put into it.
 *
 * It goes to the journal when there is one, else to syslog, and to stderr when asked. Control bytes and bad UTF-8
 * are escaped (\n, \x1b), a line ends at LOG_LINE_MAX bytes. Sending never waits: what the log's socket does not
 * take at once is counted and said later. Each component may say LOG_BURST lines at once and LOG_RATE a second (or log_rates()) in the
 * long run, errors and the rest apart; what was left out is said in number.
 *
 * Levels are syslog's (LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG). Libraries never log. Any thread may.
 */
#ifndef VIGIA_OS_LOG_H
#define VIGIA_OS_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

enum { LOG_LINE_MAX = 1024, LOG_BURST = 50, LOG_RATE = 5 };

/* `name` is borrowed. */
void log_open(const char *name);
/* When stderr is the journal anyhow ($JOURNAL_STREAM), this changes nothing. */
void log_to_stderr(bool on);
/* Less urgent levels are dropped; LOG_INFO to begin with. */
void log_level(int least);
void log_event(int level, const char *component, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* So many lines of a component at once, and so many a second in the long run; each at least 1. Others than before begin anew. */
void log_rates(unsigned burst, unsigned rate);
/* Lines that these left out. */
uint64_t log_left_out(void);
/* Says what was left out since, where nothing more was said. Call it now and then (each minute). */
void log_flush(void);
void log_close(void);

/* Events that no log took, or that the rate left out, since log_open(). */
uint64_t log_lost(void);

/* For tests: other sockets than the journal's and syslog's; NULL: none. Borrowed. */
void log_sockets(const char *journal, const char *syslog_socket);

#endif
