# SPDX-License-Identifier: Apache-2.0
"""Frames (docs/frames.md): what is on the wire between a program and its daemon."""
import struct

PREFACE = b"\x89VIGIA1\n"
HELLO, QUERY, ANSWER, END, ERROR, EVENT, LOST, CANCEL, PARTIAL = range(1, 10)
ONE_WAY = 1
PAYLOAD_MAX = 1 << 20
HEADER = struct.Struct(">IBBHQ")
EVENT_HEAD = struct.Struct(">QqIB3x16xIQ")
LOSS = struct.Struct(">QQ")


class Broken(Exception):
    """What came is no frame, or no message."""


# --- CBOR, as far as frames have it ---

def _head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    for more, form in ((24, ">B"), (25, ">H"), (26, ">I"), (27, ">Q")):
        if n < 1 << 8 * struct.calcsize(form):
            return bytes([major << 5 | more]) + struct.pack(form, n)
    raise ValueError(f"{n} is not an integer of 64 bits")


def encode(value):
    """A value's bytes: text, integer, flag, bytes, list or dict."""
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        if not -1 << 63 <= value < 1 << 63:
            raise ValueError(f"{value} is not an integer of 64 bits")
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _head(2, len(value)) + bytes(value)
    if isinstance(value, str):
        data = value.encode()
        return _head(3, len(data)) + data
    if isinstance(value, (list, tuple)):
        return _head(4, len(value)) + b"".join(map(encode, value))
    if isinstance(value, dict):
        return _head(5, len(value)) + b"".join(encode(k) + encode(v) for k, v in value.items())
    raise TypeError(f"{type(value).__name__} can't be sent: only text, integers, flags, bytes and lists of words")


def decode(data, at=0, depth=16):
    """The value at `at`, and where it ends."""
    try:
        return _decode(data, at, depth)
    except (IndexError, struct.error, UnicodeDecodeError, TypeError) as e:
        raise Broken(f"no value at byte {at}: {e}") from None


def _decode(data, at, depth):
    major, n = data[at] >> 5, data[at] & 31
    at += 1
    if major == 7 and n in (20, 21):
        return n == 21, at
    if n >= 28 or major > 5 or not depth:
        raise Broken(f"what is at byte {at - 1} is nothing that frames have")
    if n >= 24:
        form = ">" + "BHIQ"[n - 24]
        (n,) = struct.unpack_from(form, data, at)
        at += struct.calcsize(form)
    if major < 2:
        return (n if major == 0 else -1 - n), at
    if n > len(data) - at:
        raise Broken(f"{n} bytes or values are said before byte {at}, which are not there")
    if major < 4:
        piece = bytes(data[at:at + n])
        return (piece if major == 2 else piece.decode()), at + n
    made = [] if major == 4 else {}
    for _ in range(n):
        key, at = _decode(data, at, depth - 1)
        if major == 4:
            made.append(key)
        else:
            made[key], at = _decode(data, at, depth - 1)
    return made, at


# --- messages ---

class Message(dict):
    """Fields by name; and its own name, text and children."""

    def __init__(self, name, fields=(), text="", children=()):
        super().__init__(fields)
        self.name, self.text, self.children = name, text, list(children)

    def __repr__(self):
        return f"Message({self.name!r}, {super().__repr__()}, {self.text!r}, {self.children!r})"

    def packed(self):
        parts = [self.name, dict(self), self.text, [c.packed() for c in self.children]]
        while not parts[-1]:
            parts.pop()
        return parts


def message_of(value):
    if not isinstance(value, list) or not 1 <= len(value) <= 4 or not isinstance(value[0], str):
        raise Broken("a message is an array of name, fields, text and children")
    name, fields, text, children = value + [None, {}, "", []][len(value):]
    if not (isinstance(fields, dict) and isinstance(text, str) and isinstance(children, list)):
        raise Broken(f"the message {name} has parts of another type")
    return Message(name, fields, text, map(message_of, children))


def read_message(payload):
    value, end = decode(payload)
    if end != len(payload):
        raise Broken(f"{len(payload) - end} bytes more than the message")
    return message_of(value)


# --- frames ---

def frame(kind, number=0, payload=b"", flags=0):
    if len(payload) > PAYLOAD_MAX:
        raise ValueError(f"{len(payload)} bytes are more than a frame carries, which is {PAYLOAD_MAX}")
    return HEADER.pack(len(payload), kind, flags, 0, number) + payload


def query(number, message, to="", deadline_ms=0, flags=0):
    route = [to, deadline_ms]
    while route and not route[-1]:
        route.pop()
    return frame(QUERY, number, encode(route) + encode(message.packed()), flags)


def event(channel, tag, data):
    return frame(EVENT, channel, EVENT_HEAD.pack(0, 0, tag, 0, 0, 0) + data)


class Cutter:
    """Frames out of a stream."""

    def __init__(self):
        self.held = bytearray()

    def feed(self, data):
        """(kind, number, payload) of each that is whole."""
        self.held += data
        while len(self.held) >= HEADER.size:
            n, kind, _, _, number = HEADER.unpack_from(self.held)
            if n > PAYLOAD_MAX:
                raise Broken(f"a frame of {n} bytes")
            if len(self.held) < HEADER.size + n:
                return
            payload = bytes(self.held[HEADER.size:HEADER.size + n])
            del self.held[:HEADER.size + n]
            yield kind, number, payload
