"""``vggprof replay``."""

from pathlib import Path

import click

from vggprof.cli.output import Output, output_options


@click.command("replay")
@click.argument("file", type=click.Path(path_type=Path))
@output_options
def replay_command(file: Path, out: Output) -> None:
    """Replay a recorded run through the simulated allocator and say where they agree.

    FILE is a memory snapshot (torch.cuda.memory._dump_snapshot), of which no code is ever run, or a gzipped
    event file.
    """
    from vggprof import api, views

    out.write(views.replay(api.replay(file), out.form))
