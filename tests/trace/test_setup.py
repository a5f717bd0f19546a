"""Setups: what makes no sense is refused, and words stand for what they name."""

import pytest

from vggprof.errors import UsageError
from vggprof.trace import Amp, Layout, Mode, Optimizer, Setup


def test_words_stand_for_what_they_name() -> None:
    said = Setup(mode="train", optimizer="adam", amp="bf16", layout="channels_last")  # type: ignore[arg-type]
    meant = Setup(mode=Mode.TRAIN, optimizer=Optimizer.ADAM, amp=Amp.BF16, layout=Layout.CHANNELS_LAST)
    assert said == meant
    assert said.training
    assert not Setup(mode="infer").training  # type: ignore[arg-type]


def test_several_names_are_written_with_commas() -> None:
    setup = Setup(freeze="conv1_*, conv2_*", checkpoint="stage1,stage3")
    assert setup.frozen == ("conv1_*", "conv2_*")
    assert setup.checkpointed == ("stage1", "stage3")
    assert Setup().frozen == Setup().checkpointed == ()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch": 0}, "batch 0 cannot be run"),
        ({"batch": 10**12}, "batch 1000000000000 cannot be run"),
        ({"mode": "trian"}, "'trian' is none of train, infer; did you mean 'train'"),
        ({"dtype": "fp16"}, "use --amp fp16, or --mode infer"),
        ({"mode": "infer", "dtype": "fp16", "amp": "fp16"}, "use either --amp or --dtype fp16"),
        ({"accumulate": 0}, "accumulate 0 cannot be run"),
        ({"accumulate": 10**6}, "accumulate 1000000 cannot be run"),
        ({"freeze": ""}, "freeze '' has an empty name"),
        ({"checkpoint": "stage1,,stage2"}, "checkpoint 'stage1,,stage2' has an empty name"),
        ({"zero_grad": "zeros"}, "'zeros' is none of none, zero; did you mean 'zero'"),
        ({"mode": "infer", "optimizer": "adam"}, "optimizer is for training"),
        ({"mode": "infer", "accumulate": 2}, "accumulate is for training"),
        ({"mode": "infer", "freeze": "backbone"}, "freeze is for training"),
        ({"mode": "infer", "checkpoint": "stages"}, "checkpoint is for training"),
        ({"mode": "infer", "zero_grad": "zero"}, "zero_grad is for training"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Setup(**fields)  # type: ignore[arg-type]
