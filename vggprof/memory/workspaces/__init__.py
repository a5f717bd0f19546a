"""What no operator shows: workspaces of cuDNN and cuBLAS, scratch memory, and copies.

Rules say what a call of an operator does to memory, as a script of actions: `cudnn_calls` and
`native_convolutions` for convolutions (`backend` says which), `scratch` for everything else. A `Workspace` in
a script is a question; an `Advisor` answers many at once, with the cuDNN that `find_libraries` and `choose`
name for the target.
"""

from vggprof.memory.workspaces.actions import Action, Give, Keep, Output, Script, Take, Unknown, Workspace
from vggprof.memory.workspaces.advisor import Advisor
from vggprof.memory.workspaces.convolution import ConvProblem, CudnnSettings, Pass, Strided
from vggprof.memory.workspaces.device import DeviceProperties
from vggprof.memory.workspaces.libraries import CudnnLibrary, find_libraries
from vggprof.memory.workspaces.plans import Answer, NoAnswer, Plan, Workspaces
from vggprof.memory.workspaces.targets import Choice, choose

__all__ = [
    "Action",
    "Advisor",
    "Answer",
    "Choice",
    "ConvProblem",
    "CudnnLibrary",
    "CudnnSettings",
    "DeviceProperties",
    "Give",
    "Keep",
    "NoAnswer",
    "Output",
    "Pass",
    "Plan",
    "Script",
    "Strided",
    "Take",
    "Unknown",
    "Workspace",
    "Workspaces",
    "choose",
    "find_libraries",
]
