"""NPZ files are read without trust: what they promise is checked before memory is taken."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from microgradx.common.messages import InputError
from microgradx.common.npz import load_arrays, open_arrays

ARRAYS = {
    "a number": np.array(3.5),
    "a table": np.arange(6.0).reshape(2, 3),
    "Fortran's order": np.asfortranarray(np.arange(24).reshape(2, 3, 4)),
    "big-endian": np.arange(4.0).astype(">f4"),
    "texts": np.array(["a", "Zürich", "𝛼"]),
    "big-endian texts": np.array([["a"], ["bc"]]).astype(">U3"),
    "truth values": np.array([True, False]),
    "nothing": np.empty((0, 3), np.int8),
    "bytes": np.array([b"ab", b"c"]),
    "dates": np.array(["2020-01-01"], "M8[D]"),
    "many": np.arange(300_000, dtype=np.float32),  # more than is read at a time
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back_as_numpy_reads_them(tmp_path, save):
    save(tmp_path / "a.npz", **ARRAYS)
    with open_arrays(tmp_path / "a.npz") as file:
        assert file.names == list(ARRAYS)
        for name, array in ARRAYS.items():
            header, read = file.header(name), file.read(name)
            assert (header.dtype, header.shape) == (array.dtype, array.shape)
            assert read.dtype == array.dtype.newbyteorder("=")
            assert read.flags.f_contiguous == array.flags.f_contiguous
            np.testing.assert_array_equal(read, array)
            assert read.flags.writeable


def refuse(path):
    with pytest.raises(InputError) as caught:
        load_arrays(path, "X")
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


def write_npz(path, content, times=1, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for _ in range(times):
            archive.writestr("X.npy", content)


def stored(header, numbers=b""):
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + numbers


def test_promises_take_no_memory(tmp_path):
    """A bomb: a few thousand bytes that would become a gigabyte."""
    path = tmp_path / "a.npz"
    zeros = io.BytesIO()
    np.save(zeros, np.zeros(2**25, np.uint8))
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000,)}"
    texts = b"{'descr': '<U250000000', 'fortran_order': False, 'shape': ()}"
    for content, compression, message in (
        (zeros.getvalue(), zipfile.ZIP_DEFLATED, "must be saved without compression"),
        (stored(header), zipfile.ZIP_STORED, "damaged"),
        (stored(texts), zipfile.ZIP_STORED, "damaged"),
        (stored(header, bytes(1000)), zipfile.ZIP_DEFLATED, "damaged"),
    ):
        write_npz(path, content, compression=compression)
        assert path.stat().st_size < 40_000
        del content
        tracemalloc.start()
        try:
            assert message in refuse(path)
            assert tracemalloc.get_traced_memory()[1] < 4_000_000
        finally:
            tracemalloc.stop()


def test_what_numpy_writes_compressed_is_no_bomb(tmp_path):
    x = np.random.default_rng(0).integers(0, 2, (100, 50)).astype(float)
    np.savez_compressed(tmp_path / "a.npz", X=x)
    np.testing.assert_array_equal(load_arrays(tmp_path / "a.npz", "X")[0]["X"], x)


def test_odd_members_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    good = stored(b"{'descr': '<f8', 'fortran_order': False, 'shape': ()}", bytes(8))
    write_npz(path, good)
    assert load_arrays(path, "X")[0]["X"] == 0
    with pytest.warns(UserWarning, match="Duplicate"):
        write_npz(path, good, times=2)
    assert "it has 'X.npy' 2 times" in refuse(path)
    write_npz(path, good, compression=zipfile.ZIP_LZMA)
    assert "damaged" in refuse(path)
    write_npz(path, good)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert "its array 'X' is encrypted" in refuse(path)
    np.savez(path, X=np.zeros(3, [("a", float), ("b", int)]))
    assert "its array 'X' has fields; save plain arrays" in refuse(path)
    np.savez(path, X=np.array([None]))
    assert "holds Python objects, which are never loaded" in refuse(path)
    np.savez(path, X=np.zeros(2, np.uint32).view("U1"))
    assert load_arrays(path, "X")[0]["X"].tolist() == ["", ""]
    np.savez(path, X=np.full(2, 0x110000, np.uint32).view("U1"))  # no characters
    assert "damaged" in refuse(path)
