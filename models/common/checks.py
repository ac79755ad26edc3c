"""Parameters that a library would take, and fail on with every image."""

from __future__ import annotations


def check_at_least_one(**values: int | None) -> None:
    """Refuse a number below 1; None, which leaves the choice to the adapter, is none.

    Raises:
        ValueError: by the parameter's name.
    """
    for name, value in values.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}; it must be 1 or more")
