# SPDX-License-Identifier: Apache-2.0
"""Channels chained to each other over four hosts, and programs that answer each other through them."""
import json
import os
import signal
import subprocess

import pytest

from cluster import PLATFORMS, SOAK, need_nats, wait_for
from hmon_peer import HmonError
from test_operations import LIB, build

QUIET = "default_monitors = false\n"
EMITTERS, EACH = 10, 100 if SOAK else 15
LINE = [(3, "a"), (1, "b"), (2, "c"), (4, "d")]  # each is chained to the one before


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    return build("tests/third_party/causes.c", tmp_path_factory.mktemp("causes") / "causes")


@pytest.fixture
def causes(program):
    """Starts it beside the daemon of a host."""
    started = []

    def start(d, *words):
        p = subprocess.Popen([program, d.socket, *map(str, words)], env=dict(os.environ, LD_LIBRARY_PATH=LIB),
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(p)
        return p

    def run(d, *words):
        p = start(d, *words)
        out, err = p.communicate(timeout=60)
        assert not p.returncode, err
        return out.splitlines()

    run.start = start
    yield run
    for p in started:
        p.kill()
        p.communicate()


@pytest.fixture
def hosts(make_cluster):
    return lambda n, **options: make_cluster(n, monitors=QUIET, **options).until_one_view()


def operations(d, *words):
    return json.loads(d.vigia(*words, "--json").stdout or "[]")


def create(d, *keys, log=4 << 20):
    for key in keys:
        d.vigia("channel.create", key, f"log={log}", "public=yes")


def refused(d, *words):
    p = d.vigia(*words, check=False)
    assert p.returncode == 1
    return p.stderr


def chain_of(d, key):
    return next((c for c in operations(d, "channel.chains", key)), None)


def wait_until(d, key, state, timeout=20):
    return wait_for(lambda: (chain := chain_of(d, key)) and chain["state"] == state and chain, timeout, f"the chain {state}")


def make_line(hosts):
    for i, key in LINE:
        create(hosts[i], key)
    for (i, key), (j, source) in zip(LINE[1:], LINE):
        hosts[i].vigia("channel.chain", key, source, f"h{j}")


# ------------------------------------------------------------------------------------------- order

def check_causes(lines, what):
    """Nobody sees an answer before what it answers, where he sees both."""
    first = {}
    for at, (name, _) in enumerate(lines):
        first.setdefault(name, at)
    for name, cause in lines:
        if cause in first:
            assert first[cause] < first[name], f"{what}: {name} before {cause}, which it answers"


def play(h, causes):
    """Ten emitters and ten subscribers along the line; returns the channels' names, how much each has, what each subscriber saw."""
    everything = [f"h{i}:{key}" for i, key in LINE]
    for n in range(EMITTERS):
        i, key = LINE[n % 4]
        causes.start(h[i], "emit", f"e{n}", EACH, key, everything[(n + 1) % 4], everything[(n + 2) % 4])
    put = [EACH * len([n for n in range(EMITTERS) if n % 4 == k]) for k in range(4)]
    total = {at: sum(put[:k + 1]) for k, at in enumerate(everything)}
    pairs = [(everything[n % 4], everything[(n + n // 4 + 1) % 4]) for n in range(10)]
    watchers = [causes.start(h[1 + n % 4], "watch", *(f"{at}={total[at]}" for at in pair)) for n, pair in enumerate(pairs)]
    seen = []
    for w in watchers:
        out, err = w.communicate(timeout=60)
        assert not w.returncode, err
        seen.append([line.split() for line in out.splitlines()])
    return everything, total, seen


def nothing_came_early(h):
    """No machine stood still for a second in the middle of it: then an effect may come before its cause (decision 0010)."""
    return not any(int(operations(h[i], "channel.info", key)[0]["early"]) for i, key in LINE)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_one_order_for_all_and_no_effect_before_its_cause(hosts, causes, platform):
    if platform == "nats":
        need_nats()
    h = hosts(4, platform=platform)
    for _ in range(3):
        make_line(h)
        everything, total, seen = play(h, causes)
        if nothing_came_early(h):
            break
        for i, key in LINE:
            h[i].vigia("channel.delete", key)
    else:
        pytest.fail("something came early in each of three runs")
    orders, put_at = {}, lambda name: everything[int(name[1:].split(".")[0]) % 4]
    for n, lines in enumerate(seen):
        for at in {at for at, *_ in lines}:
            events = [event for where, *event in lines if where == at]
            assert [int(e[0]) for e in events] == list(range(1, total[at] + 1)), f"{at}: each once, in order, none lost"
            assert orders.setdefault(at, events) == events, f"{at}: the same for all"
        check_causes([(name, cause) for at, _, name, cause in lines if put_at(name) == at], f"subscriber {n}, of both channels")
    for at, events in orders.items():
        check_causes([e[1:] for e in events], at)
    assert len(orders) == 4 and sum(e[2] != "-" for e in orders[everything[3]]) > EMITTERS * EACH / 2


# ------------------------------------------------------------------------------------------- what a chain is

def test_a_chain_says_what_it_is_and_goes_when_it_is_told(hosts, causes):
    h = hosts(2)
    create(h[1], "here", "other")
    create(h[2], "there")
    causes(h[1], "chain", "", "here", "h2", "there", 2)
    chain = chain_of(h[1], "here")
    assert (chain["from"], chain["host"], chain["mask"], chain["state"], chain["lost"]) == ("there", "h2", "2", "going", "0")
    assert operations(h[1], "channel.info", "here")[0]["chains"] == "1"
    h[1].vigia("channel.chain", "here", "there", "h2", "2")
    assert "with another mask" in refused(h[1], "channel.chain", "here", "there", "h2")
    h[1].vigia("channel.chain", "here", chain["source"], "mask=2")
    number = chain["source"].split("#")[1]
    assert "is chained to it already" in refused(h[1], "channel.chain", "here", f"#{number}", "h2", "2")
    assert len(operations(h[1], "channel.chains")) == 1
    for tag in (1, 2, 3):
        h[2].vigia("channel.put", "there", str(tag), f"t{tag}")
    assert causes(h[2], "watch", "h1:here=2") == ["h1:here 1 t2", "h1:here 2 t3"]
    assert causes(h[2], "poll", "h1", "here", 0, 1, 0) == ["here 1 t2", "more at 1"]
    assert causes(h[2], "poll", "h1", "here", 1, 1, 0) == ["here 2 t3", "at 2"]
    causes(h[1], "unchain", "", "here", "h2", "there")
    assert chain_of(h[1], "here") is None and operations(h[2], "channel.info", "there")[0]["subscribers"] == "0"
    h[1].vigia("channel.chain", "here", "other")
    h[1].vigia("channel.put", "other", "1", "near")
    assert causes(h[1], "poll", "", "here", 2, 9, 5000) == ["here 3 near", "at 3"]


@pytest.mark.parametrize("words, says", [
    (["nobody", "there", "h2"], "no channel has the key nobody"),
    (["here", "nobody", "h2"], "no channel has the key nobody"),
    (["here", "there", "h9"], "no host is named h9"),
    (["here", "closed", "h2"], "belongs to uid"),
    (["here", "here"], "go round for ever"),
    (["here", "there", "h2", "mask=one"], "mask must be a whole number"),
])
def test_what_can_not_be_chained_is_said(hosts, words, says):
    h = hosts(2)
    create(h[1], "here")
    create(h[2], "there")
    h[2].vigia("channel.create", "closed")
    p = h[1].vigia("channel.chain", *words, check=False)
    assert p.returncode in (1, 2) and says in p.stderr
    assert chain_of(h[1], "here") is None


def test_no_channel_comes_into_itself_over_any_number_of_hosts(hosts):
    h = hosts(4)
    make_line(h)
    assert "go round for ever" in refused(h[3], "channel.chain", "a", "d", "h4")
    assert "go round for ever" in refused(h[1], "channel.chain", "b", "c", "h2")
    assert "go round for ever" in refused(h[3], "channel.chain", "a", "b", "h1")
    assert chain_of(h[3], "a") is None
    h[2].vigia("channel.unchain", "c", "b", "h1")
    h[3].vigia("channel.chain", "a", "d", "h4")
    assert "go round for ever" in refused(h[2], "channel.chain", "c", "b", "h1")


def test_a_cycle_that_two_made_at_once_is_found(hosts, causes):
    """Whichever way it comes: refused, or found as soon as both have told what comes into them."""
    h = hosts(2)
    for n in range(20 if SOAK else 4):
        keys = f"x{n}", f"y{n}"
        create(h[1], keys[0])
        create(h[2], keys[1])
        both = [causes.start(h[1], "chain", "", keys[0], "h2", keys[1]), causes.start(h[2], "chain", "", keys[1], "h1", keys[0])]
        said = [p.communicate(timeout=20) for p in both]
        going = lambda: [c for i in (1, 2) for c in operations(h[i], "channel.chains", keys[i - 1]) if c["state"] == "going"]
        wait_for(lambda: len(going()) < 2, 20, "a cycle being found")
        for i in (1, 2):
            chain = chain_of(h[i], keys[i - 1])
            assert not chain or chain["state"] == "going" or "go round for ever" in chain["why"], said


# ------------------------------------------------------------------------------------------- what happens to it

def test_a_source_that_is_deleted_ends_the_chain_and_all_are_told(hosts, causes):
    h = hosts(2)
    create(h[1], "here")
    create(h[2], "there")
    h[1].vigia("channel.chain", "here", "there", "h2")
    h[2].vigia("channel.put", "there", "1", "last")
    h[2].vigia("channel.delete", "there")
    assert "channel there was deleted" in wait_until(h[1], "here", "ended")["why"]
    told = [line.split()[2] for line in causes(h[1], "poll", "", "chains", 0, 9, 0)[:-1]]
    assert told == ["going", "ended"]
    assert causes(h[1], "poll", "", "here", 0, 9, 0) == ["here 1 last", "at 1"]
    create(h[2], "there")
    h[1].vigia("channel.chain", "here", "there", "h2")
    h[2].vigia("channel.put", "there", "1", "new")
    assert causes(h[1], "poll", "", "here", 1, 9, 5000) == ["here 2 new", "at 2"]


def test_a_source_host_that_is_killed_is_waited_for_and_its_return_told(hosts, causes):
    h = hosts(3)
    create(h[1], "here")
    create(h[3], "there")
    h[1].vigia("channel.chain", "here", "there", "h3")
    old = chain_of(h[1], "here")["source"]
    h[3].vigia("channel.put", "there", "1", "before")
    assert causes(h[2], "poll", "h1", "here", 0, 9, 5000) == ["here 1 before", "at 1"]
    h[3].kill()
    assert wait_until(h[1], "here", "waiting")["why"]
    h[3].start()
    assert "started anew" in wait_until(h[1], "here", "ended")["why"]
    create(h[3], "there")
    h[3].vigia("channel.put", "there", "1", "after")
    assert "started anew" in refused(h[2], "channel.poll", old, "after=0", "at=h3"), "another life's place is no place in this one"
    assert "before this one was made" in refused(h[2], "channel.poll", "there", "after=7", "at=h3")
    h[1].vigia("channel.chain", "here", "there", "h3")
    assert chain_of(h[1], "here")["source"] != old
    h[3].vigia("channel.put", "there", "1", "again")
    assert causes(h[2], "poll", "h1", "here", 1, 9, 5000) == ["here 2 again", "at 2"]


def test_a_break_of_the_network_loses_nothing_that_the_source_still_has(hosts, causes):
    h = hosts(2)
    create(h[1], "here")
    create(h[2], "there")
    h[1].vigia("channel.chain", "here", "there", "h2")
    h[2].vigia("channel.put", "there", "1", "one")
    assert causes(h[1], "poll", "", "here", 0, 9, 5000) == ["here 1 one", "at 1"]
    nft = ["ip", "netns", "exec", h.network.space(2), "nft"]
    subprocess.run([*nft, "add table ip cut; add chain ip cut in { type filter hook input priority 0; }; "
                    "add rule ip cut in ip protocol tcp reject with tcp reset"], check=True)
    h[2].vigia("channel.put", "there", "1", "two")
    h[1].vigia("channel.info", "there", "at=h2", check=False)
    wait_until(h[1], "here", "waiting")
    h[2].vigia("channel.put", "there", "1", "three")
    subprocess.run([*nft, "delete table ip cut"], check=True)
    assert wait_until(h[1], "here", "going")["lost"] == "0"
    assert causes(h[1], "watch", "h1:here=3") == ["h1:here 1 one", "h1:here 2 two", "h1:here 3 three"]


@pytest.mark.skipif(not SOAK, reason="a host is asked for a sign of life after 20 s")
def test_a_source_that_falls_silent_is_noticed_though_nobody_says_anything(hosts, causes):
    h = hosts(2)
    create(h[1], "here")
    create(h[2], "there")
    h[1].vigia("channel.chain", "here", "there", "h2")
    h.network.cut(2)
    wait_until(h[1], "here", "waiting", 60)
    h[2].vigia("channel.put", "there", "1", "one")
    h.network.mend(2)
    wait_until(h[1], "here", "going", 60)
    assert causes(h[1], "watch", "h1:here=1") == ["h1:here 1 one"]


def test_a_chain_is_made_and_ended_from_a_third_host(hosts):
    h = hosts(3, options=("--insecure-control",))
    create(h[1], "here")
    create(h[2], "there")
    chain, = operations(h[3], "channel.chain", "here", "there", "h2", "at=h1")
    assert (chain["channel"], chain["host"], chain["state"]) == ("here", "h2", "going")
    h[3].vigia("channel.unchain", "here", "there", "h2", "at=h1")
    assert chain_of(h[1], "here") is None


def test_what_the_source_could_not_keep_is_told_exactly_to_every_subscriber(hosts, causes):
    h = hosts(2)
    create(h[1], "here")
    create(h[2], "there", log=65536)
    h[1].vigia("channel.chain", "here", "there", "h2")
    n = 150
    h[1].kill(signal.SIGSTOP)
    try:
        causes(h[2], "fill", "there", n, 200000)
    finally:
        h[1].kill(signal.SIGCONT)
    readers = [causes.start(h[i], "watch", f"h1:here={n}") for i in (1, 2)]
    for r in readers:
        out, err = r.communicate(timeout=60)
        lines = [line.split()[1:] for line in out.splitlines()]
        lost = sum(int(words[1]) for words in lines if words[0] == "lost")
        assert lost > 0 and lost + sum(words[0] != "lost" for words in lines) == n
        assert lines[-1][0] == str(n)
    assert chain_of(h[1], "here")["lost"] == str(lost)


def test_who_lags_on_another_host_is_told_though_nothing_follows(hosts, causes):
    h = hosts(2)
    create(h[1], "news")
    reader = causes.start(h[2], "watch", "h1:news=61")
    h[1].vigia("channel.put", "news", "1", "first")
    assert reader.stdout.readline() == "h1:news 1 first\n"
    reader.send_signal(signal.SIGSTOP)
    causes(h[1], "fill", "news", 60, 200000)
    wait_for(lambda: operations(h[1], "channel.info", "news")[0]["sequence"] == "61", 20)
    operations(h[2], "channel.info", "news", "at=h1")
    reader.send_signal(signal.SIGCONT)
    lines = [line.split()[1:] for line in reader.communicate(timeout=30)[0].splitlines()]
    lost = sum(int(words[1]) for words in lines if words[0] == "lost")
    assert lost > 0 and lost + sum(words[0] != "lost" for words in lines) == 60


def test_with_every_master_dead_two_hosts_call_subscribe_and_chain(hosts, causes):
    h = hosts(3)
    create(h[3], "there")
    h[1].kill()
    assert operations(h[2], "host.info", "at=h3")[0]["name"] == "h3"
    create(h[2], "here")
    h[2].vigia("channel.chain", "here", "there", "h3")
    reader = causes.start(h[3], "watch", "h2:here=2")
    for text in ("one", "two"):
        h[3].vigia("channel.put", "there", "1", text)
    assert reader.communicate(timeout=20)[0].splitlines() == ["h2:here 1 one", "h2:here 2 two"]


# ------------------------------------------------------------------------------------------- polling

def test_a_poll_takes_what_has_come_and_says_how_far_it_is(daemon, causes):
    d = daemon()
    create(d, "news")
    assert causes(d, "poll", "", "news", -1, 9, 0) == ["at 0"]
    for word in "abc":
        d.vigia("channel.put", "news", "1", word)
    assert causes(d, "poll", "", "news", 0, 2, 0) == ["news 1 a", "news 2 b", "more at 2"]
    assert causes(d, "poll", "", "news", 2, 2, 0) == ["news 3 c", "at 3"]
    assert causes(d, "poll", "", "news", 3, 2, 50) == ["at 3"]
    waiting = causes.start(d, "poll", "", "news", 3, 2, 20000)
    d.vigia("channel.put", "news", "1", "d")
    assert waiting.communicate(timeout=10)[0].splitlines() == ["news 4 d", "at 4"]
    assert "most must be from 1" in refused(d, "channel.poll", "chains", "most=0")
    assert "at most 60 s" in refused(d, "channel.poll", "chains", "wait=2min")


def test_a_poll_that_waits_ends_with_its_channel(daemon):
    d = daemon()
    create(d, "news")
    with d.client() as c:
        waiting = c.ask("channel", "poll", channel="news", wait=20000)
        c.ask("channel", "list").all()
        d.vigia("channel.delete", "news")
        with pytest.raises(HmonError, match="channel news was deleted"):
            waiting.all(10)
