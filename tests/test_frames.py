# SPDX-License-Identifier: Apache-2.0
"""The codec of frames against Python's struct and cbor2, which know nothing of it; and against itself on a machine with
another byte order and word size."""
import io
import os
import random
import re
import shutil
import struct
import subprocess

import cbor2
import pytest

from cluster import BUILD

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
TOOL = [f"{BUILD}/src/proto/frame-tool"]
HELLO, QUERY, ANSWER, END, ERROR, EVENT, LOST, CANCEL, PARTIAL = range(1, 10)
MIB = 1 << 20
CODEC = [f"proto/{name}.c" for name in ("cbor", "chars", "frame", "frame_event", "frame_get", "frame_put", "frame_tool_test",
                                        "id", "msg")] + ["base/base64.c", "base/buf.c"]


def tool(*arguments, data=b"", machine=TOOL):
    return subprocess.run([*machine, *map(str, arguments)], input=data, stdout=subprocess.PIPE, check=True).stdout


def say(data, machine=TOOL):
    return tool("say", data=data, machine=machine).decode()


def make(frames, machine=TOOL):
    return tool("make", data="".join(map(lines_of, frames)).encode(), machine=machine)


# A frame here is (kind, flags, number, payload), its payload a message; (route, message); (sequence, time, tag, sender,
# causes, data); or (lost, before). A message is [name, fields, text, children], in full. These three functions are all that
# knows docs/frames.md.

def message_bytes(m):
    return cbor2.dumps(trimmed([m[0], m[1], m[2], [cbor2.loads(message_bytes(c)) for c in m[3]]], 1))


def trimmed(items, least):
    while len(items) > least and items[-1] in ({}, "", [], 0):
        items = items[:-1]
    return items


def frame_bytes(frame):
    kind, flags, number, payload = frame
    if kind in (END, CANCEL):
        data = b""
    elif kind == QUERY:
        data = cbor2.dumps(trimmed(payload[0], 0)) + message_bytes(payload[1])
    elif kind == EVENT:
        sequence, time, tag, sender, causes, rest = payload
        data = struct.pack(">QqIB3x16sIQ", sequence, time, tag, len(causes), *sender)
        data += b"".join(struct.pack(">16sQQ", *c) for c in causes) + rest
    elif kind == LOST:
        data = struct.pack(">QQ", *payload)
    else:
        data = message_bytes(payload)
    return struct.pack(">IBBHQ", len(data), kind, flags, 0, number) + data


def message_of(decoded):
    name, fields, text, children = decoded + [None, {}, "", []][len(decoded):]
    return [name, fields, text, [message_of(c) for c in children]]


def route_of(decoded):
    return decoded + ["", 0, []][len(decoded):]


def payload_of(kind, data):
    if kind in (END, CANCEL):
        assert not data
        return None
    if kind == EVENT:
        sequence, time, tag, n, process, entity = struct.unpack_from(">QqIB3x16xIQ", data)
        assert data[21:24] == b"\0\0\0"
        causes = [struct.unpack_from(">16sQQ", data, 52 + 32 * i) for i in range(n)]
        return sequence, time, tag, (data[24:40], process, entity), causes, data[52 + 32 * n:]
    if kind == LOST:
        return struct.unpack(">QQ", data)
    f = io.BytesIO(data)
    first = cbor2.load(f)
    payload = (route_of(first), message_of(cbor2.load(f))) if kind == QUERY else message_of(first)
    assert not f.read()
    return payload


def frames_of(data):
    at = 0
    while at < len(data):
        n, kind, flags, zero, number = struct.unpack_from(">IBBHQ", data, at)
        assert zero == 0
        yield kind, flags, number, payload_of(kind, data[at + 16:at + 16 + n])
        at += 16 + n
    assert at == len(data)


# --- the tool's lines (src/proto/frame_tool_test.c) ---

def hexed(data):
    return "=" + (data.encode() if isinstance(data, str) else data).hex()


def field_line(name, value):
    if isinstance(value, bool):
        return f"f flag {name} {int(value)}\n"
    if isinstance(value, int):
        return f"f int {name} {value}\n"
    return f"f {'text' if isinstance(value, str) else 'bytes'} {name} {hexed(value)}\n"


def message_lines(m, level=0):
    return (f"m {level} {m[0]} {hexed(m[2])}\n" + "".join(field_line(*f) for f in m[1].items()) +
            "".join(message_lines(c, level + 1) for c in m[3]))


def lines_of(frame):
    kind, flags, number, payload = frame
    if kind in (END, CANCEL):
        text = f"bare {kind} {number}\n"
    elif kind == QUERY:
        (to, deadline, caller), m = payload
        whom = f" {hexed(caller[0])} {caller[1]} {caller[2]}" if caller else ""
        text = f"query {flags} {number} {hexed(to)} {deadline}{whom}\n" + message_lines(m)
    elif kind == EVENT:
        sequence, time, tag, (host, process, entity), causes, data = payload
        text = f"event {number} {sequence} {time} {tag} {hexed(host)} {process} {entity} {hexed(data)}\n"
        text += "".join(f"c {hexed(h)} {channel} {s}\n" for h, channel, s in causes)
    elif kind == LOST:
        text = f"lost {number} {payload[0]} {payload[1]}\n"
    else:
        text = f"message {kind} {number}\n" + message_lines(payload)
    return text + "end\n"


# --- chance ---

@pytest.fixture
def dice():
    seed = int(os.environ.get("VIGIA_SEED", random.randrange(1 << 30)))
    print("VIGIA_SEED =", seed)
    return random.Random(seed)


def size(dice):
    return dice.choice([0, 1, 23, 24, 255, 256, 65536]) if dice.random() < 0.03 else dice.randrange(20)


def text(dice, most=MIB):
    good = "ab z<&>\"'\t\r\n\x7f\x80\u07ff\u0800\ud7ff\ue000\ufffd\U00010000\U0001f600\U0010ffff"
    made = "".join(dice.choice(good) for _ in range(size(dice)))
    return made.encode()[:most].decode(errors="ignore")


def name(dice):
    rest = "abcXYZ_09-."
    return dice.choice("abcXYZ_") + "".join(dice.choice(rest) for _ in range(min(size(dice), 254)))


def integer(dice, least=-1 << 63, most=(1 << 63) - 1):
    near = [0, 1, 23, 24, 255, 256, 65535, 65536, (1 << 32) - 1, 1 << 32, most, most - 1, least, least + 1]
    n = dice.choice(near) if dice.random() < 0.5 else dice.getrandbits(64) >> dice.randrange(64)
    return min(max(n if dice.random() < 0.5 else -1 - n, least), most)


def word(dice, bits=64):
    return integer(dice, 0, (1 << bits) - 1)


def value(dice):
    return dice.choice([lambda: text(dice), lambda: integer(dice), lambda: dice.random() < 0.5,
                        lambda: dice.randbytes(size(dice))])()


def message(dice, level=0):
    fields = {name(dice): value(dice) for _ in range(64 if dice.random() < 0.03 else dice.randrange(5))}
    children = [message(dice, level + 1) for _ in range(dice.randrange(4) if level < 4 and dice.random() < 0.4 else 0)]
    return [name(dice), fields, text(dice) if dice.random() < 0.3 else "", children]


def host(dice):
    return dice.randbytes(16)


def payload(dice, kind):
    if kind in (END, CANCEL):
        return None
    if kind == QUERY:
        caller = [host(dice), word(dice, 32), word(dice, 32)] if dice.random() < 0.5 else []
        deadline = word(dice, 63) if dice.random() < 0.5 else 0
        return [text(dice, 63) if dice.random() < 0.5 else "", deadline, caller], message(dice)
    if kind == EVENT:
        causes = [(host(dice), word(dice), word(dice)) for _ in range(dice.choice([0, 0, 0, 1, 2, 15]))]
        sender = host(dice), word(dice, 32), word(dice)
        return word(dice), integer(dice), word(dice, 32), sender, causes, dice.randbytes(size(dice))
    return (word(dice), word(dice)) if kind == LOST else message(dice)


def frame(dice):
    kind = dice.choice([QUERY, ANSWER, END, ERROR, EVENT, LOST, CANCEL, PARTIAL])
    return kind, dice.randrange(2) if kind == QUERY else 0, word(dice) or 1, payload(dice, kind)


def frames(dice, n=600):
    return [(HELLO, 0, 0, message(dice))] + [frame(dice) for _ in range(n)]


# --- both ways, against cbor2 ---

def test_what_we_write_is_byte_for_byte_what_cbor2_and_struct_write(dice):
    for f in frames(dice):
        assert make([f]) == frame_bytes(f), lines_of(f)


def test_what_cbor2_and_struct_write_reads(dice):
    many = frames(dice)
    assert say(b"".join(map(frame_bytes, many))) == "".join(map(lines_of, many))


def test_what_we_write_by_our_own_dice_reads_with_cbor2_and_struct(dice):
    data = tool("dice", dice.getrandbits(32), 300)
    many = list(frames_of(data))
    assert len(many) == 1200
    assert "".join(map(lines_of, many)) == say(data)


# --- CBOR that others may write, and may not ---

def widened(dice, data):
    """The same CBOR, each integer and length in some width that it fits."""
    out, at = b"", 0
    while at < len(data):
        major, low = data[at] >> 5, data[at] & 31
        at += 1
        if major == 7:
            out += data[at - 1:at]
            continue
        width = {24: 1, 25: 2, 26: 4, 27: 8}.get(low, 0)
        n = int.from_bytes(data[at:at + width], "big") if width else low
        at += width
        wide = dice.choice([w for w in (0, 1, 2, 4, 8) if w >= width])
        out += bytes([major << 5 | {0: n, 1: 24, 2: 25, 4: 26, 8: 27}[wide]]) + (n.to_bytes(wide, "big") if wide else b"")
        if major in (2, 3):
            out += data[at:at + n]
            at += n
    return out


def answer(payload, number=1):
    return struct.pack(">IBBHQ", len(payload), ANSWER, 0, 0, number) + payload


def test_integers_and_lengths_may_be_of_any_width(dice):
    many = [(ANSWER, 0, 1, message(dice)) for _ in range(300)]
    wide = [widened(dice, message_bytes(f[3])) for f in many]
    assert sum(map(len, wide)) > sum(len(frame_bytes(f)) - 16 for f in many)
    assert say(b"".join(map(answer, wide))) == "".join(map(lines_of, many))


def test_parts_that_are_empty_may_be_written(dice):
    m = ["m", {}, "", []]
    assert say(answer(cbor2.dumps(m))) == lines_of((ANSWER, 0, 1, m))


REFUSED = [
    (1.5, "a float, null or simple value"), (None, "a float, null or simple value"), (cbor2.undefined, "a float, null or simple value"),
    (cbor2.CBORSimpleValue(99), "a float, null or simple value"), (1 << 63, "an integer outside -2^63 to 2^63-1"),
    (-(1 << 63) - 1, "an integer outside -2^63 to 2^63-1"), (1 << 64, "a tag"), (cbor2.CBORTag(1, 0), "a tag"),
    ([1], "a field that is an array or a map"), ({"a": 1}, "a field that is an array or a map"),
    ("a\0b", "text with bytes that are no character of XML"), ("\x1b", "text with bytes that are no character of XML"),
    ("\ufffe", "text with bytes that are no character of XML"),
]


@pytest.mark.parametrize("bad, why", REFUSED)
def test_a_value_that_frames_do_not_have_is_refused(bad, why):
    good = make([(ANSWER, 0, 1, ["m", {"x": 1}, "", []])])
    data = good + answer(cbor2.dumps(["m", {"before": "it", "x": bad}]))
    assert say(data).endswith(f"end\nwrong {len(good)} {why}\n")


@pytest.mark.parametrize("payload, why", [
    ("9f616dff", "an indefinite length"), ("827f616dffa0", "an indefinite length"), ("82616dbf6178 01ff", "an indefinite length"),
    ("82616da16178 5f4101ff", "an indefinite length"), ("82616da2 617801 617802", "a field that is there twice"),
    ("8162c328", "text with bytes that are no character of XML"), ("81616d00", "bytes after the message"), ("81", "ends too early"),
    ("82616db90041", "more items than allowed"), ("817b7fffffffffffffff6d", "longer than allowed"), ("f6", "a float, null or simple value"),
])
def test_a_payload_that_is_no_message_is_refused(payload, why):
    assert say(answer(bytes.fromhex(payload))) == f"wrong 0 {why}\n"


def test_what_frames_cannot_say_is_not_written():
    too_deep = ["m", {}, "", []]
    for _ in range(5):
        too_deep = ["m", {}, "", [too_deep]]
    many = [["m", {f"f{i}": i for i in range(65)}, "", []], too_deep, ["m", {}, "t" * MIB, []]]
    for m in many:
        p = subprocess.run([*TOOL, "make"], input=lines_of((ANSWER, 0, 1, m)).encode(), capture_output=True, check=True)
        assert p.stdout == b"" and p.stderr == b"Message too long\n"


# --- the page's example ---

def example():
    with open(f"{ROOT}/docs/frames.md") as f:
        blocks = re.findall(r"^```frames\n(.*?)^```", f.read(), re.M | re.S)
    return [bytes.fromhex("".join(line.partition("#")[0] for line in b.splitlines())) for b in blocks]


def test_the_example_of_the_page_is_right():
    client, daemon = example()
    subscribe = ["channel", {"query": "subscribe", "channel": "jobs", "mask": 3}, "", []]
    cause = bytes(range(0xf0, 0x100)), 5, 9
    assert list(frames_of(client)) == [(QUERY, 0, 1, (["h2", 1000, []], subscribe)), (CANCEL, 0, 1, None)]
    assert list(frames_of(daemon)) == [(EVENT, 0, 1, (7, 0x18b2b0b4d5a1c800, 1, (bytes(range(16)), 4711, 2), [cause], b"\0\1\xff")),
                                       (LOST, 0, 1, (3, 11)), (END, 0, 1, None)]
    for data in (client, daemon):
        assert make(frames_of(data)) == data
        assert say(data) == "".join(map(lines_of, frames_of(data)))


# --- every byte order and word size ---

@pytest.fixture(scope="module")
def powerpc(tmp_path_factory):
    """The codec alone on a big-endian machine of 32 bits: what to put before its arguments."""
    if not shutil.which("powerpc-linux-gnu-gcc") or not shutil.which("qemu-ppc"):
        pytest.skip("no powerpc-linux-gnu-gcc, no qemu-ppc")
    built = str(tmp_path_factory.mktemp("powerpc") / "frame-tool")
    subprocess.run(["powerpc-linux-gnu-gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-static", "-Wall", "-Werror", f"-I{ROOT}/src", "-o",
                    built, *(f"{ROOT}/src/{c}" for c in CODEC)], check=True)
    with open(built, "rb") as f:
        assert f.read(6) == b"\x7fELF\1\2", "32 bits, big-endian"
    return ["qemu-ppc", built]


def test_a_big_endian_machine_of_32_bits_writes_the_same_frames(powerpc, dice):
    seed = dice.getrandbits(32)
    assert tool("dice", seed, 200, machine=powerpc) == tool("dice", seed, 200)
    many = frames(dice, 300)
    assert make(many, powerpc) == make(many)


def test_a_big_endian_machine_of_32_bits_reads_ours_and_we_read_its(powerpc, dice):
    ours, its = tool("dice", 1, 200), tool("dice", 2, 200, machine=powerpc)
    for data in (ours, its):
        assert say(data, powerpc) == say(data)
        assert not say(data).startswith("wrong")


def test_a_big_endian_machine_of_32_bits_refuses_what_we_refuse(powerpc, dice):
    """Lengths up to 2^64-1 above all: a size_t has half of that there."""
    bad = [answer(bytes([major << 5 | 27]) + n.to_bytes(8, "big") + b"m" * 40) for major in (2, 3, 4, 5)
           for n in (1 << 31, (1 << 32) - 9, (1 << 32) - 1, 1 << 32, (1 << 32) + 1, 1 << 63, (1 << 64) - 9, (1 << 64) - 1)]
    bad += [answer(b"\x81\x7b" + (n).to_bytes(8, "big") + b"m" * 40) for n in ((1 << 32) + 1, (1 << 64) - 9)]
    for _ in range(150):
        data = bytearray(b"".join(frame_bytes(frame(dice)) for _ in range(3)))
        for _ in range(dice.randrange(1, 4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        bad.append(bytes(data))
    said = [say(data) for data in bad]
    assert sum("wrong" in s for s in said) > len(said) / 3
    assert [say(data, powerpc) for data in bad] == said
