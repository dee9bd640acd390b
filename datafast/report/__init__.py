"""A report of a file of rows: one value that holds all that is shown, and pages made of it.

    report = make_report(paths)     what is known of a file
    html_page(report)               one page that needs nothing else: no network, no script
    markdown_page(report)           the same in Markdown
    report.to_dict()                the same as plain values

`datafast report FILE` and `dataset.report_html()` are the ways in; both come by `datafast.datasets.reporting`, which knows the dataset.
"""

from datafast.report.headline import sections_of
from datafast.report.making import SHOWN, make_report
from datafast.report.markdown import markdown_page
from datafast.report.models import Call, Message, Provenance, Report, SampleRow
from datafast.report.page import Contents, Page, contents_of, html_page
from datafast.report.shown import shown_text

__all__ = [
    "SHOWN",
    "Call",
    "Contents",
    "Message",
    "Page",
    "Provenance",
    "Report",
    "SampleRow",
    "contents_of",
    "html_page",
    "make_report",
    "markdown_page",
    "sections_of",
    "shown_text",
]
