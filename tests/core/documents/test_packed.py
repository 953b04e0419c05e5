import contextlib
import gzip
import io
import os
import zlib
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.documents.packed import RATIO_FREE_BYTES, blocks_of, cut_lines, unpacked
from app.core.errors import BadInput


def read_all(stream: IO[bytes], *, most: int | None = None) -> bytes:
    return b"".join(unpacked(blocks_of(stream), most=most))


@given(st.lists(st.binary(max_size=200_000), max_size=3))
def test_members_in_a_row_are_read_as_one(parts: list[bytes]) -> None:
    packed = b"".join(map(gzip.compress, parts))
    assert read_all(io.BytesIO(packed)) == b"".join(parts)


def test_plain_bytes_stay_what_they_are() -> None:
    assert read_all(io.BytesIO(b"kind: List\n")) == b"kind: List\n"
    assert read_all(io.BytesIO(b"")) == b""


def test_zeros_after_the_last_member_are_padding() -> None:
    assert read_all(io.BytesIO(gzip.compress(b"x") + b"\0" * 70_000)) == b"x"


def test_a_pipe_is_read_though_it_cannot_seek() -> None:
    receive, send = os.pipe()
    with os.fdopen(send, "wb") as out:
        out.write(gzip.compress(b"flows"))
    with os.fdopen(receive, "rb") as stream:
        assert read_all(stream) == b"flows"


@pytest.mark.parametrize("kept", [3, 12, 20, -9, -1])
def test_cut_off_data_say_so(kept: int) -> None:
    packed = gzip.compress(os.urandom(1000))
    with pytest.raises(BadInput, match="cut off"):
        read_all(io.BytesIO(packed[:kept]))


@given(st.integers(min_value=0, max_value=899), st.integers(min_value=1, max_value=255))
def test_flipped_bytes_never_pass_in_silence(at: int, flip: int) -> None:
    content = os.urandom(900)
    packed = bytearray(gzip.compress(content, mtime=0))
    packed[at] ^= flip
    with contextlib.suppress(BadInput):
        assert read_all(io.BytesIO(bytes(packed))) == content or at < 2


def test_a_bomb_is_stopped_long_before_it_is_unpacked() -> None:
    deflater = zlib.compressobj(9, wbits=31)
    zeros = bytes(1 << 20)
    bomb = b"".join(deflater.compress(zeros) for _ in range(100)) + deflater.flush()
    given_bytes: list[int] = []
    with pytest.raises(BadInput, match="more than 200 times"):
        given_bytes.extend(map(len, unpacked(blocks_of(io.BytesIO(bomb)))))
    assert sum(given_bytes) <= RATIO_FREE_BYTES


def test_more_than_the_bound_names_the_bound() -> None:
    with pytest.raises(BadInput, match="larger than 1 MiB"):
        read_all(io.BytesIO(bytes((1 << 20) + 1)), most=1 << 20)


@given(st.lists(st.binary(max_size=40).map(lambda one: one.replace(b"\0", b"\n"))))
def test_lines_are_the_same_however_the_blocks_fall(blocks: list[bytes]) -> None:
    whole = b"".join(blocks)
    lines = [line for some in cut_lines(blocks, 1 << 20) for line in some]
    assert b"".join(lines) == whole
    assert all(line.find(b"\n") in (-1, len(line) - 1) for line in lines)


def test_a_line_without_end_is_cut_and_nothing_of_it_is_kept() -> None:
    blocks = [b"x" * 4000] * 10 + [b"x\nnext\n"]
    lines = [line for some in cut_lines(blocks, 10_000) for line in some]
    assert lines == [b"x" * 1024 + b"\n", b"next\n"]
