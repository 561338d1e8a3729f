/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the option list of vigia.conf(5), to be pasted into docs/man/vigia.conf.5.scd; conf_test says when it must. */
#include <stdio.h>

#include "conf/options.h"

static const char *const headings[CONF_SECTIONS] = {"## Outside of all sections", "## node { ... }", "## master { ... }",
    "## master { node NAME { ... } }", "## history { ... }", "## audit { ... }", "## add { ... }", "## limits { ... }", "## nats { ... }"};

int main(void)
{
	for (int s = 0; s < CONF_SECTIONS; s++) {
		printf("%s\n\n", headings[s]);
		for (size_t i = 0; i < conf_n_options; i++) {
			struct buf entry = BUF_INIT;
			if (conf_options[i].section == s) {
				conf_option_manual(&conf_options[i], &entry);
				fputs(buf_str(&entry), stdout);
			}
			buf_release(&entry);
		}
	}
	return 0;
}
