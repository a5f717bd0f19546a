"""README and docs tell the truth: their commands are run, and what they show is what comes out."""

import doctest
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import click
import pytest

from vggprof.cli.group import COMMANDS, group
from vggprof.cli.run import run
from vggprof.memory.workspaces.libraries import find_libraries

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"^```(yaml|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"^<!-- (\w+) -->\n(.*?)<!-- end -->$", re.MULTILINE | re.DOTALL)
# Rounded, grouped or in percent: what somebody counted or measured.
FIGURE = re.compile(r"(?<![\w.])\d+\.\d+(?![\w.]*\d)|\d{1,3}(?:,\d{3})+|\d+ %")
ANSWERED = re.compile(r"^.*cuDNN \d+(?:\.\d+)+.*$", re.MULTILINE)

Run = Callable[[str], str]


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, kind: str) -> list[tuple[int, str, str]]:
    """Return where each block of *kind* begins, its first line and the rest."""
    text = text_of(page)
    found = [
        (text.count("\n", 0, match.start()) + 1, match[2])
        for match in BLOCK.finditer(text)
        if match[1] == kind
    ]
    return [(line, *body.partition("\n")[::2]) for line, body in found]


def examples() -> Iterator[object]:
    for page in PAGES:
        for line, command, shown in blocks(page, "console"):
            yield pytest.param(page, line, command, shown, id=f"{page.name}:{line}")


@pytest.fixture
def command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return what runs a line of the pages in an empty folder, where no GPU is to be seen."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    def said(command: str) -> str:
        assert run(shlex.split(command.removeprefix("$ vggprof "))) in (0, 2, 3)
        return "".join(capsys.readouterr())

    return said


@pytest.mark.parametrize(("page", "line", "command", "shown"), list(examples()))
def test_commands_show_what_the_pages_show(
    command_line: Run, page: Path, line: int, command: str, shown: str
) -> None:
    """``...`` stands for lines left out. A yaml block before it goes into the file that its first line names.

    What another cuDNN than the page's answered, or none, is not compared.
    """
    for above, name, body in blocks(page, "yaml"):
        if above < line:
            Path(name.removeprefix("# ")).write_text(f"{name}\n{body}", encoding="utf-8")
    said = command_line(command)
    asked = ANSWERED.search(shown)
    if asked and asked[0] not in said:
        pytest.skip(f"what was asked here is not what the page shows: {asked[0]}")
    rest = said
    for part in filter(None, shown.split("...\n")):
        assert part in rest, said
        rest = rest.partition(part)[2]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_examples(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    python = "".join(re.findall(r"^```python\n(.*?)^```$", text_of(page), re.MULTILINE | re.DOTALL))
    found = doctest.DocTestParser().get_doctest(python, {}, page.name, str(page), 0)
    failures: list[str] = []
    assert doctest.DocTestRunner().run(found, out=failures.append).failed == 0, "".join(failures)
    assert found.examples or page.name not in ("README.md", "api.md", "why-vgg-is-slower.md")


def test_there_are_examples() -> None:
    assert len(list(examples())) >= 12


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_are_only_named_exist_with_their_options(page: Path) -> None:
    """On lines of their own or in running text."""
    lines = re.findall(r"^    vggprof (.*)$|`vggprof ([^`]*)`", CODE.sub("", text_of(page)), re.MULTILINE)
    for name, *words in (shlex.split(line or inline, comments=True) for line, inline in lines):
        if re.fullmatch("[a-z]+", name):
            command = group.get_command(click.Context(group), name)
            assert command is not None, name
            named = {word.partition("=")[0] for word in words if word.startswith("--")}
            options = {opt for each in all_of(command) for opt in (*each.opts, *each.secondary_opts)}
            assert named <= options | {"--help"}, name


def all_of(command: click.Command) -> list[click.Parameter]:
    """Return what *command* takes, and what its own commands do."""
    own = command.commands.values() if isinstance(command, click.Group) else ()
    return [*command.params, *(each for sub in own for each in sub.params)]


@pytest.fixture(scope="module")
def why() -> Iterator[ModuleType]:
    """Return the script that writes the tables of docs/why-vgg-is-slower.md."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
        yield import_module("why")


@pytest.mark.parametrize("name", ["switched", "kinds", "steps", "time", "operators"])
def test_tables_of_why_vgg_is_slower(why: ModuleType, name: str) -> None:
    header, rows = why.TABLES[name]
    if name in ("steps", "time", "operators") and why.CUDNN not in {
        each.version for each in find_libraries()
    }:
        pytest.skip(f"cuDNN {why.CUDNN} is not here")
    made = import_module("pages").table(header, rows())
    assert dict(TABLE.findall(text_of(why.PAGE)))[name] == made, "run: python benchmarks/why.py"


@pytest.mark.parametrize("name", ["why-vgg-is-slower.md", "what-the-numbers-mean.md"])
def test_figures_in_running_text_are_those_of_an_example_or_a_table(name: str, command_line: Run) -> None:
    page = ROOT / "docs" / name
    text = text_of(page)
    shown = "\n".join([*CODE.findall(text), *(table for _, table in TABLE.findall(text))])
    prose = re.sub(r"`[^`]*`", "", TABLE.sub("", CODE.sub("", text)))
    figures = set(FIGURE.findall(prose))
    assert figures
    missing = figures - set(FIGURE.findall(shown))
    for _, command, _ in blocks(page, "console"):
        if missing:
            missing -= set(FIGURE.findall(command_line(command)))
    assert not missing


def test_the_readme_lists_every_command() -> None:
    listed = re.findall(r"^\| `vggprof (\w+)", text_of(ROOT / "README.md"), re.MULTILINE)
    assert set(listed) >= set(COMMANDS)


def test_make_targets_that_the_documents_name_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    named = set(
        re.findall(r"`make ([a-z]+)", text_of(ROOT / "README.md") + text_of(ROOT / "CONTRIBUTING.md"))
    )
    assert {"bench", "check", "docs", "test"} <= named <= targets


def test_links_lead_to_files() -> None:
    for page in (*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"):
        links = re.findall(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)", CODE.sub("", text_of(page)))
        assert all((page.parent / link).exists() for link in links), page.name


def test_the_changelog_names_every_command() -> None:
    text = text_of(ROOT / "CHANGELOG.md")
    assert not [name for name in COMMANDS if not re.search(rf"`(vggprof )?{name}\b", text)]
