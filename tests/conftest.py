# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import cluster as c  # noqa: E402


def pytest_report_teststatus(report, config):
    """How long each took, beside its name."""
    if report.when == "call" and report.passed and not hasattr(report, "wasxfail"):
        return "passed", ".", f"PASSED in {report.duration:.1f} s"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """What the daemons of a test that failed have to say."""
    report = (yield).get_result()
    if report.failed and report.when != "teardown":
        report.sections += [(f"log of {d.name}", d.read_log()[-4000:]) for d in c.Daemon.started]
    if report.when == "teardown":
        c.Daemon.started.clear()


@pytest.fixture
def daemon(tmp_path):
    """A vigiad alone, on its own socket, with the host monitor; `daemon(conf)` starts it."""
    started = []

    def start(conf="listen = {}\nmonitor host { }\n", name="n1", wait=True):
        d = c.Daemon(str(tmp_path), conf, name)
        started.append(d)
        return d.start(wait)

    yield start
    for d in started:
        d.stop()


@pytest.fixture
def nats_server():
    c.need_nats()
    server = c.NatsServer().start()
    yield server
    server.kill()


@pytest.fixture
def make_cluster():
    if os.geteuid() != 0 or subprocess.run(["ip", "netns", "list"], capture_output=True).returncode:
        pytest.skip("network namespaces need root")
    made = []

    def make(n, **options):
        made.append(c.Cluster(n, **options))
        return made[-1].start()

    yield make
    for m in made:
        m.close()
