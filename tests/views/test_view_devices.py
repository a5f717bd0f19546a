"""GPUs as text, from values made by hand."""

import csv
import json
from dataclasses import replace
from io import StringIO

import pytest

from vggprof import views
from vggprof.devices import GpuHere, GpuProcess, MigSlice, Range, Survey, find_device
from vggprof.devices.listing import GpuListing, ListedGpu
from vggprof.forms import Form
from vggprof.units import GIB, MIB
from vggprof.views.devices import say_range
from vggprof.views.here import say_here

CARD = replace(
    find_device("RTX 3060 12GB"),
    name="Card",
    usable=Range(11 * GIB, 11 * GIB + 512 * MIB, 12 * GIB - MIB),
    usable_source="measured: somebody's log",
    note="made up",
)
OLD = replace(find_device("Tesla K80"), name="Old card", usable_source="a rule", note="")
HERE = GpuHere(
    device=CARD.with_usable(Range.exact(11 * GIB), "NVML"),
    in_catalogue=True,
    index=0,
    uuid="GPU-1",
    name="NVIDIA Card",
    total_bytes=12 * GIB,
    reserved_bytes=GIB,
    free_bytes=9 * GIB,
    used_bytes=2 * GIB,
    processes=(GpuProcess(42, 3 * GIB // 2, "python\x1b"), GpuProcess(7, None, None)),
)
NOBODY = Survey((), reason="no driver")


def listing(*found: ListedGpu, here: Survey = NOBODY) -> GpuListing:
    return GpuListing("card", found or (ListedGpu(CARD, ("Other",)), ListedGpu(OLD, ())), here)


def test_the_first_line_says_what_is_here_and_who_holds_it() -> None:
    text = views.devices(listing(here=Survey((HERE,))), Form.TABLE)
    first = " ".join(text.split("\n\n")[1].split())
    assert first == (
        "Here: GPU 0, NVIDIA Card (Card), 11.00 GiB usable; others hold 2.00 GiB: python\\x1b "
        "(process 42) 1.50 GiB, process 7; 9.00 GiB are free 2 GPUs fit"
    )


@pytest.mark.parametrize(
    ("gpu", "said"),
    [
        (replace(HERE, used_bytes=0, processes=()), "; nobody holds any of it; 9.00 GiB are free"),
        (replace(HERE, used_bytes=0, processes=None), "; nobody holds any of it; 9.00 GiB are free"),
        (replace(HERE, processes=None), "; others hold 2.00 GiB, the driver does not say who; "),
        (replace(HERE, processes=()), "; others hold 2.00 GiB, the driver does not say who; "),
        (replace(HERE, used_bytes=None), "; the driver does not say what is held"),
        (replace(HERE, free_bytes=None), "; the driver does not say what is held"),
        (replace(HERE, in_catalogue=False), "GPU 0, NVIDIA Card (not in the catalogue), 11.00 GiB"),
        (replace(HERE, name="Card"), "GPU 0, Card, 11.00 GiB"),
        (replace(HERE, device=CARD), "(Card), about 11.50 GiB usable"),
        (replace(HERE, mig=MigSlice("A100", 1, 0), name="1g.5gb"), "GPU 0, 1g.5gb, a MIG slice of A100, "),
        (
            replace(HERE, processes=tuple(GpuProcess(pid, GIB, None) for pid in range(8))),
            "process 4 1.00 GiB and 3 more; ",
        ),
    ],
)
def test_what_the_driver_does_not_say(gpu: GpuHere, said: str) -> None:
    (line,) = say_here(Survey((gpu,)))
    assert said in line


def test_no_gpu_has_a_reason_and_a_gpu_that_was_not_asked_too() -> None:
    assert list(say_here(NOBODY)) == ["No GPU here: no driver"]
    here, skipped = say_here(Survey((HERE,), skipped=("GPU 1: lost",)))
    assert here.startswith("Here: GPU 0")
    assert skipped == "Not asked: GPU 1: lost"


@pytest.mark.parametrize(
    ("range_", "said"),
    [
        (Range.exact(GIB), None),
        (Range(GIB, GIB, 2 * GIB), "1.00 to 2.00 GiB"),
        (Range(1000 * MIB, 1000 * MIB, GIB), "1000.00 MiB to 1.00 GiB"),
    ],
)
def test_range_for_people(range_: Range, said: str | None) -> None:
    assert say_range(range_) == said


def test_a_row_has_the_figures_and_dashes_where_there_is_no_unit() -> None:
    lines = views.devices(listing(), Form.TABLE).splitlines()
    card, old = (line for line in lines if line.startswith(("Card ", "Old card ")))
    # 28 SMs x 128 lanes x 2 x 1.777 GHz = 12.74 TFLOP/s; tensor cores: 28 x 256 x 2 x 1.777 = 25.48, and
    # half of it for tf32.
    assert card.split()[1:5] == ["Ampere", "8.6", "28", "12.00"]
    assert "11.50 GiB  11.00 to 12.00 GiB   360  12.74  12.74  25.48  25.48  2.25 MiB" in card
    assert old.split()[-5:-2] == ["-", "-", "-"]


def test_a_few_are_explained_and_many_are_not() -> None:
    few = " ".join(views.devices(listing(), Form.TABLE).split())
    assert (
        "- Card: usable memory measured: somebody's log; torch shows the same name for Other; made up." in few
    )
    assert "- Old card: usable memory a rule. How to read" in few
    many = views.devices(listing(*[ListedGpu(CARD, ())] * 7), Form.TABLE)
    assert "About them" not in many
    assert "7 GPUs fit" in many


def test_json_has_the_range_with_its_source() -> None:
    result = json.loads(views.devices(listing(here=Survey((HERE,), "580.1", (13, 0))), Form.JSON))
    assert (result["command"], result["pattern"]) == ("gpus", "card")
    card, old = result["devices"]
    usable = {key: card[key] for key in card if key.startswith("usable")}
    assert usable == {
        "usable_bytes": 11 * GIB + 512 * MIB,
        "usable_bytes_low": 11 * GIB,
        "usable_bytes_high": 12 * GIB - MIB,
        "usable_source": "measured: somebody's log",
    }
    assert (card["memory_bytes"], card["capability"], card["sm_count"]) == (12 * GIB, "8.6", 28)
    assert (card["variants"], card["note"]) == (["Other"], "made up")
    assert old["fp16_flops_per_s"] is old["tf32_flops_per_s"] is old["note"] is None
    here = result["here"]
    assert (here["driver_version"], here["cuda_version"], here["reason"]) == ("580.1", "13.0", None)
    assert here["gpus"][0]["processes"][1] == {"pid": 7, "used_bytes": None, "name": None}
    assert here["gpus"][0]["usable_bytes"] == 11 * GIB
    assert here["gpus"][0]["mig"] is None


def test_json_of_refusals_is_null() -> None:
    refused = replace(
        HERE,
        used_bytes=None,
        free_bytes=None,
        total_bytes=None,
        processes=None,
        mig=MigSlice("A100", 1, None),
    )
    result = json.loads(views.devices(listing(here=Survey((refused,))), Form.JSON))
    (gpu,) = result["here"]["gpus"]
    assert gpu["used_bytes"] is gpu["free_bytes"] is gpu["total_bytes"] is gpu["processes"] is None
    assert gpu["mig"] == {"parent": "A100", "gpu_instance": 1, "compute_instance": None}


def test_csv_has_raw_numbers_and_empty_cells() -> None:
    card, old = csv.DictReader(StringIO(views.devices(listing(), Form.CSV)))
    assert (card["bandwidth_bytes_per_s"], card["usable_bytes_low"]) == ("360000000000", str(11 * GIB))
    assert (old["tf32_flops_per_s"], old["capability"], old["inline_ecc"]) == ("", "3.7", "true")
