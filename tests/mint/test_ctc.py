"""CTC: small likelihoods by hand, what is impossible, the gradient's meaning, and what is refused."""

import re
from itertools import product

import numpy as np
import pytest

import mint


def logarithms(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def spelt(path, blank=0):
    """Runs of one class made one, then without blanks."""
    heads = [c for c, before in zip(path, (None, *path), strict=False) if c != before]
    return tuple(c for c in heads if c != blank)


@pytest.mark.parametrize("target", [(), (1,), (1, 2), (1, 1), (2, 1, 2)])
def test_the_likelihood_is_the_sum_over_all_alignments(target):
    lp = logarithms(5, 3)
    total = sum(np.exp(lp[np.arange(5), path].sum()) for path in product(range(3), repeat=5) if spelt(path) == target)
    y, _ = mint.ctc_loss(lp, np.array(target, int), np.array(5), np.array(len(target)), reduction="sum")
    assert y == pytest.approx(-np.log(total), rel=1e-14)


def test_the_gradient_is_the_partial_derivative():
    lp, target, lengths = logarithms(6, 2, 4).astype(np.longdouble), np.array([[1, 1], [3, 2]]), np.array([6, 4])
    arrays = target, lengths, np.array([2, 2])
    y, vjp = mint.ctc_loss(lp, *arrays)
    gx, *others = vjp(np.ones_like(y))
    assert others == [None, None, None]
    # a central difference over 2h errs by about h² and by rounding over h
    h = np.longdouble(2) ** -20
    for place in np.ndindex(lp.shape):
        up, down = lp.copy(), lp.copy()
        up[place] += h
        down[place] -= h
        difference = (mint.ctc_loss(up, *arrays)[0] - mint.ctc_loss(down, *arrays)[0]) / (2 * h)
        assert abs(gx[place] - difference) < 1e-10
    # at every step that counts, the classes share the cotangent: 1 over samples and labels
    assert gx.sum(-1)[:, 0] == pytest.approx(np.full(6, -1 / 4))
    assert gx.sum(-1)[:, 1] == pytest.approx(np.array([-1 / 4] * 4 + [0, 0]))


def test_pytorch_has_the_gradient_of_what_went_into_the_log_softmax():
    torch = pytest.importorskip("torch")
    x, target, lengths, spelling = logarithms(6, 2, 4), np.array([[1, 1], [3, 2]]), np.array([6, 4]), np.array([2, 1])
    lp, back = mint.log_softmax(x, dim=2)
    y, vjp = mint.ctc_loss(lp, target, lengths, spelling, reduction="sum")
    glp = vjp(np.ones_like(y))[0]
    tx = torch.from_numpy(x).requires_grad_()
    tlp = tx.log_softmax(2)
    tlp.retain_grad()
    integers = (torch.from_numpy(a) for a in (target, lengths, spelling))
    torch.nn.functional.ctc_loss(tlp, *integers, reduction="sum").backward()
    counts = np.arange(6)[:, None, None] < lengths[:, None]
    assert back(glp)[0] == pytest.approx(tx.grad.numpy(), abs=1e-14)
    assert np.exp(lp) * counts + glp == pytest.approx(tlp.grad.numpy(), abs=1e-14)
    assert abs(glp - tlp.grad.numpy()).max() > 0.1


def test_what_is_impossible():
    # two equal labels need a blank between them
    lp, target = logarithms(3, 2, 3), np.array([[1, 1], [1, 2]])
    arrays = target, np.array([2, 2]), np.array([2, 2])
    y, vjp = mint.ctc_loss(lp, *arrays, reduction="none")
    assert y[0] == np.inf
    assert np.isfinite(y[1])
    gx = vjp(np.ones(2))[0]
    assert np.isnan(gx[:2, 0]).all()
    assert np.isfinite(gx[:, 1]).all()
    assert not gx[2].any()
    y, vjp = mint.ctc_loss(lp, *arrays, reduction="mean", zero_infinity=True)
    assert np.isfinite(y)
    gx = vjp(np.array(1.0))[0]
    assert not gx[:, 0].any()
    assert gx[0, 1].any()
    assert mint.ctc_loss(lp[:, 0], target[0], np.array(2), np.array(2))[0] == np.inf


def test_nothing_to_spell_and_nothing_to_read():
    lp = logarithms(3, 1, 2)
    for steps, length, expected in ((3, 0, -lp[:, 0, 0].sum()), (0, 0, 0), (0, 1, np.inf)):
        y, vjp = mint.ctc_loss(lp, np.array([[1]]), np.array([steps]), np.array([length]))
        assert y == pytest.approx(expected)
        assert not vjp(np.ones_like(y))[0][steps:].any()


def test_a_probability_of_0_closes_a_way():
    # the only way left: blank, then 1
    lp = np.array([[0.0, -np.inf], [-np.inf, 0.0]])
    y, vjp = mint.ctc_loss(lp, np.array([1]), np.array(2), np.array(1))
    assert y == 0
    assert vjp(np.array(1.0))[0].tolist() == [[-1, 0], [0, -1]]


def test_long_inputs_keep_their_digits():
    # all classes alike: the number of alignments of one label in T steps is T·(T + 1)/2
    steps = 2000
    lp = np.full((steps, 2), -np.log(np.longdouble(2)))
    y, vjp = mint.ctc_loss(lp, np.array([1]), np.array(steps), np.array(1))
    expected = steps * np.log(np.longdouble(2)) - np.log(np.longdouble(steps * (steps + 1) // 2))
    assert abs(y - expected) < 1e-15 * expected
    gx = vjp(np.ones_like(y))[0]
    share = [np.longdouble((t + 1) * (steps - t)) / (steps * (steps + 1) // 2) for t in range(steps)]
    assert abs(gx[:, 1] + share).max() < 1e-15


def test_targets_in_rows_or_one_after_the_other():
    lp, inputs, lengths = logarithms(6, 3, 4), np.array([6, 5, 6]), np.array([2, 0, 1])
    rows = np.array([[1, 2, 9], [7, 7, 7], [3, -1, 0]], np.int8)  # what does not count may be anything
    y, vjp = mint.ctc_loss(lp, rows, inputs, lengths)
    other, other_vjp = mint.ctc_loss(lp, np.array([1, 2, 3]), inputs, lengths)
    assert y == other
    assert np.array_equal(vjp(y)[0], other_vjp(y)[0])
    each = mint.ctc_loss(lp, rows, inputs, lengths, reduction="none")[0]
    assert y == pytest.approx((each[0] / 2 + each[1] + each[2]) / 3)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"log_probs": np.ones((0, 2, 3))}, "log_probs must have shape (T, N, C) or (T, C), none of it 0"),
        ({"blank": 3}, "blank must be a class, an int in [0, 3); got 3"),
        ({"targets": np.array([[1, 0], [1, 2]])}, "targets must be in [0, 3) and other than blank 0; got 0"),
        ({"targets": np.array([[1, 3], [1, 2]])}, "targets must be in [0, 3) and other than blank 0; got 3"),
        ({"targets": np.array([1, 1, 1])}, "targets must have shape (4,), Σ target_lengths; got (3,)"),
        ({"targets": np.ones((3, 2), int)}, "targets must have shape (2, S) or one axis to fit log_probs; got (3, 2)"),
        ({"input_lengths": np.array([4, 5])}, "input_lengths must lie in [0, 4]; got 5"),
        ({"input_lengths": np.array(4)}, "input_lengths must have shape (2,) to fit log_probs; got ()"),
        ({"target_lengths": np.array([-1, 2])}, "target_lengths must lie in [0, 2]; got -1"),
        ({"reduction": "all"}, "reduction must be one of"),
    ],
)
def test_refusals(changed, message):
    valid = {
        "log_probs": np.ones((4, 2, 3)),
        "targets": np.ones((2, 2), int),
        "input_lengths": np.array([4, 4]),
        "target_lengths": np.array([2, 2]),
    }
    mint.ctc_loss(**valid)
    with pytest.raises(ValueError, match=re.escape(message)):
        mint.ctc_loss(**{**valid, **changed})


def test_shell():
    lp, rest = logarithms(4, 1, 3), (np.array([[1, 2]]), np.array([4]), np.array([2]))
    y, vjp = mint.CTCLoss(0, "sum", True)(lp, *rest)
    assert y == mint.ctc_loss(lp, *rest, reduction="sum", zero_infinity=True)[0]
    assert vjp(np.ones_like(y))[1:] == (None, None, None)
