# SPDX-License-Identifier: Apache-2.0
"""A configuration that is changed while the daemon runs: kept once it has come up, undone else."""
import os
import re
import signal
import socket
import subprocess

import pytest

from cluster import PREFIX, is_gone, wait_for
from hmon_peer import Client, HmonError
from test_hosts import free_port
from test_operations import operations

ALONE = "listen = {}\nmonitor host { period = 100ms }\n"


def option(d, name, *words):
    o, = operations(d, "config", *words, "get", name)
    return o["value"], o["set"] == "yes"


def test_what_is_in_force_is_told(daemon):
    d = daemon("listen = {}\nhistory { keep = 20d }\nmonitor host { period = 100ms }\n")
    told = {o["option"]: o["value"] for o in operations(d, "config", "get")}
    assert told["history.keep"] == "20d" and told["listen"] == "" and told["name"] == "n1" and told["control"] == "true"
    assert told["monitor.host"].strip() == "period = 100ms"
    dumped = subprocess.run([f"{PREFIX}/sbin/vigiad", "--config", d.conf, "--dump"], env=d.env(), capture_output=True, text=True, check=True).stdout
    assert len(told) == len([line for line in dumped.splitlines() if re.match(r"\t?[a-z_]+ = ", line)]) + 1
    assert not [o for o in operations(d, "config", "get") if o["set"] == "yes"]


def test_an_option_is_set_over_the_file_and_stays_set(daemon):
    d = daemon(ALONE + "history { keep = 20d }\n")
    d.vigia("config", "set", "audit.files", "7")
    assert option(d, "audit.files") == ("7", True) and option(d, "history.keep") == ("20d", False)
    d.vigia("reload")
    assert option(d, "audit.files") == ("7", True)
    d.stop()
    d.start()
    assert option(d, "audit.files") == ("7", True)
    d.vigia("config", "unset", "audit.files")
    assert option(d, "audit.files") == ("64", False)
    p = d.vigia("config", "unset", "audit.files", check=False)
    assert p.returncode == 1 and "audit.files is not set" in p.stderr
    records = [(r["what"], r["result"], r["arguments"]) for r in operations(d, "audit", "--operation", "settings.*")]
    assert ("settings.set", "done", 'option="audit.files" value="7"') in records


def test_a_monitor_is_configured_and_begun_and_ended(daemon):
    d = daemon(ALONE)
    d.vigia("config", "set", "monitor.fs", "section=period = 200ms")
    assert option(d, "monitor.fs") == ("period = 200ms", True)
    wait_for(lambda: d.child("fs"), 10, "its program")
    d.vigia("config", "unset", "monitor.fs")
    assert not operations(d, "config", "get", "monitor.fs")
    wait_for(lambda: not d.child("fs"), 10, "its end")


@pytest.mark.parametrize("words, says", [
    (["history.keep", "many"], 'nothing was changed: setting history.keep: found "many", expected'),
    (["history.keeep", "1d"], "nothing was changed: setting history.keeep: there is no such option"),
    (["no such", "1d"], "OPTION, SECTION.OPTION or monitor.NAME"),
    (["monitor.x", "section=a = { b"], "monitor.x"),
    (["monitor.x", "section=} listen = {} monitor y {"], "the inside of one section"),
    (["history.keep", "section=x"], "a section is a monitor's"),
    (["nats.server", "nats://a:b@c:1"], "it is set in the file alone"),
    (["history.keep"], "found")])
def test_what_is_wrong_is_said_and_changes_nothing(daemon, words, says):
    d = daemon(ALONE)
    before = operations(d, "config", "get")
    p = d.vigia("config", "set", *words, check=False)
    assert p.returncode == 1 and says in p.stderr, p.stderr
    assert operations(d, "config", "get") == before and not os.path.exists(f"{d.state}/settings")


def test_what_does_not_come_up_is_undone(daemon):
    port = free_port()
    taken = socket.create_server(("127.0.0.1", free_port()))
    d = daemon(f'listen = {{"127.0.0.1:{port}"}}\nmonitor host {{ period = 100ms }}\n')
    for words, says in [
            (["listen", f"127.0.0.1:{taken.getsockname()[1]}"], "undone, the configuration of before is in force: can't listen on 127.0.0.1"),
            (["node.masters", f"127.0.0.1:{free_port()}"], "is not reached"),
            (["monitor.host", "section=period = nonsense"], "monitor host finds mistakes: "),
            (["monitor.new", "section=program = nobody"], "monitor new can't be started")]:
        p = d.vigia("config", "set", *words, "wait=2s", check=False)
        assert p.returncode == 1 and "undone" in p.stderr and says in p.stderr, p.stderr
        assert not [o for o in operations(d, "config", "get") if o["set"] == "yes"]
    socket.create_connection(("127.0.0.1", port)).close()
    wait_for(lambda: d.vigia("status", check=False).returncode == 0, 10, "all well as before")
    assert not os.path.exists(f"{d.state}/settings")
    d.configure('listen = {"203.0.113.1:7660"}\ninsecure_network = yes\n' + ALONE.split("\n", 1)[1])
    p = d.vigia("config", "reload", check=False)
    assert p.returncode == 1 and "undone" in p.stderr and "can't listen on 203.0.113.1" in p.stderr
    socket.create_connection(("127.0.0.1", port)).close()


def test_who_asked_and_is_gone_before_it_came_up_has_it_undone(daemon):
    d = daemon(ALONE)
    p = subprocess.Popen([f"{PREFIX}/bin/vigia", "config", "set", "node.masters", f"127.0.0.1:{free_port()}", "wait=60s"], env=d.env())
    wait_for(lambda: option(d, "node.masters")[0], 10, "its being tried")
    refused = d.vigia("config", "set", "audit.files", "7", check=False)
    assert refused.returncode == 1 and "another change of the configuration is under way" in refused.stderr
    assert "another change" in d.vigia("reload", check=False).stderr
    p.kill()
    p.wait()
    wait_for(lambda: option(d, "node.masters") == ("", False), 10, "its being undone")


def test_a_change_that_ends_the_daemon_is_undone_by_its_start(daemon):
    d = daemon(ALONE)
    p = subprocess.Popen([f"{PREFIX}/bin/vigia", "config", "set", "node.masters", f"127.0.0.1:{free_port()}", "wait=60s"], env=d.env(),
                         stderr=subprocess.DEVNULL)
    wait_for(lambda: option(d, "node.masters")[0], 10, "its being tried")
    pid = d.pid
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: is_gone(pid), 5, "its end")
    p.wait(10)
    d.stop()
    d.start()
    assert option(d, "node.masters") == ("", False)


@pytest.mark.parametrize("damage, says", [("history.keep\n", "settings:1: expected KEY=VALUE"), ("a=b\na=c\n", "settings:2: "),
                                          ("history.keep=never\n", "setting history.keep: found \"never\"")])
def test_a_damaged_file_of_settings_is_a_refusal_to_start(daemon, damage, says):
    d = daemon(ALONE)
    d.stop()
    with open(f"{d.state}/settings", "w") as f:
        f.write(damage)
    d.start(wait=False)
    assert d.process.wait(10) == 1 and says in d.read_log()
    os.unlink(f"{d.state}/settings")


def test_only_the_daemons_own_user_sees_and_changes_it(daemon):
    port = free_port()
    d = daemon(f'listen = {{"127.0.0.1:{port}"}}\nmonitor host {{ period = 100ms }}\n')
    with pytest.raises(HmonError, match="only for the daemon's own user"):
        with Client(("127.0.0.1", port)).connect() as c:
            c.ask("settings", "get").all()
