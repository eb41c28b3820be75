import pytest
import torch

from pipeline.synthesis.batches import Sampling, sampler

CONDITIONS = torch.tensor([0] * 60 + [2] * 30 + [3] * 10)  # and none of 1
CONDITIONS = CONDITIONS[torch.randperm(100, generator=torch.Generator().manual_seed(3))]


def _drawn(sampling: Sampling, n: int = 10, times: int = 2000, weights: tuple[float, ...] = ()) -> torch.Tensor:
    draw, rng = sampler(CONDITIONS, sampling=sampling, weights=weights), torch.Generator().manual_seed(0)
    return torch.stack([draw(n, rng) for _ in range(times)])


def _shares(rows: torch.Tensor) -> list[float]:
    return (torch.bincount(CONDITIONS[rows.flatten()], minlength=4) / rows.numel()).tolist()


@pytest.mark.parametrize(
    ("sampling", "weights", "shares"),
    [
        ("uniform", (), [0.6, 0, 0.3, 0.1]),
        ("balanced", (), [1 / 3, 0, 1 / 3, 1 / 3]),
        ("weighted", (1, 5, 0, 3), [0.25, 0, 0, 0.75]),
        ("stratified", (), [0.6, 0, 0.3, 0.1]),
    ],
)
def test_conditions_come_as_often_as_defined(
    sampling: Sampling, weights: tuple[float, ...], shares: list[float]
) -> None:
    assert _shares(_drawn(sampling, weights=weights)) == pytest.approx(shares, abs=0.015)


@pytest.mark.parametrize("sampling", ["uniform", "balanced", "stratified"])
def test_rows_of_one_condition_are_equally_likely(sampling: Sampling) -> None:
    counts = torch.bincount(_drawn(sampling, times=4000).flatten(), minlength=100).float()
    for condition in (0, 2, 3):
        of_it = counts[condition == CONDITIONS]
        chi_square = ((of_it - of_it.mean()).square() / of_it.mean()).sum() / (len(of_it) - 1)
        assert chi_square < 2.2
        assert (of_it > 0).all()


def test_stratified_batches_hold_every_share_up_to_one() -> None:
    for n in (7, 10, 16):
        rows = _drawn("stratified", n=n, times=300)
        for condition, share in ((0, 0.6), (2, 0.3), (3, 0.1)):
            counts = (CONDITIONS[rows] == condition).sum(1)
            assert counts.min() >= int(share * n + 1e-9)
            assert counts.max() <= -int(-share * n // 1)
            assert counts.float().mean().item() == pytest.approx(share * n, abs=0.12)
    assert len((CONDITIONS[_drawn("uniform", times=300)] == 3).sum(1).unique()) > 2  # as chance alone would not


@pytest.mark.parametrize("sampling", ["uniform", "balanced", "weighted", "stratified"])
def test_same_seed_same_rows(sampling: Sampling) -> None:
    once, again = (_drawn(sampling, times=5, weights=(1, 1, 1, 1)) for _ in range(2))
    assert torch.equal(once, again)
    assert once.shape == (5, 10)


@pytest.mark.parametrize("weights", [(), (1.0, 1.0), (0.0, 1.0, 0.0, 0.0)])
def test_weights_that_do_not_fit_the_conditions_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="condition_weights"):
        sampler(CONDITIONS, sampling="weighted", weights=weights)
