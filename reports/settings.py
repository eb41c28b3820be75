"""Settings of the run as its summary holds them: anything may be missing there, or be something else."""

from data_contracts.results import RunSummary


def setting(summary: RunSummary, *path: str) -> object:
    """The value at that place of the run's configuration, or None."""
    value: object = summary.provenance.config
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def number(summary: RunSummary, *path: str) -> float | None:
    """The number at that place, or None where there is none."""
    value = setting(summary, *path)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def switch(summary: RunSummary, *path: str) -> bool | None:
    """The true or false at that place, or None where there is neither."""
    value = setting(summary, *path)
    return value if isinstance(value, bool) else None


def text(summary: RunSummary, *path: str) -> str:
    """The text at that place, or ""."""
    value = setting(summary, *path)
    return value if isinstance(value, str) else ""
