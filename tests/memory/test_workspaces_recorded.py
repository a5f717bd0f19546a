"""Recorded answers stand in for cuDNN."""

import zlib
from pathlib import Path

import pytest

from vggprof.errors import FileFormatError, VggprofError
from vggprof.memory.workspaces import advisor as advisor_module
from vggprof.memory.workspaces.actions import Workspace
from vggprof.memory.workspaces.advisor import Advisor
from vggprof.memory.workspaces.convolution import CudnnSettings, Pass, Strided
from vggprof.memory.workspaces.device import DeviceProperties
from vggprof.memory.workspaces.libraries import CudnnLibrary
from vggprof.memory.workspaces.plans import Answer, Plan
from vggprof.memory.workspaces.query import CudnnQuery
from vggprof.memory.workspaces.recorded import (
    NotRecordedError,
    Recorded,
    place,
    read_recorded,
    write_recorded,
)
from vggprof.memory.workspaces.targets import Choice

T4 = DeviceProperties("Tesla T4", (7, 5), 40, 1_590_000, 5_001_000, 4_194_304, 15_828_320_256)
PLANS = (
    Plan("eng38_k2=4", 411_189_264, ("TENSOR_CORE",), fallback=False),
    Plan("eng38_k2=4", 4096, ("TENSOR_CORE",), fallback=False),
    Plan("eng0", 0, (), fallback=True),
)


def query(batch: int) -> CudnnQuery:
    image, weight = Strided.contiguous((batch, 64, 56, 56)), Strided.contiguous((64, 64, 3, 3))
    return CudnnQuery(Pass.FORWARD, "float32", image, weight, image, (1, 1), (1, 1), (1, 1), "A")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    recorded = Recorded("9.26.0.51", {"b": PLANS, "a": PLANS[:1], "c": PLANS})
    write_recorded(tmp_path / "answers", recorded)
    read = read_recorded(tmp_path / "answers")
    assert (read.version, read.answers) == (recorded.version, recorded.answers)
    first = (tmp_path / "answers").read_bytes()
    write_recorded(tmp_path / "answers", read)
    assert (tmp_path / "answers").read_bytes() == first


@pytest.mark.parametrize(
    "content", [b"", b"no answers", zlib.compress(b"[]"), zlib.compress(b"{}"), zlib.compress(b"\xff")]
)
def test_a_file_without_answers_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "answers"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="holds no answers of cuDNN"):
        read_recorded(path)


def test_nobody_is_asked_where_answers_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advisor_module, "find_frontend", lambda: None)
    recorded = Recorded("9.26.0.51", {place(T4.cudnn_json(), query(1)): PLANS})
    library = CudnnLibrary("9.26.0.51", Path("nowhere"), "recorded", None)
    known, unknown = (Workspace(query(batch), CudnnSettings()) for batch in (1, 2))
    with Advisor(Choice(library, library.version, recorded=recorded)) as advisor:
        advisor.start(T4)
        answer = advisor.answers([known], T4)[known]
        with pytest.raises(NotRecordedError) as error:
            advisor.answers([known, unknown], T4)
    assert isinstance(answer, Answer)
    assert answer.plans == PLANS
    assert answer.low_bytes == answer.high_bytes == 411_189_264
    assert str(error.value).startswith("not among the recorded answers of cuDNN 9.26.0.51")
    assert f"{query(2).key()} on Tesla T4" in str(error.value)
    assert not isinstance(error.value, VggprofError)  # nothing takes it for a network that cannot be run
