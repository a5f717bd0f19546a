"""ARCH is read as it is meant, or refused in one line that says how to write it."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggprof.errors import ArchError
from vggprof.spec import arch as arch_module
from vggprof.spec.arch import Arch, FactoryArch, ShippedArch, SpecFileArch, content_key, parse_arch
from vggprof.spec.shipped import shipped_names


@pytest.mark.parametrize(
    ("text", "arch"),
    [
        ("vgg16", ShippedArch("vgg16")),
        (" vgg16\n", ShippedArch("vgg16")),
        ("vgg-d", ShippedArch("vgg-d")),
        ("vgg16@classes=10", ShippedArch("vgg16", (("classes", "10"),))),
        (
            "vgg16@classes=10,input=1x224x224",
            ShippedArch("vgg16", (("classes", "10"), ("input", "1x224x224"))),
        ),
        ("./my_net.yaml", SpecFileArch("./my_net.yaml")),
        ("my_net.yml", SpecFileArch("my_net.yml")),
        ("MY_NET.YAML", SpecFileArch("MY_NET.YAML")),
        ("./my_net.yaml@classes=10", SpecFileArch("./my_net.yaml", (("classes", "10"),))),
        ("./nets@v2/my_net.yaml@classes=10", SpecFileArch("./nets@v2/my_net.yaml", (("classes", "10"),))),
        (r"C:\x\net.yaml", SpecFileArch(r"C:\x\net.yaml")),
        ("C:net.yaml", SpecFileArch("C:net.yaml")),
        ("/nets/a b.yaml", SpecFileArch("/nets/a b.yaml")),
        ("torchvision.models:resnet50", FactoryArch("torchvision.models", "resnet50")),
        ("nets:Net.small", FactoryArch("nets", "Net.small")),
        ("n:build", FactoryArch("n", "build")),
        ("./my_net.py:build", FactoryArch("./my_net.py", "build")),
        (r"C:\x\net.py:build", FactoryArch(r"C:\x\net.py", "build")),
        (r"C:net.py:build", FactoryArch(r"C:net.py", "build")),
        (
            "./my_net.py:build@input=3x299x299,aux_logits=False",
            FactoryArch("./my_net.py", "build", (("input", "3x299x299"), ("aux_logits", "False"))),
        ),
        (
            "nets:build@widths=(64,128),act=relu",
            FactoryArch("nets", "build", (("widths", "(64,128)"), ("act", "relu"))),
        ),
    ],
)
def test_what_is_meant(text: str, arch: Arch) -> None:
    assert parse_arch(text) == arch
    assert str(arch) == text.strip()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no architecture is named; `vggprof list` shows"),
        ("vgg_16", "unknown architecture 'vgg_16'; did you mean 'vgg16'"),
        ("vgg12", "did you mean 'vgg1"),
        ("VGG16", "did you mean 'vgg16'"),
        (
            "no-such-thing-at-all",
            "unknown architecture 'no-such-thing-at-all'; `vggprof list` shows the shipped",
        ),
        ("torchvision.models.resnet50", "write torchvision.models:resnet50 to name a factory"),
        ("./my_net.py", "name the function that builds the network: ./my_net.py:build"),
        ("C:net.py", "name the function that builds the network: C:net.py:build"),
        ("./my_net", "'./my_net' is no spec file, which ends in .yaml"),
        (r"..\my_net.txt", "is no spec file, which ends in .yaml"),
        ("./my_net:build", "'./my_net' is neither a Python module nor a .py file"),
        ("3d.nets:build", "'3d.nets' is neither a Python module nor a .py file"),
        ("vgg16@", "parameters are written name=value after the @"),
        ("vgg16@10", "parameters are written name=value after the @"),
        ("vgg16@classes 10", "parameters are written name=value after the @"),
        ("torchvision.models:vgg16@10", "parameters are written name=value after the @"),
        ("vgg16@classes=10,classes=11", "vgg16: 'classes' is set twice"),
        ("x" * 5000, "is no architecture"),
        ("vgg16\x00", r"unknown architecture 'vgg16\x00'"),
        ("vgg16\nvgg11", r"unknown architecture 'vgg16\nvgg11'"),
        ("n:build@input=224", "input=224: channels x height x width is wanted"),
        ("n:build@input=0x224x224", "input=0x224x224: channels x height x width is wanted"),
        ("n:build@input=-3x224x224", "channels x height x width is wanted"),
        ("n:build@input=3x224x1000000000000", "with at most 10000000 channels and 16384 pixels a side"),
        ("n:build@input=" + "9" * 4000 + "x1x1", "channels x height x width is wanted"),
        ("n:build@input=٣x224x224", "channels x height x width is wanted"),
        ("n:build@input=", "channels x height x width is wanted"),
        ("n:build@classes=10,", "a comma separates parameters"),
        ("n:build@sizes=1,2", "several values are written (1,2)"),
        ("n:build@aux=false", "Python writes False; write 'false' for the text"),
        ("n:build@weights=none", "Python writes None"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(ArchError) as raised:
        parse_arch(text)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize("name", shipped_names())
def test_every_shipped_spec_can_be_named(name: str) -> None:
    assert parse_arch(name) == ShippedArch(name)


@given(st.text(max_size=30) | st.from_regex(r"[a-z./:@=,\\A-Z0-9 ]{0,30}"))
def test_any_text_is_an_arch_or_an_arch_error(text: str) -> None:
    try:
        arch = parse_arch(text)
    except ArchError as error:
        assert "\n" not in str(error)
    else:
        assert parse_arch(str(arch)) == arch


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("True", True),
        ("False", False),
        ("None", None),
        ("3", 3),
        ("-3", -3),
        ("0.5", 0.5),
        ("1e-3", 0.001),
        ("(3,3)", (3, 3)),
        ("[1, 2]", [1, 2]),
        ("{'a': 1}", {"a": 1}),
        ("'3'", "3"),
        ("'false'", "false"),
        ("'a,b'", "a,b"),
        ("DEFAULT", "DEFAULT"),
        ("resnet50.a1_in1k", "resnet50.a1_in1k"),
        ("a=b", "a=b"),
        ("", ""),
        ("3x3", "3x3"),
        ("1_000", 1000),
        ("0777", "0777"),
        ("1if 1else 2", "1if 1else 2"),
        ("[" * 1000, "[" * 1000),
        ("__import__('os')", "__import__('os')"),
    ],
)
def test_keywords_are_python_literals_or_texts(text: str, value: object) -> None:
    arch = parse_arch(f"n:build@key={text}")
    assert isinstance(arch, FactoryArch)
    assert arch.keywords == {"key": value}
    assert type(arch.keywords["key"]) is type(value)


def test_input_is_ours() -> None:
    arch = parse_arch("n:build@input=1x28x32,classes=10")
    assert isinstance(arch, FactoryArch)
    assert arch.input_shape == (1, 28, 32)
    assert arch.keywords == {"classes": 10}
    assert FactoryArch("n", "build").input_shape == (3, 224, 224)


# --- content keys -------------------------------------------------------------------------------------------


def key(text: str) -> str:
    found = content_key(parse_arch(text))
    assert found is not None
    return found


def spec_file(path: Path, text: str = "input: 1x8x8\nlayers: [flatten]\n") -> str:
    path.write_text(text)
    return str(path)


def test_the_same_content_has_the_same_key(tmp_path: Path) -> None:
    a, b = spec_file(tmp_path / "a.yaml"), spec_file(tmp_path / "b.yaml")
    assert key(a) == key(b)
    assert key(f"{a}@classes=10,width=2") == key(f"{b}@width=2,classes=10")


def test_other_content_or_parameters_have_other_keys(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    texts = [f"{path}{rest}" for rest in ("", "@classes=10", "@classes=11", "@classes=10,input=1x8x8")]
    spec_file(path)
    keys = {key(text) for text in texts}
    spec_file(path, "input: 1x9x9\nlayers: [flatten]\n")
    assert len(keys | {key(text) for text in texts}) == 8


def test_two_names_of_a_shipped_spec_share_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spec_file(tmp_path / "vgg16.yaml")
    monkeypatch.setattr(arch_module, "find_shipped", lambda name: tmp_path / "vgg16.yaml")
    assert content_key(ShippedArch("vgg16")) == content_key(ShippedArch("vgg-d"))


def test_a_spec_that_cannot_be_read_has_no_key(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "big.yaml").write_bytes(b"#" * (2**20 + 1))
    (tmp_path / "empty.yaml").touch()
    for name in ("missing", "folder", "big", "empty"):
        assert content_key(parse_arch(str(tmp_path / f"{name}.yaml"))) is None


def test_a_factory_in_a_file_has_no_key(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("def build(): ...\n")
    assert content_key(parse_arch(f"{tmp_path / 'net.py'}:build")) is None


def install(folder: Path, name: str, text: str, *, record: str | None = None) -> Path:
    """Install a package as pip does: its files, and a dist-info with a RECORD of them."""
    package, info = folder / name, folder / f"{name}-1.0.dist-info"
    package.mkdir(parents=True, exist_ok=True)
    info.mkdir(exist_ok=True)
    (package / "__init__.py").write_text(text)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = f"{name}/__init__.py,sha256={abs(hash(text))},{len(text)}\n" if record is None else record
    (info / "RECORD").write_text(lines)
    return package


def test_an_installed_factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    install(tmp_path, "vggprof_test_nets", "raise RuntimeError('imported')")
    first = key("vggprof_test_nets.zoo:build")
    assert first == key("vggprof_test_nets.zoo:build")
    assert "vggprof_test_nets" not in sys.modules
    assert first != key("vggprof_test_nets.zoo:other")
    assert first != key("vggprof_test_nets.zoo:build@classes=10")
    assert first != key("vggprof_test_nets.zoo:build@input=3x32x32")


def test_the_same_version_with_other_files_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``pip install .`` after a change keeps the version."""
    monkeypatch.syspath_prepend(str(tmp_path))
    install(tmp_path, "vggprof_test_changed", "a = 1\n")
    first = key("vggprof_test_changed:build")
    install(tmp_path, "vggprof_test_changed", "a = 2\n")
    assert key("vggprof_test_changed:build") != first


def test_an_editable_install_has_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its RECORD lists a finder, and the package itself lies in the folder that is worked on."""
    monkeypatch.syspath_prepend(str(tmp_path / "source"))
    monkeypatch.syspath_prepend(str(tmp_path / "site-packages"))
    record = "__editable___vggprof_test_editable_finder.py,sha256=0,9\n"
    install(tmp_path / "site-packages", "vggprof_test_editable", "", record=record)
    package = tmp_path / "site-packages" / "vggprof_test_editable"
    (tmp_path / "source").mkdir()
    package.rename(tmp_path / "source" / "vggprof_test_editable")
    assert content_key(parse_arch("vggprof_test_editable:build")) is None


def test_a_module_that_merely_lies_on_the_path_has_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "vggprof_test_loose.py").write_text("")
    (tmp_path / "vggprof_test_namespace").mkdir()
    for place in ("vggprof_test_loose", "vggprof_test_namespace.zoo", "no_such_module_at_all", "sys", "json"):
        assert content_key(parse_arch(f"{place}:build")) is None


def test_a_factory_that_is_given_a_file_has_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    install(tmp_path, "vggprof_test_configured", "")
    config = tmp_path / "config.json"
    assert content_key(parse_arch(f"vggprof_test_configured:build@config={config}")) is not None
    config.touch()
    assert content_key(parse_arch(f"vggprof_test_configured:build@config={config}")) is None
    assert content_key(parse_arch(f"vggprof_test_configured:build@config='{config}'")) is None


def test_torchvision_itself_has_a_key() -> None:
    """Importing it takes seconds, its key milliseconds."""
    if find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    script = (
        "import sys; from vggprof.spec.arch import content_key, parse_arch\n"
        "assert content_key(parse_arch('torchvision.models:resnet50@num_classes=10'))\n"
        "assert 'torch' not in sys.modules and 'torchvision' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
