/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vigia/top.h"
int screen_run(struct live *l, struct order order, const char *filter){return 0;}
