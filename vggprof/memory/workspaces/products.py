"""What matrix products take: workspaces, and copies of matrices that BLAS cannot read.

addmm_out_cuda_impl and the batched forms in ATen/native/cuda/Blas.cpp, torch 2.11 to 2.15.
"""

from vggprof.memory.workspaces.actions import Script, Tape
from vggprof.memory.workspaces.blas import BlasSettings, BlasTarget, Library, product
from vggprof.memory.workspaces.convolution import Strided
from vggprof.memory.workspaces.formats import MemoryFormat
from vggprof.trace import Operator

# Operators that are matrix products, and their matrices.
PRODUCTS = {
    "mm": ("self", "mat2"),
    "addmm": ("mat1", "mat2"),
    "_addmm_activation": ("mat1", "mat2"),
    "bmm": ("self", "mat2"),
    "baddbmm": ("batch1", "batch2"),
    "addmv": ("mat", "vec"),
    "dot": ("self", "tensor"),
}
# Dtypes that go through cuBLASLt where its other conditions hold.
_LT_DTYPES = ("float64", "float32", "float16", "bfloat16")


def script(operator: Operator, target: BlasTarget) -> Script:
    """Return what the product *operator* does: output 0, copies of its matrices, workspaces."""
    (result,) = operator.outputs
    found = (operator.input(name) for name in PRODUCTS[_name(operator)])
    matrices = [operand for operand in found if operand is not None]
    if any(operand.elements == 0 for operand in (result, *matrices)):
        return ()
    tape = Tape(result.dtype)
    with tape.scope():
        tape.output(0, result.shape, MemoryFormat.CONTIGUOUS)
        for operand in matrices:
            matrix = Strided(operand.shape, operand.strides)
            if not readable(matrix):
                tape.copy(matrix, MemoryFormat.CONTIGUOUS, name=operand.name)
        library = Library.CUBLASLT if _fuses_bias(operator, target.settings) else Library.CUBLAS
        tape.actions += product(library, target)
    return tuple(tape.actions)


def _fuses_bias(operator: Operator, settings: BlasSettings) -> bool:
    """Whether cuBLASLt adds a bias of one axis along with the product: isInputCompliesAddmmCudaLt."""
    bias, weight = operator.input("self"), operator.input("mat2")
    if not _name(operator).lstrip("_").startswith("addmm") or bias is None or weight is None:
        return False
    rows, columns = weight.shape
    return (
        settings.lt_for_bias
        and dict(operator.arguments).get("beta", 1) == 1
        and (bias.shape, bias.strides) == ((columns,), (1,))
        and bias.dtype in _LT_DTYPES
        and rows > 1
        and columns > 1
    )


def _name(operator: Operator) -> str:
    """Return the operator's name without namespace and overload: "addmm"."""
    return operator.name.split(".")[1]


def readable(tensor: Strided) -> bool:
    """Whether BLAS can read a vector, a matrix, or each of a batch as it lies: prepare_matrix_for_cublas."""
    if len(tensor.shape) < 2:
        return True
    (rows, columns), (by_row, by_column) = tensor.shape[-2:], tensor.strides[-2:]
    return (by_row == 1 and by_column >= max(1, rows)) or (by_column == 1 and by_row >= max(1, columns))
