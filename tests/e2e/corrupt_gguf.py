"""Damages a GGUF file the way disks, downloads and bad converters do. Standard library only; seeded.

`mutate(data, seed)` gives one damaged copy and a sentence that says what was done. Most damage hits the fields that a
loader trusts: counts, lengths, types, sizes of the model.
"""

import random
import struct
from dataclasses import dataclass

# Widths in bytes of the fixed-size value types; 8 is a string, 9 an array.
WIDTH = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9
ARRAY_SAMPLES = 3  # elements per string array that count as fields; the token list would drown the rest

ODD_U32 = [0, 1, 3, 7, 63, 255, 65537, 2**24, 2**31 - 1, 2**31, 2**32 - 1]
ODD_U64 = [0, 1, 2**16, 2**31, 2**32 - 1, 2**32, 2**40, 2**61, 2**63 - 1, 2**63, 2**64 - 32, 2**64 - 1]


@dataclass(frozen=True)
class Field:
    what: str    # "length of key general.name"
    kind: str    # magic, count, length, type, value, text, dimension, offset
    offset: int
    size: int


class Reader:
    """Walks the header and notes where everything is."""

    def __init__(self, data):
        self.data, self.at, self.fields = data, 0, []

    def skip(self, what, kind, size):
        self.fields.append(Field(what, kind, self.at, size))
        self.at += size
        return self.data[self.at - size:self.at]

    def number(self, what, kind, size):
        return int.from_bytes(self.skip(what, kind, size), "little")

    def string(self, what, note=True):
        fields = self.fields
        if not note:
            self.fields = []
        length = self.number(f"length of {what}", "length", 8)
        text = self.skip(what, "text", length) if length else b""
        self.fields = fields
        return text.decode(errors="replace")

    def value(self, key, kind):
        if kind == STRING:
            self.string(f"value of {key}")
        elif kind == ARRAY:
            self.array(key)
        else:
            self.skip(f"value of {key}", "value", WIDTH[kind])

    def array(self, key):
        kind = self.number(f"element type of {key}", "type", 4)
        count = self.number(f"length of array {key}", "length", 8)
        if kind == STRING:
            for i in range(count):
                self.string(f"{key}[{i}]", note=i < ARRAY_SAMPLES)
        else:
            self.skip(f"elements of {key}", "text", count * WIDTH[kind])

    def tensor(self):
        name = self.string("a tensor's name")
        dimensions = self.number(f"dimensions of {name}", "count", 4)
        for i in range(dimensions):
            self.number(f"dimension {i} of {name}", "dimension", 8)
        self.number(f"type of {name}", "type", 4)
        self.number(f"offset of {name}", "offset", 8)

    def header(self):
        self.skip("magic", "magic", 4)
        self.number("version", "magic", 4)
        tensors = self.number("number of tensors", "count", 8)
        keys = self.number("number of keys", "count", 8)
        for _ in range(keys):
            key = self.string("a key")
            self.value(key, self.number(f"type of {key}", "type", 4))
        for _ in range(tensors):
            self.tensor()
        return self.fields


def read_fields(data):
    """The header's fields in file order; the header ends where the last one does."""
    return Reader(data).header()


def put(data, field, value):
    raw = (value % 256**field.size).to_bytes(field.size, "little")
    return data[:field.offset] + raw + data[field.offset + field.size:]


def pick(draw, fields, *kinds):
    return draw.choice([f for f in fields if f.kind in kinds])


def flip_bits(draw, data, fields):
    damaged = bytearray(data)
    field = pick(draw, fields, "magic", "count", "length", "type", "value", "text", "dimension", "offset")
    bits = [draw.randrange(8 * field.size) for _ in range(draw.randint(1, 3))]
    for bit in bits:
        damaged[field.offset + bit // 8] ^= 1 << bit % 8
    return bytes(damaged), f"bits {bits} of {field.what} flipped"


def truncate(draw, data, fields):
    header = fields[-1].offset + fields[-1].size
    size = draw.choice([draw.randrange(header), draw.randrange(header), draw.randrange(header, len(data))])
    return data[:size], f"cut off after {size} of {len(data)} bytes"


def wrong_count(draw, data, fields):
    field = pick(draw, fields, "count")
    value = draw.choice([*ODD_U64, int.from_bytes(data[field.offset:field.offset + field.size], "little") + 1])
    return put(data, field, value), f"{field.what} = {value}"


def huge_length(draw, data, fields):
    field = pick(draw, fields, "length")
    value = draw.choice(ODD_U64)
    return put(data, field, value), f"{field.what} = {value}"


def wrong_type(draw, data, fields):
    field = pick(draw, fields, "type")
    value = draw.choice([*range(14), 39, 255, 2**31, 2**32 - 1])
    return put(data, field, value), f"{field.what} = {value}"


def wrong_value(draw, data, fields):
    field = pick(draw, fields, draw.choice(["value", "value", "value", "dimension", "offset"]))
    before = int.from_bytes(data[field.offset:field.offset + field.size], "little")
    if draw.random() < 0.3:
        value = draw.choice([before + 1, before - 1, before * 2, before // 2, before ^ 0x100])
    elif field.size == 4 and draw.random() < 0.2:
        value = struct.unpack("<I", struct.pack("<f", draw.choice([float("nan"), float("inf"), -1.0, 1e-38])))[0]
    else:
        value = draw.choice(ODD_U64 if field.size == 8 else ODD_U32)
    return put(data, field, value), f"{field.what} = {value % 256**field.size}"


def swap_texts(draw, data, fields):
    """A key, name or token gets the beginning of another: missing and doubled keys, unknown architectures."""
    one, other = pick(draw, fields, "text"), pick(draw, fields, "text")
    size = min(one.size, other.size)
    text = data[other.offset:other.offset + size]
    return data[:one.offset] + text + data[one.offset + size:], f"{one.what} written over with {other.what}"


def shift(draw, data, fields):
    field, n = draw.choice(fields), draw.randint(1, 16)
    if draw.random() < 0.5:
        return data[:field.offset] + data[field.offset + n:], f"{n} bytes lost before {field.what}"
    return (data[:field.offset] + draw.randbytes(n) + data[field.offset:],
            f"{n} bytes too many before {field.what}")


def overwrite(draw, data, fields):
    field, n = draw.choice(fields), draw.choice([64, 512, 4096])
    filling = draw.choice([b"\0", b"\xff"]) * n if draw.random() < 0.5 else draw.randbytes(n)
    return data[:field.offset] + filling + data[field.offset + n:], f"{n} bytes from {field.what} on overwritten"


KINDS = [flip_bits, flip_bits, truncate, wrong_count, huge_length, wrong_type, wrong_value, wrong_value, wrong_value,
         swap_texts, shift, overwrite]


def mutate(data, seed):
    """@return (damaged bytes, what was done). Never the original."""
    draw = random.Random(seed)
    fields = read_fields(data)
    while True:
        damaged, what = draw.choice(KINDS)(draw, data, fields)
        if damaged != data:
            return damaged, what
