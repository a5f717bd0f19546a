"""The workloads of the VGG paper and of its notebooks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vggprof.api.networks import layers, trace_arch
from vggprof.api.prediction import latency, predicted_memory
from vggprof.target import Target
from vggprof.trace import Mode, Setup
from vggprof.workloads.transfer import CONVOLUTIONS, LINEAR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from vggprof.latency.report import LatencyReport
    from vggprof.memory.report import MemoryReport
    from vggprof.trace import Trace
    from vggprof.workloads.dense import DenseReport
    from vggprof.workloads.doctor import Diagnosis
    from vggprof.workloads.fashion import FashionPlan, FashionReport
    from vggprof.workloads.jitter import JitterPlan, JitterReport
    from vggprof.workloads.stack import StackReport
    from vggprof.workloads.transfer import Transfer


def stack(arch: str, setup: Setup | None = None, target: Target | None = None) -> StackReport:
    """Return what each stack of convolutions of *arch* costs beside the one with its receptive field.

    Times are predicted for the GPU of *target*, or the one that is here; without one there are none. Raises
    ArchError for a factory, and as `vggprof.memory` does.
    """
    from vggprof.workloads.stack import stack_report

    setup, place = setup or Setup(), target or Target()

    def timing(trace: Trace) -> LatencyReport:
        return latency(trace, target=place)

    single = len(place.cards()) == 1
    return stack_report(arch, setup, lambda name: trace_arch(name, setup), timing if single else None)


def transfer(source: str, target: str, *, convolutions: int = CONVOLUTIONS, linear: int = LINEAR) -> Transfer:
    """Return which layers of *target* begin with weights of *source*, and which start fresh.

    *convolutions* and *linear* are how many inherit, from the first of each; by default as in the VGG paper.
    `Transfer.apply` does it to state dicts. Raises UsageError for layers that do not fit, by name.
    """
    from vggprof.workloads.transfer import transfer as planned

    traces = (trace_arch(source), trace_arch(target))
    return planned(*traces, convolutions=convolutions, linear=linear)


def dense(
    arch: str,
    scales: Sequence[int] | None = None,
    setup: Setup | None = None,
    target: Target | None = None,
) -> DenseReport:
    """Return what evaluating *arch* on whole images takes at test *scales*, beside doing it on many crops.

    Without *scales* they are the paper's 256, 384 and 512, in the proportion of the network's input to 224
    pixels. *setup* is one of inference, by default of single images. Raises as `vggprof.memory` does, and
    UsageError for a network that cannot be made fully convolutional, or scales below its input.
    """
    from vggprof.workloads.dense import dense_report

    place = target or Target()
    cards, software = place.cards(), place.software()

    def memory(net: str, setup: Setup) -> MemoryReport:
        return predicted_memory(net, setup, cards, software, search=False)

    asked = replace(setup or Setup(), mode=Mode.INFER)
    return dense_report(arch, scales, asked, layers=layers, memory=memory)


def dense_weights(plain: Mapping[str, Tensor], dense: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of a network in the shapes of that of its dense form, ``"vgg16 with dense"``.

    Raises UsageError that names every tensor that does not fit.
    """
    from vggprof.workloads.dense import dense_weights as reshaped

    return reshaped(plain, dense)


def doctor(archs: Sequence[str] = (), setup: Setup | None = None) -> Diagnosis:
    """Return whether the notebook, the timing script and *archs* under *setup* run on the GPU that is here.

    Without a GPU the answers are those of a ladder of common cards. Raises as `vggprof.memory` does.
    """
    from vggprof.devices import survey
    from vggprof.workloads.doctor import diagnose

    place = Target()
    cards, software = place.cards(), place.software()

    def memory(arch: str, setup: Setup) -> MemoryReport:
        return predicted_memory(arch, setup, cards, software, search=True)

    return diagnose(survey(), software.cudnn, [(arch, setup or Setup()) for arch in archs], memory)


def jitter(
    arch: str, setup: Setup | None = None, target: Target | None = None, plan: JitterPlan | None = None
) -> JitterReport:
    """Return what training *arch* at random scales costs against fixed ones, with the pipeline run for real.

    Steps are those predicted for the GPU of *target*, or of the ladder, unless *plan* gives their time.
    Raises as `vggprof.memory` does, UsageError without Pillow or pictures, FileFormatError for a damaged one.
    """
    from vggprof.workloads.jitter import JitterPlan, JitterReport, Step, crop_of
    from vggprof.workloads.running.jitter import measure, pictures_of

    setup, place, plan = setup or Setup(), target or Target(), plan or JitterPlan()
    crop = crop_of(arch, trace_arch(arch, setup).layers[0].input_shapes[0], plan.scales)
    pictures, said = pictures_of(plan.data)
    memory = predicted_memory(arch, setup, place.cards(), place.software(), search=False)
    if plan.step_ms is None:
        cards = latency(arch, setup, place).cards
        times = [(card.device.name, card.step.likely) for card in cards]
    else:
        times = [("as given", plan.step_ms)]
    steps = tuple(Step(name, step_ms, setup.batch * setup.accumulate) for name, step_ms in times)
    pipelines = tuple(measure(pictures, plan, crop))
    return JitterReport(arch, setup, crop, said, memory, pipelines, steps, plan.epoch_images)


def fashion(plan: FashionPlan, say: Callable[[str], None] = lambda _text: None) -> FashionReport:
    """Train VGG-11 on Fashion-MNIST as *plan* says, and return what came out beside the predicted memory.

    *say* hears of each epoch. Running out of memory is a result. Raises FileFormatError for data that is
    damaged, UsageError for a network that does not fit it or without Pillow, GpuUnavailable for ``cuda``
    without a usable GPU.
    """
    from vggprof.workloads.fashion import FashionReport
    from vggprof.workloads.running.fashion import train

    trace_arch(plan.arch, plan.setup())  # what cannot be run is refused before anything is read
    trained = train(plan, say)
    setup = plan.setup(trained.train_images)
    place = Target(gpu="auto" if trained.device == "cuda" else None)
    predicted = predicted_memory(plan.arch, setup, place.cards(), place.software(), search=False)
    return FashionReport(plan, trained, predicted)
