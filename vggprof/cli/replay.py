"""``vggprof replay``."""

from pathlib import Path

import click

from vggprof.cli.output import Output, output_options


@click.command("replay")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--gpu-memory", metavar="SIZE", help="Try a card on which PyTorch can have SIZE, like 8GiB.")
@click.option(
    "--allocator", metavar="CONF", help="Try what PYTORCH_ALLOC_CONF says in CONF, and nothing else."
)
@click.option(
    "--expandable-segments/--no-expandable-segments", default=None, help="Try expandable_segments, or none."
)
@click.option("--max-split-size-mb", metavar="MB", help="Try max_split_size_mb.")
@click.option(
    "--roundup-power2-divisions", metavar="N", help="Try roundup_power2_divisions: 4, or [256:1,>:4]."
)
@click.option("--garbage-collection-threshold", metavar="SHARE", help="Try garbage_collection_threshold.")
@output_options
def replay_command(
    file: Path,
    out: Output,
    gpu_memory: str | None,
    allocator: str | None,
    **options: str | bool | None,
) -> None:
    """Replay a recorded run through the simulated allocator and say where they agree.

    FILE is a memory snapshot (torch.cuda.memory._dump_snapshot), of which no code is ever run, or a gzipped
    event file. With other settings or a smaller card, the answer is how the same program would have gone
    there; settings that are not named stay as recorded, or as --allocator says.
    """
    from vggprof import api, views

    changes = ",".join(f"{name}:{value}" for name, value in options.items() if value is not None)
    if gpu_memory is None and allocator is None and not changes:
        out.write(views.replay(api.replay(file), out.form))
    else:
        found = api.what_if(file, allocator=allocator, changes=changes, gpu_memory=gpu_memory)
        out.write(views.supposed(found, out.form))
