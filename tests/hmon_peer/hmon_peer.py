# SPDX-License-Identifier: Apache-2.0
"""HMON version 1 in plain Python, written from docs/hmon.md alone: a peer to test against.

Connection   one stream, both directions           Monitor   tells a node what it measures
Node         tells a master                        Client    asks
Daemon       the side that accepts all three, as much of it as tests need

Every class but Connection reads in a thread of its own; `wait(condition)` waits for what that thread brings.
An address is a path (Unix stream socket) or (host, port) (TCP).
"""
import argparse
import array
import contextlib
import dataclasses
import decimal
import fcntl
import hashlib
import os
import queue
import re
import secrets
import select
import socket
import struct
import sys
import termios
import threading
import time as clock
import types
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

VERSION = 1
PORT = 7660
BEAT = b"\x16"
DEADLINE = 5.0                                   # seconds that this library waits for anything
DAY = 86400 * 10**9
INT64 = range(-2**63, 2**63)

TAG_BYTES, ATTRIBUTES, DEPTH, TEXT_BYTES = 8192, 32, 5, 1 << 20
SMALL_STANZA, LARGE_STANZA = 16384, 2097152
UNKNOWN_NAMES, METRICS, QUERIES, VALUE_BYTES = 64, 16384, 64, 1023

PRIMITIVES = ("master", "node", "config", "monitor")
ELEMENTS = {"hmon", *PRIMITIVES, "metric", "v", "p", "end", "error", "beat"}
ATTRIBUTE_NAMES = set("""version role name beat query id answer code monitor period window generation secret type unit
    scale time n none sequence full boot system machine processors memory monitor-id digest known gone ack deadline
    partial mode state metric node problem nodes monitors metrics reason since heard transport from to follow event
    u update lost step t v c mean min max of""".split())
FATAL = {"bad-xml", "bad-version", "bad-role", "stranger", "old-boot", "bad-row", "too-many"}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
METRIC_NAME = re.compile(r'(?:(?!["<>&*?])[!-~]){1,127}')
NUMBER = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")


class HmonError(Exception):
    """An HMON error: one to be sent, or one that came."""

    def __init__(self, code, text=""):
        super().__init__(f"{code}: {text}")
        self.code, self.text = code, text


# ---------------------------------------------------------------------------------------------------- stanzas

class Stanza:
    """An element: name, attributes, and text or children."""

    def __init__(self, tag, /, attributes=None, text="", children=(), **more):
        self.name, self.text, self.children = tag, text, list(children)
        self.attributes = {k: str(v) for k, v in {**(attributes or {}), **more}.items() if v is not None}

    def get(self, attribute, default=None):
        return self.attributes.get(attribute, default)

    def integer(self, attribute, default=None, low=0, high=2**63 - 1):
        text = self.attributes.get(attribute)
        if text is None:
            return default
        if not re.fullmatch("[0-9]{1,19}", text) or not low <= int(text) <= high:
            raise HmonError("bad-argument", f"{attribute} is not a number from {low} to {high}")
        return int(text)

    def need(self, attribute, pattern=None):
        text = self.attributes.get(attribute)
        if text is None or pattern and not pattern.fullmatch(text):
            raise HmonError("bad-argument", f"{attribute} is missing or wrong")
        return text

    def flag(self, attribute):
        text = self.attributes.get(attribute, "no")
        if text not in ("yes", "no"):
            raise HmonError("bad-argument", f"{attribute} is neither yes nor no")
        return text == "yes"

    def xml(self):
        tag = self.name + "".join(f" {k}={quoteattr(v, XML_BLANKS)}" for k, v in self.attributes.items())
        inside = "".join(c.xml() for c in self.children) or escape(self.text, {"\r": "&#13;"})
        return f"<{tag}>{inside}</{self.name}>" if inside else f"<{tag}/>"

    __repr__ = xml


XML_BLANKS = {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}


# Expat gets whole tags only: left with half a one, newer versions (and Debian's 2.5.0) put off what follows.
XML_TOKEN = re.compile(rb"""[^<]+(?=<)|<!--.*?-->|<\?.*?\?>|<!\[CDATA\[.*?\]\]>"""
                       rb"""|(?P<tag><(?![!?])(?:[^>"']|"[^"]*"|'[^']*')*>)""", re.S)


class StreamParser:
    """Bytes in, Stanzas out; keeps the limits of the page. `root` is the root's attributes once it came."""

    def __init__(self, stanza_limit=LARGE_STANZA):
        self.root, self.ended, self.stanza_limit = None, False, stanza_limit
        self._stack, self._out, self._unknown = [], [], set()
        self._fed, self._start, self._pending = 0, 0, b""
        self._parser = p = expat.ParserCreate("UTF-8")
        p.buffer_text = True
        p.XmlDeclHandler = self._declaration
        p.StartDoctypeDeclHandler = self._doctype
        p.StartElementHandler = self._open
        p.EndElementHandler = self._close
        p.CharacterDataHandler = self._text

    def feed(self, data):
        """The stanzas completed by these bytes. After an error, `taken` still gives those before it."""
        self._pending += data
        at = 0
        while token := XML_TOKEN.match(self._pending, at):
            if token.lastgroup == "tag" and len(token[0]) > TAG_BYTES:
                raise HmonError("bad-xml", "a tag is too long")
            at = token.end()
        whole, self._pending = self._pending[:at], self._pending[at:]
        self._fed += at
        try:
            self._parser.Parse(whole, False)
        except expat.ExpatError as e:
            raise HmonError("bad-xml", str(e)) from None
        rest = self._pending
        if rest.startswith(b"<!D"):
            self._doctype()
        if len(rest) > (TEXT_BYTES * 6 if rest[:1] != b"<" or rest.startswith(b"<![") else TAG_BYTES):
            raise HmonError("bad-xml", "a tag or text is too long")   # not even ended
        if len(self._stack) > 1:
            self._size(self._fed + len(rest))
        return self.taken()

    def taken(self):
        out, self._out = self._out, []
        return out

    def _size(self, end):
        if end - self._start > self.stanza_limit:
            raise HmonError("bad-xml", "a stanza is too long")

    def _declaration(self, version, encoding, standalone):
        if encoding and encoding.upper() != "UTF-8":
            raise HmonError("bad-xml", "the encoding is not UTF-8")

    def _doctype(self, *_):
        raise HmonError("bad-xml", "a DOCTYPE")

    def _open(self, name, attributes):
        if len(attributes) > ATTRIBUTES:
            raise HmonError("bad-xml", "too many attributes")
        self._unknown.update(({name} - ELEMENTS) | (attributes.keys() - ATTRIBUTE_NAMES))
        if len(self._unknown) > UNKNOWN_NAMES:
            raise HmonError("bad-xml", "too many unknown names")
        if not self._stack:
            if name != "hmon":
                raise HmonError("bad-xml", "the root is not hmon")
            self.root = attributes
        elif len(self._stack) >= DEPTH:
            raise HmonError("bad-xml", "too deep")
        elif len(self._stack) == 1:
            self._start = self._parser.CurrentByteIndex
        self._stack.append(Stanza(name, attributes))

    def _text(self, text):
        element = self._stack[-1]
        if len(self._stack) == 1:
            if text.strip(" \t\r\n"):
                raise HmonError("bad-xml", "text between stanzas")
            return
        element.text += text
        if len(element.text.encode()) > TEXT_BYTES:
            raise HmonError("bad-xml", "a text is too long")

    def _close(self, name):
        element = self._stack.pop()
        if element.children and not element.text.strip(" \t\r\n"):
            element.text = ""
        if not self._stack:
            self.ended = True
        elif len(self._stack) == 1:
            self._size(self._parser.CurrentByteIndex)
            self._out.append(element)
        else:
            self._stack[-1].children.append(element)


# ---------------------------------------------------------------------------------------------------- configs

@dataclasses.dataclass(frozen=True)
class Metric:
    name: str
    type: str = "gauge"
    unit: str = None
    scale: int = 0
    doc: str = ""

    def __post_init__(self):
        if not METRIC_NAME.fullmatch(self.name):
            raise HmonError("bad-config", f"{self.name!r} is no metric's name")
        if self.type not in ("gauge", "counter", "state", "text"):
            raise HmonError("bad-config", f"{self.name}: unknown type {self.type!r}")
        if not 0 <= self.scale <= 9:
            raise HmonError("bad-config", f"{self.name}: scale {self.scale}")
        if self.unit and (not self.numeric or re.search(r"[^!-~]", self.unit)):
            raise HmonError("bad-config", f"{self.name}: unit {self.unit!r}")

    @property
    def numeric(self):
        return self.type in ("gauge", "counter")

    @property
    def shown_unit(self):
        return (self.unit or "1") if self.numeric else None

    def stanza(self):
        return Stanza("metric", name=self.name, type=self.type, unit=self.unit, scale=self.scale or None, text=self.doc)

    def parse(self, text):
        """A value by name, to what is kept: an int (times 10^-scale) or a text."""
        if not self.numeric:
            if len(text.encode()) > VALUE_BYTES:
                raise HmonError("bad-value", f"{self.name}: text too long")
            return text
        if not NUMBER.fullmatch(text) or len(text) > VALUE_BYTES:
            raise HmonError("bad-value", f"{self.name}: {text!r} is no number")
        with decimal.localcontext(decimal.Context(prec=2200)):
            number = int((decimal.Decimal(text).scaleb(self.scale)).quantize(1, decimal.ROUND_HALF_UP))
        if number not in INT64:
            raise HmonError("bad-value", f"{self.name}: {text} is too large")
        return number

    def show(self, value):
        """The other way: what is kept, as the text of a value by name."""
        return value if not self.numeric else str(decimal.Decimal(value).scaleb(-self.scale)) \
            if not self.scale else f"{decimal.Decimal(value).scaleb(-self.scale):.{self.scale}f}"


@dataclasses.dataclass(frozen=True)
class Config:
    monitor: str
    metrics: tuple
    period: int = 0
    window: int = 0
    generation: int = 1

    def __post_init__(self):
        object.__setattr__(self, "metrics", tuple(self.metrics))
        names = [m.name for m in self.metrics]
        if len(set(names)) != len(names) or len(names) > METRICS:
            raise HmonError("bad-config", "a metric twice, or too many")

    @property
    def digest(self):
        return digest(self)

    def index(self, name):
        for i, m in enumerate(self.metrics):
            if m.name == name:
                return i
        raise HmonError("bad-value", f"no metric {name}")

    def stanza(self, **attributes):
        return Stanza("config", {"monitor": self.monitor, "period": self.period or None, "window": self.window or None,
                                 "generation": self.generation, **attributes}, children=[m.stanza() for m in self.metrics])

    @staticmethod
    def parse(stanza):
        try:
            return Config(stanza.need("monitor", NAME), period=stanza.integer("period", 0),
                          window=stanza.integer("window", 0), generation=stanza.integer("generation", 1, 1),
                          metrics=[Metric(m.need("name"), m.need("type"), m.get("unit"), m.integer("scale", 0, 0, 9), m.text)
                                   for m in stanza.children if m.name == "metric"])
        except HmonError as e:
            raise HmonError("bad-config", e.text) from None


def digest(config):
    """16 hexadecimal digits that name what a config measures."""
    lines = [f"{config.period} {config.window}\n"]
    lines += [f"{m.name}\t{m.type}\t{m.shown_unit or ''}\t{m.scale}\n" for m in config.metrics]
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


# ---------------------------------------------------------------------------------------------------- rows

TOKEN = re.compile(r'(?P<number>-?[0-9]+)|(?P<step>[+~][0-9]+)|(?P<same>\.[0-9]*)|(?P<none>!)'
                   r'|"(?P<text>(?:[^"\\]|\\.)*)"', re.S)
BLANK = re.compile(r"[ \t\r\n]*")


def encode_row(values, previous=None):
    """Values in order (int, str or None) as text; against the row before, or full if that is None."""
    parts, same = [], 0

    def flush():
        nonlocal same
        if same:
            parts.append("." if same == 1 else f".{same}")
        same = 0

    for i, value in enumerate(values):
        before = previous[i] if previous is not None else None
        if previous is not None and value == before and type(value) is type(before):
            same += 1
            continue
        flush()
        if value is None:
            parts.append("!")
        elif isinstance(value, str):
            parts.append('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"')
        elif isinstance(before, int) and len(str(abs(value - before))) < len(str(value)):
            parts.append(f"{'+' if value >= before else '~'}{abs(value - before)}")
        elif parts and parts[-1][-1] in "0123456789." and value >= 0:   # '.' too: '.' '5' would read as '.5'
            parts.append(f" {value}")
        else:
            parts.append(str(value))
    text = "".join(parts)
    return text.rstrip("!") if previous is None and not text.endswith('"') else text


def decode_row(text, metrics, previous=None, full=False):
    """The values of a row. `previous` are those before it; a full row needs none."""
    def bad(why):
        return HmonError("bad-row", f"at {len(values)}: {why}")

    values, at = [], BLANK.match(text).end()
    if not full and previous is None:
        raise bad("nothing came before, and it is not full")
    while at < len(text):
        token = TOKEN.match(text, at)
        if not token:
            raise bad(f"{text[at:at + 10]!r} can't be understood")
        at = BLANK.match(text, token.end()).end()
        kind, here = token.lastgroup, len(values)
        count = int(token["same"][1:] or 1) if kind == "same" else 1
        if count < 1 or here + count > len(metrics):
            raise bad("more values than metrics, or unchanged none")
        if kind == "same":
            if full:
                raise bad("unchanged in a full row")
            values += previous[here:here + count]
        elif kind == "none":
            values.append(None)
        elif kind == "text":
            value = re.sub(r"\\(.)", r"\1", token["text"], flags=re.S)
            if metrics[here].numeric or len(value.encode()) > VALUE_BYTES:
                raise bad("a text for a number, or too long")
            values.append(value)
        else:
            if not metrics[here].numeric:
                raise bad("a number for a text")
            if kind == "step":
                if full or not isinstance(previous[here], int):
                    raise bad("a difference, and no number before")
                value = previous[here] + int(token["step"][1:]) * (1 if token["step"][0] == "+" else -1)
            else:
                value = int(token["number"])
            if value not in INT64:
                raise bad("more than 64 bits")
            values.append(value)
    return values + ([None] * (len(metrics) - len(values)) if full else list(previous[len(values):]))


def to_row(config, values):
    """Named values ({name: text or number or None}) or a list, as the list that encode_row takes (numbers scaled)."""
    if isinstance(values, dict):
        for name in values:
            config.index(name)
        values = [values.get(m.name) for m in config.metrics]
    return [None if v is None else m.parse(str(v)) for m, v in zip(config.metrics, values, strict=True)]


def check_time(stanza):
    try:
        time = stanza.integer("time")
    except HmonError as e:
        raise HmonError("bad-value", e.text) from None
    if time is not None and time > clock.time_ns() + DAY:
        raise HmonError("bad-value", "time is more than a day ahead")
    return time


def matches(pattern, name):
    return pattern is None or bool(re.fullmatch(
        "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern), name, re.S))


# ---------------------------------------------------------------------------------------------------- connection

class Connection:
    """One stream each way. `receive` gives stanzas, then None at the end; `sent` records what went out (no beats)."""

    def __init__(self, sock, stanza_limit=LARGE_STANZA):
        self.socket, self.parser = sock, StreamParser(stanza_limit)
        self.tcp = sock.family != socket.AF_UNIX
        self.sent = bytearray()
        self.urgent = 0                          # beats that came as urgent data and whose mark was reached
        self.on_urgent = lambda: None            # called for each
        self.stray = 0                           # 0x16 that came as data
        self.on_root = lambda attributes: None
        self._marked = self._opened = self._closed = self._finished = False
        self._ready, self._broken, self._lock = [], None, threading.Lock()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 30, 0))
        if self.tcp:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @classmethod
    def dial(cls, address, timeout=DEADLINE, **options):
        if isinstance(address, (str, os.PathLike)):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(os.fspath(address))
        else:
            sock = socket.create_connection(address, timeout)
            sock.settimeout(None)
        return cls(sock, **options)

    @property
    def root(self):
        return self.parser.root

    def open(self, **attributes):
        self.send(Stanza("hmon", version=attributes.pop("version", VERSION), **attributes).xml()[:-2] + ">\n")
        self._opened = True

    def send(self, stanza):
        """A Stanza, or text or bytes as they are. What can't be sent is dropped: `receive` will see the end."""
        data = stanza.xml() + "\n" if isinstance(stanza, Stanza) else stanza
        data = data.encode() if isinstance(data, str) else data
        with self._lock:
            if not self._closed:
                self.sent += data
                with contextlib.suppress(OSError):
                    self.socket.sendall(data)

    def send_urgent(self):
        with self._lock, contextlib.suppress(OSError):
            self.socket.send(BEAT, socket.MSG_OOB)

    def receive(self, timeout=None):
        deadline = None if timeout is None else clock.monotonic() + timeout
        while not self._ready:
            if self._broken:
                raise self._broken
            if self._finished or self.parser.ended or not self.pump(None if deadline is None else max(0, deadline - clock.monotonic())):
                return None
        return self._ready.pop(0)

    def pump(self, timeout=None):
        """Reads once, beats and bytes. False at the end of the connection."""
        try:
            readable, urgent = self._poll(timeout)
            if not readable and not urgent:
                raise TimeoutError("nothing came")
            if urgent:
                with contextlib.suppress(BlockingIOError):
                    self._marked |= self.socket.recv(1, socket.MSG_OOB) == BEAT
            if readable and not (self._marked and self._at_mark()):
                data = self.socket.recv(65536)   # Linux stops at the mark
                if not data:
                    return False
                self._take(data)
        except TimeoutError:
            raise
        except (OSError, ValueError):            # reset, or closed by us
            return False
        if self._marked and self._at_mark():
            self._marked = False
            self.urgent += 1
            self.on_urgent()
        return True

    def _poll(self, timeout):
        """Not select(): it knows no descriptor above 1023. -> (readable or ended, urgent data)"""
        p = select.poll()
        p.register(self.socket, select.POLLIN | (select.POLLPRI if self.tcp else 0))
        events = sum(e for _, e in p.poll(None if timeout is None else int(timeout * 1000 + 0.999)))
        return events & ~select.POLLPRI, events & select.POLLPRI

    def _at_mark(self):
        buffer = array.array("i", [0])
        fcntl.ioctl(self.socket, 0x8905, buffer)  # SIOCATMARK
        return bool(buffer[0])

    def _take(self, data):
        if self.tcp:
            self.stray += data.count(BEAT)
            data = data.replace(BEAT, b"")
        had_root = self.parser.root
        try:
            self._ready += self.parser.feed(data)
        except HmonError as e:
            self._ready += self.parser.taken()
            self._broken = e
        if had_root is None and self.parser.root is not None:
            self.on_root(self.parser.root)

    def close(self, leave=True):
        if leave and self._opened:
            self.send("</hmon>\n")
        self._closed = True
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def finish(self):
        """Ends our stream; the reader then waits a moment for the other's end (a reset would lose what we said last)."""
        self.send("</hmon>\n")
        self._closed = self._finished = True
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def dispose(self):
        """Gives the descriptor back: when nobody reads any more."""
        self._closed = True
        deadline = clock.monotonic() + 1
        while self._finished and self._poll(max(0, deadline - clock.monotonic()))[0]:
            with contextlib.suppress(OSError):
                if self.socket.recv(65536):
                    continue
            break
        self.socket.close()


class Waiter:
    def __init__(self):
        self.changed = threading.Condition(threading.RLock())

    def wait(self, condition, timeout=DEADLINE, what="the condition"):
        """Waits until condition() is true, and returns it; TimeoutError after `timeout` seconds."""
        with self.changed:
            deadline = clock.monotonic() + timeout
            while not (result := condition()):
                if (left := deadline - clock.monotonic()) <= 0:
                    raise TimeoutError(f"{what} did not come about in {timeout} s; errors: {getattr(self, 'errors', [])}")
                self.changed.wait(min(left, 0.1))  # conditions may look at the clock, too
            return result


class Peer(Waiter):
    """Who has a connection and a thread that reads it. Beats are answered here."""
    role = None

    def __init__(self, address=None):
        super().__init__()
        self.address, self.connection = address, None
        self.errors, self.root, self.closed = [], None, True   # errors: the HmonErrors that came
        self._thread, self._ids, self._streams = None, 0, {}

    def start(self, connection):
        self.connection, self.root, self.closed = connection, None, False
        connection.on_root = self.on_root
        self._thread = threading.Thread(target=self._run, args=[connection], daemon=True)
        self._thread.start()
        return self

    def dial(self, **attributes):
        connection = Connection.dial(self.address)
        connection.open(role=self.role, **attributes)
        return self.start(connection)

    def _run(self, connection):
        try:
            while (stanza := connection.receive()) is not None:
                with self.changed:
                    if connection is self.connection:
                        self._handle(stanza)
                        self.changed.notify_all()
        except HmonError as e:
            self.on_broken(e)
        except Exception as e:                   # the other said what we did not expect: to be seen in `errors`
            self.on_broken(HmonError("failed", repr(e)))
        if not connection._finished:
            connection.close()
        connection.dispose()
        with self.changed:
            if connection is self.connection:
                self.closed = True
                for stream in self._streams.values():
                    stream.put(HmonError("closed", "the connection ended"))
                self._streams = {}
                self.on_closed()
            self.changed.notify_all()

    def _handle(self, stanza):
        if stanza.name == "beat":
            if stanza.get("n") is not None:
                self.connection.send(Stanza("beat", answer=stanza.get("n")))
            else:
                self.on_beat(stanza.get("answer"))
            return
        if stanza.name == "error":
            error = HmonError(stanza.get("code"), stanza.text)
            error.stanza = stanza
            self.errors.append(error)
        stream = self._streams.get(stanza.get("answer"))
        if stream is None:
            self.on_stanza(stanza)
            return
        partial = stanza.name == "error" and stanza.get("partial") == "yes"
        if stanza.name in ("end", "error") and not partial:
            del self._streams[stanza.get("answer")]
        stream.put(error if stanza.name == "error" and not partial else stanza)

    def ask(self, primitive, verb, convert=None, text="", children=(), **arguments):
        """Sends a query; returns its Stream of answers."""
        with self.changed:
            self._ids += 1
            stream = Stream(self, self._ids, convert or (lambda stanza: stanza))
            self._streams[str(self._ids)] = stream
            self.connection.send(Stanza(primitive, {"query": verb, "id": self._ids, **{
                k.rstrip("_").replace("_", "-"): {True: "yes", False: None}.get(v, v) if isinstance(v, bool) else v
                for k, v in arguments.items()}}, text=text, children=children))
            if self.closed:
                stream.put(HmonError("closed", "no connection"))
        return stream

    def close(self, leave=True):
        if self.connection:
            self.connection.close(leave)
            if self._thread is not threading.current_thread():
                self._thread.join(DEADLINE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def on_root(self, attributes):
        with self.changed:
            self.root = attributes
            self.changed.notify_all()

    def on_stanza(self, stanza): pass
    def on_beat(self, answer): pass
    def on_closed(self): pass

    def on_broken(self, error):
        self.errors.append(error)


class Stream:
    """The answers to one query, as they come. Iterates until the end; an error is raised."""

    def __init__(self, peer, number, convert):
        self.peer, self.id, self.convert, self.partial = peer, number, convert, []
        self._queue, self._last = queue.Queue(), None

    def put(self, item):
        self._queue.put(item)

    def next(self, timeout=DEADLINE):
        """The next answer; None after the end."""
        while True:
            item = self._last if self._last is not None else self._get(timeout)
            if isinstance(item, HmonError):
                self._last = item
                raise item
            if item.name == "end":
                self._last = item
                return None
            if item.name == "error":
                self.partial.append(types.SimpleNamespace(**{k.replace("-", "_"): v for k, v in item.attributes.items()},
                                                          text=item.text))
                continue
            return self.convert(item)

    def _get(self, timeout):
        try:
            return self._queue.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(f"query {self.id} was not answered in {timeout} s") from None

    def __iter__(self):
        while (item := self.next()) is not None:
            yield item

    def forever(self):
        while (item := self.next(None)) is not None:
            yield item

    def all(self, timeout=DEADLINE):
        result = Answers()
        while (item := self.next(timeout)) is not None:
            result.append(item)
        result.partial = self.partial
        return result

    def cancel(self):
        self.peer.ask("master", "cancel", of=self.id).all()


class Answers(list):
    """A list of answers; `partial` are the errors that came beside them."""
    partial = ()

    def one(self):
        if len(self) != 1:
            raise HmonError("not-one", f"{len(self)} answers")
        return self[0]


# ---------------------------------------------------------------------------------------------------- monitor

class Monitor(Peer):
    """m = Monitor("/run/x.socket", "load", [Metric("load/1min", scale=2)], period=1000).connect(); m.send({...})

    announce: send the config without being asked. update(pattern): gives the values of an update query (a dict, or
    a list for a monitor that sends in order), or raises HmonError. secret_file: where the secret is remembered.
    """
    role = "monitor"

    def __init__(self, address, name, metrics, period=0, window=0, update=None, announce=False, secret=None,
                 secret_file=None):
        super().__init__(address)
        self.config = Config(name, metrics, period, window)
        self.update, self.announce, self.secret, self.secret_file = update, announce, secret, secret_file
        if secret_file and os.path.exists(secret_file):
            with open(secret_file, encoding="ascii") as file:
                self.secret = file.read().strip()
        self.id, self.section, self.updates = None, None, 0
        self._row, self._sequence, self._in_order = None, 0, False

    def connect(self, wait=True):
        self.id, self._row, self._sequence = None, None, 0
        self.dial()
        if self.announce:
            self.connection.send(self.config.stanza(secret=self.secret))
        if wait:
            self.wait(lambda: self.id or self.closed, what="registration")
            if not self.id:
                raise self.errors[-1] if self.errors else HmonError("closed", "not registered")
        return self

    def send(self, values, time=None, answer=None):
        """By name: {name: number or text, None for no value}."""
        self._in_order = False
        children = [Stanza("v", n=n, none="yes") if v is None else Stanza("v", n=n, text=str(v)) for n, v in values.items()]
        self.connection.send(Stanza("monitor", time=time, answer=answer, children=children))

    def send_row(self, values, time=None, full=False, answer=None):
        """In order: all values, as a dict or a list."""
        with self.changed:
            self._in_order = True
            row = to_row(self.config, values)
            full = full or self._row is None
            self._sequence += 1
            self.connection.send(Stanza("monitor", answer=answer, generation=self.config.generation, sequence=self._sequence,
                                        time=time, full="yes" if full else None,
                                        text=encode_row(row, None if full else self._row)))
            self._row = row

    def reconfigure(self, metrics):
        with self.changed:
            self.config = dataclasses.replace(self.config, metrics=metrics, generation=self.config.generation + 1)
            self._row = None
            self.connection.send(self.config.stanza())

    def on_stanza(self, stanza):
        verb, answer = stanza.get("query"), stanza.get("id")
        if stanza.name == "config" and verb == "describe":
            self.section = stanza.text
            if not self.announce:
                self.connection.send(self.config.stanza(answer=answer, secret=self.secret))
        elif stanza.name == "monitor" and verb == "update":
            self.updates += 1
            try:
                if not self.update:
                    raise HmonError("unavailable", "this monitor has nothing fresh")
                values = self.update(stanza.get("metric"))
                (self.send_row if self._in_order else self.send)(values, answer=answer)
            except HmonError as e:
                self.connection.send(Stanza("error", answer=answer, code=e.code, text=e.text))
        elif stanza.name == "node" and stanza.get("id") and not verb:
            self.id, self.secret = stanza.integer("id"), stanza.get("secret", self.secret)
            if self.secret_file and stanza.get("secret"):
                with open(os.open(self.secret_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                    file.write(self.secret)
        elif verb:
            self.connection.send(Stanza("error", answer=answer, code="unknown-query", text=f"{stanza.name} {verb}"))


# ---------------------------------------------------------------------------------------------------- node

@dataclasses.dataclass
class Period:
    boot: int
    sequence: int
    time: int
    values: list
    config: Config


class NodeMonitor:
    """What a node keeps of a monitor: its config, and the periods measured (for resending)."""

    def __init__(self, config, number):
        self.config, self.number, self.periods, self.sequence = config, number, [], 0
        self.announced, self.last, self.acked = None, None, None    # of this connection; acked: (boot, sequence)
        self.lost = 0    # periods that acks said the master could not store


class Node(Peer):
    """n = Node(("127.0.0.1", 7660), "n1"); m = n.add("load", [Metric(...)]); n.connect(); n.record("load", {...})

    beat: none, in-band, or urgent (probes, and falls back to in-band). update(monitor, pattern): values for an update
    query; None or no function: the monitor does not answer. The history of all periods is in n.monitors[name].periods.
    """
    role = "node"

    def __init__(self, address, name, boot=None, beat="in-band", mode=None, secret=None, update=None, **facts):
        super().__init__(address)
        self.name, self.boot, self.mode, self.secret, self.update = name, boot or clock.time_ns(), mode, secret, update
        self.beat, self.facts, self.monitors = beat, facts, {}
        self.id, self.positions, self.acks, self.updates, self.echoed = None, {}, [], [], 0
        self._sending = threading.RLock()

    def add(self, monitor, metrics, period=0, window=0):
        self.monitors[monitor] = NodeMonitor(Config(monitor, metrics, period, window), len(self.monitors) + 1)
        return self.monitors[monitor]

    def reconfigure(self, monitor, metrics):
        m = self.monitors[monitor]
        m.config = dataclasses.replace(m.config, metrics=tuple(metrics), generation=m.config.generation + 1)

    def connect(self, resume=True, **arguments):
        """Dials, registers, announces; then sends what the master misses."""
        for m in self.monitors.values():
            m.announced = m.last = None
        connection = Connection.dial(self.address)
        self.transport = self._probe(connection)
        self.on_urgent_setup(connection)
        connection.open(role="node", beat=None if self.transport == "none" else self.transport)
        self.start(connection)
        answers = self.ask("node", "register", name=self.name, boot=self.boot, secret=self.secret, mode=self.mode,
                           **{**self.facts, **arguments}).all()
        self.positions = {}
        for answer in answers:
            if answer.name == "node":
                self.id, self.secret = answer.integer("id"), answer.get("secret", self.secret)
            elif answer.name == "monitor":
                self.positions[answer.get("monitor")] = (answer.integer("boot"), answer.integer("sequence"))
        with self._sending:
            for name, m in self.monitors.items():
                missed = [p for p in m.periods if (p.boot, p.sequence) > self.positions.get(name, (0, 0))]
                if resume and self.mode != "on-request" and missed:
                    for p in missed:
                        self.send_period(m, p)
                else:
                    self.announce(m, m.config)
        return self

    def _probe(self, connection):
        if self.beat != "urgent" or not connection.tcp:
            return "in-band" if self.beat == "urgent" else self.beat
        connection.send_urgent()
        deadline = clock.monotonic() + 1
        with contextlib.suppress(TimeoutError):
            while not connection.urgent and connection.pump(max(0, deadline - clock.monotonic())):
                pass
        return "urgent" if connection.urgent else "in-band"

    def on_urgent_setup(self, connection):
        def echo():
            if self.transport == "urgent":
                connection.send_urgent()
                self.echoed += 1
        connection.on_urgent = echo

    def announce(self, m, config):
        answer = self.ask("config", "announce", monitor=config.monitor, monitor_id=m.number, generation=config.generation,
                          digest=config.digest).all().one()
        m.known = answer.flag("known")
        if not m.known:
            self.connection.send(config.stanza(**{"monitor-id": m.number}))
        m.announced = config

    def record(self, monitor, values, time=None, send=True, full=False):
        """A new period of a monitor: kept, and sent if there is a connection."""
        with self._sending:
            m = self.monitors[monitor]
            m.sequence += 1
            p = Period(self.boot, m.sequence, time or clock.time_ns(), to_row(m.config, values), m.config)
            m.periods.append(p)
            if send and not self.closed and self.mode != "on-request":
                self.send_period(m, p, full)
            return p

    def send_period(self, m, p, full=False):
        if m.announced is not p.config:
            self.announce(m, p.config)
        last, m.last = m.last, p
        follows = last and last.boot == p.boot and last.config is p.config and last.sequence + 1 == p.sequence
        full = full or not follows or self.mode == "on-request"
        self.connection.send(Stanza(
            "monitor", id=m.number, boot=p.boot if not last or last.boot != p.boot else None,
            generation=p.config.generation, sequence=p.sequence, time=p.time, full="yes" if full else None,
            text=encode_row(p.values, None if full else last.values)))

    def on_stanza(self, stanza):
        if stanza.name == "monitor" and stanza.get("query") == "update":
            self.updates.append(stanza)
            threading.Thread(target=self._update, args=[stanza], daemon=True).start()
        elif stanza.name == "master" and stanza.get("ack"):
            self.acks.append((stanza.get("monitor"), stanza.integer("boot"), stanza.integer("ack")))
            self.monitors[stanza.get("monitor")].acked = self.acks[-1][1:]
            self.monitors[stanza.get("monitor")].lost += stanza.integer("lost", 0)
        elif stanza.get("query"):
            self.connection.send(Stanza("error", answer=stanza.get("id"), code="unknown-query",
                                        text=f"{stanza.name} {stanza.get('query')}"))

    def _update(self, stanza):
        number, pattern = stanza.get("id"), stanza.get("metric")
        for name, m in self.monitors.items():
            if not matches(stanza.get("monitor"), name) or not any(matches(pattern, x.name) for x in m.config.metrics):
                continue
            values = self.update(name, pattern) if self.update else None
            if values is None:
                self.connection.send(Stanza("error", answer=number, partial="yes", monitor=name, code="deadline",
                                            text="the monitor did not answer"))
            else:
                with self._sending:
                    self.send_period(m, self.record(name, values, send=False))
        self.connection.send(Stanza("end", answer=number))

    def gone(self, monitor):
        self.connection.send(Stanza("node", monitor=monitor, gone="yes"))

    def leave(self):
        self.connection.send(Stanza("node", state="left"))
        self.close()

    def cut(self):
        """The connection breaks."""
        self.close(leave=False)


# ---------------------------------------------------------------------------------------------------- client

@dataclasses.dataclass
class Value:
    text: str                                    # None: no value
    unit: str = None

    @property
    def number(self):
        return None if self.text is None else decimal.Decimal(self.text)


@dataclasses.dataclass
class Reading:
    node: str
    monitor: str
    state: str
    time: int
    boot: int = None
    sequence: int = None
    period: int = None
    metrics: int = None
    lost: int = None
    values: dict = dataclasses.field(default_factory=dict)     # name: Value

    def text(self, metric):
        return self.values[metric].text

    def number(self, metric):
        return self.values[metric].number

    @staticmethod
    def parse(s):
        values = {v.get("n"): Value(None if v.flag("none") else v.text, v.get("u")) for v in s.children if v.name == "v"}
        return Reading(s.get("node"), s.get("monitor"), s.get("state"), values=values, **{
            k: s.integer(k) for k in ("time", "boot", "sequence", "period", "metrics", "lost")})


@dataclasses.dataclass
class Series:
    node: str
    monitor: str
    metric: str
    unit: str
    points: list                                 # (time, text), or with a step (time, count, mean, min, max)

    @staticmethod
    def parse(s):
        def point(p):
            if p.get("c") is None:
                return (p.integer("t"), None if p.flag("none") else p.get("v"))
            return (p.integer("t"), p.integer("c"), p.get("mean"), p.get("min"), p.get("max"))
        return Series(s.get("node"), s.get("monitor"), s.get("metric"), s.get("unit"),
                      [point(p) for p in s.children if p.name == "p"])


INTEGERS = {"id", "since", "heard", "monitors", "metrics", "nodes", "processors", "memory", "boot", "time"}


def record(stanza):
    """A stanza as an object: its attributes (numbers as int, - as _) and `text`."""
    return types.SimpleNamespace(text=stanza.text, **{
        k.replace("-", "_"): int(v) if k in INTEGERS else v for k, v in stanza.attributes.items() if k != "answer"})


def described(stanza):
    config = Config.parse(stanza)
    return types.SimpleNamespace(node=stanza.get("node"), digest=stanza.get("digest"), config=config,
                                 monitor=config.monitor, generation=config.generation, metrics=config.metrics)


class Client(Peer):
    """with Client("/run/x.socket").connect() as c: c.get(metric="load/*").one().number("load/1min")"""
    role = "client"

    def connect(self):
        self.dial()
        self.wait(lambda: self.root or self.closed, what="the daemon's root")
        return self

    def info(self):
        return self.ask("master", "info", record).all().one()

    def status(self):
        return self.ask("master", "status", record).all()

    def nodes(self, node=None):
        return self.ask("node", "list", record, node=node).all()

    def events(self, from_=None, to=None):
        return self.ask("node", "events", record, from_=from_, to=to).all()

    def follow_events(self, from_=None):
        return self.ask("node", "events", record, from_=from_, follow=True)

    def configs(self, node=None, monitor=None, metric=None):
        return self.ask("config", "get", described, node=node, monitor=monitor, metric=metric).all()

    def monitors(self, node=None, monitor=None):
        return self.ask("monitor", "list", Reading.parse, node=node, monitor=monitor).all()

    def get(self, metric=None, node=None, monitor=None, update=False, deadline=None):
        return self.ask("monitor", "get", Reading.parse, node=node, monitor=monitor, metric=metric, update=update,
                        deadline=deadline).all(DEADLINE + (deadline or 1000) / 1000)

    def subscribe(self, metric=None, node=None, monitor=None):
        return self.ask("monitor", "subscribe", Reading.parse, node=node, monitor=monitor, metric=metric)

    def history(self, metric=None, node=None, monitor=None, from_=None, to=None, step=None):
        """One Series for each, those that came in several put together."""
        series = {}
        for s in self.ask("monitor", "history", Series.parse, node=node, monitor=monitor, metric=metric, from_=from_, to=to,
                          step=step).all():
            key = (s.node, s.monitor, s.metric)
            if key in series:
                series[key].points += s.points
            else:
                series[key] = s
        return list(series.values())

    def cancel(self, number):
        return self.ask("master", "cancel", of=number).all()

    def reload(self):
        return self.ask("master", "reload").all()

    def forget(self, node, monitor=None):
        if monitor:
            return self.ask("monitor", "forget", node=node, monitor=monitor).all()
        return self.ask("node", "forget", node=node).all()


# ---------------------------------------------------------------------------------------------------- daemon

class KnownMonitor:
    """A monitor that the daemon knows, of its own node or of another."""

    def __init__(self, node, name, number):
        self.node, self.name, self.id, self.secret = node, name, number, secrets.token_hex(16)
        self.config, self.session, self.gone = None, None, False
        self.values, self.boot, self.sequence, self.time, self.heard = [], None, 0, None, clock.monotonic()
        self.chain = None                        # (boot, generation, sequence, values) of the row before
        self.stanza_boot = None                  # a node says it only when it changes
        self.periods, self.duplicates = [], 0

    def configure(self, config):
        old = {} if not self.config else {m: v for m, v in zip(self.config.metrics, self.values)}
        by_name = {m.name: (m.type, m.scale, v) for m, v in old.items()}
        self.values = [by_name[m.name][2] if by_name.get(m.name, ())[:2] == (m.type, m.scale) else None
                       for m in config.metrics]
        self.config, self.chain = config, None

    def state(self):
        if self.node.state != "up":
            return "old"
        if self.session is None or self.gone:
            return "gone"
        silent = clock.monotonic() - self.heard
        return "late" if self.config.period and silent > max(2 * self.config.period / 1000, 3) else "current"


class KnownNode:
    def __init__(self, name, number):
        self.name, self.id, self.secret, self.boot = name, number, secrets.token_hex(16), 0
        self.monitors, self.session, self.state, self.transport = {}, None, "down", "none"
        self.since = self.heard = clock.time_ns()
        self.facts, self.beats = {}, 0           # beats: echoes that came


class Daemon(Waiter):
    """d = Daemon("/tmp/x/socket", name="n1") accepts at once; d.close(). sections: text of describe by ... all monitors.

    d.monitor("load"), d.node("n2") give what it knows; d.value("load", "load/1min") the shown text; d.update("load"),
    d.beat("n2"), d.ack("n2", "load") send. d.log is every stanza that came: (role, Stanza).
    """

    def __init__(self, address, name="n1", section="", describe=True, urgent=True):
        super().__init__()
        self.name, self.section, self.describe, self.urgent = name, section, describe, urgent
        self.boot, self.log, self.errors, self.events = clock.time_ns(), [], [], []
        self.nodes, self.sessions, self.configs, self.reloads = {name: KnownNode(name, 1)}, [], {}, 0
        self.own = self.nodes[name]
        self.own.state, self.own.transport, self.own.boot = "up", "local", self.boot
        if isinstance(address, (str, os.PathLike)):
            self.listener = socket.socket(socket.AF_UNIX)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(address)
            self.listener.bind(os.fspath(address))
            self.address = os.fspath(address)
        else:
            self.listener = socket.create_server(address)
            self.address = self.listener.getsockname()[:2]
        self.listener.listen(64)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with self.changed:
                self.sessions.append(Session(self, sock))

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(DEADLINE)
        self.listener.close()
        for session in list(self.sessions):
            session.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # what tests look at, and do
    def node(self, name):
        return self.nodes.get(name)

    def monitor(self, name, node=None):
        known = self.nodes.get(node or self.name)
        return known.monitors.get(name) if known else None

    def value(self, monitor, metric, node=None):
        with self.changed:
            m = self.monitor(monitor, node)
            if not m or not m.config:
                return None
            i = m.config.index(metric)
            return None if m.values[i] is None else m.config.metrics[i].show(m.values[i])

    def update(self, monitor, node=None, **arguments):
        """Asks a monitor of ours, or (node=) a node about its monitors. Returns what came: Answers."""
        if node:
            return self.node(node).session.ask("monitor", "update", monitor=monitor, **arguments).all()
        return [self.monitor(monitor).session.ask_monitor("update", **arguments)]

    def beat(self, node, timeout=DEADLINE):
        """One beat as the node asked for it; waits for the echo."""
        with self.changed:
            known = self.node(node)
            before, session = known.beats, known.session
            if known.transport == "urgent":
                session.connection.send_urgent()
            else:
                session.connection.send(Stanza("beat", n=before + 1))
        self.wait(lambda: known.beats > before, timeout, "the beat's echo")

    def ack(self, node, monitor):
        m = self.monitor(monitor, node)
        m.node.session.connection.send(Stanza("master", ack=m.sequence, monitor=monitor, boot=m.boot))

    def event(self, event, node=None, monitor=None, text=""):
        stanza = Stanza("node", event=event, time=clock.time_ns(), node=node, monitor=monitor, text=text)
        self.events.append(stanza)
        for session in self.sessions:
            for number, follow in session.following.items():
                if follow == "events":
                    session.answer(number, stanza)

    def learn(self, monitor, values, time, boot, sequence):
        """A new period."""
        monitor.values, monitor.time = values, time or clock.time_ns()
        monitor.boot, monitor.sequence = boot, sequence
        monitor.periods.append((boot, sequence, monitor.time, monitor.config, list(values)))
        for session in self.sessions:
            for number, follow in session.following.items():
                if isinstance(follow, dict) and session.wants(follow["query"], monitor):
                    session.tell(number, follow, monitor)


class Session(Peer):
    """One accepted connection."""

    def __init__(self, daemon, sock):
        super().__init__()
        self.changed = daemon.changed            # one lock for all of the daemon
        self.daemon, self.role, self.owner = daemon, None, None     # owner: KnownMonitor or KnownNode
        self.numbers, self.following = {}, {}
        connection = Connection(sock, SMALL_STANZA)
        connection.on_urgent = self.on_urgent
        self.start(connection)

    def fail(self, error, answer=None):
        self.daemon.errors.append(error)
        self.connection.send(Stanza("error", code=error.code, answer=answer, text=error.text))
        if error.code in FATAL:
            self.connection.finish()

    def on_root(self, attributes):
        with self.changed:
            self.root, version, self.role = attributes, attributes.get("version", ""), attributes.get("role")
            self.connection.open(role="vigiad", name=self.daemon.name)
            if not re.fullmatch("[0-9]{1,9}", version) or int(version) < 1:
                return self.fail(HmonError("bad-version", "this is version 1"))
            if self.role not in ("monitor", "node", "client"):
                return self.fail(HmonError("bad-role", "monitor, node or client"))
            if self.role != "client":
                self.connection.parser.stanza_limit = LARGE_STANZA
            if self.role == "monitor" and self.daemon.describe:
                self.numbers["1"] = ["describe", None]
                self._ids = 1
                self.connection.send(Stanza("config", query="describe", id=1, text=self.daemon.section))
            self.changed.notify_all()

    def on_broken(self, error):
        with self.changed:
            if not self.connection._opened:
                self.connection.open(role="vigiad", name=self.daemon.name)
            self.fail(error)

    def on_urgent(self):
        with self.changed:
            if self.root is None:
                if self.daemon.urgent:
                    self.connection.send_urgent()
            elif isinstance(self.owner, KnownNode):
                self.owner.beats += 1
            self.changed.notify_all()

    def on_beat(self, answer):
        if isinstance(self.owner, KnownNode):
            self.owner.beats += 1

    def on_closed(self):
        daemon, owner = self.daemon, self.owner
        daemon.sessions = [s for s in daemon.sessions if s is not self]
        for asked in self.numbers.values():
            asked[1] = asked[1] or Stanza("error", code="unavailable", text="the connection ended")
        if owner and owner.session is self:
            owner.session = None
            if isinstance(owner, KnownNode):
                owner.state = "left" if owner.state == "left" else "down"
                owner.since = clock.time_ns()
                for m in owner.monitors.values():
                    m.session = m.chain = m.stanza_boot = None
            daemon.event("down" if isinstance(owner, KnownNode) else "gone",
                         owner.name if isinstance(owner, KnownNode) else daemon.name,
                         owner.name if isinstance(owner, KnownMonitor) else None)

    def on_stanza(self, stanza):
        if self.connection._closed:
            return
        self.daemon.log.append((self.role, stanza))
        query = stanza.get("query")
        try:
            if stanza.children and stanza.text:
                raise HmonError("bad-stanza", f"{stanza.name}: text and elements")
            if query is not None:
                stanza.integer("id", None, 1, 2**31 - 1)
                if stanza.get("id") is None:
                    raise HmonError("bad-argument", "id is missing")
                if stanza.get("id") in self.following:
                    raise HmonError("bad-argument", "id is under way")
                if len(self.following) >= QUERIES:
                    raise HmonError("too-many", "queries")
            handler = getattr(self, f"{self.role}_{stanza.name}_{query or 'told'}".replace("-", "_"), None)
            if handler:
                handler(stanza)
            elif query is not None:
                known = any(hasattr(self, f"{r}_{stanza.name}_{query}") for r in ("node", "client"))
                raise HmonError("not-permitted" if known else "unknown-query", f"{stanza.name} {query}")
            elif stanza.name in PRIMITIVES:
                raise HmonError("bad-stanza", stanza.name)
        except HmonError as e:
            self.fail(e, stanza.get("id") if query is not None else None)

    def answer(self, number, stanza):
        self.connection.send(Stanza(stanza.name, {"answer": number, **stanza.attributes}, stanza.text, stanza.children))

    def end(self, query):
        self.connection.send(Stanza("end", answer=query if isinstance(query, str) else query.get("id")))

    # monitors
    def ask_monitor(self, verb, **arguments):
        """An update query; returns the stanza that answered."""
        with self.changed:
            self._ids += 1
            asked = self.numbers[str(self._ids)] = [verb, None]
            self.connection.send(Stanza("monitor", {"query": verb, "id": self._ids, **arguments}))
        self.wait(lambda: asked[1], what="the monitor's answer")
        return asked[1]

    def _answered(self, stanza):
        asked = self.numbers.pop(stanza.get("answer"), None)
        if asked:
            asked[1] = stanza

    def monitor_error_told(self, stanza):
        self._answered(stanza)

    def monitor_config_told(self, stanza):
        self._answered(stanza)
        config, daemon = Config.parse(stanza), self.daemon
        known = self.owner
        if known:
            if config.monitor != known.name:
                raise HmonError("bad-config", "another name")
            if config == known.config:
                return
            if config.generation != known.config.generation + 1:
                raise HmonError("bad-config", "generation is not one higher")
            return known.configure(config)
        known, secret = daemon.own.monitors.get(config.monitor), None
        if known is None:
            known = daemon.own.monitors[config.monitor] = KnownMonitor(daemon.own, config.monitor, len(daemon.own.monitors) + 1)
            secret = known.secret
        elif stanza.get("secret") != known.secret:
            raise HmonError("stranger", "the name is taken")
        elif known.session:
            known.session.connection.finish()
        known.configure(config)
        known.session, self.owner, known.heard = self, known, clock.monotonic()
        self.connection.send(Stanza("node", monitor=known.name, id=known.id, secret=secret))
        daemon.event("came", daemon.name, known.name)

    def monitor_monitor_told(self, stanza):
        known = self.owner
        if known is None:
            raise HmonError("bad-stanza", "monitor: values before the config")
        known.heard = clock.monotonic()
        if stanza.get("sequence") is not None or stanza.get("generation") is not None or stanza.text.strip():
            values, time = self._row(known, stanza, None), check_time(stanza)
        else:
            time, values = check_time(stanza), list(known.values)
            for v in stanza.children:
                if v.name == "v":
                    i = known.config.index(v.get("n"))
                    values[i] = None if v.flag("none") else known.config.metrics[i].parse(v.text)
            if known.chain:
                known.chain = (*known.chain[:3], values)
        self.daemon.learn(known, values, time, self.daemon.boot,
                          known.sequence + 1 if known.boot == self.daemon.boot else 1)
        self._answered(stanza)

    def _row(self, known, stanza, boot):
        """Values in order, of a monitor or a node's monitor."""
        try:
            generation, sequence = stanza.integer("generation"), stanza.integer("sequence", None, 1)
            full = stanza.flag("full")
        except HmonError as e:
            raise HmonError("bad-row", e.text) from None
        if sequence is None or known.config is None or generation != known.config.generation:
            raise HmonError("bad-row", "sequence or generation")
        previous = None
        if known.chain and not full:
            if known.chain[:3] != (boot, generation, sequence - 1):
                raise HmonError("bad-row", f"sequence {sequence} does not follow {known.chain[2]}")
            previous = known.chain[3]
        values = decode_row(stanza.text, known.config.metrics, previous, full)
        known.chain = (boot, generation, sequence, values)
        return values

    # nodes
    def node_node_register(self, stanza):
        daemon, name = self.daemon, stanza.need("name", NAME)
        boot, known = stanza.integer("boot", None, 1), daemon.nodes.get(name)
        if boot is None:
            raise HmonError("bad-argument", "boot is missing")
        secret = None
        if known is None:
            known = daemon.nodes[name] = KnownNode(name, len(daemon.nodes) + 1)
            secret = known.secret
        elif known is daemon.own or stanza.get("secret") != known.secret:
            raise HmonError("stranger", "the name is taken")
        if boot < known.boot:
            raise HmonError("old-boot", f"{boot} is before {known.boot}")
        if known.session and known.session is not self:
            known.session.connection.finish()
        for m in known.monitors.values():
            m.session = m.chain = m.stanza_boot = None
        known.session, self.owner, known.boot, known.state = self, known, boot, "up"
        known.transport = self.root.get("beat", "none")
        known.facts = {k: v for k, v in stanza.attributes.items()
                       if k in ("system", "machine", "processors", "memory", "version")}
        known.mode, known.numbers = stanza.get("mode"), {}
        known.since = known.heard = clock.time_ns()
        number = stanza.get("id")
        self.answer(number, Stanza("node", name=name, id=known.id, secret=secret))
        for m in known.monitors.values():
            if m.boot is not None:
                self.answer(number, Stanza("monitor", monitor=m.name, boot=m.boot, sequence=m.sequence))
        self.end(stanza)
        daemon.event("up", name)

    def _registered(self):
        if not isinstance(self.owner, KnownNode):
            raise HmonError("bad-stanza", "not registered")
        self.owner.heard = clock.time_ns()
        return self.owner

    def node_config_announce(self, stanza):
        node, name = self._registered(), stanza.need("monitor", NAME)
        number, mark = stanza.integer("monitor-id", None, 1, 65535), stanza.need("digest", re.compile("[0-9a-f]{16}"))
        generation = stanza.integer("generation", 1, 1)
        if number is None:
            raise HmonError("bad-argument", "monitor-id is missing")
        m = node.monitors.setdefault(name, KnownMonitor(node, name, number))
        node.numbers[str(number)], m.session, m.gone, m.announced = m, self, False, mark
        config = self.daemon.configs.get(mark)
        if config:
            m.configure(dataclasses.replace(config, monitor=name, generation=generation))
        self.answer(stanza.get("id"), Stanza("config", known="yes" if config else "no"))
        self.end(stanza)

    def node_config_told(self, stanza):
        m = self._registered().numbers.get(stanza.get("monitor-id"))
        config = Config.parse(stanza)
        if not m or config.monitor != m.name or config.digest != m.announced:
            raise HmonError("bad-config", "not what was announced")
        self.daemon.configs[config.digest] = config
        m.configure(config)

    def node_monitor_told(self, stanza):
        m = self._registered().numbers.get(stanza.get("id"))
        boot = stanza.integer("boot") or (m and m.stanza_boot)
        if not m or not boot:
            raise HmonError("bad-row", "no such id, or no boot")
        m.stanza_boot, m.heard, m.gone = boot, clock.monotonic(), False
        time, values, sequence = check_time(stanza), self._row(m, stanza, boot), stanza.integer("sequence")
        if m.boot is not None and (boot, sequence) <= (m.boot, m.sequence):
            m.duplicates += 1
        else:
            self.daemon.learn(m, values, time, boot, sequence)

    def node_node_told(self, stanza):
        node = self._registered()
        if stanza.get("state") == "left":
            node.state = "left"
        elif stanza.flag("gone") and stanza.get("monitor") in node.monitors:
            node.monitors[stanza.get("monitor")].gone = True

    # clients
    def wants(self, query, monitor):
        return (monitor.config and matches(query.get("node"), monitor.node.name)
                and matches(query.get("monitor"), monitor.name)
                and (query.get("metric") is None or any(matches(query.get("metric"), x.name) for x in monitor.config.metrics)))

    def found(self, query):
        """The monitors that a query's patterns name; a plain name that is none is not-found."""
        found = [m for n in self.daemon.nodes.values() for m in n.monitors.values() if self.wants(query, m)]
        plain = [a for a in ("node", "monitor", "metric") if query.get(a) and not re.search(r"[*?]", query.get(a))]
        if not found and plain:
            raise HmonError("not-found", " ".join(query.get(a) for a in plain))
        return found

    def shown(self, m, query, only=None):
        values = [Stanza("v", n=x.name, u=x.shown_unit, none="yes" if v is None else None,
                         text="" if v is None else x.show(v)) for x, v in zip(m.config.metrics, m.values)
                  if matches(query.get("metric"), x.name) and (only is None or x.name in only)]
        return Stanza("monitor", node=m.node.name, monitor=m.name, state=m.state(), boot=m.boot,
                      sequence=m.sequence or None, time=m.time, children=values)

    def tell(self, number, follow, m):
        """A period for a subscription: whole the first time, then what changed."""
        now = {x.name: v for x, v in zip(m.config.metrics, m.values)}
        before = follow["seen"].get(m)
        follow["seen"][m] = now
        self.answer(number, self.shown(m, follow["query"], None if before is None else
                                       {k for k, v in now.items() if k not in before or before[k] != v}))

    def client_master_info(self, q):
        d = self.daemon
        monitors = [m for n in d.nodes.values() for m in n.monitors.values()]
        self.answer(q.get("id"), Stanza("master", name=d.name, version="peer", boot=d.boot, time=clock.time_ns(),
                                        nodes=len(d.nodes), monitors=len(monitors),
                                        metrics=sum(len(m.config.metrics) for m in monitors if m.config)))
        self.end(q)

    def client_master_status(self, q):
        for node in self.daemon.nodes.values():
            if node.state == "down":
                self.answer(q.get("id"), Stanza("master", problem="node-down", node=node.name, text="look at it"))
        self.end(q)

    def client_node_list(self, q):
        found = [n for n in self.daemon.nodes.values() if matches(q.get("node"), n.name)]
        if not found and not re.search(r"[*?]", q.get("node", "*")):
            raise HmonError("not-found", q.get("node"))
        for n in found:
            self.answer(q.get("id"), Stanza("node", {"name": n.name, "id": n.id, "state": n.state, "since": n.since,
                                                     "heard": n.heard, "transport": n.transport,
                                                     "monitors": len(n.monitors), **n.facts}))
        self.end(q)

    def client_node_events(self, q):
        low, high = q.integer("from", 0), q.integer("to", 2**63 - 1)
        for e in self.daemon.events:
            if low <= e.integer("time") <= high:
                self.answer(q.get("id"), e)
        if q.flag("follow"):
            self.following[q.get("id")] = "events"
        else:
            self.end(q)

    def client_config_get(self, q):
        for m in self.found(q):
            config = dataclasses.replace(m.config, metrics=[x for x in m.config.metrics if matches(q.get("metric"), x.name)])
            self.answer(q.get("id"), config.stanza(node=m.node.name, digest=m.config.digest))
        self.end(q)

    def client_monitor_list(self, q):
        for m in self.found(q):
            self.answer(q.get("id"), Stanza("monitor", node=m.node.name, monitor=m.name, state=m.state(), time=m.time,
                                            period=m.config.period, metrics=len(m.config.metrics)))
        self.end(q)

    def client_monitor_get(self, q):
        found, deadline = self.found(q), q.integer("deadline", 1000) / 1000
        if q.flag("update"):
            self.following[q.get("id")] = "update"
            threading.Thread(target=self._updated_get, args=[q, found, deadline], daemon=True).start()
            return
        for m in found:
            self.answer(q.get("id"), self.shown(m, q))
        self.end(q)

    def _updated_get(self, q, found, deadline):
        waiting, remote = {}, {}
        with self.changed:
            for m in found:
                if m.node is self.daemon.own and m.session:
                    m.session._ids += 1
                    waiting[m] = m.session.numbers[str(m.session._ids)] = ["update", None]
                    m.session.connection.send(Stanza("monitor", query="update", id=m.session._ids, metric=q.get("metric")))
                elif m.node.session:
                    remote.setdefault(m.node, []).append(m)
        failed = [m for m in found if m.node is not self.daemon.own and not m.node.session or not m.session]
        streams = {n: n.session.ask("monitor", "update", monitor=q.get("monitor"), metric=q.get("metric"),
                                    deadline=int(deadline * 800)) for n in remote}
        end = clock.monotonic() + deadline
        with contextlib.suppress(TimeoutError):
            self.wait(lambda: all(a[1] for a in waiting.values()), deadline)
        failed += [m for m, a in waiting.items() if a[1] is None or a[1].name == "error"]
        for n, stream in streams.items():
            try:
                silent = [p.monitor for p in stream.all(max(0.001, end - clock.monotonic())).partial]
                failed += [m for m in remote[n] if m.name in silent]
            except (TimeoutError, HmonError):
                failed += remote[n]
        with self.changed:
            for m in found:
                self.answer(q.get("id"), self.shown(m, q))
                if m in failed:
                    self.connection.send(Stanza("error", answer=q.get("id"), partial="yes", node=m.node.name,
                                                monitor=m.name, code="deadline", text="did not answer"))
            if self.following.pop(q.get("id"), None):
                self.end(q)

    def client_monitor_subscribe(self, q):
        follow = {"query": q, "seen": {}}
        found = self.found(q)
        self.following[q.get("id")] = follow
        for m in found:
            self.tell(q.get("id"), follow, m)

    def client_monitor_history(self, q):
        low, high, step = q.integer("from", 0), q.integer("to", 2**63 - 1), q.integer("step", None, 1)
        for m in self.found(q):
            for x in m.config.metrics:
                if not matches(q.get("metric"), x.name):
                    continue
                points = [(p[2], p[4][i]) for p in m.periods for i, y in enumerate(p[3].metrics)
                          if y.name == x.name and low <= p[2] <= high]
                self.answer(q.get("id"), Stanza("monitor", node=m.node.name, monitor=m.name, metric=x.name,
                                                unit=x.shown_unit, children=self._points(x, points, step)))
        self.end(q)

    def _points(self, metric, points, step):
        if not step or not metric.numeric:
            return [Stanza("p", t=t, none="yes") if v is None else Stanza("p", t=t, v=metric.show(v)) for t, v in points]
        steps = {}
        for t, v in points:
            if v is not None:
                steps.setdefault(t - t % (step * 10**6), []).append(v)
        return [Stanza("p", t=t, c=len(v), mean=metric.show(round(decimal.Decimal(sum(v)) / len(v))),
                       min=metric.show(min(v)), max=metric.show(max(v))) for t, v in steps.items()]

    def client_master_cancel(self, q):
        if q.get("of") not in self.following:
            raise HmonError("not-found", f"of: no query {q.get('of')} under way")
        del self.following[q.get("of")]
        self.end(q.get("of"))
        self.end(q)

    def client_master_reload(self, q):
        self.daemon.reloads += 1
        self.end(q)

    def client_node_forget(self, q):
        node = self.daemon.nodes.get(q.need("node"))
        if not node:
            raise HmonError("not-found", q.get("node"))
        if node.session or node is self.daemon.own:
            raise HmonError("not-permitted", "it is connected")
        del self.daemon.nodes[node.name]
        self.end(q)


# ---------------------------------------------------------------------------------------------------- command line

def main():
    p = argparse.ArgumentParser(description="asks an HMON daemon; `daemon` is one")
    p.add_argument("verb", choices="get list config subscribe history events nodes info status daemon load".split())
    p.add_argument("metric", nargs="?", help="a pattern")
    p.add_argument("--socket", help="a Unix socket's path")
    p.add_argument("--tcp", help="host:port", default=f"127.0.0.1:{PORT}")
    for name in "node monitor from to step deadline".split():
        p.add_argument("--" + name, dest=name + "_" if name == "from" else name)
    p.add_argument("--update", action="store_true")
    p.add_argument("--follow", action="store_true")
    a = p.parse_intermixed_args()
    host, _, port = a.tcp.rpartition(":")
    address = a.socket or (host, int(port))
    if a.verb == "daemon":
        with Daemon(address, a.node or "n1"):
            threading.Event().wait()
    if a.verb == "load":
        with Monitor(address, "load", [Metric("load/1min", scale=2, doc="mean run queue of a minute")], 1000,
                     update=lambda _: {"load/1min": os.getloadavg()[0]}).connect() as m:
            while not m.closed:
                m.send({"load/1min": f"{os.getloadavg()[0]:.2f}"})
                clock.sleep(1)
        return
    where = dict(node=a.node, monitor=a.monitor, metric=a.metric)
    with Client(address).connect() as c:
        if a.verb in ("get", "subscribe"):
            for r in c.get(update=a.update, deadline=a.deadline and int(a.deadline), **where) if a.verb == "get" \
                    else c.subscribe(**where).forever():
                for name, v in r.values.items():
                    print(r.node, r.monitor, r.state, name, "-" if v.text is None else v.text, v.unit or "")
        elif a.verb == "history":
            for s in c.history(from_=a.from_, to=a.to, step=a.step, **where):
                for point in s.points:
                    print(s.node, s.monitor, s.metric, *point)
        elif a.verb == "events" and a.follow:
            for e in c.follow_events(a.from_).forever():
                print(e)
        else:
            print(*{"list": lambda: c.monitors(a.node, a.monitor), "config": lambda: c.configs(**where),
                    "events": lambda: c.events(a.from_, a.to), "nodes": lambda: c.nodes(a.node),
                    "info": lambda: [c.info()], "status": c.status}[a.verb](), sep="\n")


if __name__ == "__main__":
    try:
        main()
    except HmonError as e:
        sys.exit(str(e))
    except KeyboardInterrupt:
        pass
