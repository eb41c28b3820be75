"""How a number is written: with its sign, its digits and its unit, the same everywhere on the page.

Decimal and grouping signs, the place of the per cent sign and the word between two ends of an interval are those of
the language that is spoken (reports/language.py).
"""

from math import floor, log10
from typing import Final

from data_contracts.results import Estimate
from reports.language import NBSP, _, grouped, in_symbols, locale, plural, spoken

__all__ = ["NBSP"]  # beside the functions, for whoever joins a number to its word

MINUS: Final = "\N{MINUS SIGN}"


def decimal(value: float, digits: int) -> str:
    """`value` with `digits` decimals, a true minus sign, and no sign where it rounds to zero."""
    return (MINUS if _rounded(value, digits) < 0 else "") + in_symbols(f"{abs(value):.{digits}f}")


def significant(value: float) -> str:
    """`value` with three significant digits, six decimals at most: 12.3, 0.0123; for measures without a usual size."""
    digits = 2 - floor(log10(abs(value))) if value else 2
    return decimal(value, min(6, max(0, digits)))


def general(value: float) -> str:
    """`value`, not negative, as short as it is: `0.25`, `1`."""
    return in_symbols(f"{value:g}")


def whole(n: float) -> str:
    """A count without its noun, thousands apart: `118,000`."""
    return grouped(n)


def probability(p: float) -> str:
    """A p value: `p = 0.013`, and `p < 0.001` where it is smaller."""
    return f"p{NBSP}<{NBSP}{decimal(0.001, 3)}" if p < 0.001 else f"p{NBSP}={NBSP}{decimal(p, 3)}"


def signed(value: float, digits: int) -> str:
    """Like `decimal`, with a plus sign where it rounds to more than zero."""
    return ("+" if _rounded(value, digits) > 0 else "") + decimal(value, digits)


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits}f}")


def percent(share: float, digits: int = 1) -> str:
    """A fraction of one as per cent: 0.42 gives `42.0 %`, in Turkish `%42,0`.

    British English without the space would do as well; this page keeps it, as the SI brochure does (5.4.7).
    """
    pattern = locale().percent_formats[None]
    before, after = (pattern.prefix[0], pattern.suffix[0]) if spoken() != "en" else ("", NBSP + "%")
    told = decimal(100 * share, digits)
    return (MINUS if told.startswith(MINUS) else "") + before + told.removeprefix(MINUS) + after


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
    return f"{in_points(points(difference.estimate))} {interval}"


def in_points(told: str) -> str:
    """A number of percentage points, already written, with its unit: `+2.1 points`."""
    return _("{number} points").replace(" ", NBSP).format(number=told)


def signed_interval(difference: Estimate) -> str:
    """A difference without unit, with its 95 % interval: `+0.021 (+0.004 to +0.038)`."""
    interval = _brackets(signed(difference.low, 3), signed(difference.high, 3))
    return f"{signed(difference.estimate, 3)} {interval}"


def count_interval(n: int, low: int, high: int) -> str:
    """A count with its 95 % interval: `149 (99 to 199)`."""
    return f"{whole(n)}{NBSP}{_brackets(whole(low), whole(high))}"


def _brackets(low: str, high: str) -> str:
    return f"({between(low, high)})"


def between(low: str, high: str) -> str:
    """The two ends of a range, already written: `81.2 to 90.1`."""
    return _("{low} to {high}").replace(" ", NBSP).format(low=low, high=high)


def sample_size(n: float) -> str:
    """`n = 1,234`, kept on one line."""
    return f"n{NBSP}={NBSP}{whole(n)}"


def slices(n: float) -> str:
    """`1 slice`, `833 slices`; thousands apart, a decimal only where a mean over folds has one."""
    return plural("{n} slice", "{n} slices", n)


def units(n: float, *, known: bool) -> str:
    """Split units by their right name: subjects where the source names them, image groups where it does not."""
    return plural("{n} subject", "{n} subjects", n) if known else plural("{n} image group", "{n} image groups", n)


def images(n: int) -> str:
    """`1 image`, `118,000 images`."""
    return plural("{n} image", "{n} images", n)


def folds(n: int) -> str:
    """`1 fold`, `5 folds`."""
    return plural("{n} fold", "{n} folds", n)


def digits_apart(value: float, limit: float, fewest: int = 0) -> int:
    """As few decimals, from `fewest` on, as tell a value from its limit, three more at most; `fewest` if none does."""
    tried = range(fewest, fewest + 4)
    return next((digits for digits in tried if decimal(value, digits) != decimal(limit, digits)), fewest)
