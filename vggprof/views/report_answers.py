"""What a report answers first: whether networks fit, up to which batch, and what was published of them."""

from collections.abc import Iterator, Sequence

from vggprof.memory.forecast import Card
from vggprof.memory.report import CardReport
from vggprof.report import Published, Report, Study
from vggprof.units import format_bytes
from vggprof.views.document import Block, Cell, Column, Lines, Notes, Table, Unit
from vggprof.views.verdict import verdict

_VERDICTS = (
    "FITS: it gets through whatever is true of what is not known exactly (the context, above all). OOM, out "
    "of memory: it does not, whatever is true of that. TIGHT: it hangs on that."
)
_LARGEST_TITLE = "Largest batch, FITS or TIGHT"
_LARGEST = "The largest batch gets through if what is not known is as it likely is: its verdict may be TIGHT."
_ABOVE = " The largest that FITS stands with the verdict above."
_ERRORS = (
    "Errors are of one network on ImageNet's validation set at one test scale: trained at 256 pixels and "
    "tested at 256; with jittering, trained at 256 to 512 and tested at 384. The rest is ours."
)
_NETWORK = Column("network", Unit.TEXT)
_GPU = (Column("GPU", Unit.TEXT), Column("usable", Unit.BYTES))


def verdicts(report: Report) -> Iterator[Block]:
    """Yield whether each network fits: a sentence for one on one GPU, else a table.

    Of several networks on one GPU it says beside it what they take there, and the ratios to the first.
    """
    if len(report.cards) > 1:
        rows = (
            (study.arch, *(card.prediction.status.value for card in study.memory.cards))
            for study in report.studies
        )
        columns = (Column(card.device.name, Unit.TEXT) for card in report.cards)
        yield Table("", (_NETWORK, *columns), tuple(rows))
    elif report.comparison is None:
        first, *others = verdict(_only(report.studies[0]))
        yield Lines((f"{report.archs[0]} on {first}", *others))
    else:
        yield Table("", _beside_columns(report), tuple(_beside_rows(report)))


def _only(study: Study) -> CardReport:
    assert study.memory.single is not None, "verdicts on several cards are a table"
    return study.memory.single


def _beside_columns(report: Report) -> tuple[Column, ...]:
    over = f"/ {report.archs[0]}"
    return (
        _NETWORK,
        Column(f"on {report.cards[0].device.name}", Unit.TEXT),
        Column("to spare", Unit.SAID),
        Column("largest batch", Unit.EXACT),
        Column("that FITS", Unit.EXACT),
        Column("reserved", Unit.BYTES),
        Column(over, Unit.RATIO),
        Column("a step, ms", Unit.NUMBER),
        Column(over, Unit.RATIO),
    )


def _beside_rows(report: Report) -> Iterator[tuple[Cell, ...]]:
    found = report.comparison
    assert found is not None, "several networks are compared"
    for study, totals, ratios in zip(report.studies, found.archs, found.ratios, strict=True):
        only = _only(study)
        spare = format_bytes(abs(only.spare_bytes))
        yield (
            study.arch,
            only.prediction.status.value,
            spare if only.spare_bytes >= 0 else f"{spare} too little",
            only.largest_batch,
            only.largest_batch_fits,
            totals.peak_reserved_bytes,
            ratios.peak_reserved_bytes,
            totals.step_ms,
            ratios.step_ms,
        )


def batches_that_fit(report: Report) -> Iterator[Block]:
    """Yield the largest batch by GPU and optimizer, and each batch of the grid in the setup asked about."""
    notes = [_VERDICTS]
    if any(each.largest_batch is not None for each in report.studies[0].slices):
        yield _by_optimizer(report) if len(report.setups) > 1 else _by_network(report)
        notes.append(_LARGEST + (_ABOVE if len(report.cards) == 1 else ""))
    yield _by_batch(report)
    yield Notes("", tuple(notes))


def _by_optimizer(report: Report) -> Table:
    """Return the largest batches, a row a network and GPU, a column an optimizer."""
    heads = (Column(setup.optimizer.value, Unit.EXACT) for setup in report.setups)
    rows = (
        (
            study.arch,
            *_gpu(report, card),
            *(study.slice(card, setup).largest_batch for setup in report.setups),
        )
        for study in report.studies
        for card in report.choices
    )
    return Table(_LARGEST_TITLE, (_NETWORK, *_GPU, *heads), tuple(rows))


def _by_network(report: Report) -> Table:
    """Return the largest batches, a row a GPU, a column a network."""
    heads = (Column(arch, Unit.EXACT) for arch in report.archs)
    rows = (
        (*_gpu(report, card), *(study.slice(card, report.setup).largest_batch for study in report.studies))
        for card in report.choices
    )
    return Table(_LARGEST_TITLE, (*_GPU, *heads), tuple(rows))


def _gpu(report: Report, card: Card) -> tuple[Cell, Cell]:
    return card.device.name, report.studies[0].slice(card, report.setup).usable_bytes


def _by_batch(report: Report) -> Table:
    """Return the verdict on each batch, a row a network and GPU."""
    batches = (point.batch for point in report.studies[0].slices[0].points)
    rows = (
        (
            study.arch,
            card.device.name,
            *(point.status.value for point in study.slice(card, report.setup).points),
        )
        for study in report.studies
        for card in report.choices
    )
    how = f" with {report.setup.optimizer.value}" if report.setup.training else ""
    heads = (Column(str(batch), Unit.TEXT) for batch in batches)
    return Table(f"By batch{how}", (_NETWORK, _GPU[0], *heads), tuple(rows))


def side_by_side(report: Report) -> bool:
    """Whether all of several networks were published, so that a report shows them as their paper did."""
    return len(report.studies) > 1 and all(study.published is not None for study in report.studies)


def beside_published(report: Report) -> Iterator[Block]:
    """Yield what was published beside our own numbers; nothing where nothing was.

    Where the networks stand `side_by_side`, their largest batches are part of it.
    """
    known = {study.arch: (study, said) for study in report.studies if (said := study.published) is not None}
    if known:
        choices = report.choices if side_by_side(report) else ()
        columns = (
            _NETWORK,
            Column("parameters, published", Unit.SAID),
            Column("parameters", Unit.EXACT),
            Column("MACs of an image", Unit.COUNT),
            Column("memory reserved", Unit.BYTES),
            *(Column(f"largest batch, {card.device.name}", Unit.EXACT) for card in choices),
            Column("top-5 error, %, published", Unit.NUMBER),
            Column("with scale jittering", Unit.NUMBER),
        )
        rows = (_published_row(study, said, choices) for study, said in known.values())
        yield Table("", columns, tuple(rows))
        yield Notes("", (_ERRORS, *(said.source for _, said in known.values())))


def _published_row(study: Study, said: Published, choices: Sequence[Card]) -> tuple[Cell, ...]:
    totals, setup = study.profile.table.totals, study.memory.setup
    return (
        study.arch,
        f"{said.params_millions} M",
        totals.params,
        totals.macs // setup.batch,
        study.profile.peak_reserved_bytes,
        *(study.slice(card, setup).largest_batch for card in choices),
        said.top5_percent,
        said.top5_jittered_percent,
    )
