# SPDX-License-Identifier: Apache-2.0
"""One line of configuration chooses what carries calls between hosts."""
import json
import re
import subprocess

import pytest

from cluster import PREFIX, free_port, need_nats, wait_for

ALONE = "listen = {}\ndefault_monitors = false\n"


def over(server):
    return f'platform = "nats"\nnats {{ server = "{server.url}" }}\n'


def operations(d, *words):
    return json.loads(d.vigia(*words, "--json").stdout or "[]")


def mapped(d):
    with open(f"/proc/{d.pid}/maps") as f:
        return re.search(r"/libnats\.|platform-nats\.so", f.read())


def platform_problems(d):
    return [p for p in json.loads(d.vigia("status", "--json", check=False).stdout)["problems"] if p["problem"] == "platform"]


def test_libnats_is_there_where_it_is_chosen_and_nowhere_else(daemon, nats_server):
    assert not mapped(daemon(ALONE, "h1"))
    assert mapped(daemon(over(nats_server) + ALONE, "h2"))


def test_a_host_that_listens_nowhere_is_asked_over_nats(daemon, nats_server):
    port = free_port()
    h1 = daemon(over(nats_server) + f'listen = {{"127.0.0.1:{port}"}}\ndefault_monitors = false\n', "h1")
    h2 = daemon(over(nats_server) + f'node {{ masters = {{"127.0.0.1:{port}"}} }}\n' + ALONE, "h2")
    wait_for(lambda: len(operations(h1, "host.list")) == 2, 20, "h1 knowing h2")
    assert operations(h1, "host.info", "at=h2")[0]["name"] == "h2"
    assert operations(h2, "host.info", "at=h1")[0]["name"] == "h1"


def test_status_says_that_no_server_answers_and_what_to_do(daemon, nats_server):
    d = daemon(over(nats_server) + ALONE)
    wait_for(lambda: not platform_problems(d), 10, "its connection")
    nats_server.kill()
    problem, = wait_for(lambda: platform_problems(d), 10, "the problem being told")
    assert f"no nats-server answers at {nats_server.url}" in problem["text"]
    assert "Start it, or name another" in problem["text"]
    nats_server.start()
    wait_for(lambda: not platform_problems(d), 20, "it being connected again")


def test_a_daemon_starts_without_its_server(daemon):
    need_nats()
    d = daemon(f'platform = nats\nnats {{ server = "nats://u:secret@127.0.0.1:{free_port()}" }}\n' + ALONE)
    problem, = wait_for(lambda: platform_problems(d), 10, "the problem being told")
    assert "secret" not in problem["text"]


@pytest.mark.parametrize("conf, says", [
    ("\nplatform = pigeons\n", r'vigia.conf:3: platform: found "pigeons", expected direct or nats: no platform is named pigeons'),
    ('platform = nats\n\nnats { server = "nats://10.0.0.1:4222" }\n', r"vigia.conf:4: server: 10.0.0.1:4222 is beyond this machine"),
    ('nats { cluster = "a b" }\n', r'vigia.conf:2: cluster: found "a b", expected 1 to 32 letters'),
])
def test_what_can_not_be_is_said_with_file_and_line(daemon, conf, says):
    d = daemon(conf + ALONE, wait=False)
    assert d.process.wait(10) == 1
    assert re.search(says, d.read_log())


def test_check_tells_of_a_platform_that_is_not_there(daemon):
    d = daemon("platform = pigeons\n", wait=False)
    d.process.wait(10)
    p = subprocess.run([f"{PREFIX}/sbin/vigiad", "--check", "--config", d.conf], env=d.env(), capture_output=True, text=True)
    assert p.returncode == 1 and "platform-pigeons.so" in p.stderr


def test_another_platform_takes_a_restart(daemon):
    d = daemon(ALONE)
    d.configure("platform = nats\n" + ALONE)
    assert "another platform takes a restart" in d.vigia("reload").stderr
    assert "another platform takes a restart" in d.read_log()
    assert not mapped(d)
