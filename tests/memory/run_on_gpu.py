"""Run the reference loop on the GPU that is here and print what its allocator did, as JSON.

A script of its own, so that nothing is on the GPU before it; it imports nothing of vggprof, so that what it
measures cannot be tuned to a prediction.
"""

import json
import sys
from typing import Any

import torch
import torchvision


def main(config: dict[str, Any]) -> None:
    """Run three steps of *config* and print the allocations' sizes and the peaks."""
    torch.cuda.init()  # type: ignore[no-untyped-call]
    torch.cuda.memory._record_memory_history(enabled="all", context=None, max_entries=1_000_000)
    loop(config)
    torch.cuda.synchronize()
    stats = torch.cuda.memory_stats()
    events = torch.cuda.memory._snapshot()["device_traces"][0]
    result = {
        "requested": [event["size"] for event in events if event["action"] == "alloc"],
        "peak_allocated": stats["allocated_bytes.all.peak"],
        "peak_reserved": stats["reserved_bytes.all.peak"],
    }
    print(json.dumps(result))  # noqa: T201 - the result


def loop(config: dict[str, Any]) -> None:
    """Three steps of a plain training script; `x`, `y`, `out` and `loss` stay bound until bound again."""
    memory_format = torch.channels_last if config["layout"] == "nhwc" else torch.contiguous_format
    infer = config["dtype"].startswith("infer")
    low = {"amp_fp16": torch.float16, "amp_bf16": torch.bfloat16}.get(config["dtype"])
    model = getattr(torchvision.models, config["net"])(weights=None).to("cuda", memory_format=memory_format)
    if infer:
        model.eval()
    if config["dtype"] == "infer_fp16":
        model.half()
    optimizer = None if infer else _optimizer(config["optimizer"], model)
    scaler = torch.amp.GradScaler("cuda") if low is torch.float16 else None
    for _ in range(3):
        x = torch.randn(config["batch"], 3, config["hw"], config["hw"]).contiguous(
            memory_format=memory_format
        )
        x = (x.half() if config["dtype"] == "infer_fp16" else x).to("cuda")
        y = torch.randint(0, 1000, (config["batch"],)).to("cuda")
        if optimizer is None:
            with torch.no_grad():
                out = model(x)
            continue
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=low, enabled=low is not None):
            out = model(x)
            loss = torch.nn.functional.cross_entropy(out, y)
        (scaler.scale(loss) if scaler else loss).backward()  # type: ignore[no-untyped-call]
        if scaler:
            scaler.step(optimizer)
            scaler.update()
        else:
            optimizer.step()


def _optimizer(name: str, model: torch.nn.Module) -> torch.optim.Optimizer:
    if name == "adam":
        return torch.optim.Adam(model.parameters())
    return torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
