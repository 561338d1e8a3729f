/* SPDX-License-Identifier: Apache-2.0 */
/* Small files that must outlive a power cut. */
#ifndef VIGIA_OS_FILE_H
#define VIGIA_OS_FILE_H

/* Makes `text` the file's contents, readable by its owner alone, on disk before this returns. Whatever happens meanwhile,
 * the file is either what it was or what it is to be. 0 or negative errno. */
int file_replace(const char *path, const char *text);

#endif
