"""The software that a target names."""

import pytest

from vggprof import Target, UsageError


@pytest.mark.parametrize(
    ("torch", "release", "cuda"),
    [
        ("2.15", (2, 15), (13, 0)),
        ("2.11.0", (2, 11), (13, 0)),
        ("2.15.0+cu132", (2, 15), (13, 2)),
        ("2.15.0a0+cu126", (2, 15), (12, 6)),
        ("2.13.0+cpu", (2, 13), (13, 0)),
    ],
)
def test_a_release_of_torch_brings_its_cuda(
    torch: str, release: tuple[int, int], cuda: tuple[int, int]
) -> None:
    software = Target(torch=torch).software({})
    assert (software.torch, software.cuda) == (release, cuda)


@pytest.mark.parametrize("torch", ["new", "2", "2.x"])
def test_what_is_no_release_is_refused(torch: str) -> None:
    with pytest.raises(UsageError, match=r"is not a release of torch; write it like 2\.11"):
        Target(torch=torch).software({})
