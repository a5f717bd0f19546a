"""The forms a result can take."""

from enum import StrEnum


class Form(StrEnum):
    """One form of text; each has a file of its own in `views`."""

    TABLE = "table"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"
