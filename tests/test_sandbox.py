# SPDX-License-Identifier: Apache-2.0
"""Whoever breaks into the daemon has little of the host; and all that it is asked for works as before."""
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

from cluster import PREFIX, NatsServer, free_port, wait_for
from test_either_way import build_module, modules_of
from test_operations import operations

ALONE = "listen = {}\ndefault_monitors = false\n"
INTRUDED = ALONE + "services = {all, intruder}\n"
DEADLY = ["execve", "execve-in-a-thread", "fork", "system", "ptrace", "mount", "setuid"]
CAPABILITIES = ["CapInh", "CapPrm", "CapEff", "CapAmb"]


@pytest.fixture
def intruded(daemon, tmp_path):
    """A daemon with an intruder in it; `intruded(conf)` starts it."""
    build_module("tests/third_party/intruder.c", modules_of(tmp_path) / "service-intruder.so")
    return lambda conf="": daemon(conf + INTRUDED)


def try_to(d, what, path="/no/such/program"):
    """What came of it: "done", what the kernel said, or the signal that ended the daemon."""
    p = d.vigia("intruder.try", what, str(path), "--json", check=False)
    if p.returncode == 0:
        return json.loads(p.stdout)[0]["result"]
    return signal.Signals(-d.process.wait(10)).name


def statuses(pid):
    """What the kernel says of each of its threads."""
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as f:
            yield dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def named(d, name):
    """Those that it started whose name it is."""
    for pid in d.children():
        with open(f"/proc/{pid}/comm") as f:
            if f.read().strip() == name:
                yield pid


def in_force(d):
    return re.search(r"^Sandbox of vigiad: (.*)\.$", d.vigia("status", check=False).stdout, re.M)[1]


def kernel_has(what):
    if what == "landlock":
        return ctypes.CDLL(None).syscall(444, None, 0, 1) > 0
    with open("/proc/self/status") as f:
        return "\nSeccomp:" in f.read()


def needs(d, what):
    if not kernel_has(what):
        pytest.skip(f"this kernel has no {what}")
    if "was built with a sanitizer" in d.read_log():
        pytest.skip("this vigiad was built with a sanitizer")
    assert what in in_force(d)


@pytest.mark.parametrize("what", DEADLY)
def test_an_intruder_that_shows_itself_is_the_end_of_the_daemon(intruded, what):
    d = intruded()
    needs(d, "seccomp")
    assert try_to(d, what) == "SIGSYS"


def test_files_of_others_are_out_of_its_reach_and_its_own_are_not(intruded, tmp_path):
    d = intruded()
    needs(d, "landlock")
    (tmp_path / "secret").write_text("of a user")
    os.chmod(tmp_path / "secret", 0o666)
    assert try_to(d, "read", tmp_path / "secret") == "Permission denied"
    assert try_to(d, "write", tmp_path / "secret") == "Permission denied"
    assert try_to(d, "write", tmp_path / "new") == "Permission denied"
    assert try_to(d, "read", "/root") == try_to(d, "write", "/etc/passwd") == "Permission denied"
    assert try_to(d, "write", d.conf) == "Permission denied", "its configuration is for reading"
    assert try_to(d, "write", f"{d.state}/new") == try_to(d, "read", d.conf) == "done"


def test_it_brings_no_code_along(intruded):
    d = intruded()
    needs(d, "seccomp")
    assert try_to(d, "code") == "Function not implemented"


def test_what_the_kernel_says_of_every_thread_of_it_and_of_those_it_starts(daemon):
    d = daemon("listen = {}\nmonitor host { }\n")
    needs(d, "seccomp")
    wait_for(lambda: list(named(d, "host")), 10, "its monitor")
    for s in statuses(d.pid):
        assert (s["Seccomp"], s["NoNewPrivs"], {s[c] for c in CAPABILITIES}) == ("2", "1", {"0" * 16}), s["Name"]
    for name in ("vigia-launcher", "host"):
        assert {s["Seccomp"] for pid in named(d, name) for s in statuses(pid)} == {"0"}, f"{name} is not in the sandbox"


# --------------------------------------------------------------------------------------------------- and without it

def test_one_word_leaves_it_out(intruded, tmp_path):
    d = intruded("sandbox = no\n")
    tried = {what: try_to(d, what) for what in [*DEADLY, "code"]}
    assert d.process.poll() is None, "it lives"
    assert tried["fork"] == tried["system"] == tried["setuid"] == tried["code"] == "done"
    assert tried["execve"] == "No such file or directory"
    assert try_to(d, "write", tmp_path / "new") == "done"


def test_that_it_is_left_out_is_said_in_the_log_and_in_status(daemon):
    d = daemon(ALONE + "sandbox = no\n")
    p = wait_for(lambda: (p := d.vigia("status", check=False)).returncode == 0 and p, 20, "all being well: somebody has said so")
    assert "not in force: all of it (the configuration says sandbox = no). See vigiad(8)" in p.stdout
    assert in_force(d) == "nothing"
    assert "sandbox: in force: nothing; not in force: all of it" in d.read_log()
    d.configure(ALONE)
    assert "a change of sandbox takes a restart" in d.vigia("reload").stderr
    assert in_force(d) == "nothing"


def test_that_it_is_in_force_is_said_too(daemon):
    d = daemon(ALONE)
    needs(d, "seccomp")
    assert f"sandbox: in force: {in_force(d)}\n" in d.read_log()
    assert operations(d, "master.info")[0]["sandbox"] == in_force(d)
    assert "no new privileges" in in_force(d) and "no capabilities" in in_force(d)


def test_a_module_that_has_threads_before_is_refused(daemon, tmp_path):
    source = tmp_path / "early.c"
    source.write_text("#include <pthread.h>\n#include <unistd.h>\n#include <vigia/vigia.h>\n"
                      "static void *stay(void *data) { pause(); return data; }\n"
                      "__attribute__((constructor)) static void begin(void) { pthread_t t; pthread_create(&t, 0, stay, 0); }\n"
                      "static const struct vigia_operation none[] = {{NULL}};\n"
                      'static const struct vigia_service early = {"early", "", none};\nVIGIA_OFFER(early, NULL)\n')
    build_module(source, modules_of(tmp_path) / "service-early.so")
    d = daemon(ALONE + "services = {all, early}\n", wait=False)
    assert d.process.wait(10) == 1
    assert "the sandbox: a module has started threads while it was loaded" in d.read_log()
    d.configure(ALONE + "services = {all, early}\nsandbox = no\n")
    d.start()


# ----------------------------------------------------------------------------------------------- all that it does

@pytest.fixture
def over_nats():
    if not shutil.which("nats-server"):
        yield ""
        return
    server = NatsServer().start()
    yield f'platform = nats\nnats {{ server = "nats://localhost:{server.port}" }}\n'
    server.kill()


def test_everything_works_as_before(daemon, tmp_path, over_nats):
    port, beside = free_port(), tmp_path / "beside"
    beside.mkdir()
    build_module("examples/counter/counter.c", modules_of(tmp_path) / "service-counter.so")
    master = daemon(over_nats + f'listen = {{"127.0.0.1:{port}"}}\ndefault_monitors = false\n', "m")
    conf = (over_nats + f'services = {{all, counter}}\nlisten = {{}}\nsocket = "{beside}/socket"\ndefault_monitors = false\n'
            f'node {{ masters = {{"localhost:{port}"}} }}\nmonitor host {{ period = 100ms }}\n')
    d = daemon(conf, wait=False)
    d.socket = f"{beside}/socket"
    wait_for(d.answers, 10, "it answering")
    needs(d, "seccomp")
    wait_for(lambda: len(operations(master, "host.list")) == 2, 20, "its master knowing it")
    assert operations(d, "counter.add") == operations(master, "counter.get", "at=n1") == [{"value": "1"}]
    history = ["history", "n1/host/load/1min", "--raw", "--csv"]
    wait_for(lambda: len(d.vigia(*history, check=False).stdout.splitlines()) > 2, 20, "its history")
    assert "ended     7" in d.vigia("process.start", "--", "sh", "-c", f"echo here > {tmp_path}/out; exit 7").stdout
    assert (tmp_path / "out").read_text() == "here\n"
    assert any(p["program"] == "vigiad" for p in operations(d, "process.list"))
    assert operations(d, "host.info")[0]["system"]

    with open(f"{d.conf}.new", "w") as f:
        f.write('name = "n1"\n' + conf + "monitor own { program = fs }\n")
    os.rename(f"{d.conf}.new", d.conf)  # as editors do
    d.vigia("reload")
    wait_for(lambda: "monitor-connected n1/own" in d.read_log(), 10, "the monitor that was added")
    d.configure(conf.replace("/socket", "/other").replace("listen = {}", 'listen = {"[::1]:0"}'))
    d.vigia("reload")
    d.socket = f"{beside}/other"
    wait_for(d.answers, 10, "its other socket")
    assert not os.path.exists(f"{beside}/socket")
    assert d.stop() == 0 and master.stop() == 0


# ------------------------------------------------------------------------------------------------------- the unit

@pytest.mark.parametrize("unit, most", [("vigiad", 2.0), ("vigia-root", 6.0)])
def test_systemd_finds_little_exposed(unit, most):
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd-analyze")
    p = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager", f"{PREFIX}/lib/systemd/system/{unit}.service"], capture_output=True, text=True)
    found = re.search(rf"Overall exposure level for {unit}.service: ([\d.]+)", p.stdout)
    assert found, p.stderr
    assert float(found[1]) <= most, p.stdout
