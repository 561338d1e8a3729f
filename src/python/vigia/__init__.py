# SPDX-License-Identifier: Apache-2.0
"""Vigia from Python: what its services can be asked, and events.

    import vigia

    with vigia.open() as v:
        for host in v.host_list():
            print(host["name"], host["state"])
        news = v.channel("news", public=True)
        v.put(news, 1, b"hello")
        for event in v.subscribe("news", after=0):
            print(event.sequence, event.data)

One thread at a time may use a connection. docs/libvigia.md tells more.
"""
import itertools
import os
import pwd
import socket
import struct
import time
from collections import deque
from typing import NamedTuple, Optional

from . import frames
from .frames import Message
from .operations import Operations

__all__ = ["open", "Connection", "Operations", "Error", "Message", "Event", "Lost", "Channel"]
PORT = 7660
OPEN_S = 5.0
CALL_S = 10.0
READ = 65536


class Error(Exception):
    """What a daemon answered: its code and text; code "" when none said it."""

    def __init__(self, code, text):
        super().__init__(f"{code}: {text}" if code else text)
        self.code, self.text = code, text


class Event(NamedTuple):
    sequence: int
    time: int  # ns since 1970, by the clock of the channel's host
    tag: int
    sender: str  # HOST/PROCESS/ENTITY
    data: bytes


class Lost(NamedTuple):
    """That many events before this sequence never come."""
    events: int
    before: int


class Channel(NamedTuple):
    key: str
    id: str
    number: int
    sequence: int


def _places():
    """Where a daemon may be: the environment's, one's own, the system's."""
    if os.environ.get("VIGIA_SOCKET"):
        return [os.environ["VIGIA_SOCKET"]]
    runtime = os.environ.get("XDG_RUNTIME_DIR") or ("/run" if os.geteuid() == 0 else f"/run/user/{os.geteuid()}")
    return [f"{runtime}/vigia/vigiad.sock", "/run/vigia/vigiad.sock"]


def _check_owner(s, place):
    """Another user could have put a socket there, to hear what is asked or to answer it."""
    _, uid, _ = struct.unpack("iII", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if uid in (0, os.geteuid()):
        return
    try:
        if uid == pwd.getpwnam("vigia").pw_uid:
            return
    except KeyError:
        pass
    raise Error("", f"who listens at {place} is uid {uid}: neither root, nor vigia, nor yourself; nothing was said to it")


def _connect(place):
    if "/" in place:
        s = socket.socket(socket.AF_UNIX)
        try:
            s.settimeout(OPEN_S)
            s.connect(place)
            _check_owner(s, place)
        except (OSError, Error):
            s.close()
            raise
        return s
    host, _, port = place.rpartition(":")
    if not host or not port.isdigit():
        host, port = place, PORT
    return socket.create_connection((host.strip("[]"), int(port)), OPEN_S)


def open(at: Optional[str] = None) -> "Connection":
    """A connection to the daemon at HOST[:PORT] or the path of a socket; else to the nearest."""
    tried = []
    for place in [at] if at else _places():
        try:
            return Connection(_connect(place))
        except OSError as e:
            tried.append(f"{place}: {e.strerror or e}")
    raise Error("", "no vigiad answers at " + ", nor at ".join(tried))


class Connection(Operations):
    """A daemon, which passes on what is meant for others."""

    def __init__(self, connected):
        self._socket = connected
        self._cutter = frames.Cutter()
        self._numbers = itertools.count(1)
        self._waiting = {}  # number: what came for it, in order
        self._hello = None
        self.refused = []  # why events that were put were not taken
        try:
            self._send(frames.PREFACE + frames.frame(
                frames.HELLO, payload=frames.encode(Message("hello", {"version": 1, "role": "client"}).packed())))
            end = time.monotonic() + OPEN_S
            while self._hello is None:
                self._read(end)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._socket.close()

    @property
    def host(self):
        """The name of the daemon's host."""
        return self._hello.get("name", "")

    # --- asking ---

    def ask(self, operation, arguments=(), *, at="", deadline=None, one_way=False):
        """Asks "noun.verb"; its answers, one by one, until it is over. What is None is not said; lists are words.
        deadline: seconds; of what goes on, until its first answer."""
        noun, _, verb = operation.partition(".")
        message = Message(noun, {"query": verb})
        for name, value in dict(arguments).items():
            if isinstance(value, (list, tuple)):
                message.children += [Message(name, text=word) for word in value]
            elif value is not None:
                message[name] = value
        number = next(self._numbers)
        limit = CALL_S if deadline is None else deadline
        asked = frames.query(number, message, at, int(limit * 1000), frames.ONE_WAY if one_way else 0)
        if not one_way:
            self._waiting[number] = deque()
        self._send(asked)
        return iter(()) if one_way else _Answers(self, number, operation, time.monotonic() + limit)

    def tell(self, operation, arguments=(), *, at=""):
        """Asks one-way: nothing comes back."""
        self.ask(operation, arguments, at=at, one_way=True)

    def _cancel(self, number):
        if self._waiting.pop(number, None) is None or self._socket.fileno() < 0:
            return
        try:
            self._send(frames.frame(frames.CANCEL, number))
        except Error:
            pass  # it ends with the connection

    # --- events ---

    def channel(self, key: str, public: bool = False) -> Channel:
        """The channel of this key on the daemon's own host, made where it is not."""
        m = next(self.ask("channel.create", {"key": key, "public": public}))
        return Channel(m["key"], m["id"], m["number"], m["sequence"])

    def put(self, channel: Channel, tag: int, data: bytes):
        """An event for all who subscribe; no answer comes. See `refused`."""
        self._send(frames.event(channel.number, tag, data))

    def subscribe(self, key: str, *, mask: int = 0xFFFFFFFF, after: Optional[int] = None, at: str = ""):
        """Event after Event, and Lost where some never come; ends with Error when the channel does."""
        for came in self.ask("channel.subscribe", {"channel": key, "mask": mask, "after": after}, at=at):
            if isinstance(came, (Event, Lost)):
                yield came

    # --- the wire ---

    def _send(self, data):
        try:
            self._socket.settimeout(None)
            self._socket.sendall(data)
        except OSError as e:
            raise _gone(e) from None

    def _next(self, number, operation, end):
        queue = self._waiting[number]
        while not queue:
            try:
                self._read(end)
            except TimeoutError:
                self._cancel(number)
                raise Error("deadline", f"{operation} did not answer in time") from None
        return queue.popleft()

    def _read(self, end=None):
        """What has come, to whom it belongs; waits for some until `end`."""
        left = None if end is None else max(end - time.monotonic(), 0.001)
        try:
            self._socket.settimeout(left)
            data = self._socket.recv(READ)
        except TimeoutError:
            raise
        except OSError as e:
            raise _gone(e) from None
        if not data:
            raise Error("", "vigiad closed the connection")
        try:
            for kind, number, payload in self._cutter.feed(data):
                self._take(kind, number, payload)
        except (frames.Broken, struct.error) as e:
            self.close()
            raise Error("", f"what came is not from vigiad: {e}") from None

    def _take(self, kind, number, payload):
        if kind == frames.HELLO:
            self._hello = frames.read_message(payload)
        elif kind == frames.ERROR and not number:
            self._take_error_of_no_query(frames.read_message(payload))
        elif number in self._waiting:
            self._waiting[number].append((kind, _value(kind, payload)))

    def _take_error_of_no_query(self, message):
        error = _error(message)
        if error.code != "event":
            raise error
        self.refused.append(error)


class _Answers:
    """One by one; let go of before the last, begun or not, it tells the daemon that nobody wants the rest."""

    def __init__(self, connection, number, operation, end):
        self._connection, self._number, self._operation, self._end = connection, number, operation, end

    def __iter__(self):
        return self

    def __next__(self):
        waiting = self._connection._waiting
        while self._number in waiting:
            kind, value = self._connection._next(self._number, self._operation, self._end)
            if kind in (frames.END, frames.ERROR):
                del waiting[self._number]
            if kind == frames.ERROR:
                raise value
            if kind not in (frames.END, frames.PARTIAL):
                self._end = None
                return value
        raise StopIteration

    def close(self):
        self._connection._cancel(self._number)

    __del__ = close


def _gone(error):
    return Error("", f"the connection to vigiad is gone: {error.strerror or error}")


def _error(message):
    return Error(message.get("code", "failed"), message.text)


def _event(payload):
    sequence, when, tag, causes, process, entity = frames.EVENT_HEAD.unpack_from(payload)
    return Event(sequence, when, tag, f"{payload[24:40].hex()}/{process}/{entity}",
                 payload[frames.EVENT_HEAD.size + 32 * causes:])


def _value(kind, payload):
    if kind == frames.EVENT:
        return _event(payload)
    if kind == frames.LOST:
        return Lost(*frames.LOSS.unpack(payload))
    if kind in (frames.ERROR, frames.PARTIAL):
        return _error(frames.read_message(payload))
    return frames.read_message(payload) if kind == frames.ANSWER else None
