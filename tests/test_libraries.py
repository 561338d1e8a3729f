# SPDX-License-Identifier: Apache-2.0
"""The libraries as others get them: what they export, and building with them from a tree that was never installed."""
import os
import re
import subprocess

import pytest

from cluster import PREFIX

LIBRARIES = {"vigia-hmon": ["vigia/hmon.h"],
             "vigia-heartbeat": ["vigia/heartbeat/heartbeat.h", "vigia/heartbeat/probe.h", "vigia/heartbeat/step.h"]}
INTERNAL = {"step", "step_init"}  # step.h also serves those who play with the rules, from the static library

MONITOR = r"""
#include <vigia/hmon.h>
static const struct hmon_metric metrics[] = {{"one", HMON_GAUGE}, {0}};
static int one(struct hmon *h) { hmon_set_int(h, 0, 1); return 0; }
static const struct hmon_monitor monitor = {.name = "one", .metrics = metrics, .read = one};
int main(int argc, char **argv) { return hmon_main(&monitor, argc, argv); }
"""
WATCHER = r"""
#include <heartbeat/heartbeat.h>
#include <heartbeat/probe.h>
#include <stdio.h>
/* Names of its own that the library has inside, too. */
int witness_look(void) { return 1; }
int urgent_send(void) { return 2; }
int main(void) { return puts(heartbeat_transport_name(HEARTBEAT_URGENT)) < 0 || witness_look() != 1 || urgent_send() != 2; }
"""


def env():
    folders = [root for root, _, files in os.walk(PREFIX) if any(f.endswith(".pc") for f in files)]
    return dict(os.environ, PKG_CONFIG_PATH=":".join(folders), PKG_CONFIG_LIBDIR=":".join(
        folders + ["/usr/lib/x86_64-linux-gnu/pkgconfig", "/usr/lib/pkgconfig", "/usr/share/pkgconfig"]))


def library(name):
    return next(os.path.join(root, f) for root, _, files in os.walk(PREFIX) for f in files if f == f"lib{name}.so")


def exported(name):
    out = subprocess.run(["nm", "-D", "--defined-only", library(name)], capture_output=True, text=True, check=True)
    return {line.split()[2].split("@")[0] for line in out.stdout.splitlines()}


def declared(name):
    text = "".join(open(f"{PREFIX}/include/{h}").read() for h in LIBRARIES[name])
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    prefix = r"(?:hmon|heartbeat|probe|step)"
    return set(re.findall(rf"(?<!\(\*)\b({prefix}(?:_\w+)?)\s*\(", text)) - INTERNAL


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_library_exports_what_its_headers_say_and_nothing_else(name):
    assert exported(name) == declared(name)


@pytest.mark.parametrize("name, source, says", [("vigia-hmon", MONITOR, "one"), ("vigia-heartbeat", WATCHER, "urgent")])
def test_pkg_config_finds_a_tree_that_was_not_installed(name, source, says, tmp_path):
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", name], env=env(), capture_output=True, text=True,
                           check=True).stdout.split()
    (tmp_path / "p.c").write_text(source)
    program = str(tmp_path / "p")
    subprocess.run(["cc", "-o", program, str(tmp_path / "p.c"), *flags], check=True)
    p = subprocess.run([program] + (["--once"] if name == "vigia-hmon" else []), capture_output=True, text=True,
                       env=dict(os.environ, LD_LIBRARY_PATH=os.path.dirname(library(name))))
    assert p.returncode == 0 and says in p.stdout, (p.stdout, p.stderr)
