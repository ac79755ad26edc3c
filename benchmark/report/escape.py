"""Names come from strangers' files; here they become harmless text in each format."""

from __future__ import annotations

import re
from pathlib import PureWindowsPath

# C0 and C1 controls (terminal escapes, newlines), line separators, marks that reverse the
# direction of text, and lone surrogates, which no file can hold.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        **{special: f"\\{special}" for special in "&%$#_{}"},
        # In the old default encoding these three print as other characters.
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        # At the start of a row they would be read as arguments of the \\ before it.
        **{argument: f"{{{argument}}}" for argument in "[]*"},
    }
)
_MARKDOWN = str.maketrans(
    {
        **{special: f"\\{special}" for special in "\\`*_[]~$#!"},
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        "|": "&#124;",  # a backslash would not help in every dialect's tables
    }
)
# What spreadsheets take for the start of a formula (OWASP, "CSV Injection"), with the
# full-width forms that some of them fold.
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # noqa: RUF001


def plain(text: str) -> str:
    """The text with `?` for each control character: ASCII, because every format prints it."""
    return _CONTROL.sub("?", text)


def latex(text: str) -> str:
    """For LaTeX text and table cells; non-ASCII letters are left alone (UTF-8 source)."""
    return plain(text).translate(_LATEX)


def markdown(text: str) -> str:
    """For a line or table cell of GitHub-flavoured Markdown; no HTML gets through."""
    return plain(text).translate(_MARKDOWN)


def csv_cell(text: str) -> str:
    """For a text cell of a CSV file that a spreadsheet may open; quoting is the writer's."""
    return f"'{plain(text)}" if text.startswith(_FORMULA) else plain(text)


def mathtext(text: str) -> str:
    """For matplotlib, which would read what stands between two dollars as a formula."""
    return plain(text).replace("$", r"\$")


_FOLDER = "<folder>"
_PATH = re.compile(r"(?:~|[A-Za-z]:)?[/\\][^\n:]*")
_FOLDERS = re.compile(
    r"""(?<![\w/\\.<>:+=%-])(?:~|[A-Za-z]:)?[/\\](?:[^\s/\\:*?"'<>|,;()\[\]{}]+[/\\])+"""
)


def without_folders(text: str) -> str:
    """The text with `<folder>` for each folder of an absolute path: pages are for others."""
    if _PATH.fullmatch(text):
        return f"{_FOLDER}/{PureWindowsPath(text).name}"
    return _FOLDERS.sub(f"{_FOLDER}/", text)
