"""The collapse watch: looks at a training at every tick, says when it goes wrong, and which tick to go back to.

Losses look calm while a generator collapses, so the watch looks at samples (`health`) and holds them against real
images at the same n. It decides and remembers; the training loop draws, saves, goes back and stops. A young generator
is not diverse either: trainings that ended well showed blurred heads, a third as diverse as real ones, for the first
40 to 65 % of a short budget. So at first only this is asked, that samples are no copies of a few modes; later also
that they vary as real heads do, unless they come to do so while one looks.

Measured with the defaults, 2026-11-21; noise is its standard deviation on the grey scale from -1 to 1. Planted in
phantoms at 32 px, n = 64, 20 seeds each: of generators frozen to 1, 3, 10, 20 and 32 heads with noise of 0.01 and 0.03
all are caught at any age; with 0.06 all, but those of one head, which looks like a young blur, from maturity on; with
0.1, of three heads 2 of 20, of ten 19. Of 20 sets of other heads, blurred and noisy, none is at fault. Simulated
healthy trainings: no alarm in 1,000. Real trainings of `lgg_flair`, held-out patients apart: none for two of 40,000
images at 64 px, of which the second, without early blur, came to life at 0.75 of its budget; an alarm for one without
penalties at a rate five times too high, whose coverage fell; three, and so a stop, for one on 10 images, which learnt
them by heart.

Kept is an early generator: of those that no later one beats by more than chance in kernel distance, the first, or one
as near with fewer near-copies (the one-standard-error rule: Breiman et al. 1984, section 3.4.3). For the same reason
a training ends once nothing has become clearly better for `patience` images (Prechelt 1998, "Early stopping - but
when?"): what else grows from there on is near-copies. What that does to finished trainings stands in docs/gan.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import sqrt
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.synthesis.health import Health, Measured

Rule = Literal[
    "repeats",  # samples lie in a few clumps: modes
    "alike",  # samples hardly differ
    "uncovered",  # most kinds of real heads are missing
    "fallen",  # much less diverse than this training already was
    "copies",  # training images come out again
    "discriminator_wins",  # it is right on everything, so the generator learns nothing from it
    "discriminator_overfits",  # it knows its training images by heart
]
Verdict = Literal["healthy", "suspect", "alarm", "stop"]


class WatchConfig(BaseModel):
    """When to raise an alarm, and what to change then. "Real" is what real images reach against real ones, same n.

    Measured values are of the networks of `networks.lean` on `lgg_flair`, n = 82 to 96.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    on: bool = True
    # share of the budget in which nothing is an alarm: the averaged generator still holds its random start
    grace: float = Field(0.1, ge=0, le=1)
    # share of the budget from which samples must vary: the slowest training that ended well began to at 0.65
    mature: float = Field(0.65, ge=0, le=1)
    # Images seen before which missing kinds of heads are no alarm. Measured at 64 px: a good training covered nothing
    # after 70,000 images, blurred by then, and all it ever did after 90,000; one that has seen 20,000 at the end of its
    # budget is poor, not collapsed, and to begin it anew would only take what it has.
    young: int = Field(50_000, ge=0)
    # A generator that is still poor is left alone while its richness grew by `rise` over the mean of the last `trend`
    # of the budget; one that waits in a blur moves by 0.02, one that comes to life by 0.1 and more.
    trend: float = Field(0.15, gt=0, le=1)
    rise: float = Field(0.05, gt=0)
    confirm: int = Field(3, ge=1)  # ticks in a row that must be at fault: one may be chance
    alarms: int = Field(3, ge=1)  # the one at which training stops: the remedies only go so far, and time is spent
    # Nearest neighbour over mean pair, as a share of real. Two or more modes with 5 % of noise: at most 0.25;
    # young blurs and good trainings alike: 0.85 to 1.6.
    clumped: float = Field(0.4, ge=0)
    # Mean pair, as a share of real. One mode with 3 % of noise: 0.07; the faintest blur that came to life again: 0.11
    # (with more noise one mode is alike only from maturity on, as a blur is).
    dead: float = Field(0.1, ge=0)
    # From maturity, as shares of real. Trainings that gave usable samples ended with diversity 0.5 to 0.9,
    # dissimilarity 0.5 to 0.9, coverage 0.6 to 1.2; those that stayed a blur had 0.3 to 0.4, 0.25, and 0.23.
    diversity: float = Field(0.35, ge=0)
    dissimilarity: float = Field(0.25, ge=0)
    coverage: float = Field(0.25, ge=0)
    # ... and so many deviations of real against real below it, for few images vary by chance alone
    deviations: float = Field(3.0, ge=0)
    fallen: float = Field(0.5, ge=0, le=1)  # of its own best: trainings that went well never fell below 0.65 of it
    # Share of samples above what the detector calls copies among other people's slices, and two standard errors of the
    # difference. Sound trainings of `lgg_flair`: up to 0.11 beside 0.03, which is not beyond the errors at all; those
    # of `brain_mri_253` whose samples were 17 and 34 % copies: by 0.09 and more (docs/gan.md).
    copies: float = Field(0.05, ge=0, le=1)
    # accuracy on every side, and in training on augmented images; good trainings had 0.5 to 0.8. Above 1: never
    wins: float = Field(0.97, gt=0.5)
    # training over held-out accuracy, less two standard errors of the latter: good trainings had at most 0.12. Adaptive
    # augmentation works against overfitting all the while; here it has failed.
    gap: float = Field(0.2, ge=0, le=1)
    learning_rate_factor: float = Field(0.5, gt=0, le=1)  # after each alarm
    augmentation_factor: float = Field(1.5, ge=1)  # likewise
    # Images after the last clear improvement of a healthy generator, and after the blur, that end a training; 0: none
    # do. In 72 finished trainings no two clear improvements were more than 21,000 apart. The blur alone takes half of a
    # budget, so that none below twice as many ever ends early.
    patience: int = Field(60_000, ge=0)


@dataclass(frozen=True)
class Reason:
    """One rule that was broken: the measured value and its limit."""

    rule: Rule
    value: float
    limit: float


@dataclass(frozen=True)
class Alarm:
    """For the curves and the report. return_to: the last healthy tick in images seen, None where there was none."""

    images_seen: int
    reasons: tuple[Reason, ...]
    return_to: int | None


@dataclass(frozen=True)
class Decision:
    """What to do after a tick.

    healthy: keep this state to go back to. suspect: go on, and do not keep it: too young to tell, or not yet certain.
    alarm: go back to `return_to` (None: start anew from another seed) and go on with `after_alarm`. stop: end with the
    best. best: this tick is the best so far, so keep its averaged generator. unimproved_since: end here, for nothing
    has become clearly better since so many images were seen.
    """

    verdict: Verdict
    reasons: tuple[Reason, ...] = ()
    return_to: int | None = None
    best: bool = False
    unimproved_since: int | None = None


@dataclass(frozen=True)
class Changes:
    """Factors on the configured learning rates and on the augmentation's strength (which its config caps)."""

    learning_rate_factor: float
    augmentation_factor: float


def after_alarm(*, config: WatchConfig, alarms: int) -> Changes:
    """With what to go on after so many alarms in all: slower, and with stronger augmentation; no alarms change nothing.

    Both factors apply to the configured values, not to the present ones: a state that was gone back to holds its own.
    """
    return Changes(config.learning_rate_factor**alarms, config.augmentation_factor**alarms)


def faults(health: Health, config: WatchConfig) -> list[Reason]:
    """What is wrong at any age: modes, a dead generator, copies, a discriminator that is of no use any more."""
    diversity = health.diversity.ratio
    clumped = health.nearest.ratio / diversity if diversity > 0 else 0.0
    found = [
        (clumped < config.clumped, Reason("repeats", clumped, config.clumped)),
        (diversity < config.dead, Reason("alike", diversity, config.dead)),
    ]
    if health.near_copies is not None:
        copied = health.near_copies.value
        # of a handful of real subjects nobody knows how many the detector calls copies
        may = health.near_copies.real + config.copies + 2 * health.near_copies.deviation
        found.append((copied > may, Reason("copies", copied, may)))
    if health.accuracy is not None:
        accuracy = health.accuracy
        # as trained too: of eight images that are not augmented it may be right on all, and still learn
        sides = [accuracy.training, accuracy.synthetic, accuracy.as_trained]
        sides += [] if accuracy.held_out is None else [accuracy.held_out]
        # a share of n has its largest standard error at one half
        gap = accuracy.gap - (2 * sqrt(0.25 / accuracy.n_held_out) if accuracy.n_held_out else 0.0)
        found += [
            (min(sides) >= config.wins, Reason("discriminator_wins", min(sides), config.wins)),
            (gap > config.gap, Reason("discriminator_overfits", gap, config.gap)),
        ]
    return [reason for wrong, reason in found if wrong]


def poverty(health: Health, config: WatchConfig) -> list[Reason]:
    """What is wrong with a generator that has had its time: too alike, or too few kinds of heads."""
    asked: list[tuple[Rule, Measured, float]] = [
        ("alike", health.diversity, config.diversity),
        ("alike", health.dissimilarity, config.dissimilarity),
        ("uncovered", health.coverage, config.coverage),
    ]
    return [
        Reason(rule, measured.ratio, least)
        for rule, measured, least in asked
        if measured.ratio < least and measured.value < measured.real - config.deviations * measured.deviation
    ]


def richness(health: Health) -> float:
    """Mean of coverage, diversity and dissimilarity as shares of real, each at most 1: what grows as heads come apart.

    No rule looks at recall: trainings with good samples had 0.02 to 0.3 of it, as bad ones had.
    """
    shares = [min(1.0, measured.ratio) for measured in (health.coverage, health.diversity, health.dissimilarity)]
    return sum(shares) / len(shares)


@dataclass(frozen=True)
class Look:
    """What the watch remembers of a tick."""

    images_seen: int
    progress: float
    healthy: bool
    richness: float
    diversity: float
    coverage: float


@dataclass(frozen=True)
class Best:
    """The tick to keep in the end: healthy (0) before merely poor (1) before at fault (2), then by kernel distance."""

    images_seen: int
    wrong: int
    kid: float
    near_copies: float
    improved_at: int  # images seen when its kind was first reached, or the kernel distance last became clearly less,
    improved_kid: float  # and that distance: small steps of less copied ticks add up to a clear one


@dataclass
class Watch:
    """The memory of one training: plain numbers, which `capture` and `restore` carry across a kill."""

    config: WatchConfig
    looks: list[Look] = field(default_factory=list)  # of the way that led here; those gone back on are forgotten
    alarms: list[Alarm] = field(default_factory=list)
    at_fault: int = 0  # ticks in a row, up to now
    best: Best | None = None
    sharp_at: int | None = None  # images seen at the first tick without blur

    def look(
        self, health: Health, *, progress: float, overfitting_answered: bool = False, sharp: bool = True
    ) -> Decision:
        """Judge one tick. progress: share of the budget spent, in images or in minutes, in [0, 1].

        overfitting_answered: augmentation adapts and can still become stronger, which is what an alarm would do about
        a discriminator that knows its images by heart, and without going back. sharp: the discriminator sees images
        that are not blurred any more; until then samples improve as the blur fades.
        """
        certain = faults(health, self.config) + self._decline(health)
        if overfitting_answered:
            certain = [reason for reason in certain if reason.rule != "discriminator_overfits"]
        late = poverty(health, self.config)
        reasons = tuple(certain + late)
        best = self._note_best(health, wrong=2 if certain else int(bool(late)))
        young = health.images_seen < self.config.young and all(reason.rule == "uncovered" for reason in late)
        excused = self._rises(health, progress) or progress < self.config.mature or young
        if progress < self.config.grace or not (certain or (late and not excused)):
            self.at_fault = 0
        else:
            self.at_fault += 1
        if self.at_fault >= self.config.confirm:
            return self._raise_alarm(health.images_seen, reasons, best=best)
        ratios = health.diversity.ratio, health.coverage.ratio
        self.looks.append(Look(health.images_seen, progress, not reasons, richness(health), *ratios))
        since = self._unimproved_since(health.images_seen, sharp=sharp)
        ended = since if progress < 1 else None  # else the budget is over in any case
        return Decision("suspect" if reasons else "healthy", reasons, best=best, unimproved_since=ended)

    @property
    def last_healthy(self) -> int | None:
        """Images seen at the last healthy tick."""
        return next((look.images_seen for look in reversed(self.looks) if look.healthy), None)

    def _raise_alarm(self, images_seen: int, reasons: tuple[Reason, ...], *, best: bool) -> Decision:
        return_to = self.last_healthy
        self.alarms.append(Alarm(images_seen, reasons, return_to))
        self.looks = [look for look in self.looks if return_to is not None and look.images_seen <= return_to]
        self.at_fault = 0
        verdict: Verdict = "stop" if len(self.alarms) >= self.config.alarms else "alarm"
        return Decision(verdict, reasons, return_to, best)

    def _decline(self, health: Health) -> list[Reason]:
        """Whether diversity or coverage is far below its best healthy tick."""
        healthy = [look for look in self.looks if look.healthy]
        if not healthy:
            return []
        was = [
            (health.diversity, max(look.diversity for look in healthy)),
            (health.coverage, max(look.coverage for look in healthy)),
        ]
        return [
            Reason("fallen", measured.ratio, self.config.fallen * best)
            for measured, best in was
            if measured.ratio < self.config.fallen * best
            and measured.value < best * measured.real - self.config.deviations * measured.deviation
        ]

    def _rises(self, health: Health, progress: float) -> bool:
        """Whether richness is above its mean of the last stretch of the budget: a generator that comes to life."""
        recent = [look.richness for look in self.looks if look.progress >= progress - self.config.trend]
        return bool(recent) and richness(health) > sum(recent) / len(recent) + self.config.rise

    def _note_best(self, health: Health, *, wrong: int) -> bool:
        """Keep this tick where it is clearly better than the kept one, or as near with fewer near-copies."""
        # nearer to its training images than half of them are to the other half: a copy's nearness, no gain
        kid = health.kid.value if health.kid_held_out else max(health.kid.value, health.kid.real)
        copies = 0.0 if health.near_copies is None else health.near_copies.value
        improved_at, improved_kid = health.images_seen, kid
        if self.best is not None and wrong >= self.best.wrong:
            clearly = kid < self.best.kid - health.kid.deviation
            fewer = kid <= self.best.kid and copies < self.best.near_copies
            if wrong > self.best.wrong or not (clearly or fewer):
                return False
            if kid >= self.best.improved_kid - health.kid.deviation:
                improved_at, improved_kid = self.best.improved_at, self.best.improved_kid
        self.best = Best(health.images_seen, wrong, kid, copies, improved_at, improved_kid)
        return True

    def _unimproved_since(self, images_seen: int, *, sharp: bool) -> int | None:
        """Since when nothing has become clearly better, where that is too long; a poor generator has no end of time."""
        self.sharp_at = None if not sharp else images_seen if self.sharp_at is None else self.sharp_at
        if self.config.patience == 0 or self.sharp_at is None or self.best is None or self.best.wrong:
            return None
        since = max(self.best.improved_at, self.sharp_at)
        return since if images_seen - since >= self.config.patience else None

    def capture(self) -> dict[str, Any]:
        """All of it as numbers, texts, lists and dicts, for a checkpoint that loads with weights_only=True, or JSON."""
        return {
            "looks": [asdict(look) for look in self.looks],
            "alarms": [asdict(alarm) | {"reasons": [asdict(r) for r in alarm.reasons]} for alarm in self.alarms],
            "at_fault": self.at_fault,
            "best": None if self.best is None else asdict(self.best),
            "sharp_at": self.sharp_at,
        }

    def restore(self, captured: Mapping[str, Any]) -> None:
        """Put captured numbers back; the watch then judges as if it had never stopped."""
        self.looks = [Look(**look) for look in captured["looks"]]
        self.alarms = [_alarm(alarm) for alarm in captured["alarms"]]
        self.at_fault = captured["at_fault"]
        self.best = None if captured["best"] is None else Best(**captured["best"])
        self.sharp_at = captured["sharp_at"]


def _alarm(captured: Mapping[str, Any]) -> Alarm:
    reasons: Sequence[Mapping[str, Any]] = captured["reasons"]
    return Alarm(captured["images_seen"], tuple(Reason(**reason) for reason in reasons), captured["return_to"])
