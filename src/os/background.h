/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon that is started from a shell, or over ssh, and goes on when that ends: a child in a session of its own, whose
 * parent waits until it serves. */
#ifndef VIGIA_OS_BACKGROUND_H
#define VIGIA_OS_BACKGROUND_H

/* Before threads and loops. 0: this is the child; stdin and stdout are /dev/null, and stderr is what the parent says in its
 * place should it fail: then it ends with the child's status. Negative errno: nothing has happened. */
int background_begin(int *ret_fd);
/* It serves: the parent says this line on stdout and ends with 0. What is said to stderr from now on nobody reads. */
void background_ready(int fd, const char *line);

#endif
