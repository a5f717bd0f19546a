"""``vggprof transfer``."""

import click

from vggprof.cli.output import Output, output_options


@click.command("transfer")
@click.argument("source", metavar="SHALLOW")
@click.argument("target", metavar="DEEP")
@click.option(
    "--convolutions",
    metavar="N",
    type=int,
    default=4,
    show_default=True,
    help="Convolutions that are inherited, from the first.",
)
@click.option(
    "--linear",
    metavar="N",
    type=int,
    default=3,
    show_default=True,
    help="Linear layers that are inherited, from the first; one less than there are leaves the last fresh.",
)
@output_options
def transfer_command(source: str, target: str, out: Output, *, convolutions: int, linear: int) -> None:
    """Show which layers of the network DEEP begin with weights of SHALLOW, as the VGG paper began its own."""
    from vggprof import api, views

    plan = api.transfer(source, target, convolutions=convolutions, linear=linear)
    out.write(views.transfer(plan, out.form))
