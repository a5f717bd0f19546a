"""What is in the wheel, and what starting the command line costs."""

import configparser
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import vggprof

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "pandas", "numpy", "pydantic", "yaml"}


def run(*command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command outside the checkout, so that what is installed answers."""
    return subprocess.run(
        command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=True
    )


def packaged_files() -> dict[str, Path]:
    """Every file that belongs into the wheel, by its name there."""
    files = {}
    for folder, name in ((ROOT / "vggprof", "vggprof"), (ROOT / "specs", "vggprof/specs")):
        for path in folder.rglob("*"):
            inside = path.relative_to(folder)
            if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in inside.parts):
                files[f"{name}/{inside.as_posix()}"] = path
    return files


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Return the wheel, built from a copy: a build leaves things lying in its tree."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("vggprof", "specs"):
        shutil.copytree(
            ROOT / name, folder / "tree" / name, ignore=shutil.ignore_patterns("__pycache__", ".*")
        )
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "tree" / name)
    build = "from setuptools.build_meta import build_wheel; import sys; build_wheel(sys.argv[1])"
    run(sys.executable, "-c", build, str(folder), cwd=folder / "tree")
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_packages_are_those_of_the_tree() -> None:
    listed = setup_cfg()["options"]["packages"].split()
    inits = (name for name in packaged_files() if name.endswith("/__init__.py"))
    assert listed == sorted(name.removesuffix("/__init__.py").replace("/", ".") for name in inits)


def test_wheel_holds_every_file_as_it_is_in_the_tree(wheel: zipfile.ZipFile) -> None:
    expected = packaged_files()
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == set(expected)
    assert all(wheel.read(name) == path.read_bytes() for name, path in expected.items())


def test_wheel_holds_specs_schema_and_type_marker(wheel: zipfile.ZipFile) -> None:
    held = set(wheel.namelist())
    assert {"vggprof/py.typed", "vggprof/specs/vgg16.yaml", "vggprof/specs/alexnet.yaml"} <= held
    assert any(name.startswith("vggprof/specs/") and name.endswith(".schema.json") for name in held)


def test_wheel_names_version_licence_and_script(wheel: zipfile.ZipFile) -> None:
    info = f"vggprof-{vggprof.__version__}.dist-info"
    metadata = wheel.read(f"{info}/METADATA").decode()
    assert f"\nVersion: {vggprof.__version__}\n" in metadata
    assert "MIT" in metadata
    assert wheel.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    entry_points = wheel.read(f"{info}/entry_points.txt").decode()
    assert "[console_scripts]\nvggprof = vggprof.cli:main" in entry_points
    assert "[pytest11]\nvggprof = vggprof.pytest_plugin" in entry_points


@pytest.mark.parametrize("words", [("--version",), ("--help",), ("memory", "--help")])
def test_module_and_script_agree(words: tuple[str, ...], tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("vggprof")
    by_script = run(str(script), *words, cwd=tmp_path).stdout
    assert "vggprof" in by_script
    assert run(sys.executable, "-m", "vggprof", *words, cwd=tmp_path).stdout == by_script


@pytest.mark.parametrize("words", ["--help", "--version", "list --help", "compare --help"])
def test_help_imports_nothing_heavy(words: str, tmp_path: Path) -> None:
    code = (
        "import sys; from vggprof.cli.run import run;"
        f"code = run({words.split()!r}); print('exit', code, *sorted({HEAVY!r} & set(sys.modules)))"
    )
    assert run(sys.executable, "-c", code, cwd=tmp_path).stdout.splitlines()[-1] == "exit 0"


def test_import_of_the_package_imports_nothing_heavy(tmp_path: Path) -> None:
    code = f"import sys, vggprof; dir(vggprof); print(*sorted({HEAVY!r} & set(sys.modules)))"
    assert run(sys.executable, "-c", code, cwd=tmp_path).stdout.strip() == ""


def test_list_needs_no_torch(tmp_path: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; from vggprof.cli.run import run; sys.exit(run(['list']))"
    assert "vgg16" in run(sys.executable, "-c", code, cwd=tmp_path).stdout
