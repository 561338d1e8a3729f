/* SPDX-License-Identifier: Apache-2.0 */
/* The service manager's ear (sd_notify(3)'s protocol, without its library). Without $NOTIFY_SOCKET each call does
 * nothing and answers 0; 1: said; negative errno: not. None waits. */
#ifndef VIGIA_OS_NOTIFY_H
#define VIGIA_OS_NOTIFY_H

#include <stdint.h>

int notify_ready(void);
/* Before and after taking a new configuration: notify_reloading(), then notify_ready(). */
int notify_reloading(void);
int notify_stopping(void);
int notify_watchdog(void);
/* One line for people, in `systemctl status`. */
int notify_status(const char *line);

/* How often notify_watchdog() is awaited ($WATCHDOG_USEC, when meant for this process): call it twice as often.
 * 0: nobody waits for it. */
int64_t notify_watchdog_ns(void);

#endif
