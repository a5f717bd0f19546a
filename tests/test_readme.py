"""The README tells the truth: its commands are run, and what it shows is what comes out."""

import doctest
import re
import shlex
from pathlib import Path

import pytest

from vggprof.cli.run import run

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(yaml|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_commands_show_what_the_readme_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A yaml block is written to the file that its first line names; ``...`` stands for lines left out.

    What another cuDNN than the README's answered, or none, is not compared.
    """
    monkeypatch.chdir(tmp_path)
    commands = 0
    for kind, text in BLOCK.findall(README):
        first, _, rest = text.partition("\n")
        if kind == "yaml":
            Path(first.removeprefix("# ")).write_text(text, encoding="utf-8")
            continue
        commands += 1
        run(shlex.split(first.removeprefix("$ vggprof ")))
        shown = "".join(capsys.readouterr())
        asked = re.search(r"^(- torch .* with|With torch .* and) cuDNN .*$", rest, re.MULTILINE)
        if asked and asked[0] not in shown:
            continue
        for part in filter(None, rest.split("...\n")):
            assert part in shown
            shown = shown.partition(part)[2]
    assert commands >= 4


def test_python_examples() -> None:
    blocks = "".join(re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL))
    examples = doctest.DocTestParser().get_doctest(blocks, {}, "README.md", "README.md", 0)
    assert len(examples.examples) >= 8
    failures: list[str] = []
    result = doctest.DocTestRunner().run(examples, out=failures.append)
    assert result.failed == 0, "".join(failures)


def test_make_targets_that_the_documents_name_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`make ([a-z]+)", README + contributing))
    assert {"bench", "check", "test"} <= named <= targets


def test_links_lead_to_files() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        links = re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / name).read_text(encoding="utf-8"))
        assert all((ROOT / link).exists() for link in links), name
