"""Workspaces of matrix products, by release and device, and the copies that products make."""

import pytest

from vggprof.memory.workspaces.actions import Action, Give, Keep, Output, Take
from vggprof.memory.workspaces.blas import (
    BlasSettings,
    BlasTarget,
    Library,
    cublas_bytes,
    cublaslt_bytes,
    product,
)
from vggprof.memory.workspaces.convolution import Strided
from vggprof.memory.workspaces.products import readable, script
from vggprof.trace import Argument, Operand, Operator, Phase

MIB = 2**20


# :4096:2:16:8 is two of 4096 KiB and eight of 16 KiB: 8,519,680. 32 MiB from the constants compared with
# major in parseChosenWorkspaceSize of each release's libtorch_cuda.so.
@pytest.mark.parametrize(
    ("capability", "torch", "expected"),
    [
        ((8, 6), (2, 11), 8_519_680),
        ((8, 9), (2, 15), 8_519_680),
        ((9, 0), (2, 11), 32 * MIB),
        ((10, 0), (2, 11), 8_519_680),
        ((12, 0), (2, 12), 32 * MIB),
        ((11, 0), (2, 13), 8_519_680),
        ((11, 0), (2, 14), 32 * MIB),
        ((7, 5), (2, 15), 8_519_680),
    ],
)
def test_cublas_workspace(capability: tuple[int, int], torch: tuple[int, int], expected: int) -> None:
    assert cublas_bytes(capability, torch, BlasSettings()) == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (":4096:8", 32 * MIB),
        (":16:8", 128 * 1024),
        (":4096:2:16:8", 8_519_680),
        ("none", 8_519_680),
        (":0:0", 0),
    ],
)
def test_cublas_workspace_config(config: str, expected: int) -> None:
    settings = BlasSettings.from_environment({"CUBLAS_WORKSPACE_CONFIG": config})
    assert cublas_bytes((8, 0), (2, 14), settings) == expected


def test_environment_is_read_as_torch_reads_it() -> None:
    settings = BlasSettings.from_environment(
        {
            "CUBLASLT_WORKSPACE_SIZE": "4096",
            "TORCH_CUBLAS_WORKSPACE_CACHE": "1",
            "TORCH_CUBLASLT_UNIFIED_WORKSPACE": "true",  # neither 0 nor 1
            "DISABLE_ADDMM_CUDA_LT": "1",
        }
    )
    assert settings == BlasSettings(lt_workspace_kib=4096, kept=True, shared=None, lt_for_bias=False)
    assert cublaslt_bytes(settings) == 4 * MIB
    assert cublaslt_bytes(BlasSettings.from_environment({"CUBLASLT_WORKSPACE_SIZE": "big"})) == MIB


def _sizes(actions: tuple[Action, ...]) -> list[tuple[str, int]]:
    return [(type(a).__name__, a.nbytes) for a in actions if isinstance(a, Keep | Take)]


@pytest.mark.parametrize(
    ("torch", "library", "settings", "expected"),
    [
        ((2, 11), Library.CUBLAS, BlasSettings(), [("Keep", 8_519_680)]),
        ((2, 11), Library.CUBLASLT, BlasSettings(), [("Keep", 8_519_680), ("Keep", MIB)]),
        ((2, 11), Library.CUBLASLT, BlasSettings(shared=True), [("Keep", 8_519_680)]),
        ((2, 12), Library.CUBLASLT, BlasSettings(), [("Keep", 8_519_680)]),
        ((2, 14), Library.CUBLASLT, BlasSettings(shared=False), [("Keep", MIB)]),
        ((2, 15), Library.CUBLAS, BlasSettings(), [("Take", 8_519_680)]),
        ((2, 15), Library.CUBLASLT, BlasSettings(), [("Take", MIB)]),
        ((2, 15), Library.CUBLASLT, BlasSettings(kept=True), [("Keep", 8_519_680)]),
    ],
)
def test_products_by_release(
    torch: tuple[int, int], library: Library, settings: BlasSettings, expected: list[tuple[str, int]]
) -> None:
    assert _sizes(product(library, BlasTarget((8, 6), torch, settings))) == expected


def test_workspaces_that_share_a_key_are_one() -> None:
    both = [product(library, BlasTarget((8, 6), (2, 13))) for library in Library]
    assert both[0] == both[1]


def _operand(name: str, shape: tuple[int, ...], strides: tuple[int, ...] | None = None) -> Operand:
    plain = Strided.contiguous(shape)
    return Operand(name, 0, shape, strides or plain.strides, "float32")


def _operator(
    name: str, inputs: tuple[Operand, ...], out: tuple[int, ...], **arguments: Argument
) -> Operator:
    result = Operand("out", 9, out, Strided.contiguous(out).strides, "float32")
    given = tuple(arguments.items())
    return Operator(f"aten.{name}.default", 0, Phase.FORWARD, None, inputs, (result,), given)


LINEAR = (
    _operand("self", (4096,)),
    _operand("mat1", (32, 9216)),
    _operand("mat2", (9216, 4096), (1, 9216)),
)


@pytest.mark.parametrize(
    ("inputs", "out", "arguments", "expected"),
    [
        (LINEAR, (32, 4096), {}, MIB),  # fused by cuBLASLt
        (LINEAR, (32, 4096), {"beta": 2}, 8_519_680),
        ((_operand("self", (32, 4096)), *LINEAR[1:]), (32, 4096), {}, 8_519_680),  # no bias of one axis
        ((_operand("self", (1,)), LINEAR[1], _operand("mat2", (9216, 1))), (32, 1), {}, 8_519_680),
    ],
)
def test_biases_that_cublaslt_fuses(
    inputs: tuple[Operand, ...], out: tuple[int, ...], arguments: dict[str, Argument], expected: int
) -> None:
    actions = script(_operator("addmm", inputs, out, **arguments), BlasTarget((8, 6), (2, 15)))
    assert _sizes(actions) == [("Take", expected)]
    assert isinstance(actions[0], Output)
    assert isinstance(actions[-1], Give)


def test_bias_fusion_can_be_switched_off() -> None:
    target = BlasTarget((8, 6), (2, 15), BlasSettings(lt_for_bias=False))
    assert _sizes(script(_operator("addmm", LINEAR, (32, 4096)), target)) == [("Take", 8_519_680)]


# An expanded gradient has strides 0 and 0: no leading dimension, so it is copied (32 * 1000 * 4 bytes) before
# the workspace is taken.
def test_matrices_that_blas_cannot_read_are_copied() -> None:
    inputs = (_operand("self", (32, 1000), (0, 0)), _operand("mat2", (1000, 4096)))
    actions = script(_operator("mm", inputs, (32, 4096)), BlasTarget((8, 6), (2, 15)))
    assert _sizes(actions) == [("Take", 128_000), ("Take", 8_519_680)]
    assert [a.name for a in actions if isinstance(a, Give)] == ["cuBLAS workspace", "copy of self"]


@pytest.mark.parametrize(
    ("shape", "strides", "expected"),
    [
        ((32, 64), (64, 1), True),
        ((64, 32), (1, 64), True),
        ((32, 64), (128, 1), True),
        ((32, 64), (64, 2), False),
        ((32, 64), (32, 1), False),
        ((8, 32, 64), (64, 512, 1), True),
        ((8, 32, 64), (1, 8, 256), False),
        ((64,), (2,), True),
    ],
)
def test_readable_matrices(shape: tuple[int, ...], strides: tuple[int, ...], *, expected: bool) -> None:
    assert readable(Strided(shape, strides)) is expected


def test_empty_products_take_nothing() -> None:
    inputs = (_operand("self", (0, 64)), _operand("mat2", (64, 32)))
    assert script(_operator("mm", inputs, (0, 32)), BlasTarget((8, 6), (2, 14))) == ()
