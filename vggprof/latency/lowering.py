"""A training step as work: every operator of it as the kernels that torch runs for it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod

from vggprof.analyzers.forward import is_view
from vggprof.analyzers.macs import operator_macs
from vggprof.analyzers.operators import ALLOCATION, NORMALIZATION, POOLING, REDUCTION, SOFTMAX, base
from vggprof.analyzers.traffic import read_bytes, written_bytes
from vggprof.latency.convolution import Conv, named_way, ways
from vggprof.latency.work import Math, Part, Product, Traffic, Way, Work
from vggprof.memory.workspaces.actions import Script, Take, Workspace
from vggprof.memory.workspaces.convolution import Pass
from vggprof.memory.workspaces.plans import Answer, Workspaces
from vggprof.trace import ITEM_BYTES, Kind, Operand, Operator, Phase, Trace

_PARTS = {Pass.FORWARD: Part.FORWARD, Pass.DGRAD: Part.DGRAD, Pass.WGRAD: Part.WGRAD}
_PRODUCTS = {
    "mm": ("self", "mat2"),
    "bmm": ("self", "mat2"),
    "addmm": ("mat1", "mat2"),
    "baddbmm": ("batch1", "batch2"),
}
# cuDNN's and torch's batch norm go over the tensor twice in training: once for the statistics (of the
# gradient in backward), once for the result.
_TWICE = frozenset({"cudnn_batch_norm", "native_batch_norm", "_native_batch_norm_legit"})
_TWICE_BACK = frozenset({"cudnn_batch_norm_backward", "native_batch_norm_backward"})
_NORMS = NORMALIZATION | SOFTMAX | REDUCTION | _TWICE_BACK
_POOLS_BACK = frozenset(f"{name}_backward" for name in POOLING)
# multi_tensor_apply in ATen/native/cuda/MultiTensorApply.cuh: a launch takes up to 320 chunks of 65,536.
_CHUNK, _CHUNKS = 65_536, 320


@dataclass(frozen=True, slots=True)
class Units:
    """What of the target decides which ways there are."""

    tensor_cores: bool
    tf32: bool  # fp32 convolutions run on tensor cores


@dataclass(frozen=True, slots=True)
class Lowering:
    """Turns the operators of *trace* into work.

    *script* says what torch does for an operator, *answers* what cuDNN says to what it asks.
    """

    trace: Trace
    script: Callable[[Operator], Script]
    answers: Mapping[Workspace, Workspaces]
    units: Units

    def step(self, step: int) -> tuple[Work, ...]:
        """Return the work of one step, in order. What moves nothing and computes nothing is left out."""
        return tuple(
            work
            for index, operator in enumerate(self.trace.operators)
            if operator.step == step
            for work in self.operator(index, operator)
        )

    def operator(self, index: int, operator: Operator) -> Iterator[Work]:
        """Yield the kernels of one operator."""
        name = base(operator.name)
        if name in ("convolution", "convolution_backward"):
            yield from self._convolution(index, operator)
        elif name in _PRODUCTS and not is_view(operator):
            yield self._work(
                index, operator, self._product(operator, name), macs=operator_macs(operator) or 0
            )
        else:
            way = self._moving(operator, name)
            if way is not None:
                yield self._work(index, operator, way)

    def _work(
        self,
        index: int,
        operator: Operator,
        *found: Way,
        part: Part | None = None,
        macs: int = 0,
        named: bool = False,
    ) -> Work:
        return Work(
            index, operator.layer, operator.phase, part or self._part(operator), macs, found, named=named
        )

    def _convolution(self, index: int, operator: Operator) -> Iterator[Work]:
        script = self.script(operator)
        copied = sum(2 * action.nbytes for action in script if isinstance(action, Take) and _is_copy(action))
        if copied:
            yield self._work(index, operator, _stream(copied, Traffic.LAYOUT))
        asked = [action for action in script if isinstance(action, Workspace)]
        for workspace in asked:
            conv = Conv.of_query(workspace.query)
            answer = self.answers.get(workspace)
            named = isinstance(answer, Answer) and not workspace.settings.benchmark
            found = (
                (named_way(conv, answer.chosen),)
                if isinstance(answer, Answer) and named
                else ways(conv, tensor_cores=self.units.tensor_cores, tf32=self.units.tf32)
            )
            part = _PARTS[conv.which] if operator.phase is Phase.BACKWARD else None
            yield self._work(index, operator, *found, part=part, macs=conv.macs, named=named)
        if not asked:
            yield from self._native(index, operator)
        yield from self._bias(index, operator)

    def _native(self, index: int, operator: Operator) -> Iterator[Work]:
        """Yield torch's own kernels, where cuDNN is not asked, for each pass that is wanted.

        Depthwise ones compute an output pixel at a time. Others write columns and multiply them, one image
        after another (ATen/native/cuda/ConvolutionMM2d.cu).
        """
        passes: list[Part | None] = [None]
        if operator.input("grad_output") is not None:
            mask = operator.argument("output_mask")
            assert isinstance(mask, tuple)
            passes = [part for part, yes in zip((Part.DGRAD, Part.WGRAD), mask, strict=False) if yes]
        count = max(1, len(passes))
        macs, nbytes = (operator_macs(operator) or 0) // count, self._bytes(operator) // count
        source, weight = operator.input("input"), operator.input("weight")
        assert source is not None
        assert weight is not None
        if weight.shape[1] == 1 < source.shape[1]:
            way = Way(Math.NATIVE, Product(macs, 1, 1, tiles=()), Traffic.OPERAND, nbytes)
        else:
            given, taken = weight.shape[0], prod(weight.shape[1:])
            columns = 2 * (macs // given) * ITEM_BYTES[weight.dtype]  # written and read
            product = Product(macs // (given * taken), given, taken)
            launches = 2 * source.shape[0]
            way = Way(Math.PRODUCT, product, Traffic.OPERAND, nbytes, columns, launches=launches)
        for part in passes:
            yield self._work(index, operator, way, part=part, macs=macs)

    def _bias(self, index: int, operator: Operator) -> Iterator[Work]:
        """Yield the addition of a bias, or its gradient: kernels of their own, for cuDNN's is not fused."""
        gradient = operator.input("grad_output")
        if gradient is None:
            if operator.input("bias") is not None:
                yield self._work(index, operator, _stream(2 * operator.outputs[0].nbytes))
            return
        mask = operator.argument("output_mask")
        if isinstance(mask, tuple) and len(mask) > 2 and mask[2]:
            yield self._work(
                index, operator, _stream(gradient.nbytes, Traffic.BIAS_GRADIENT), part=Part.WGRAD
            )

    def _product(self, operator: Operator, name: str) -> Way:
        left, right = (operator.input(side) for side in _PRODUCTS[name])
        assert left is not None
        assert right is not None
        product = Product(
            left.shape[-2],
            right.shape[-1],
            left.shape[-1],
            prod(left.shape[:-2]),
            max(1, left.shape[-1] // 128),
        )
        half = left.dtype in ("float16", "bfloat16")
        math = Math.TENSOR_PRODUCT if half and self.units.tensor_cores else Math.PRODUCT
        return Way(math, product, Traffic.OPERAND, self._bytes(operator))

    def _moving(self, operator: Operator, name: str) -> Way | None:
        if is_view(operator) or name in ALLOCATION:
            return None
        nbytes = self._bytes(operator)
        if name in _NORMS:
            return _stream(
                self._over_and_over(operator, name, nbytes),
                Traffic.HALF_NORM if _has_half_weights(operator) else Traffic.NORM,
                launches=2 if name in _TWICE_BACK else 1,
            )
        if name in POOLING:
            return _stream(nbytes, Traffic.POOL)
        if name in _POOLS_BACK:  # asked for the input's shape only
            source = operator.input("self")
            return _stream(nbytes - (source.nbytes if source else 0), Traffic.POOL_BACKWARD)
        chunks = -(
            -sum(-(-each.elements // _CHUNK) for each in operator.inputs if each.name == "self") // _CHUNKS
        )
        foreach = operator.name.startswith("aten._foreach")
        return _stream(nbytes, launches=max(1, chunks) if foreach else 1)

    def _over_and_over(self, operator: Operator, name: str, nbytes: int) -> int:
        """Return *nbytes* and those that are read a second time."""
        if name in _TWICE and dict(operator.arguments).get("training"):
            source = operator.input("input")
            return nbytes + (source.nbytes if source else 0)
        if name in _TWICE_BACK:
            return nbytes + sum(each.nbytes for each in _images(operator))
        return nbytes

    def _part(self, operator: Operator) -> Part:
        """Return the part that an operator belongs to: where it makes a parameter's gradient, that."""
        match operator.phase:
            case Phase.FORWARD:
                return Part.FORWARD
            case Phase.BACKWARD:
                made = any(
                    self.trace.storages[each.storage].kind is Kind.GRADIENT for each in operator.outputs
                )
                return Part.WGRAD if made else Part.DGRAD
            case _:
                return Part.OTHER

    def _bytes(self, operator: Operator) -> int:
        return read_bytes(self.trace, operator) + written_bytes(self.trace, operator)


def _images(operator: Operator) -> Iterator[Operand]:
    found = (operator.input(name) for name in ("input", "grad_output", "grad_out"))
    return (each for each in found if each is not None)


def _stream(nbytes: int, traffic: Traffic = Traffic.STREAM, *, launches: int = 1) -> Way:
    return Way(None, None, traffic, nbytes, launches=launches)


def _has_half_weights(operator: Operator) -> bool:
    """Whether *operator* is a batch norm of torch's own, as cuDNN's takes weights in fp32 only.

    _select_batch_norm_backend in ATen/native/Normalization.cpp.
    """
    weight = operator.input("weight")
    return weight is not None and "batch_norm" in operator.name and weight.dtype in ("float16", "bfloat16")


def _is_copy(action: Take) -> bool:
    return action.name.startswith("copy of")
