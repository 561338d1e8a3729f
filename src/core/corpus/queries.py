#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the corpus of src/core/queries_fuzz.c: queries.py FOLDER.

What is in XML and frames says what it means. A play is what queries_fuzz.c makes of bytes: see `steps` there.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "python/vigia"))
import frames as f  # noqa: E402

CHANNEL = 1 << 62 | 4  # the first that somebody makes

# --- in XML: queries, numbered, a line each ---

XML = {
    "hosts": """
        <host query="list" host="h*" all="yes"/>
        <host query="find" host="h2"/>
        <host query="find" host="nobody"/>
        <host query="info"/>
        <host query="ping" data="AAEC"/>
        <host query="info" at="h2"/>
        <master query="cancel" of="6"/>
        <limit query="list" limit="channels*"/>""",
    "add": """
        <host query="add" deadline="20000"><host>h4</host><host>me@h3</host><host>h9</host></host>
        <host query="add" command="false"><host>h3</host></host>
        <host query="add" command="sleep"><host>h4</host></host>
        <master query="cancel" of="3"/>""",
    "remove": """
        <host query="remove" here="yes"><host>h3</host><host>h2</host></host>
        <host query="remove"><host>h2</host><host>h1</host></host>
        <channel query="subscribe" channel="hosts"/>""",
    "channels": """
        <channel query="create" key="jobs" log="65536" public="yes"/>
        <channel query="subscribe" channel="jobs" mask="3"/>
        <channel query="poll" channel="jobs" wait="1000"/>
        <channel query="put" channel="jobs" tag="1" data="AAEC"/>
        <channel query="put" channel="jobs" tag="4"/>
        <channel query="poll" channel="jobs" after="0" most="1"/>
        <channel query="poll" channel="jobs" after="0" mask="8"/>
        <channel query="list" channel="j*"/>
        <channel query="info" channel="#%d"/>
        <channel query="subscribe" channel="leases" after="0" progress="yes" upstreams="yes"/>
        <channel query="delete" channel="jobs"/>
        <channel query="info" channel="jobs"/>""" % CHANNEL,
    "chains": """
        <channel query="create" key="jobs"/>
        <channel query="create" key="news"/>
        <channel query="subscribe" channel="news" upstreams="yes"/>
        <channel query="chain" channel="news" from="jobs"/>
        <channel query="chain" channel="jobs" from="news"/>
        <channel query="chain" channel="news" from="jobs" host="h2"/>
        <channel query="put" channel="jobs" data="AAEC"/>
        <channel query="chains"/>
        <channel query="unchain" channel="news" from="jobs"/>
        <channel query="delete" channel="news"/>""",
    "processes": """
        <process query="list" program="*" user="other"/>
        <process query="start"><word>sleep</word><word>10</word></process>
        <process query="start" directory="/nowhere"><word>true</word></process>
        <process query="start"><word>false</word></process>
        <process query="watch" pid="101"/>
        <process query="info" pid="101"/>
        <lease query="take" mode="exclusive" process="101"/>
        <process query="signal" pid="101" signal="TERM"/>
        <process query="signal" pid="1" signal="STOP"/>
        <process query="info" pid="999999"/>
        <process query="run" entry="true" input="AAEC"/>
        <process query="run" entry="sleep" uid="0"/>
        <process query="run" entry="../true" uid="1000"/>""",
    "leases": """
        <lease query="take" mode="share" service="channel"/>
        <lease query="take" mode="observe" process="100"/>
        <lease query="take" mode="all" process="100"/>
        <lease query="list"/>
        <master query="cancel" of="1"/>
        <lease query="list" what="service *"/>""",
    "services": """
        <service query="list" all="yes"/>
        <service query="describe" service="lease"/>
        <service query="get" service="channel"/>
        <service query="get" service="nothing"/>
        <service query="register" name="counter"/>
        <service query="delete" service="counter"/>
        <master query="cancel" of="3"/>""",
    "mistakes": """
        <nothing query="here"/>
        <channel query="put" channel="jobs" more="yes"/>
        <channel query="poll" channel="hosts" most="0"/>
        <host query="ping" data="*"/>
        <host query="add"/>
        <process query="signal" pid="-1"/>
        <host query="list" at="nowhere"/>""",
}


XML["too-many"] = '<service query="get" service="host"/>\n' * 25
XML["row"] = '<monitor>1 2 3</monitor>'


def xml(text):
    lines = [line.strip() for line in text.strip().splitlines()]
    asked = [line.replace(" query=", f' id="{i}" query=', 1) for i, line in enumerate(lines, 1)]
    return "\n".join(['<hmon version="1" role="client">', *asked, "</hmon>", ""]).encode()


# --- in frames ---

def ask(number, noun, verb, children=(), /, to="", flags=0, **arguments):
    return f.query(number, f.Message(noun, {"query": verb, **arguments}, children=children), to, flags=flags)


def message(kind, number, name, /, **fields):
    return f.frame(kind, number, f.encode(f.Message(name, fields).packed()))


def operation(name, *arguments, **fields):
    return f.Message("operation", {"name": name, **fields},
                     children=[f.Message("argument", {"name": a, "type": t}) for a, t in arguments])


HELLO = message(f.HELLO, 0, "hello", version=1)
GREETING = f.PREFACE + message(f.HELLO, 0, "hello", version=1, id="02" + 30 * "0")
COUNTER = [operation("get", ("of", "name")), operation("watch", streams=True), operation("add", ("n", "integer"), changes=True)]
OFFER = ask(1, "service", "register", COUNTER, name="counter", doc="counts")


def slot(n, use=1):
    """The number of a query that the daemon asks, the n-th at once."""
    return use << 32 | n


FRAMES = {
    "offered": [
        HELLO, OFFER, ask(2, "service", "get", service="counter"), ask(3, "counter", "get", of="a"), ask(4, "counter", "watch"),
        ask(5, "counter", "add", n=3), ask(6, "lease", "take", mode="share", service="counter"),
        message(f.ANSWER, slot(1), "counter", n=1), f.frame(f.END, slot(1)),
        message(f.PARTIAL, slot(2), "error", code="failed"), f.frame(f.LOST, slot(2), f.LOSS.pack(3, 9)),
        f.frame(f.EVENT, slot(2), f.event(0, 1, b"x")[16:]), message(f.ERROR, slot(3), "error", code="failed"),
        f.frame(f.CANCEL, 4), ask(7, "counter", "get", of="b"), ask(8, "service", "list"),
        ask(9, "service", "delete", service="counter"), ask(10, "service", "describe", service="counter")],
    "bad-offers": [
        HELLO, *[ask(n, "service", "register", [offer], name="counter") for n, offer in enumerate([
            operation("get", ("of", "nothing"), ("n", "integer")), operation("get", ("query", "text"), ("n", "integer")),
            operation("a.b"), operation("get", *[(f"n{i}", "text") for i in range(11)])], 1)]],
    "one-way": [
        HELLO, OFFER, ask(2, "counter", "get", flags=f.ONE_WAY, of="a"), ask(3, "channel", "create", flags=f.ONE_WAY, key="jobs"),
        f.event(CHANNEL, 1, b"one"), ask(4, "channel", "subscribe", flags=f.ONE_WAY, channel="jobs", after=0),
        ask(5, "channel", "poll", channel="jobs", after=0), f.event(CHANNEL, 2, b"two"), f.event(CHANNEL + 1, 2, b"three"),
        f.frame(f.CANCEL, 4), f.frame(f.CANCEL, 1)],
    "elsewhere": [
        HELLO, ask(1, "host", "info", to="h2"), ask(2, "channel", "subscribe", to="h2", channel="jobs"),
        ask(3, "counter", "get", to="h3", of="a"), ask(4, "channel", "create", key="jobs"),
        ask(5, "channel", "chain", channel="jobs", **{"from": "jobs", "host": "h2"}), f.frame(f.CANCEL, 1),
        ask(6, "channel", "delete", channel="jobs")],
    "no-hello": [ask(1, "host", "list")],
    "host": [GREETING[len(f.PREFACE):]],
}


# --- plays ---

CONSOLE, PROGRAM, OTHER_PROGRAM, USER, STRANGER, HOST = range(6)
ASK, TURN, _, ANSWER, CANCEL, WAIT, _, HANG_UP, STOP_READING, _, PUT, END_PROCESS, CHANGE_VIEW, CONTROL, SAY = range(15)
HERE, ONE_WAY, CALLER, AT_2 = 0, 1, 8, 128 + 16


def chosen(name):
    h = 2166136261
    for byte in name.replace(".", "").encode():
        h = (h ^ byte) * 16777619 & 0xffffffff
    return [h >> 24, h >> 16 & 255]


def asks(who, number, name, *arguments, how=HERE):
    return [ASK, who, number, how, *chosen(name), *arguments]


PLAYS = {
    # a channel with a log of 20 bytes for all, events, two who read, one of them not; it is deleted
    "readers": [
        *asks(PROGRAM, 1, "channel.create", 1, 21, 2), *asks(USER, 1, "channel.subscribe", 1, 0, 0, 2, 2),
        *asks(STRANGER, 1, "channel.subscribe", 1, 0, 1, 2, 2), *asks(CONSOLE, 1, "channel.poll", 1, 0, 0, 0, 255, 3, 100),
        TURN, STOP_READING, STRANGER, 1, *asks(PROGRAM, 2, "channel.put", 1, 2, 130), *asks(PROGRAM, 3, "channel.put", 1, 2, 130),
        *asks(USER, 2, "channel.put", 1, 2, 130), PUT, USER, 3, 1, 1, 4, 1, 3, 1, 4, 3, 65, 66, 67, TURN,
        *asks(PROGRAM, 4, "channel.delete", 1), TURN, STOP_READING, STRANGER, 0, TURN],
    # a channel of h2 comes into one of ours; what h2 says of it; the way there breaks; time passes
    "chained": [
        *asks(PROGRAM, 1, "channel.create", 1, 0, 0), *asks(PROGRAM, 2, "channel.subscribe", 1, 0, 0, 2, 2),
        *asks(PROGRAM, 3, "channel.chain", 1, 1, 2, 0), TURN, ANSWER, HOST, 0, 0, 2, 5, 1, ANSWER, HOST, 1, 2, 1, 0, 3, 3, TURN,
        ANSWER, HOST, 5, 6, 0, 1, 2, 65, 66, ANSWER, HOST, 6, 2, 10, ANSWER, HOST, 5, 11, 1, 1, 1, 4, 2, 0, TURN,
        *asks(PROGRAM, 4, "channel.chains", 0), HANG_UP, HOST, TURN, WAIT, 2, WAIT, 2, ANSWER, HOST, 0, 0, 2, 11, 1,
        ANSWER, HOST, 1, 0, TURN, *asks(PROGRAM, 5, "channel.unchain", 1, 1, 2), TURN],
    # two programs offer services, others ask them; one is killed in a call, one deletes its own
    "servers": [
        *asks(PROGRAM, 1, "service.register", 1, 1, 2, 0x40, 1, 0x45), *asks(OTHER_PROGRAM, 1, "service.register", 2, 0, 1, 0x41, 1),
        TURN, *asks(USER, 1, "countergo", 1), *asks(CONSOLE, 1, "timergo", 1), *asks(HOST, 1, "countergo", 1, how=CALLER),
        *asks(STRANGER, 1, "counterwatch", 1, 1), *asks(CONSOLE, 2, "service.get", 2), TURN,
        ANSWER, PROGRAM, 8, 0, 2, 1, 1,        ANSWER, OTHER_PROGRAM, 0, 0, 1, 1, 1, ANSWER, PROGRAM, 3, 3, ANSWER, PROGRAM, 10, TURN, STOP_READING, STRANGER, 1,
        CANCEL, HOST, 1, HANG_UP, OTHER_PROGRAM, TURN, *asks(PROGRAM, 2, "service.delete", 1), TURN],
    # h2 asks here, with a user's word for it, when that counts and when not
    "asked": [
        CONTROL, 1, *asks(HOST, 1, "process.list", 0, 0, how=CALLER), *asks(HOST, 2, "lease.take", 1, 0, 101, how=CALLER),
        *asks(HOST, 3, "process.start", 1, 2, 0, how=CALLER), *asks(HOST, 4, "channel.subscribe", 3, 0, 0, 0, 0),
        *asks(CONSOLE, 1, "process.signal", 101, 1, 0), *asks(CONSOLE, 2, "lease.take", 3, 0, 101), TURN,
        END_PROCESS, 0, 1, STOP_READING, HOST, 1, END_PROCESS, 1, 0, TURN, STOP_READING, HOST, 0, TURN, CONTROL, 0,
        *asks(HOST, 5, "process.list", 0, 0, how=CALLER), CANCEL, HOST, 2, TURN, HANG_UP, HOST, TURN],
    # hosts are added and removed while the view changes, and whoever asked is gone
    "members": [
        *asks(CONSOLE, 1, "host.add", 65, 3, 4, 0, 0), *asks(PROGRAM, 1, "host.add", 1, 3, 2, 0), TURN, CHANGE_VIEW, 2,
        *asks(PROGRAM, 2, "host.remove", 65, 1, 2, 0, 0), TURN, ANSWER, HOST, 2, CHANGE_VIEW, 12, TURN, HANG_UP, CONSOLE, WAIT, 2,
        *asks(PROGRAM, 3, "host.remove", 1, 0, 0, 0), TURN, WAIT, 0, WAIT, 5],
    # things asked of h2, answered, cancelled, broken, and too late
    "passed-on": [
        *asks(CONSOLE, 1, "host.info", how=AT_2), *asks(PROGRAM, 1, "channel.subscribe", 1, 0, 0, 0, 0, how=AT_2),
        *asks(USER, 1, "host.list", 0, 0, how=AT_2 | ONE_WAY), *asks(USER, 2, "host.list", 0, 0, how=AT_2), TURN,
        ANSWER, HOST, 16, 0, 0, 1, 1, ANSWER, HOST, 18, ANSWER, HOST, 13, 5, 0, 1, 3, 65, 66, 67, ANSWER, HOST, 14, 3, 9,
        CANCEL, PROGRAM, 1, WAIT, 4, *asks(USER, 3, "host.list", 0, 0, how=AT_2), HANG_UP, HOST, TURN],
    # who asked one-way hears of no event, nor that its channel is gone
    "one-way": [
        *asks(PROGRAM, 1, "channel.create", 1, 0, 0), *asks(PROGRAM, 2, "channel.subscribe", 1, 0, 0, 2, 2, how=ONE_WAY),
        *asks(PROGRAM, 3, "channel.poll", 1, 0, 0, 0, 101, how=ONE_WAY), *asks(PROGRAM, 4, "channel.put", 1, 2, 4),
        TURN, *asks(PROGRAM, 5, "channel.put", 1, 2, 4), *asks(PROGRAM, 6, "channel.delete", 1), TURN],
    # a program says more than who asked reads, and what is lost is told when he reads again
    "flood": [
        *asks(PROGRAM, 1, "service.register", 1, 0, 1, 0x41, 1), TURN, *asks(USER, 1, "countergo", 1), TURN, STOP_READING, USER, 1,
        *[step for i in range(1, 9) for step in (ANSWER, PROGRAM, 5, i, 0, 1, 255, TURN)], ANSWER, PROGRAM, 6, 3, 12, TURN,
        STOP_READING, USER, 0, TURN, ANSWER, PROGRAM, 5, 20, 0, 1, 3, 65, 66, 67, ANSWER, PROGRAM, 2, TURN],
    # an event waits for another that caused it, until that comes or took too long
    "waiting": [
        *asks(PROGRAM, 1, "channel.create", 1, 0, 0), *asks(PROGRAM, 2, "channel.subscribe", 1, 0, 0, 2, 2),
        *asks(PROGRAM, 3, "channel.chain", 1, 1, 2, 0), TURN, ANSWER, HOST, 0, 0, 2, 5, 1, ANSWER, HOST, 1, 0, TURN,
        PUT, PROGRAM, 3, 1, 1, 4, 1, 0, 7, 1, 65, PUT, PROGRAM, 3, 1, 1, 4, 1, 0, 8, 1, 66, TURN,
        ANSWER, HOST, 5, 7, 0, 1, 1, 67, ANSWER, HOST, 6, 0, 7, TURN, WAIT, 3, WAIT, 3],
    # a program answers as if it were the daemon: with an end, another's number, an error for the last word
    "pretender": [
        *asks(PROGRAM, 1, "service.register", 1, 0, 1, 0x40, 1), TURN, *asks(CONSOLE, 2, "countergo", 1), TURN,
        ANSWER, PROGRAM, 0, 1, 0, 0, 0, ANSWER, PROGRAM, 0, 0x34, 0, 0, 0, ANSWER, PROGRAM, 0, 2, 0, 0, 0,
        ANSWER, PROGRAM, 0, 0x88 + 2, 0, 0, 0, ANSWER, PROGRAM, 4, 1, TURN, ANSWER, PROGRAM, 2, TURN],
    # where a service is: here, on h2 that answers, on all while h2 breaks
    "finding": [
        *asks(CONSOLE, 1, "service.find", 1, 0), *asks(USER, 1, "service.find", 3, 0), *asks(PROGRAM, 1, "service.find", 3, 2),
        *asks(HOST, 1, "service.find", 2, 2), TURN, ANSWER, HOST, 0, 0, 0, 1, 1, ANSWER, HOST, 2, ANSWER, HOST, 11, 3, 1, TURN,
        *asks(CONSOLE, 2, "service.find", 3, 2), TURN, HANG_UP, HOST, TURN],
    # a program hands on to h2, which answers; to nobody; to this host, again and again
    "handing-on": [
        *asks(PROGRAM, 1, "service.register", 1, 0, 1, 0x40, 1), TURN, *asks(USER, 1, "countergo", 1), *asks(CONSOLE, 1, "countergo", 1),
        *asks(HOST, 1, "countergo", 1, how=CALLER), TURN,
        *[step for host in (1, 0, 2, 0, 0, 0, 0) for step in (ANSWER, PROGRAM, 3, 6, host, ANSWER, PROGRAM, 11, 6, host, TURN)],
        ANSWER, HOST, 0, 0, 0, 1, 1, ANSWER, HOST, 2, TURN],
    # bytes that are none: to a daemon's hello, and to nothing
    "bytes": [SAY, STRANGER, 0, len(GREETING), *GREETING, SAY, USER, 1, 3, 1, 2, 3, TURN, SAY, HOST, 0, 4, 0, 0, 0, 0, TURN],
}


def main(folder):
    to = pathlib.Path(folder)
    for name, text in XML.items():
        (to / f"xml-{name}").write_bytes(xml(text))
    for name, parts in FRAMES.items():
        (to / f"frames-{name}").write_bytes(f.PREFACE + b"".join(parts))
    for name, steps in PLAYS.items():
        (to / f"play-{name}").write_bytes(bytes(steps))


main(sys.argv[1])
