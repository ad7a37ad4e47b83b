"""The page of errors names every class, kind and exit code."""

from __future__ import annotations

import inspect
import re

from goodctl import errors
from tests.docs.pages import DOCS

_ROW = re.compile(r"^\| `(\w+)` \| `(\w+)` \| (\d+) \|", re.MULTILINE)


def test_the_table_is_the_error_tree() -> None:
    classes = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, errors.GoodctlError)]
    rows = _ROW.findall((DOCS / "reference" / "errors.md").read_text(encoding="utf-8"))
    assert len(rows) == len(classes)
    assert set(rows) == {(each.__name__, each.kind, str(each.exit_code)) for each in classes}
