"""A report as the files that it consists of."""

from vggprof.report import Report
from vggprof.views.report_html import report_html
from vggprof.views.report_markdown import report_charts, report_markdown


def report_files(report: Report, name: str = "report") -> dict[str, str]:
    """Return the text of each file of *report*: ``report.md``, its charts, ``report.html`` with all in it.

    *name* is what they are called instead of ``report``.
    """
    return {
        f"{name}.md": report_markdown(report, name),
        f"{name}.html": report_html(report),
        **report_charts(report, name),
    }
