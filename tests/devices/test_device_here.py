"""The GPU that is here, with the driver faked at the C functions that nvidia-ml-py calls."""

import builtins
from collections.abc import Callable, Iterator

import pynvml
import pytest
from fake_nvml import FORBIDDEN, MIB, NO_FIGURE, REFUSED, Answer, Code, FakeDriver, FakeGpu

from vggprof.devices import Range, demand_gpu, find_device, gpus_here, survey, visible_gpus
from vggprof.errors import GpuUnavailable

Install = Callable[[FakeDriver], FakeDriver]


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return a function that puts a fake driver in the place of libnvidia-ml."""
    installed: list[FakeDriver] = []

    def install(fake: FakeDriver) -> FakeDriver:
        monkeypatch.setattr(pynvml, "nvmlLib", fake)
        monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
        installed.append(fake)
        return fake

    yield install
    assert all(fake.open == 0 for fake in installed), "the driver was left open"


def test_a_catalogued_card_with_the_drivers_own_total(driver: Install) -> None:
    used = 1500 * MIB
    driver(FakeDriver((FakeGpu(used=used),)))
    found = survey()
    (gpu,) = found.gpus
    assert gpu.device.name == "GeForce RTX 3060 12GB"  # of two cards of that name, the one with this memory
    assert gpu.in_catalogue
    # NVML's second memory query tells the driver's share; torch sees the rest: 12,288 - 378 = 11,910 MiB.
    assert gpu.device.usable == Range.exact(11910 * MIB)
    assert gpu.device.usable_source == "NVML on this machine"
    assert (gpu.total_bytes, gpu.reserved_bytes, gpu.used_bytes) == (12288 * MIB, 378 * MIB, used)
    assert gpu.free_bytes == (11910 - 1500) * MIB
    assert (found.driver_version, found.cuda_version, found.reason) == ("580.95.05", (13, 0), None)


def test_the_8_gb_card_of_the_same_name(driver: Install) -> None:
    driver(FakeDriver((FakeGpu(total=8192 * MIB),)))
    assert gpus_here()[0].device.name == "GeForce RTX 3060 8GB"


def test_an_old_driver_has_only_the_first_memory_query(driver: Install) -> None:
    missing = frozenset({"nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetComputeRunningProcesses_v3"})
    driver(
        FakeDriver(
            (FakeGpu(name="GeForce GTX 1080 Ti", capability=(6, 1), total=11178 * MIB),), missing=missing
        )
    )
    (gpu,) = gpus_here()
    assert gpu.device.name == "GeForce GTX 1080 Ti"  # without the word that drivers add since 2021
    assert gpu.reserved_bytes is None
    assert gpu.device.usable == Range.exact(11178 * MIB)  # before R510 NVML's total is the total torch sees


def test_processes_and_who_they_are(driver: Install) -> None:
    gpu = FakeGpu(compute=((7, 100 * MIB), (9, 3000 * MIB)), graphics=((7, 120 * MIB), (8, NO_FIGURE)))
    driver(FakeDriver((gpu,), names={9: "/usr/bin/python3", 7: "Xorg"}))
    processes = gpus_here()[0].processes
    assert processes is not None
    # NVML lists a process that computes and draws twice; it counts once. 8 hides its figure (Windows).
    assert [(one.pid, one.used_bytes, one.name) for one in processes] == [
        (9, 3000 * MIB, "/usr/bin/python3"),
        (7, 120 * MIB, "Xorg"),
        (8, None, None),
    ]


def test_a_container_that_hides_processes_and_names(driver: Install) -> None:
    driver(FakeDriver((FakeGpu(compute=Code(FORBIDDEN), graphics=Code(REFUSED), uuid=Code(FORBIDDEN)),)))
    (gpu,) = gpus_here()
    assert gpu.processes is None
    assert gpu.uuid is None
    assert gpu.used_bytes == 0


def test_memory_not_supported_leaves_the_catalogues(driver: Install) -> None:
    driver(FakeDriver((FakeGpu(name="NVIDIA L4", capability=(8, 9), memory=Code(REFUSED)),)))
    (gpu,) = gpus_here()
    assert gpu.total_bytes is gpu.used_bytes is gpu.free_bytes is None
    assert gpu.device == find_device("L4")


def test_an_uncatalogued_card_is_made_of_nvmls_figures(driver: Install) -> None:
    # 24 SMs x 128 lanes (8.9); 2 x 9,001 MHz x 128 bits / 8 = 288.032 GB/s.
    gpu = FakeGpu(name="NVIDIA Frobnicator 9", capability=(8, 9), cores=3072, clocks=(2500, 9001), bus=128)
    driver(FakeDriver((gpu,)))
    (found,) = gpus_here()
    device = found.device
    assert not found.in_catalogue
    assert (device.name, device.torch_name, device.capability) == (
        "NVIDIA Frobnicator 9",
        "NVIDIA Frobnicator 9",
        (8, 9),
    )
    assert (device.sm_count, device.boost_khz, device.memory_khz) == (24, 2_500_000, 9_001_000)
    assert device.bandwidth_bytes_per_s == 288_032_000_000
    assert device.usable == Range.exact(11910 * MIB)
    assert device.l2_bytes == find_device("RTX 4060").l2_bytes  # 24 SMs of 8.9 as well
    assert "GeForce RTX 4060" in device.note


def test_a_card_nobody_knows_that_says_next_to_nothing(driver: Install) -> None:
    silent = Code(REFUSED)
    gpu = FakeGpu(name="NVIDIA X", capability=silent, cores=silent, clocks=silent, bus=silent, memory=silent)
    driver(FakeDriver((gpu,)))
    device = gpus_here()[0].device
    assert device.capability == (7, 5)
    assert device.sm_count > 0
    assert "not in the catalogue" in device.note


def test_a_newer_capability_than_any_known_is_taken_as_the_nearest_below(driver: Install) -> None:
    driver(FakeDriver((FakeGpu(name="NVIDIA Z1", capability=(13, 0)),)))
    assert gpus_here()[0].device.capability == (12, 1)


def test_a_card_with_other_memory_than_its_name_says(driver: Install) -> None:
    gpu = FakeGpu(name="NVIDIA GeForce RTX 4090", capability=(8, 9), total=49140 * MIB, reserved=500 * MIB)
    driver(FakeDriver((gpu,)))
    (found,) = gpus_here()
    assert found.device.memory_bytes == 49140 * MIB
    assert found.device.sm_count == 128
    assert "48.0 GiB" in found.device.note


def a100(**changes: Answer) -> FakeGpu:
    slices = (
        FakeGpu(
            name="NVIDIA A100-SXM4-40GB MIG 1g.5gb", uuid="MIG-a", attributes=(14, 4864), instance=9,
            total=4864 * MIB, reserved=12 * MIB, used=100 * MIB, compute=((5, 100 * MIB),),
        ),
        Code(pynvml.NVML_ERROR_INVALID_ARGUMENT),
        FakeGpu(
            name="NVIDIA A100-SXM4-40GB MIG 3g.20gb", uuid="MIG-b", attributes=(42, 19968),
            total=19968 * MIB, reserved=40 * MIB,
        ),
    )  # fmt: skip
    facts = {"name": "NVIDIA A100-SXM4-40GB", "capability": (8, 0), "mig": (1, 1), "slices": slices}
    return FakeGpu(**{**facts, "memory": Code(FORBIDDEN), "uuid": "GPU-p", **changes})


def test_mig_slices_are_devices_of_their_own(driver: Install) -> None:
    driver(FakeDriver((a100(), FakeGpu(uuid="GPU-2"))))
    small, large, other = gpus_here()
    assert small.device.name == "A100 SXM4 40GB MIG 1g.5gb"
    assert (small.device.sm_count, small.device.memory_bytes) == (14, 4864 * MIB)
    assert small.device.usable == Range.exact(4852 * MIB)
    # One eighth of the memory comes with one eighth of L2 (40 MiB) and of the bandwidth (1,555 GB/s).
    assert small.device.l2_bytes == 5 * MIB
    assert small.device.bandwidth_bytes_per_s == 194_375_000_000
    assert (small.uuid, small.used_bytes) == ("MIG-a", 100 * MIB)
    assert small.mig is not None
    assert (small.mig.parent, small.mig.gpu_instance, small.mig.compute_instance) == (
        "A100 SXM4 40GB",
        9,
        None,
    )
    assert (large.device.sm_count, large.device.l2_bytes) == (42, 20 * MIB)
    assert (other.device.name, other.index, other.mig) == ("GeForce RTX 3060 12GB", 1, None)


def test_a_slice_whose_attributes_are_refused_follows_its_name(driver: Install) -> None:
    one = FakeGpu(name="NVIDIA A100-SXM4-40GB MIG 2g.10gb", memory=Code(REFUSED))
    driver(FakeDriver((a100(slices=(one,)),)))
    device = gpus_here()[0].device
    assert device.sm_count == 108 * 2 // 7
    assert device.memory_bytes == 10 * 2**30
    assert device.usable.high <= device.memory_bytes
    assert "follow from its name" in device.note


def test_mig_on_and_no_slice_made(driver: Install) -> None:
    driver(FakeDriver((a100(slices=()),)))
    found = survey()
    assert found.gpus == ()
    assert found.reason == "GPU 0: MIG is on and no slice has been made"


def test_mig_off_is_a_whole_gpu(driver: Install) -> None:
    driver(FakeDriver((a100(mig=(0, 1), memory=None, total=40960 * MIB, reserved=519 * MIB),)))
    (gpu,) = gpus_here()
    assert (gpu.device.name, gpu.mig, gpu.device.usable.likely) == ("A100 SXM4 40GB", None, 40441 * MIB)


def test_a_lost_gpu_does_not_hide_the_others(driver: Install) -> None:
    lost = FakeGpu(handle=Code(pynvml.NVML_ERROR_GPU_IS_LOST))
    halfway = FakeGpu(name=Code(pynvml.NVML_ERROR_RESET_REQUIRED))
    unseen = FakeGpu(handle=Code(FORBIDDEN))
    driver(FakeDriver((lost, FakeGpu(), halfway, unseen)))
    found = survey()
    assert [gpu.index for gpu in found.gpus] == [1]
    assert found.reason is None
    assert found.skipped == (
        "GPU 0: the NVIDIA driver answers: GPU is lost",
        "GPU 2: the NVIDIA driver answers: GPU requires restart",
        "GPU 3: the driver does not let this process see it",
    )


def test_figures_that_make_no_sense_are_skipped(driver: Install) -> None:
    driver(FakeDriver((FakeGpu(total=0, reserved=0), FakeGpu())))
    found = survey()
    assert [gpu.index for gpu in found.gpus] == [1]
    assert "between 1 byte and 10 TiB" in found.skipped[0]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "the NVIDIA driver is not loaded, or there is no NVIDIA GPU"),
        (
            pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
            "the NVIDIA driver was updated under the running kernel module; reboot",
        ),
        (
            pynvml.NVML_ERROR_NO_PERMISSION,
            "this process may not talk to the NVIDIA driver; in a container, start it with the GPU",
        ),
        (pynvml.NVML_ERROR_UNKNOWN, "the NVIDIA driver answers: Unknown Error"),
    ],
)
def test_a_driver_that_does_not_answer_is_a_reason_not_an_error(
    driver: Install, code: int, reason: str
) -> None:
    driver(FakeDriver(init=code))
    assert survey().reason == reason
    assert gpus_here() == ()
    with pytest.raises(GpuUnavailable, match="no GPU is usable here: .*" + reason[-10:]):
        demand_gpu()


def test_no_library_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_name: str) -> None:
        raise OSError("libnvidia-ml.so.1: cannot open shared object file")

    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    monkeypatch.setattr(pynvml, "CDLL", refuse)
    assert survey().reason == "no NVIDIA driver is installed (its library libnvidia-ml is missing)"


def test_nvidia_ml_py_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: object) -> object:
        if name == "pynvml":
            raise ImportError(name)
        return real(name, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    assert "nvidia-ml-py is not installed" in str(survey().reason)


def test_a_machine_without_gpus(driver: Install) -> None:
    driver(FakeDriver())
    assert survey().reason == "the driver lists no GPU"


def test_cuda_visible_devices(driver: Install) -> None:
    driver(FakeDriver((FakeGpu(uuid="GPU-aa"), FakeGpu(uuid="GPU-ab"), a100())))
    gpus = gpus_here()

    def shown(selection: str | None) -> list[str | None]:
        return [gpu.uuid for gpu in visible_gpus(gpus, selection)]

    assert shown(None) == ["GPU-aa", "GPU-ab", "MIG-a", "MIG-b"]
    assert shown("1,0") == ["GPU-ab", "GPU-aa"]
    assert shown(" GPU-ab , MIG-b") == ["GPU-ab", "MIG-b"]
    assert shown("0,9,1") == ["GPU-aa"]  # CUDA stops at the first that is not there
    assert shown("") == shown("-1") == []
    assert demand_gpu("1").uuid == "GPU-ab"
    with pytest.raises(GpuUnavailable, match="hides all 4 GPUs"):
        demand_gpu("-1")


@pytest.mark.gpu
def test_the_gpu_of_this_machine_is_what_torch_says() -> None:
    found = survey()
    if not found.gpus:
        pytest.skip(f"no GPU here: {found.reason}")
    torch = pytest.importorskip("torch")
    gpu = demand_gpu()
    if gpu.total_bytes is None or not torch.cuda.is_available():
        pytest.skip("the driver tells no memory, or this torch has no CUDA")
    said = torch.cuda.get_device_properties(0)
    assert gpu.device.capability == (said.major, said.minor)
    assert gpu.device.sm_count == said.multi_processor_count
    assert gpu.name == said.name
    # NVML counts in the same bytes; a page or two of the driver's share may be told in MiB.
    assert abs(gpu.device.usable.likely - said.total_memory) < 2 * MIB
