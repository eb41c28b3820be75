"""A broken data contract: every violation is collected, then raised once."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    """One record that breaks one rule. `record` is a pseudonym such as `file-0117`, never a source name."""

    record: str
    rule: str
    detail: str

    def __str__(self) -> str:
        return f"{self.record}: {self.rule}: {self.detail}"


class ContractError(Exception):
    """Data broke its contract. Carries all violations; its message shows the first few."""

    def __init__(self, violations: Iterable[Violation]) -> None:
        self.violations = tuple(violations)
        shown = "; ".join(str(v) for v in self.violations[:5])
        more = len(self.violations) - 5
        super().__init__(shown + (f"; and {more} more" if more > 0 else ""))


def require(violations: Iterable[Violation]) -> None:
    """Raise one ContractError that carries every violation; do nothing where there is none."""
    found = tuple(violations)
    if found:
        raise ContractError(found)
