"""How a number is written: with its sign, its digits and its unit, the same everywhere on the page."""

from math import floor, log10
from typing import Final

from data_contracts.results import Estimate

NBSP: Final = "\N{NO-BREAK SPACE}"  # keeps a number and its unit on one line
MINUS: Final = "\N{MINUS SIGN}"


def decimal(value: float, digits: int) -> str:
    """`value` with `digits` decimals, a true minus sign, and no sign where it rounds to zero."""
    text = f"{abs(value):.{digits}f}"
    return MINUS + text if value < 0 and float(text) != 0 else text


def significant(value: float) -> str:
    """`value` with three significant digits, six decimals at most: 12.3, 0.0123; for measures without a usual size."""
    digits = 2 - floor(log10(abs(value))) if value else 2
    return decimal(value, min(6, max(0, digits)))


def probability(p: float) -> str:
    """A p value: `p = 0.013`, and `p < 0.001` where it is smaller."""
    return f"p{NBSP}<{NBSP}0.001" if p < 0.001 else f"p{NBSP}={NBSP}{p:.3f}"


def signed(value: float, digits: int) -> str:
    """Like `decimal`, with a plus sign where it rounds to more than zero."""
    text = decimal(value, digits)
    return text if text.startswith(MINUS) or float(text) == 0 else "+" + text


def percent(share: float, digits: int = 1) -> str:
    """A fraction of one as per cent: 0.42 gives `42.0 %`."""
    return decimal(100 * share, digits) + NBSP + "%"


def percent_interval(value: Estimate) -> str:
    """A fraction with its 95 % interval: `86.0 % (81.2 to 90.1)`."""
    return f"{percent(value.estimate)} {_brackets(decimal(100 * value.low, 1), decimal(100 * value.high, 1))}"


def plain_interval(value: Estimate) -> str:
    """A figure without unit, with its 95 % interval: `0.916 (0.870 to 0.951)`."""
    return f"{decimal(value.estimate, 3)} {_brackets(decimal(value.low, 3), decimal(value.high, 3))}"


def points(share: float) -> str:
    """A difference of two fractions in percentage points, without its unit: 0.021 gives `+2.1`."""
    return signed(100 * share, 1)


def points_interval(difference: Estimate) -> str:
    """A difference with unit and 95 % interval: `+2.1 points (+0.4 to +3.8)`."""
    interval = _brackets(points(difference.low), points(difference.high))
    return f"{points(difference.estimate)}{NBSP}points {interval}"


def signed_interval(difference: Estimate) -> str:
    """A difference without unit, with its 95 % interval: `+0.021 (+0.004 to +0.038)`."""
    interval = _brackets(signed(difference.low, 3), signed(difference.high, 3))
    return f"{signed(difference.estimate, 3)} {interval}"


def count_interval(n: int, low: int, high: int) -> str:
    """A count with its 95 % interval: `149 (99 to 199)`."""
    return f"{n:,}{NBSP}{_brackets(f'{low:,}', f'{high:,}')}"


def _brackets(low: str, high: str) -> str:
    return f"({low}{NBSP}to{NBSP}{high})"


def count(n: float, one: str, many: str) -> str:
    """`1 subject`, `57 subjects`; thousands apart, a decimal only where a mean over folds has one."""
    text = f"{n:,.0f}" if float(n).is_integer() else f"{n:,.1f}"
    return f"{text}{NBSP}{one if n == 1 else many}"


def slices(n: float) -> str:
    """`1 slice`, `833 slices`."""
    return count(n, "slice", "slices")


def units(n: int, *, known: bool) -> str:
    """Split units by their right name: subjects where the source names them, image groups where it does not."""
    return count(n, "subject", "subjects") if known else count(n, "image group", "image groups")


def images(n: int) -> str:
    """`1 image`, `118,000 images`."""
    return count(n, "image", "images")


def was(n: int) -> str:
    """The verb that agrees with n."""
    return "was" if n == 1 else "were"


def digits_apart(value: float, limit: float, fewest: int = 0) -> int:
    """As few decimals, from `fewest` on, as tell a value from its limit, three more at most; `fewest` if none does."""
    tried = range(fewest, fewest + 4)
    return next((digits for digits in tried if decimal(value, digits) != decimal(limit, digits)), fewest)
