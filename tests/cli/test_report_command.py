"""``vggprof report``."""

from pathlib import Path

import pytest

from vggprof.cli.run import run
from vggprof.devices import Survey


@pytest.fixture(autouse=True)
def nobody_to_ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("vggprof.target.survey", lambda: Survey(()))
    monkeypatch.setattr("vggprof.target.find_libraries", lambda: ())
    monkeypatch.setattr("vggprof.target.installed_version", lambda package: "2.15.0")
    monkeypatch.chdir(tmp_path)


def test_a_folder_is_made_and_filled(capsys: pytest.CaptureFixture[str]) -> None:
    words = "report alexnet --batch 32 --gpu-memory 1GiB --beside 2GiB --optimizers sgd --mode infer -o a/b"
    assert run(words.split()) == 0
    names = {path.name for path in Path("a/b").iterdir()}
    charts = {f"report-{name}.svg" for name in ("memory-1", "work", "roofline", "field", "layers-1")}
    assert names == {"report.md", "report.html", *charts}
    text = Path("a/b/report.md").read_text(encoding="utf-8")
    assert text.startswith(
        "# alexnet\n\nbatch 32, inference, fp32\n\n## Verdict\n\nalexnet on 1.00 GiB GPU: "
    )
    assert (
        "    vggprof report alexnet --batch 32 --mode infer --gpu-memory 1GiB --beside 2GiB --optimizers sgd"
        in text
    )
    out, err = capsys.readouterr()
    assert not out
    assert err.count("Written: ") == len(names)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("report lenet5", "Missing option '-o'"),
        ("report lenet5 --gpu nonsense -o x", "unknown GPU 'nonsense'"),
        ("report lenet5 --beside nonsense --gpu 3060 -o x", "unknown GPU 'nonsense'"),
        ("report lenet5 --optimizers sgd,lion --gpu 3060 -o x", "'lion' is none of sgd"),
        ("report lenet5 --measurements nothing.jsonl --gpu 3060 -o x", "nothing.jsonl"),
        ("report lenet5 --gpu 3060 -o file/x", "file/x cannot be made"),
    ],
)
def test_what_cannot_be_done_is_one_line(words: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("taken", encoding="utf-8")
    assert run(words.split()) == 2
    assert says in capsys.readouterr().err
