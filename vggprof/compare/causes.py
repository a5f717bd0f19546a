"""Why one network costs more than another: the closed set of causes, each with what it means."""

from enum import StrEnum


class Cause(StrEnum):
    """One cause of a ratio: the first group multiplies into work, the second is memory, the third time."""

    RESOLUTION = "resolution"  # positions that a layer computes at; work at scales that the other never has
    WIDTH = "width"  # channels: of a convolution in x out / groups, of an activation those that it has
    DEPTH = "depth"  # how many layers of one kind there are
    KERNEL_SIZE = "kernel_size"  # area of the kernels
    BATCH = "batch"  # samples in a batch
    ITEM_BYTES = "item_bytes"  # bytes for each number of an output; 0 where a layer writes in place
    CLASSIFIER = "classifier"  # all that is behind the last map
    OTHER_LAYERS = "other_layers"  # layers without MACs, of a kind that the other network lacks

    PARAMETERS = "parameters"
    BUFFERS = "buffers"
    GRADIENTS = "gradients"
    OPTIMIZER_STATE = "optimizer_state"
    INPUT = "input"
    SAVED_ACTIVATIONS = "saved_activations"  # alive at the end of their forward pass, for backward
    PASSING_ACTIVATIONS = "passing_activations"  # gone before it ends, or recomputed in backward
    POOLING_INDICES = "pooling_indices"  # where each maximum was
    TEMPORARIES = "temporaries"
    WORKSPACES = "workspaces"  # what libraries take for a call
    SLACK = "slack"  # what blocks have beyond what was asked
    FRAGMENTATION = "fragmentation"  # reserved at most beyond what is allocated at most

    MORE_WORK = "more_work"
    TIME_PER_MAC = "time_per_mac"  # the inverse of the share of its peak that the GPU reaches
    OUTSIDE = "outside_of_layers"  # the loss, waiting, and what else no layer is charged with

    @property
    def said(self) -> str:
        """The cause for people: ``kernel size``, ``time per MAC``."""
        return self.value.replace("_", " ").replace("mac", "MAC")


# What a batch does not change: weights and what training keeps for each of them.
STATE = (Cause.PARAMETERS, Cause.BUFFERS, Cause.GRADIENTS, Cause.OPTIMIZER_STATE)
