"""Mutations of a model file, most of them with right checksums, as a fuzzer makes them.

A mutation is a function of a generator of random numbers and the file's members, by name, that
returns the bytes of another file.
"""

import io
import json
import re
import struct
import warnings
import zipfile

import numpy as np

MAGIC_AND_VERSION = b"\x93NUMPY\x01\x00"

#: What stands in a field of the description that should hold something else.
ODD_VALUES = (
    *(None, True, False, 0, -1, 1, 2.5, 1e308, 10**30, float("nan"), float("inf"), -float("inf")),
    *("", "relu", "\x1b[31m", "\ud800", [], {}, [[]], [None], [1, None], [True], [0], [-1], [1e9]),
    *([10**12], [5, 3.0], ["5", "3"], ["no", "no", "yes"], ["no", None, "yes"], {"a": 1}),
    *([2, 2, 1], [4], [4, 1, 1], [1] * 1000, [[5], [3]]),
)
ODD_TEXTS = (
    *("", "nonsense", "null", "[]", "3", '"text"', "{}", "[" * 100_000, '{"a":' * 100_000),
    *("9" * 5000, "NaN", '{"format": "microgradx classifier", "version": ' + "9" * 4000 + "}"),
)
ODD_HEADERS = (
    *("", "{", "{}", "()", "nonsense", "{'descr': '<f4'", "(" * 9000, "[" * 150 + "]" * 150),
    *("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'more': 1}", "\x00" * 20, "'"),
    *("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}" + " " * 60_000, "-" * 9000 + "1"),
    *("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 5000 + ",)}", "{1: 2}"),
    *("{[]: 1}", "__import__('os').getpid()", "{'descr': '\\z', 'fortran_order': 1if 1else 2}"),
)
ODD_DTYPES = (
    *("<f8", "<f2", ">f4", "<i4", "<i8", "|O", "<c8", "<c16", "|b1", "<U3", "|S4", "|V4", "<M8[s]"),
    *("<f16", "f", "i4,i4", "(2,2)<f4", "", "?", "<f99", "<U999999999", "O,i4", "\u00e9"),
)
ODD_SHAPES = (
    *("()", "(0,)", "(-1,)", "(True,)", "(3.0,)", "('3',)", "None", "3", "[3]", "(10**9,)"),
    *("(1000000000,)", "(0, 10000000000000000000000)", "(-1, -3)", "(1,) * 3", f"{(1,) * 70}"),
    *("(2147483647, 2147483647)", "(9223372036854775807, 2)", "(3, 1)", "(1, 3)", "(5, 4)"),
)


def read_members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_members(members, compression=zipfile.ZIP_STORED):
    """A ZIP archive of pairs of name and content, with right checksums."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Duplicate name")
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return file.getvalue()


def array_bytes(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=array.dtype.hasobject)
    return file.getvalue()


def split_array(content):
    """The header of a stored array as a text, and its numbers."""
    (length,) = struct.unpack("<H", content[8:10])
    return content[10 : 10 + length].decode(), content[10 + length :]


def join_array(header, numbers):
    encoded = header.encode()
    return MAGIC_AND_VERSION + struct.pack("<H", len(encoded)) + encoded + numbers


def choose(random, values):
    return values[random.integers(len(values))]


# ---------------------------------------------------------------------------- mutations


def flip_bits(random, members):
    content = bytearray(write_members(members.items()))
    for at in random.integers(len(content), size=random.integers(1, 5)):
        content[at] ^= 1 << random.integers(8)
    return bytes(content)


def overwrite_bytes(random, members):
    content = bytearray(write_members(members.items()))
    # The directory at the end is as likely as the rest.
    start = random.integers(len(content)) if random.random() < 0.5 else len(content) - 300
    for at in random.integers(start, len(content), size=random.integers(1, 9)):
        content[at] = choose(random, (0, 1, 127, 128, 255))
    return bytes(content)


def truncate(random, members):
    content = write_members(members.items())
    return content[: random.integers(len(content))]


def flip_bits_of_a_member(random, members):
    name = choose(random, [*members])
    content = bytearray(members[name])
    for at in random.integers(len(content), size=random.integers(1, 5)):
        content[at] ^= 1 << random.integers(8)
    return write_members({**members, name: bytes(content)}.items())


def truncate_a_member(random, members):
    name = choose(random, [*members])
    content = members[name]
    shorter = content[: random.integers(len(content))]
    longer = content + bytes(int(random.integers(1, 9)))
    return write_members({**members, name: choose(random, (shorter, longer))}.items())


def drop_or_rename_a_member(random, members):
    name = choose(random, [*members])
    names = ("X.npy", "", "a/../b.npy", "description", "weights/9.weight.npy", "\x1b[2J.npy", None)
    new = choose(random, names)
    renamed = [(new if old == name else old, content) for old, content in members.items()]
    return write_members(pair for pair in renamed if pair[0] is not None)


def repeat_or_swap_members(random, members):
    first, second = random.choice([*members], 2).tolist()
    if random.random() < 0.5:
        return write_members([*members.items(), (first, members[second])])
    swapped = {**members, first: members[second], second: members[first]}
    return write_members(swapped.items())


def change_flags(random, members):
    """Encryption, compression and sizes, both in the directory and before the members."""
    content = bytearray(write_members(members.items()))
    offset = choose(random, (6, 8, 18, 22, 26, 28))  # in the header before a member
    value = struct.pack("<H", int(choose(random, (1, 8, 9, 12, 14, 64, 255, 65535))))
    at = choose(random, [match.start() for match in re.finditer(b"PK\x03\x04", content)])
    content[at + offset : at + offset + 2] = value
    at = choose(random, [match.start() for match in re.finditer(b"PK\x01\x02", content)])
    content[at + offset + 2 : at + offset + 4] = value
    return bytes(content)


def change_header(random, members):
    name = choose(random, [*members])
    header, numbers = split_array(members[name])
    kind = random.integers(4)
    if kind == 0:
        header = choose(random, ODD_HEADERS)
    elif kind == 1:
        header = re.sub("'descr': '[^']*'", f"'descr': {choose(random, ODD_DTYPES)!r}", header)
    elif kind == 2:
        header = re.sub(r"'shape': \([^)]*\)", f"'shape': {choose(random, ODD_SHAPES)}", header)
    else:
        order = choose(random, ("True", "None", "1", "'C'", "[]"))
        header = header.replace("'fortran_order': False", f"'fortran_order': {order}")
    return write_members({**members, name: join_array(header, numbers)}.items())


def change_array(random, members):
    """Another dtype, shape or number, in an array that is stored rightly."""
    name = choose(random, [name for name in members if "description" not in name])
    array = np.load(io.BytesIO(members[name]))
    number = choose(random, (np.nan, np.inf, -np.inf, 0, -1, 1e-45, 3e38, 0.5))
    changed = array.copy()
    changed.flat[random.integers(array.size)] = number
    others = (
        *(changed, changed, changed, array.astype(np.int64), array.astype(np.float64), array[:-1]),
        *(array.astype(">f4"), array.astype(complex), array.astype(bool), array.astype(str)),
        *(array.astype(object), array[None], array.reshape(-1), np.asfortranarray(array)),
        *(array.T, np.zeros(0, np.float32), np.float32(3), array.astype(np.longdouble)),
    )
    return write_members({**members, name: array_bytes(choose(random, others))}.items())


def change_field(random, members):
    """A field of the description that is missing, twice, renamed, or of another type."""
    description = json.loads(str(np.load(io.BytesIO(members["description.npy"]))))
    name = choose(random, [*description])
    kind = random.integers(6)
    if kind == 0:
        del description[name]
    elif kind == 1:
        description[name + "s"] = description.pop(name)
    elif kind == 2 and isinstance(description[name], list) and description[name]:
        description[name][random.integers(len(description[name]))] = choose(random, ODD_VALUES)
    else:
        description[name] = choose(random, ODD_VALUES)
    text = json.dumps(description)
    if random.random() < 0.1:
        text = text[:-1] + f', "{name}": 1}}'
    if random.random() < 0.1:
        text = choose(random, ODD_TEXTS)
    other = array_bytes(np.array(text))
    if random.random() < 0.1:
        other = array_bytes(choose(random, (np.array([text]), np.array(3.0), np.array(b"bytes"))))
    return write_members({**members, "description.npy": other}.items())


def compress(random, members):
    return write_members(members.items(), choose(random, (0, 8, 12, 14)))


MUTATIONS = (
    *(flip_bits, overwrite_bytes, truncate, flip_bits_of_a_member, truncate_a_member),
    *(drop_or_rename_a_member, repeat_or_swap_members, change_flags, change_header, change_header),
    *(change_array, change_array, change_field, change_field, change_field, compress),
)
