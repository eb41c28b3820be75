"""All that a report may see: measured results, frozen, with their n beside them.

Every share, accuracy and difference is a fraction in [0, 1] (or [-1, 1]), never a percentage.
"""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 5

Verdict = Literal["gain", "equivalent", "harm", "insufficient_evidence"]
Arm = Literal[
    "real",
    "real+classic",
    "real+classic+duplicates",
    "real+classic+copy_paste",
    "real+classic+synthetic",
    "synthetic_only",
]
# of every study; one that has lesion masks has PASTED_ARM too
ARMS: tuple[Arm, ...] = ("real", "real+classic", "real+classic+duplicates", "real+classic+synthetic", "synthetic_only")
REFERENCE_ARM: Arm = "real+classic"
DUPLICATES_ARM: Arm = "real+classic+duplicates"
PASTED_ARM: Arm = "real+classic+copy_paste"  # lesions moved between real slices, and no network
PRIMARY_ARM: Arm = "real+classic+synthetic"
PRIMARY_RATIO = 1.0  # synthetic slices a real one, of the comparison that decides; fixed beforehand
PRIMARY_EXTRACTOR = "random-conv-480"  # the feature space that decides; others stand beside it
Finite = Annotated[float, Field(allow_inf_nan=False)]  # what was not measured is None, never a NaN


class Record(BaseModel):
    """Frozen, and strict about its keys: a field that is not in the contract is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(Record):
    """A figure and its 95 % interval over test subjects, over trainings where there are several seeds, and over folds.

    Models of one fold share their generators and the subjects they learned from: with several folds that luck is in the
    interval; with one it cannot be known, and the figure speaks of the generators that the study had.
    """

    estimate: float
    low: float
    high: float


class Difference(Estimate):
    """Arm minus reference arm, in `metric`, on the same real test slices of `n_subjects` subjects (or groups)."""

    arm: Arm
    reference: Arm
    metric: str = "balanced_accuracy"
    n_subjects: int
    n_slices: int
    n_seeds: int
    # smallest true difference that this design finds in 80 % of repetitions at the 5 % level, two-sided; of this one
    # comparison, whereas a verdict gain needs two
    minimum_detectable_effect: float
    # a difference inside +- this margin is called no difference
    equivalence_margin: float


class ArmScores(Record):
    """One arm on the real test slices; every figure is the mean over folds and seeds with its interval."""

    arm: Arm
    n_seeds: int
    # training slices in one fold, mean over folds
    n_real: float
    n_added: float  # synthetic slices, or extra copies of real ones in the duplicates arm
    balanced_accuracy: Estimate
    accuracy: Estimate
    auc: Estimate
    sensitivity: Estimate
    specificity: Estimate
    # at the threshold that reaches `Statistics.at_specificity` among this arm's own test slices, model by model
    sensitivity_at_specificity: Estimate | None = None
    ppv: Estimate | None = None  # at `Statistics.prevalence`, threshold 0.5, from mean sensitivity and specificity
    npv: Estimate | None = None
    brier: Estimate | None = None  # of calibrated probabilities, both diagnoses weighted alike; 0.25 says nothing
    calibration_error: Estimate | None = None  # expected |probability - share of tumour| over ten equal bins, likewise


SecondaryMetric = Literal["accuracy", "auc", "sensitivity", "specificity", "sensitivity_at_specificity", "brier"]


class Secondary(Record):
    """PRIMARY_ARM minus REFERENCE_ARM in a measure that does not decide; p two-sided, the interval inverted."""

    metric: SecondaryMetric
    difference: Estimate
    p: float
    p_holm: float  # adjusted for all secondaries of the study (Holm 1979)


class Belief(Record):
    """Posterior of the true difference, three shares of 1: below, inside and above +- the equivalence margin.

    Correlated Bayesian t-test over folds and seeds (Corani and Benavoli 2015).
    """

    worse: float
    equivalent: float
    better: float


class Statistics(Record):
    """Other ways to ask the primary question, and what the further measures are taken at. None of them decides."""

    # of the primary difference, two-sided; groups keep or change sign of their part of it. Of the models that were
    # trained: it knows no noise of training, so it can be smaller than the interval allows
    sign_flip_p: float
    nadeau_bengio_p: float | None  # corrected resampled t over folds and seeds; None with one fold
    belief: Belief | None
    secondaries: tuple[Secondary, ...]
    at_specificity: float
    prevalence: float  # at which ppv and npv are stated


class DosePoint(Record):
    """The primary arm at another dose: `ratio` synthetic slices a real one."""

    ratio: float
    n_added: float
    balanced_accuracy: Estimate
    difference: Estimate  # to REFERENCE_ARM


class LearningPoint(Record):
    """All that learns, generators too, on a share of the training subjects; tested on the same slices."""

    share: float
    n_subjects: float  # in training, mean over folds
    arms: dict[str, Estimate]  # balanced accuracy by arm
    difference: Estimate  # PRIMARY_ARM minus REFERENCE_ARM


# Half an interval. At this width a control finds a fault of 10 points every other time and one of 14 points in 80 %;
# a wider one would let pass what is larger than the gains that are looked for, so it has not said anything.
CONTROL_HALF_WIDTH = 0.10


class Control(Record):
    """Something that must come out null. If it does not, the figures of this study are not to be believed.

    `permuted_diagnoses`: balanced accuracy of a classifier that learned diagnoses dealt anew among training groups;
    null is 0.5. `collapsed_generator`: PRIMARY_ARM with three synthetic slices of each diagnosis repeated, minus
    REFERENCE_ARM; it must not be a gain. `border`: the ShortcutScores of that name, which the report reads as a
    control; no study writes them as one.
    """

    control: Literal["permuted_diagnoses", "collapsed_generator", "border"]
    estimate: Estimate
    null: float
    # None: too little to tell; too few groups of a diagnosis, or null within more than +- CONTROL_HALF_WIDTH
    passed: bool | None


# Ways to learn from synthetic slices beside real ones, in the same number of steps
Way = Literal["mix", "pretrain", "weigh", "curriculum", "balance"]


class WayTried(Record):
    """One way to use the synthetic slices of a fold, judged on inner folds of its training part alone."""

    fold: int
    way: Way
    balanced_accuracy: float  # mean over inner folds, on their real slices
    n_groups: int  # of those slices
    chosen: bool


class TransferScores(Record):
    """Do the diagnoses of one fold's synthetic slices differ as those of real ones do?

    Balanced accuracies of small classifiers, all with the same steps; *inside*: on slices of the same origin that were
    kept from the classifier (real ones of other groups). `blurred_to`: every image was first reduced to so many pixels
    a side and enlarged again, which takes fine detail away from both origins; None: as they are.
    """

    fold: int
    blurred_to: int | None
    n_synthetic: int
    n_real: int  # test slices
    synthetic_inside: Finite
    real_inside: Finite
    synthetic_to_real: Estimate  # learned from synthetic slices, tested on real test slices
    real_to_real: Estimate
    real_to_synthetic: Finite
    # real_to_real - synthetic_to_real, on the same slices: what is missing of the sign
    loss: Estimate
    # the diagnoses are told apart easily among synthetic slices, and what tells them does not hold for real ones
    shortcuts: bool


class LesionSource(Record):
    """Where the lesion masks of a fold's training slices came from, and how many of them are used.

    Lesions are looked for only where masks are missing, so of found ones no study knows how good they are.
    """

    fold: int
    source: Literal["given", "drawn", "found"]
    n_tumour: int  # training slices with a tumour
    n_usable: int  # of them, those whose mask is used


class ExternalTest(Record):
    """The locked test set, opened once: models of all development data, one set of test slices they never met."""

    n_subjects: int
    n_slices: int
    subjects_known: bool = True  # else its units are groups of copies, and slices of one patient may be several
    left_out: int  # slices of patients or pictures that the study has
    arms: tuple[ArmScores, ...]
    difference: Difference
    # both hold for independent cases only, so of one slice a known subject; None else
    mcnemar_p: float | None
    delong_p: float | None


class PastedUtility(Record):
    """Did slices by copy and paste help? By the rule of the verdict, with PASTED_ARM in the place of PRIMARY_ARM."""

    verdict: Verdict
    difference: Difference  # PASTED_ARM minus REFERENCE_ARM


class WrongCount(Record):
    """How many of the real test slices, and of how many subjects (or groups); a subject may stand in several counts."""

    n_slices: int
    n_subjects: int
    n_tumour: int  # of the slices, those with a tumour


class WrongCase(Record):
    """One real test slice that PRIMARY_ARM calls wrong; both probabilities are of tumour, means over trainings.

    slice_id is the number that this run gave it; `augment-mri ingest --locate` tells the owner of the source its file.
    """

    slice_id: str
    fold: int  # in which it was tested, the first one where folds were drawn several times
    diagnosis: str
    probability: Finite
    reference_probability: Finite
    reference_wrong: bool


class WrongCases(Record):
    """Who is called wrong with and without synthetic slices, by the mean probability over the trainings of an arm.

    both: by PRIMARY_ARM and REFERENCE_ARM; mended: by REFERENCE_ARM alone; broken: by PRIMARY_ARM alone.
    """

    n_slices: int
    n_subjects: int
    n_trainings: int  # of each arm, that a slice was tested by
    both: WrongCount
    mended: WrongCount
    broken: WrongCount
    # of those that PRIMARY_ARM calls wrong, the most confident ones, one of each subject (or group), the worst first
    cases: tuple[WrongCase, ...]


class OcclusionCase(Record):
    """One real test slice, and what happens to the answer of two classifiers where a part of it is covered.

    Probabilities are of tumour. A map is of the answer that its classifier gave: how far its probability falls. The
    shares are of the positive part of a map inside of the head; None where there is no lesion mask, where nothing fell,
    or where the answer was no tumour, which no lesion speaks for.
    """

    slice_id: str
    diagnosis: str
    right: bool  # PRIMARY_ARM's answer
    probability: Finite  # by PRIMARY_ARM
    reference_probability: Finite  # by REFERENCE_ARM
    largest_fall: Finite  # greatest of the map
    reference_largest_fall: Finite
    lesion_share: Finite | None = None  # of the head's area
    in_lesion: Finite | None = None  # share of the map
    reference_in_lesion: Finite | None = None


class Occlusions(Record):
    """Occlusion maps (Zeiler and Fergus 2014) of the first training of two arms in one fold.

    cases: drawn by a seed from each diagnosis' slices that PRIMARY_ARM calls right and those that it calls wrong.
    """

    fold: int
    patch_share: float  # side of what was covered, of the side of a slice
    n_right: dict[str, int]  # test slices by diagnosis, that were drawn from
    n_wrong: dict[str, int]
    cases: tuple[OcclusionCase, ...]  # a diagnosis after the other, of each the right ones first


class RocPoint(Record):
    """Tumour slices found where the thresholds let this share of no-tumour slices be called tumour, model by model.

    Read on each model's own test slices and averaged over models at the same `false_alarms` (vertical averaging,
    Fawcett 2006). `low` and `high`: the middle 95 % of bootstrap resamples of the subjects, at this point alone. They
    speak of the models that were trained, and so lie nearer than ArmScores.sensitivity_at_specificity, which knows the
    luck of trainings too.
    """

    false_alarms: float  # 1 - specificity, in (0, 1)
    sensitivity: float
    low: float
    high: float


class CalibrationBin(Record):
    """Test slices to which a model gave a probability of tumour inside one of ten equally wide bins.

    Both diagnoses of a fold weigh one half in `probability` and `tumour`, as in ArmScores.calibration_error.
    """

    probability: float  # mean of what was given
    tumour: float  # share that shows a tumour
    n_slices: float  # each slice counted once: mean over seeds and over the folds that test it
    n_subjects: float  # subjects (or groups) with a slice in the bin, mean over seeds


class Confusion(Record):
    """Test slices by diagnosis and by what they are called at probability 0.5.

    Each slice counts once: means over seeds and over the folds that test it, pooled over all slices.
    """

    found: float  # tumour called tumour
    missed: float  # tumour called no tumour
    cleared: float  # no tumour called no tumour
    false_alarms: float  # no tumour called tumour
    # subjects (or groups) with a slice of the diagnosis; one with slices of both is in both
    n_tumour_subjects: int
    n_no_tumour_subjects: int


class ArmDetail(Record):
    """What one arm's probabilities say beyond its scores, on the same real test slices."""

    arm: Arm
    roc: tuple[RocPoint, ...]  # in order of false alarms
    calibration: tuple[CalibrationBin, ...]  # in order of probability, without empty bins
    confidence: float  # mean probability of what a slice is called, in [0.5, 1]; both diagnoses weigh one half
    # confidence less the share that is called right, in [-1, 1] (Guo et al. 2017): above 0 is over-confident
    overconfidence: Estimate
    confusion: Confusion


class UtilityComparison(Record):
    """Did synthetic data help? The arms, the two differences that decide, and the verdict; `metrics/utility.json`."""

    verdict: Verdict
    difference: Difference  # PRIMARY_ARM minus REFERENCE_ARM
    difference_to_duplicates: Difference  # PRIMARY_ARM minus DUPLICATES_ARM
    difference_to_copy_paste: Difference | None = None  # PRIMARY_ARM minus PASTED_ARM, where the study has that arm
    copy_paste: PastedUtility | None = None
    arms: tuple[ArmScores, ...]
    statistics: Statistics | None = None
    dose: tuple[DosePoint, ...] = ()  # in order of ratio, the primary one among them; () where no other was tried
    learning: tuple[LearningPoint, ...] = ()  # in order of share, all subjects last; () where no other was tried
    controls: tuple[Control, ...] = ()
    external: ExternalTest | None = None
    # of the arms that decide, and of copy and paste; () in runs that did not note it
    arm_details: tuple[ArmDetail, ...] = ()


class MetricSet(Record):
    """Of one set of n images against n real training images, in a frozen feature space."""

    precision: float
    recall: float
    density: float
    coverage: float
    kid: float
    kid_standard_error: float
    # mean pairwise feature distance inside the set over that inside the real training images: 1 is as varied
    spread: float


class SetScores(MetricSet):
    """All that is measured of one set of n images against n real training images.

    `vendi`, `duplicate_share` and `support` look at every pair, so at 2,000 of the images where there are more.
    """

    frechet: Finite  # Frechet distance of features; biased upwards by more the smaller n is, so only for one n
    vendi: Finite  # effective number of different images (Friedman and Dieng 2023), 1 to n
    different_bins: Finite  # share of bins of the training images filled otherwise than by chance (NDB / K)
    duplicate_share: Finite  # of images that are much nearer to another of the set than real ones are to each other
    support: Finite | None  # how many different images the generator may know (birthday estimate); None: no two alike
    dissimilarity: Finite | None = None  # mean 1 - MS-SSIM of two images; None where only features were at hand


class CollapseReason(Record):
    """One measure of diversity beside the limit that bootstrapped subsets of real images set for it.

    Measured among the leading components of the training features, so not the same figure as in SetScores. Recall and
    coverage are there only where the set is as precise as real ones: blur takes them away too.
    """

    measure: Literal["coverage", "recall", "vendi", "spread", "duplicate_share", "dissimilarity"]
    value: Finite
    real: Finite  # median of real subsets of this size, or of held-out ones where that is worse
    limit: Finite
    beyond: bool  # on the collapsed side of the limit


class CollapseVerdict(Record):
    """Has the generator lost modes? `n_draws` real subsets of the same n, whole ones and ones that lost modes."""

    mode_collapse: bool
    reasons: tuple[CollapseReason, ...]
    n: int
    n_draws: int


class FidelityScores(Record):
    """Synthetic images of one diagnosis and their references at the same n, against the same training images."""

    fold: int
    diagnosis: str
    n: int
    k: int  # neighbours in precision, recall, density, coverage
    extractor: str
    extractor_digest: str
    synthetic: SetScores
    held_out_real: SetScores
    collapsed: SetScores  # a few of the synthetic images repeated, as a generator that knows no others
    noise: SetScores  # grey noise of the training images' mean and contrast
    collapse: CollapseVerdict


class FeatureMap(Record):
    """Where real and synthetic slices of one diagnosis lie in the two directions in which training slices vary most.

    Principal components of the features of all real training slices, in features on their scale, so without a unit;
    points (first, second component) of slices drawn by a seed, and by nothing else. `synthetic` are those that may be
    learned from, after the screen.
    """

    fold: int
    diagnosis: str
    extractor: str
    explained: tuple[Finite, Finite]  # share of the training slices' variance along each direction
    n_training: int  # slices that the directions were fitted on
    n_held_out_real: int  # slices that were drawn from
    n_synthetic: int
    training: tuple[tuple[Finite, Finite], ...]
    held_out_real: tuple[tuple[Finite, Finite], ...]
    synthetic: tuple[tuple[Finite, Finite], ...]


class DiscriminatorScores(Record):
    """What the discriminator of the kept generator could tell, at its tick; "positive" is synthetic.

    Of real slices held out from the GAN where there were any, else of training slices (`on` says which).
    """

    fold: int
    diagnosis: str
    on: Literal["held_out_real", "training"]
    n_real: int
    n_synthetic: int
    error_rate: Finite  # 1 - accuracy
    accuracy: Finite  # mean of sensitivity and specificity: as many real as synthetic ones
    sensitivity: Finite  # share of synthetic slices called synthetic
    specificity: Finite  # share of real slices called real


class MemorisationScores(Record):
    """Copies of training slices among the generated ones of one diagnosis and fold, before the screen."""

    fold: int
    diagnosis: str
    n_generated: int
    n_near_copies: int
    n_broken: int
    n_kept: int
    # relative distance to the nearest training slice (its distance, 1 - correlation of pixels, over that of the
    # next training subject; 0 is a copy, 1 is no nearer to one subject than to the next) at or below which an
    # image is a near-copy; read from different training subjects
    threshold: float
    n_held_out_real: int
    median_distance_synthetic: float
    median_distance_held_out_real: float
    # share of real test slices that would be called near-copies by the same rule
    held_out_real_near_copy_share: float
    # near-copies found only after moving them (shifted, scaled, turned): among n_near_copies
    n_moved_copies: int | None = None
    extractor: str | None = None  # of the four below
    # share nearer, in features, to a training slice than the 1 % quantile of training slices of different subjects
    feature_copy_share: Finite | None = None
    held_out_real_feature_copy_share: Finite | None = None
    # share of images farther from their nearest training slice than that slice is from its own nearest one of
    # another subject (Alaa et al. 2022); memorised ones are not authentic
    authenticity: Finite | None = None
    held_out_real_authenticity: Finite | None = None
    # can one tell who was in the training part from the synthetic images that are kept? AUC, in pixels, of the distance
    # to the nearest of them over that to the nearest other subject, training against held-out groups; 0.5: no
    membership_auc: Estimate | None = None
    # painted slices: outside of the painted region they are a real patient's anatomy, by design. The figures above are
    # then of the painted region alone
    contains_patient_anatomy: bool = False
    outside_copy_share: Finite | None = None  # of slices, equal to their source outside of the painted region
    # what was compared: whole slices; painted regions alone; or generated slices, before they were painted on
    compared: Literal["slices", "regions", "canvases"] = "slices"
    # of slices painted on generated ones: the same of their canvases, and of their painted regions
    parts: tuple["MemorisationScores", ...] = ()


Watched = Literal["healthy", "suspect", "alarm", "stop"]
AlarmRule = Literal[
    "repeats", "alike", "uncovered", "fallen", "copies", "discriminator_wins", "discriminator_overfits"
]  # fmt: skip


class CurvePoint(Record):
    """One tick of a training run, in the order in which they happened; the fields from `verdict` on are the watch's.

    Names that end in `_real` are what real slices of the training part reach against other real ones, by the same
    measure and at the same n: what a perfect generator would get.
    """

    images_seen: int
    attempt: int = 0  # alarms before this tick; a tick of an earlier attempt may have been gone back on
    generator_loss: float
    discriminator_loss: float
    # share of images on whose origin the discriminator's sign is right; 0.5 is a draw
    discriminator_accuracy: float
    augmentation_strength: Finite | None = None  # of what the discriminator sees; None in runs that did not note it
    verdict: Watched | None = None  # suspect: too early to tell, or not yet certain; None where no watch looked
    judged: bool | None = None  # old enough for an alarm; None in runs that did not note it
    n: int | None = None  # images a side of every comparison but that with held-out slices; None where none looked
    coverage: Finite | None = None  # share of real slices that have a generated one near them
    coverage_real: Finite | None = None
    recall: Finite | None = None  # share of real slices within reach of the generated ones
    recall_real: Finite | None = None
    kid: Finite | None = None  # kernel distance to real slices not learned from, where there are enough; 0 is alike
    kid_real: Finite | None = None
    diversity: Finite | None = None  # mean distance of two generated slices, RMS grey value in [0, 2]
    diversity_real: Finite | None = None
    dissimilarity: Finite | None = None  # mean of 1 - MS-SSIM of two generated slices; 0 is the same picture
    dissimilarity_real: Finite | None = None
    near_copies: Finite | None = None  # share of generated slices too near to a training slice
    near_copies_real: Finite | None = None
    # share of each set that the discriminator puts on its right side; held-out: real slices not learned from
    accuracy_training: Finite | None = None
    accuracy_synthetic: Finite | None = None
    accuracy_held_out: Finite | None = None
    n_judged_training: int | None = None  # slices of which that share is; None in runs that did not note it
    n_judged_synthetic: int | None = None


class AlarmReason(Record):
    """One rule of the collapse watch that was broken: the measured value and the limit that it went beyond.

    Shares of what real slices reach, alarm below the limit: `repeats` nearest distance over mean distance; `alike`
    distance or dissimilarity of two slices; `uncovered` coverage; `fallen` distance or coverage, the limit set by this
    training's own best. Shares, alarm above the limit: `copies` near-copies among the generated; `discriminator_wins`
    its accuracy on the side it knows least (alarm from the limit on); `discriminator_overfits` its accuracy on training
    slices less that on slices not learned from, less two standard errors.
    """

    rule: AlarmRule
    value: float
    limit: float


class Alarm(Record):
    """The collapse watch found a training at fault at several ticks in a row."""

    images_seen: int
    reasons: tuple[AlarmReason, ...]
    # images seen by the healthy state that training went back to; None: there was none, it began anew from another seed
    return_to: int | None


class TrainingRecord(Record):
    """How one GAN or painter was trained, and what the collapse watch saw of it."""

    fold: int
    diagnosis: str
    maker: Literal["generator", "painter"] | None = None  # None in runs that did not note it
    n_slices: int
    n_subjects: int
    # slices of the training part that the watch alone saw; None, as `confirm` and `augmented`, in runs without a note
    n_held_out: int | None = None
    images_seen: int  # where training ended, without ticks that an alarm went back on
    generator_parameters: int
    discriminator_parameters: int
    curve: tuple[CurvePoint, ...]
    watched: bool = False
    confirm: int | None = None  # looks in a row, all old enough for an alarm, that must be at fault to raise one
    augmented: bool | None = None  # whether what an alarm changed made augmentation stronger
    alarms: tuple[Alarm, ...] = ()  # in order; alarm i ended attempt i
    stopped: bool = False  # the watch ended the training at its last alarm
    # images seen at the last clear improvement, where training ended early for want of another; None: it did not
    unimproved_since: int | None = None
    kept_at: int | None = None  # images seen by the generator that is kept; None: the last one
    # of the kept one, at its tick: 0 healthy, 1 poor (too alike, or most kinds of heads missing), 2 at fault
    best_wrong: Literal[0, 1, 2] = 0
    joint_until: int | None = None  # images seen until when it learned from slices of all diagnoses; None: never
    joint_ticks: int | None = None  # as many points of the curve are of that training; None: not noted, or never


# How a sheet of nearest pairs is laid out, for who draws it and who cuts it: pairs in a row, pixels of black between
PAIRS_A_ROW: Final = 4
SHEET_GAP: Final = 1


class Picture(Record):
    """A picture file, its path relative to the run folder, and what it shows.

    kind `review`: real slices that are used and that a person should look at, those first that may be no head.
    `slices`: a contact sheet of `n` slices of one origin. `training`: the generator's fixed latents over training, a
    row a tick. `film`: the first `n` of them as a GIF, a frame a tick. `nearest_pairs`: left synthetic, right its
    nearest real training slice, nearest first. `looks_right`, `looks_wrong`: slices that PRIMARY_ARM calls right, or
    wrong, a row each: the slice, then under the occlusion maps of PRIMARY_ARM and of REFERENCE_ARM, a dashed outline
    about the lesion where it is known. `wrong`: one of `WrongCases.cases`, in their order.
    """

    kind: Literal[
        "review", "slices", "training", "film", "nearest_pairs", "looks_right", "looks_wrong", "wrong"
    ]  # fmt: skip
    fold: int
    diagnosis: str
    origin: Literal["real", "synthetic", "both"]
    path: str
    n: int
    still: str | None = None  # of a film: path of its last frame as PNG, for those who want no motion, and for print


class ReaderSlices(Record):
    """The slices that readers are asked about, blind: their names, and nothing of what they are.

    Files lie in `pictures/reader/NAME.png`, grey squares of `size` pixels; half of them are synthetic.
    """

    study: str  # digest of these pictures: answers carry it, so that those to other pictures are refused
    size: int
    names: tuple[str, ...]  # in the order of the page, which is random


class ReaderScores(Record):
    """One reader on all slices of the reader study, or all readers together; "positive" is synthetic."""

    reader: str  # a name or initials as typed; "" where none was given, and of all together
    accuracy: Estimate  # of real or synthetic; 0.5 is guessing
    auc: Estimate  # of the confidence that a slice is synthetic; 0.5 is guessing
    sensitivity: Estimate  # share of synthetic slices called synthetic
    specificity: Estimate  # share of real slices called real
    diagnosis_real: Estimate  # share of real slices given the diagnosis of their scan
    diagnosis_synthetic: Estimate  # share of synthetic slices given the diagnosis they were made to show


class ReaderStudy(Record):
    """Can readers tell synthetic slices from real ones, and do they see the diagnosis in them? Of these readers alone.

    Intervals are over slices: other slices, the same readers. Slices that share a patient count as fewer.
    """

    study: str
    n_real: int
    n_synthetic: int
    n_real_groups: int  # patients, or groups of copies, that the real slices are of
    n_synthetic_groups: int  # likewise; n_synthetic where each synthetic slice stands by itself
    readers: tuple[ReaderScores, ...]
    together: ReaderScores  # means over readers
    # smallest true mean accuracy above a half that is found in 80 % of repetitions at the 5 % level, two-sided, given
    # how alike the answers to slices of one group were; None: not even 1 would be
    detectable_accuracy: float | None
    # Cohen's kappa of two readers, Fleiss' of more; None of one reader, and where all gave one and the same answer
    agreement_origin: Estimate | None = None
    agreement_diagnosis: Estimate | None = None


class ShortcutScores(Record):
    """Can the diagnosis be told without looking at the brain? A forest, fitted on training and scored on test slices.

    `file_facts`: facts of file and header before normalisation (what a careless program would learn from).
    `border`: corner and border pixels of normalised images (what is left for anything that learns here).
    """

    what: Literal["file_facts", "border"]
    n_features: int
    n_slices: int  # test slices, of all folds
    n_subjects: int  # their groups
    balanced_accuracy: Estimate
    # upper end of what diagnoses shuffled among the training groups reach: above it the shortcut is real
    chance_high: float
    suspected: bool  # the interval's low end lies above a half, and the estimate above chance_high
    telling: tuple[str, ...]  # the features that told most, first the strongest


class RuleCount(Record):
    """Slices or files that did not enter the study, or that a person should look at, by rule."""

    outcome: Literal["quarantined", "left_out", "review"]
    rule: str
    count: int
    example: str  # the detail of the first such record; holds no source name


class ClassCount(Record):
    """What the study holds of one diagnosis; train and test are of fold 0."""

    diagnosis: str
    subjects: int
    slices: int
    train_subjects: int
    train_slices: int
    test_subjects: int
    test_slices: int


class DataFlow(Record):
    """From the files found to the slices used."""

    files_found: int
    slices_used: int
    subjects: int  # split units: subjects, or duplicate groups where subjects are unknown
    subjects_known: bool
    label_rules: tuple[str, ...]
    sequences: tuple[str, ...]
    planes: tuple[str, ...]
    out: tuple[RuleCount, ...]  # quarantined and left out
    review: tuple[RuleCount, ...]  # used, and a person should look at them
    classes: tuple[ClassCount, ...]
    exact_duplicates: int  # slices whose decoded pixels equal an earlier slice's
    near_duplicate_pairs: int  # pairs of different slices, of different or unknown subjects, that look the same
    image_size: int  # pixels a side after normalisation
    folds_evaluated: int  # of each repeat
    folds_drawn: int  # likewise
    repeats: int = 1  # of drawing the folds anew


class Provenance(Record):
    """Enough to repeat the run; nothing that differs between two runs of the same seed."""

    preset: str
    seed: int
    versions: dict[str, str]
    config: dict[str, object]
    config_digest: str
    source_digest: str
    external_digest: str = ""  # of the locked test set; "" where there is none


class RunSummary(Record):
    """The whole run in numbers; `summary.json`."""

    schema_version: int = SCHEMA_VERSION
    verdict: Verdict
    difference: Difference  # primary: PRIMARY_ARM minus REFERENCE_ARM
    difference_to_duplicates: Difference  # PRIMARY_ARM minus DUPLICATES_ARM
    difference_to_copy_paste: Difference | None = None  # PRIMARY_ARM minus PASTED_ARM, where the study has that arm
    copy_paste: PastedUtility | None = None
    data: DataFlow
    shortcuts: tuple[ShortcutScores, ...]
    arms: tuple[ArmScores, ...]
    arm_details: tuple[ArmDetail, ...] = ()  # as in UtilityComparison, like the next five
    statistics: Statistics | None = None
    dose: tuple[DosePoint, ...] = ()
    learning: tuple[LearningPoint, ...] = ()
    controls: tuple[Control, ...] = ()
    external: ExternalTest | None = None
    fidelity: tuple[FidelityScores, ...]  # a fold, diagnosis and extractor each
    discriminators: tuple[DiscriminatorScores, ...] = ()
    memorisation: tuple[MemorisationScores, ...]
    transfer: tuple[TransferScores, ...] = ()  # a fold and sharpness each; () where it was not asked
    ways: tuple[WayTried, ...] = ()  # a fold and way each; () where the way was fixed beforehand
    lesions: tuple[LesionSource, ...] = ()  # a fold each, of painted and of pasted slices
    maps: tuple[FeatureMap, ...] = ()  # of the first fold, a diagnosis each
    occlusions: Occlusions | None = None  # of the first fold; None where no classifier was kept
    wrong: WrongCases | None = None
    training: tuple[TrainingRecord, ...]
    pictures: tuple[Picture, ...]
    reader_slices: ReaderSlices | None = None  # None: too few for a reader study
    reader_study: ReaderStudy | None = None  # None: no reader's answers were scored
    warnings: tuple[str, ...]
    provenance: Provenance


class Evaluation(Record):
    """Two sets of images compared, whoever made them; `augment-mri evaluate`.

    Real images are parted at random by group, each diagnosis alike: half are what the synthetic ones are judged
    against, half the reference that real images reach. `memorisation` looks for copies in the first half, of both
    diagnoses, by one threshold: of the synthetic images and, for the reference, of the other half.
    """

    schema_version: int = SCHEMA_VERSION
    mode_collapse: bool  # of any diagnosis, in the primary feature space
    n_real: int
    n_half: int  # of them in the half that is judged against
    n_groups: int  # of real images: subjects, or duplicate groups where subjects are unknown
    subjects_known: bool  # of every real image; else one head may stand in both halves
    n_synthetic: int
    # of the synthetic images, those that quality control would refuse among scans, by rule; judged like the others
    strange_synthetic: dict[str, int]
    strange_share: float  # of n_synthetic
    image_size: int
    refused_real: dict[str, int]  # what could not be used, by rule
    refused_synthetic: dict[str, int]
    fidelity: tuple[FidelityScores, ...]  # a diagnosis and extractor each; diagnosis "all" where none was told
    memorisation: tuple[MemorisationScores, ...]
    near_copies_of_any: dict[str, int]  # of each diagnosis' synthetic images, of any of the n_real; its own threshold
    seed: int
    versions: dict[str, str]
