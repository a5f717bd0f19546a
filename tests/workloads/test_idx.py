"""Reading idx files: what they hold, and every way in which they can be wrong."""

from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from idx_files import head, make_data, write

from vggprof.errors import FileFormatError
from vggprof.workloads.idx import _content, read_pictures


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_data(tmp_path, train=12, test=4)


def test_what_is_written_is_read(data: Path) -> None:
    pictures, tests = read_pictures(data, "train"), read_pictures(data, "t10k", 3)
    assert (len(pictures), pictures.rows, pictures.columns, len(tests)) == (12, 28, 28, 3)
    assert list(pictures.labels) == [index % 10 for index in range(12)]
    # Row 2 * label + 2 is bright.
    assert min(pictures.image(3)[8 * 28 : 9 * 28]) >= 200 > max(pictures.image(3)[: 8 * 28])
    assert len(tests.pixels) == 3 * 28 * 28


def test_images_need_not_be_square(tmp_path: Path) -> None:
    write(tmp_path / "train-images-idx3-ubyte.gz", head(2, 2, 3) + bytes(range(12)))
    write(tmp_path / "train-labels-idx1-ubyte.gz", head(2) + b"\x07\x00")
    pictures = read_pictures(tmp_path, "train")
    assert pictures.image(1) == bytes(range(6, 12))
    assert list(pictures.labels) == [7, 0]


IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
PIXELS = bytes(12 * 28 * 28)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (IMAGES, head(12) + PIXELS, "begins with 0x00000801, not 0x00000803"),
        (IMAGES, b"\x89PNG" + PIXELS, "begins with 0x89504e47"),
        (IMAGES, b"", "is empty"),
        (IMAGES, head(12, 28, 28)[:9], "is truncated: it ends within its dimensions"),
        (IMAGES, head(12, 28, 28) + PIXELS[1:], "is truncated: it says 9,408 bytes and holds 9,407"),
        (IMAGES, head(12, 28, 28) + PIXELS + b"x", "is longer than the 9,408 bytes that it says"),
        (IMAGES, head(11, 28, 28) + PIXELS[: 11 * 28 * 28], "holds 11 images, but"),
        (IMAGES, head(2**31, 2**31, 2**31), "more than 1,073,741,824"),
        (LABELS, head(12) + bytes(11), "is truncated: it says 12 bytes and holds 11"),
        (LABELS, head(12) + b"\x0a" * 12, "holds the label 10; labels are 0 to 9"),
    ],
)
def test_wrong_content_is_named(data: Path, name: str, content: bytes, said: str) -> None:
    write(data / name, content)
    with pytest.raises(FileFormatError) as refused:
        read_pictures(data, "train")
    assert said in str(refused.value)
    assert str(data / name) in str(refused.value)


def test_wrong_files_are_named(data: Path) -> None:
    whole = (data / IMAGES).read_bytes()
    damaged = bytearray(whole)
    damaged[-6] ^= 255  # of the checksum
    for content, said in (
        (whole[: len(whole) // 2], "is damaged or truncated"),
        (bytes(damaged), "is not a gzip file, or a damaged one"),
        (b"plain text, not gzipped", "is not a gzip file"),
        (whole + b"junk", "is not a gzip file"),
        (b"", "is empty"),
    ):
        (data / IMAGES).write_bytes(content)
        with pytest.raises(FileFormatError, match=said):
            read_pictures(data, "train")
    (data / IMAGES).unlink()
    with pytest.raises(FileFormatError, match="there is no file"):
        read_pictures(data, "train")
    (data / IMAGES).mkdir()
    with pytest.raises(FileFormatError, match="cannot be read"):
        read_pictures(data, "train")


def test_no_image_is_refused(tmp_path: Path) -> None:
    write(tmp_path / IMAGES, head(0, 28, 28))
    write(tmp_path / LABELS, head(0))
    with pytest.raises(FileFormatError, match="holds no image"):
        read_pictures(tmp_path, "train")


@given(st.binary(max_size=40), st.integers(1, 3))
def test_any_bytes_are_read_or_refused(content: bytes, dimensions: int) -> None:
    try:
        sizes, numbers = _content(BytesIO(content), Path("any"), dimensions)
    except FileFormatError:
        return
    assert head(*sizes) + numbers == content
