"""What `format=` may be in each action."""

from __future__ import annotations

from collections.abc import Mapping

from benchmark.choices import nearest
from benchmark.errors import UsageError
from benchmark.export.formats import FORMATS
from benchmark.settings import Action

HTML = "html"
"""Of a report: with a site."""

JSON = "json"
"""On standard output, instead of tables."""

_OF_ACTION: Mapping[Action, tuple[str, ...]] = {
    Action.run: (HTML,),  # of the report after a sweep
    Action.report: (HTML, JSON),
    Action.list: (JSON,),
    Action.status: (JSON,),
    Action.plan: (JSON,),
    Action.export: tuple(FORMATS),
    Action.segment: tuple(FORMATS),
}
_KNOWN = frozenset(name for names in _OF_ACTION.values() for name in names)


def check_format(action: Action, name: str | None, *, chosen: bool = True) -> None:
    """Refuse a format that an action does not have.

    Args:
        action: the action.
        name: the format, if any.
        chosen: whether it is on the command line; an experiment's is for the report of its runs,
            and is ignored by actions that have no format, or not that one but another's.

    Raises:
        UsageError: the action has other formats, or none.
    """
    has = _OF_ACTION.get(action, ())
    if name is None or name in has or (not chosen and name in _KNOWN):
        return
    if not has:
        others = ", ".join(other.name for other in _OF_ACTION)
        raise UsageError(
            f"action={action.name} has no format '{name}', nor any other; actions with formats: "
            f"{others}."
        )
    raise UsageError(
        f"action={action.name} has no format '{name}'.{nearest(name, has)} Its formats: "
        f"{', '.join(has)}."
    )
