"""The pytest plugin, as a CI runs it: pytest in a process of its own, warnings as errors."""

import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

README = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")

pytest_plugins = ["pytester"]

# An installation from before the plugin has no entry point for it.
_REGISTERED = any(point.value == "vggprof.pytest_plugin" for point in entry_points(group="pytest11"))
_PLUGIN = () if _REGISTERED else ("-p", "vggprof.pytest_plugin")


def run(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess(
        *_PLUGIN, "-p", "no:hypothesispytest", "-W", "error", "--strict-markers", *args, timeout=600
    )


def test_what_fits_passes_and_what_does_not_fails_with_the_verdict(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_memory="""
        import pytest

        @pytest.mark.gpu_memory("8 GiB", arch="lenet5", batch=2)
        def test_fits():
            pass

        @pytest.mark.gpu_memory(gpu="RTX 3060", arch="vgg16", batch=512)
        def test_card():
            raise AssertionError("not reached: this would run out of memory")

        @pytest.mark.gpu_memory("100 MiB", gpu="RTX 3060", batch=2, optimizer="adam")
        def test_limit():
            return "lenet5"

        @pytest.mark.gpu_memory("8 GiB", arch="lenet5", batch=2)
        def test_own_failure():
            assert 1 == 2
        """
    )
    result = run(pytester)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1, failed=3)
    result.stdout.fnmatch_lines(
        [
            "*_ test_card _*",
            "vgg16: check FAILED",
            "batch 512, training with momentum, fp32",
            "GeForce RTX 3060 12GB: OOM, * too little of 11.63 GiB usable",
            "Fails in step 0, forward, at *",
            "PyTorch will say: CUDA out of memory. Tried to allocate *",
            "*_ test_limit _*",
            "lenet5: check FAILED",
            "batch 2, training with adam, fp32",
            "GeForce RTX 3060 12GB: FITS, *",
            "Limit of 100.00 MiB: OVER, the process can go * above it",
            "*_ test_own_failure _*",
            "*assert 1 == 2",
        ]
    )
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")  # no traceback of ours


MODULES = """
    import pytest
    import torch
    from torch import nn

    def net(width=8):
        return nn.Sequential(
            nn.Conv2d(3, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 5)
        )

    @pytest.fixture
    def model():
        return net()

    @pytest.mark.gpu_memory("4 GiB", batch=4, inputs=(3, 32, 32))
    def test_fixture(model):
        return model

    class TestClass:
        @pytest.mark.gpu_memory("4 GiB", gpu="T4", batch=4, inputs=(3, 32, 32), mode="infer")
        @pytest.mark.parametrize("width", [8, 16])
        def test_method(self, width):
            return net(width)

    # 4,096 x 8 x 222 x 222 outputs of 4 bytes are 6.0 GiB.
    @pytest.mark.gpu_memory("4 GiB", batch=4096, inputs=(3, 224, 224))
    def test_too_large():
        return net()

    # The inner mark holds, the outer does not.
    @pytest.mark.gpu_memory("64 MiB", batch=1, inputs=(3, 32, 32))
    @pytest.mark.gpu_memory("4 GiB", batch=1, inputs=(3, 32, 32))
    def test_every_mark_has_to_hold():
        return net()

    @pytest.mark.gpu_memory("4 GiB", batch=6, inputs=lambda batch: torch.zeros(batch, 10, dtype=torch.int64))
    def test_inputs_of_any_kind():
        return nn.Sequential(nn.Embedding(100, 8), nn.Flatten(), nn.Linear(80, 5))

    @pytest.mark.gpu_memory("4 GiB", inputs=(4, 32, 32))
    def test_does_not_run():
        return net()

    @pytest.mark.xfail(strict=True)
    @pytest.mark.gpu_memory("64 MiB", inputs=(3, 32, 32))
    def test_known_to_be_too_large():
        return net()

    @pytest.mark.gpu_memory("4 GiB", inputs=(3, 32, 32))
    def test_skipped():
        pytest.skip("not today")
"""


def test_modules_that_tests_return(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_modules=MODULES)
    result = run(pytester)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=4, failed=3, xfailed=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "*_ test_too_large _*",
            "Sequential: check FAILED",
            "batch 4096, training with momentum, fp32",
            "4.00 GiB GPU: OOM, *",
            "*_ test_every_mark_has_to_hold _*",
            "64.00 MiB GPU: OOM, *",
            "*_ test_does_not_run _*",
            "gpu_memory: *",
        ]
    )


# Each wrong use, and what is said of it.
WRONG = [
    ("()", "nothing to fit; give a limit like \"8 GiB\", or gpu=\"RTX 3060\""),
    ("('8 GiB', bach=2)", "there is no 'bach' in limit, gpu, *; did you mean 'batch'?"),
    ("('8 GiB', 32)", "one limit is given by place, like \"8 GiB\", all else by name"),
    ("(8)", "limit is a text, not 8"),
    ("('much', arch='lenet5')", "'much' is not a memory size; write it like 8GiB*"),
    ("('8 GiB', arch=3)", "arch is a text, not 3"),
    ("('8 GiB', batch='32')", "batch is a whole number, not '32'"),
    ("('8 GiB', batch=0)", "batch 0 cannot be run*"),
    ("('8 GiB', optimizer='adamm')", "'adamm' is none of *; did you mean 'adam'?"),
    ("('8 GiB', inputs=224)", "inputs is the shape of one image, like (3, 224, 224), or *, not 224"),
    ("('8 GiB', arch='vgg16', inputs=(3, 8, 8))", "inputs is for modules; an ARCH has its own: vgg16@*"),
]  # fmt: skip


def test_wrong_uses_are_errors_before_anything_is_set_up(pytester: pytest.Pytester) -> None:
    tests = "".join(
        f"@pytest.mark.gpu_memory{mark}\ndef test_{number}(never):\n    pass\n\n"
        for number, (mark, _) in enumerate(WRONG)
    )
    never = '@pytest.fixture\ndef never():\n    print("SET UP")\n\n'
    pytester.path.joinpath("test_wrong.py").write_text(f"import pytest\n\n{never}{tests}")
    result = run(pytester)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(errors=len(WRONG))
    result.stdout.no_fnmatch_line("*SET UP*")
    for number, (_, said) in enumerate(WRONG):
        result.stdout.fnmatch_lines([f"*_ ERROR at setup of test_{number} _*", f"gpu_memory: {said}"])


def test_what_cannot_be_checked_is_said_in_a_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_unclear="""
        import unittest
        import pytest

        @pytest.mark.gpu_memory("8 GiB")
        def test_nothing():
            pass

        @pytest.mark.gpu_memory("8 GiB")
        def test_class():
            return int

        @pytest.mark.gpu_memory("8 GiB")
        def test_unknown_arch():
            return "vgg61"

        @pytest.mark.gpu_memory("8 GiB", gpu="RTX 3606", arch="lenet5")
        def test_unknown_gpu():
            pass

        class Shapeless:
            def named_modules(self):
                return []

        @pytest.mark.gpu_memory("8 GiB")
        def test_module_without_inputs():
            return Shapeless()

        @pytest.mark.gpu_memory("8 GiB")
        async def test_async():
            pass

        class TestCase(unittest.TestCase):
            @pytest.mark.gpu_memory("64 MiB", arch="lenet5")
            def test_unittest(self):
                pass

            @pytest.mark.gpu_memory("64 MiB")
            def test_unittest_without_arch(self):
                pass
        """
    )
    result = run(pytester)
    result.assert_outcomes(failed=7, errors=1)
    result.stdout.fnmatch_lines_random(
        [
            "gpu_memory: the test returned None; return a torch module or an ARCH, or name * arch=",
            "gpu_memory: the test returned <class 'int'>; return a torch module or an ARCH, *",
            "gpu_memory: unknown architecture 'vgg61'; did you mean 'vgg1*",
            "gpu_memory: *RTX 3606*",
            "gpu_memory: a module does not say what goes in; give the shape of one: inputs=(3, 224, 224)",
            "gpu_memory: only a plain test function can return a module; name what has to fit: arch=",
            "64.00 MiB GPU: OOM, *",
        ]
    )


def test_without_a_mark_nothing_is_imported_and_nothing_changes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_plain="""
        import sys

        def test_plain():
            assert "vggprof.pytest_plugin" in sys.modules
            ours = {name for name in sys.modules if name.startswith("vggprof.")}
            assert ours == {"vggprof._version", "vggprof.errors", "vggprof.pytest_plugin"}
            assert not {"torch", "numpy", "pandas", "pydantic", "yaml", "click"} & set(sys.modules)
        """
    )
    result = run(pytester)
    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(passed=1)


def test_returning_a_value_without_the_mark_still_warns(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_returns():\n    return 3\n")
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*PytestReturnNotNoneWarning*"])


def test_the_mark_is_listed_and_chooses_tests(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_two="""
        import pytest

        @pytest.mark.gpu_memory("8 GiB", arch="lenet5", batch=2)
        def test_marked():
            pass

        def test_other():
            pass
        """
    )
    run(pytester, "--markers").stdout.fnmatch_lines(["@pytest.mark.gpu_memory(limit=None, ?, gpu=None, *"])
    chosen = run(pytester, "-m", "gpu_memory", "--collect-only", "-q").stdout
    chosen.fnmatch_lines(["test_two.py::test_marked", "1/2 tests collected (1 deselected) *"])


def test_a_ci_job_ends_with_pytests_exit_code(tmp_path: Path) -> None:
    """Run what the README shows as a job runs it, and once more with a limit that does not hold."""
    (shown,) = re.findall(r"^```python\n# test_memory.py\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert shown.count('"2 GiB"') == 1

    def job(test: str) -> tuple[int, str]:
        (tmp_path / "test_memory.py").write_text(test)
        done = subprocess.run(
            (sys.executable, "-m", "pytest", *_PLUGIN, "-q", "-p", "no:cacheprovider"),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    code, said = job(shown)
    assert (code, said.splitlines()[-1][:8]) == (0, "2 passed")
    code, said = job(shown.replace('"2 GiB"', '"64 MiB"'))
    assert (code, said.splitlines()[-1][:18]) == (1, "1 failed, 1 passed")
    assert "FAILED test_memory.py::test_my_net_fits - Failed: Sequential: check FAILED" in said
