# SPDX-License-Identifier: Apache-2.0
"""What the documents tell people to do, done."""
import os
import re
import shutil
import subprocess
import sys
import time

from cluster import wait_for

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))


def blocks(page, language):
    with open(f"{ROOT}/docs/{page}") as f:
        return re.findall(rf"^```{language}\n(.*?)^```", f.read(), re.M | re.S)


def test_a_new_monitor_made_by_the_page_touches_one_folder(tmp_path):
    tree = f"{tmp_path}/tree"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns("build", ".git", "__pycache__"))
    folder = f"{tree}/src/monitors/random"
    os.mkdir(folder)
    source = next(b for b in blocks("monitors.md", "c") if "hmon_main" in b)
    assert len(source.splitlines()) <= 35, "about 30 lines"
    with open(f"{folder}/main.c", "w") as f:
        f.write(source.replace("<vigia/hmon.h>", '"hmon/hmon.h"'))
    with open(f"{folder}/meson.build", "w") as f:
        f.write(next(b for b in blocks("monitors.md", "meson") if "executable" in b).replace("NAME", "random"))
    build = f"{tmp_path}/build"
    subprocess.run(["meson", "setup", build, tree], check=True, capture_output=True)
    subprocess.run(["ninja", "-C", build, "src/monitors/random/random"], check=True, capture_output=True)
    once = subprocess.run([f"{build}/src/monitors/random/random", "--once"], check=True, capture_output=True, text=True)
    assert re.search(r"available\s+\d+ bit\s+gauge", once.stdout), once.stdout


def test_the_ten_line_monitor_of_the_protocol_page_works(daemon, tmp_path):
    d = daemon('listen = {"127.0.0.1:0"}\nmonitor host { enabled = false }\n')
    port = wait_for(lambda: re.search(r"127.0.0.1 port (\d+)", d.read_log()), 5)[1]
    source = next(b for b in blocks("hmon.md", "python") if "create_connection" in b)
    assert len(source.splitlines()) <= 11
    script = tmp_path / "load.py"
    script.write_text(source.replace("7660", port))
    p = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE)
    try:
        with d.client() as c:
            begun = time.time_ns()
            wait_for(lambda: c.get("load/1min", monitor="load"), 5, "its value")
            first = c.get("load/1min", monitor="load").one()
            assert abs(first.time - begun) < 10 * 10**9
            wait_for(lambda: c.get("load/1min", monitor="load").one().sequence > first.sequence, 5, "the next one")
    finally:
        p.kill()
        p.wait()


def test_every_link_inside_the_documents_leads_somewhere():
    pages = [p for p in subprocess.run(["find", ".", "-name", "*.md", "-not", "-path", "./build/*"], cwd=ROOT,
                                       capture_output=True, text=True).stdout.split()]
    for page in pages:
        with open(f"{ROOT}/{page}") as f:
            for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", f.read()):
                assert os.path.exists(os.path.join(ROOT, os.path.dirname(page), link)), f"{page}: {link}"


def test_the_table_of_conformance_names_each_test_that_there_is():
    with open(f"{ROOT}/docs/conformance.md") as page, open(f"{ROOT}/tests/test_conformance.py") as tests:
        assert re.findall(r"`(test_d\d\w+)`", page.read()) == re.findall(r"^def (test_\w+)", tests.read(), re.M)
