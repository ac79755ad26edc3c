"""What `format=` may be in each action."""

from __future__ import annotations

from collections.abc import Mapping

from benchmark.choices import nearest
from benchmark.errors import UsageError
from benchmark.export.formats import FORMATS
from benchmark.settings import Action

_OF_A_REPORT = ("html",)
_OF_ACTION: Mapping[Action, tuple[str, ...]] = {
    Action.run: _OF_A_REPORT,  # of the report after a sweep
    Action.report: _OF_A_REPORT,
    Action.export: tuple(FORMATS),
    Action.segment: tuple(FORMATS),
}


def check_format(action: Action, name: str | None) -> None:
    """Refuse a format that an action does not have; actions without formats ignore it.

    Raises:
        UsageError: it has other formats.
    """
    has = _OF_ACTION.get(action, ())
    if name is not None and has and name not in has:
        raise UsageError(
            f"action={action.name} has no format '{name}'.{nearest(name, has)} Its formats: "
            f"{', '.join(has)}."
        )
