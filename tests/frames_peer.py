# SPDX-License-Identifier: Apache-2.0
"""A program that speaks frames, in plain Python and cbor2, from docs/frames.md alone: it asks, and offers services."""
import itertools
import queue
import socket
import threading

from test_frames import ANSWER, CANCEL, END, ERROR, EVENT, HELLO, LOST, PARTIAL, QUERY, frame_bytes, frames_of

PREFACE = b"\x89VIGIA1\n"
ONE_WAY = 1
HEADER = 16


class Refused(Exception):
    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")
        self.code, self.text = code, text


class Call:
    """What comes for one query: `next()`, `all()`; an error is raised as Refused."""

    def __init__(self, program, number):
        self.program, self.number, self.came = program, number, queue.Queue()

    def next(self, timeout=20):
        """The next answer, event or loss as (kind, payload); None: it is over."""
        kind, payload = self.came.get(timeout=timeout)
        if kind == ERROR:
            raise Refused(payload[1].get("code", ""), payload[2])
        return None if kind == END else (kind, payload)

    def all(self, timeout=20):
        return [payload for _, payload in iter(lambda: self.next(timeout), None)]

    def one(self, timeout=20):
        """The fields of the only answer."""
        (_, fields, _, _), = self.all(timeout)
        return fields

    def cancel(self):
        self.program.send((CANCEL, 0, self.number, None))


class Program:
    """Program(socket).ask("host.info", at="h2").one()"""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.numbers, self.calls, self.offered, self.lock = itertools.count(1), {}, {}, threading.Lock()
        self.socket.sendall(PREFACE)
        self.send((HELLO, 0, 0, ["hello", {"version": 1}, "", []]))
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """At once, as if it were killed."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.thread.join()
        self.socket.close()

    def send(self, *frames):
        with self.lock:
            self.socket.sendall(b"".join(map(frame_bytes, frames)))

    def ask(self, operation, /, *words, at="", deadline=0, one_way=False, **arguments):
        noun, verb = operation.split(".")
        call = Call(self, next(self.numbers))
        self.calls[call.number] = call
        children = [[name, {}, word, []] for name, word in words]
        message = [noun, {"query": verb, **arguments}, "", children]
        self.send((QUERY, ONE_WAY if one_way else 0, call.number, ([at, deadline, []], message)))
        return call

    def put(self, channel, *events):
        """Events as frames: (tag, data) each."""
        self.send(*[(EVENT, 0, channel, (0, 0, tag, (bytes(16), 0, 0), [], data)) for tag, data in events])

    def offer(self, name, **operations):
        """Until this closes. Each is a function of the query's fields: its answer's fields; or, with a
        second parameter, one that keeps the function that answers: `answer(fields)`, and with end=False more to come. One
        whose name begins with watch goes on. Refused, raised, is an error."""
        self.offered[name] = operations
        described = [["operation", {"name": verb, "doc": "", "changes": verb.startswith("set"), "streams": verb.startswith("watch")}, "",
                      [["argument", {"name": "x", "type": "integer"}, "", []], ["argument", {"name": "data", "type": "bytes"}, "", []]]]
                     for verb in operations]
        noun = ["service", {"query": "register", "name": name}, "", described]
        call = Call(self, next(self.numbers))
        self.calls[call.number] = call
        self.send((QUERY, 0, call.number, (["", 0, []], noun)))
        assert call.next()[0] == ANSWER
        return call

    def _read(self):
        kept = b""
        try:
            while more := self.socket.recv(1 << 18):
                kept = self._take(kept + more)
        except OSError:
            pass
        for call in self.calls.values():
            call.came.put((ERROR, ["error", {"code": "closed"}, "the connection", []]))

    def _take(self, data):
        at = 0
        while len(data) - at >= HEADER and len(data) - at >= (n := HEADER + int.from_bytes(data[at:at + 4], "big")):
            self._on_frame(*next(frames_of(data[at:at + n])))
            at += n
        return data[at:]

    def _on_frame(self, kind, flags, number, payload):
        if kind == QUERY:
            self._answer(flags, number, payload[1])
        elif kind in (ANSWER, END, ERROR, EVENT, LOST, PARTIAL) and number in self.calls:
            self.calls[number].came.put((kind, payload))
            if kind in (END, ERROR):
                del self.calls[number]

    def _answer(self, flags, number, query):
        noun, fields = query[0], dict(query[1])

        def answer(fields, end=True):
            if not flags & ONE_WAY:
                self.send((ANSWER, 0, number, [noun, fields, "", []]), *[(END, 0, number, None)][:end])

        function = self.offered[noun][fields.pop("query")]
        fields.pop("id", None)
        try:
            if function.__code__.co_argcount == 2:
                function(fields, answer)
            else:
                answer(function(fields))
        except Refused as e:
            if not flags & ONE_WAY:
                self.send((ERROR, 0, number, ["error", {"code": e.code}, e.text, []]))
