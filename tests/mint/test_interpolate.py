"""Resizing: by hand, what keeps its size, filters, factors, infinities, the same as in PyTorch, and what is refused."""

import math

import numpy as np
import pytest

import mint


def resized(values, **hyper):
    """A map of one axis, resized, and the gradient of the outputs 1, 10, 100, …."""
    y, vjp = mint.interpolate(np.array([[values]], float), **hyper)
    (gx,) = vjp(10.0 ** np.arange(y.shape[2])[None, None])
    return y[0, 0].tolist(), gx[0, 0].tolist()


def rows(x, **hyper):
    """The same of a map with two axes, of which the second keeps its two elements."""
    y, _ = mint.interpolate(np.array(x, float)[None, None, :, None].repeat(2, 3), **hyper)
    assert np.array_equal(y[..., 0], y[..., 1])
    return y[0, 0, :, 0]


def test_nearest():
    assert resized([1, 2, 3], size=2) == ([1, 2], [1, 10, 0])
    assert resized([1, 2, 3], size=2, mode="nearest-exact") == ([1, 3], [1, 0, 10])
    assert resized([1, 2], size=3) == ([1, 1, 2], [11, 100])
    assert resized([1, 2], size=5, mode="nearest-exact") == ([1, 1, 2, 2, 2], [11, 11100])
    assert resized([1, 2, 3, 4], scale_factor=0.5, mode="nearest-exact") == ([2, 4], [0, 1, 0, 10])


def test_linear():
    assert resized([1, 3], size=4, mode="linear") == ([1, 1.5, 2.5, 3], [1 + 7.5 + 25, 2.5 + 75 + 1000])
    assert resized([1, 3], size=3, mode="linear", align_corners=True) == ([1, 2, 3], [6, 105])
    assert resized([1, 2, 3, 4], size=2, mode="linear") == ([1.5, 3.5], [0.5, 0.5, 5, 5])
    # one element that all corners are aligned to is the first
    assert resized([1, 2, 3], size=1, mode="linear", align_corners=True) == ([1], [1, 0, 0])
    assert resized([1, 2, 3], size=1, mode="linear") == ([2], [0, 1, 0])


def test_area():
    assert resized([1, 2, 3], size=2, mode="area") == ([1.5, 2.5], [0.5, 5.5, 5])
    assert resized([1, 2], size=3, mode="area") == ([1, 1.5, 2], [6, 105])
    assert resized([1, 2], size=0, mode="area") == ([], [0, 0])
    assert resized([1, 2, 3], scale_factor=0.3, mode="area") == ([], [0, 0, 0])
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 4, 6))
    y, _ = mint.interpolate(x, size=(1, 2, 3), mode="area")
    assert np.allclose(y, x.reshape(2, 3, 5, 2, 2, 3, 2).mean((2, 4, 6))[:, :, None], rtol=1e-15)


def test_cubic():
    # half-way Keys's weights with a = −3/4 are −3/32, 19/32, 19/32, −3/32, and beyond the border is the border
    y = rows([0, 0, 1, 0, 0, 0], size=(3, 2), mode="bicubic")
    assert y.tolist() == [-3 / 32, 19 / 32, 0]
    assert rows([32, 0, 0, 0], size=(2, 2), mode="bicubic").tolist() == [16, 0]
    assert rows([0, 32, 0, 0], size=(2, 2), mode="bicubic").tolist() == [19, -3]
    for size in (2, 3, 7):
        assert np.allclose(rows([5, 5, 5, 5], size=(size, 2), mode="bicubic"), 5, rtol=1e-15)


def test_filters():
    # the triangle of twice the width: 1/8, 3/8, 3/8, 1/8, but what is within the map sums to 1
    y = rows([0, 0, 8, 0, 0, 0], size=(3, 2), mode="bilinear", antialias=True)
    assert np.allclose(y, [8 / 7, 3, 0], rtol=1e-15)
    # towards a finer grid a filter is an interpolation between neighbours
    x = [1, 5, 2]
    plain, filtered = (rows(x, size=(7, 2), mode="bilinear", antialias=antialias) for antialias in (False, True))
    assert np.allclose(plain, filtered, rtol=1e-14)
    for mode in ("bilinear", "bicubic", "lanczos"):
        for size in (1, 2, 5, 11):
            assert np.allclose(rows([3, 3, 3, 3, 3], size=(size, 2), mode=mode, antialias=True), 3, rtol=1e-15)
    # lanczos is 0 at the other elements
    assert rows([1, 2, 3, 4], size=(4, 2), mode="lanczos", antialias=True).tolist() == [1, 2, 3, 4]


def test_what_keeps_its_size_stays():
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 4))
    for mode in ("nearest", "nearest-exact", "bilinear", "bicubic", "area"):
        y, vjp = mint.interpolate(x, size=(5, 4), mode=mode)
        assert np.array_equal(y, x)
        assert np.array_equal(vjp(x)[0], x)


def test_each_axis_by_itself():
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 4))
    for mode, hyper in (("bilinear", {}), ("bicubic", {}), ("bicubic", {"antialias": True})):
        y, _ = mint.interpolate(x, size=(3, 7), mode=mode, **hyper)
        columns, _ = mint.interpolate(x, size=(3, 4), mode=mode, **hyper)
        both, _ = mint.interpolate(columns, size=(3, 7), mode=mode, **hyper)
        assert np.allclose(y, both, rtol=1e-14)


def test_sizes_from_factors():
    x = np.zeros((1, 1, 5, 7))
    assert mint.interpolate(x, scale_factor=1.5)[0].shape == (1, 1, 7, 10)
    assert mint.interpolate(x, scale_factor=(0.5, 3))[0].shape == (1, 1, 2, 21)
    assert mint.interpolate(np.zeros((1, 1, 10)), scale_factor=0.7)[0].shape == (1, 1, 7)
    assert mint.interpolate(np.zeros((0, 2, 3)), size=4)[0].shape == (0, 2, 4)


def test_a_given_factor_is_the_step_unless_recomputed():
    x = [0, 1, 2, 3, 4]
    # 5·0.7 rounded down are 3 outputs; they lie 1/0.7 apart, or 5/3
    assert np.allclose(resized(x, scale_factor=0.7, mode="linear")[0], (np.arange(3) + 0.5) / 0.7 - 0.5)
    assert np.allclose(resized(x, scale_factor=0.7, mode="linear", recompute_scale_factor=True)[0], [1 / 3, 2, 11 / 3])
    # but not where the size stays, nor, for the nearest, where it doubles
    assert resized(x, scale_factor=1.1, mode="linear")[0] == x
    assert resized([0, 1], scale_factor=2.4)[0] == [0, 0, 1, 1]


def test_sizes_are_divided_exactly():
    # ⌊i·n/m⌋, which i times a rounded n/m misses now and then
    for n in range(1, 60):
        for m in range(1, 60):
            y, _ = mint.interpolate(np.arange(n, dtype=float)[None, None], size=m)
            assert y[0, 0].tolist() == [i * n // m for i in range(m)]


def test_infinities_go_to_their_neighbours_only():
    y, _ = mint.interpolate(np.array([[[0.0, 0, 0, np.inf, 0, 0, 0, np.nan]]]), size=16, mode="linear")
    assert np.isfinite(y[0, 0, :5]).all()
    assert np.isinf(y[0, 0, 5:9]).all()
    assert np.isnan(y[0, 0, 13:]).all()
    y, _ = mint.interpolate(np.array([[[1.0, np.inf, 3]]]), size=6)
    assert y[0, 0].tolist() == [1, 1, math.inf, math.inf, 3, 3]
    y, _ = mint.interpolate(np.array([[[0.0, 2.0, np.inf, 4.0]]]), size=2, mode="area")
    assert y[0, 0].tolist() == [1, math.inf]


def test_largest_numbers_do_not_overflow():
    most = np.finfo(np.float32).max
    x = np.full((1, 1, 3, 3), most)
    for hyper in ({"mode": "area"}, {"mode": "bilinear"}, {"mode": "bilinear", "antialias": True}):
        assert (mint.interpolate(x, size=(2, 2), **hyper)[0] == most).all()


def modes():
    for mode in ("nearest", "nearest-exact", "area"):
        yield from ((mode, axes, {}) for axes in (1, 2, 3))
    for mode, axes in (("linear", 1), ("bilinear", 2), ("bicubic", 2), ("trilinear", 3)):
        yield from ((mode, axes, {"align_corners": align}) for align in (None, False, True))
    for mode in ("bilinear", "bicubic"):
        yield from ((mode, 2, {"antialias": True, "align_corners": align}) for align in (False, True))


@pytest.mark.parametrize(("mode", "axes", "hyper"), list(modes()), ids=str)
def test_the_same_as_in_pytorch(mode, axes, hyper):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    rng = np.random.default_rng(0)
    # sizes for which PyTorch's single precision finds the same neighbours
    for chosen in ({"size": (3, 8, 2)[-axes:]}, {"scale_factor": (1.75, 2.5, 0.5)[-axes:]}):
        x = rng.standard_normal((2, 3, *(4, 5, 6)[-axes:]))
        tensor = torch.tensor(x, requires_grad=True)
        expected = torch.nn.functional.interpolate(tensor, mode=mode, **hyper, **chosen)
        y, vjp = mint.interpolate(x, mode=mode, **hyper, **chosen)
        gy = rng.standard_normal(y.shape)
        gx = torch.autograd.grad(expected, tensor, torch.tensor(gy))[0]
        np.testing.assert_allclose(y, expected.detach().numpy(), rtol=0, atol=1e-14)
        np.testing.assert_allclose(vjp(gy)[0], gx.numpy(), rtol=0, atol=1e-13)


MAP, SIGNAL = np.zeros((1, 1, 3, 3)), np.zeros((1, 1, 3))


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (lambda: mint.interpolate(SIGNAL), "one of size and scale_factor must be given; got None and None"),
        (lambda: mint.interpolate(SIGNAL, size=2, scale_factor=2), "one of size and scale_factor must be given; got 2"),
        (lambda: mint.interpolate(SIGNAL, size=0), "size must be an int of at least 1 or a tuple of 1 of them; got 0"),
        (lambda: mint.interpolate(SIGNAL, size=(2, 2)), r"size must be an int .*; got \(2, 2\)"),
        (lambda: mint.interpolate(SIGNAL, scale_factor=0.1), r"at least one element on every axis; got \(0,\)"),
        (lambda: mint.interpolate(SIGNAL, scale_factor=-1.0), "scale_factor must be a finite number above 0"),
        (lambda: mint.interpolate(SIGNAL, size=2, mode="cubic"), "mode must be one of 'nearest', .*; got 'cubic'"),
        (
            lambda: mint.interpolate(SIGNAL, size=2, mode="bilinear"),
            r"x must have shape \(N, C, H, W\) in mode 'bilinear'",
        ),
        (lambda: mint.interpolate(MAP, size=2, align_corners=False), "align_corners must be None in mode 'nearest'"),
        (lambda: mint.interpolate(SIGNAL, size=2, mode="linear", antialias=True), "antialias needs one of the modes"),
        (lambda: mint.interpolate(MAP, size=2, mode="lanczos"), "mode 'lanczos' needs antialias and no align_corners"),
        (
            lambda: mint.interpolate(MAP, size=2, mode="lanczos", antialias=True, align_corners=True),
            "mode 'lanczos' needs antialias and no align_corners; got antialias True and align_corners True",
        ),
        (
            lambda: mint.interpolate(SIGNAL, size=2, recompute_scale_factor=True),
            "recompute_scale_factor needs scale_fac",
        ),
        (lambda: mint.interpolate(SIGNAL[:, :0], size=2), r"x must be empty in N only; got shape \(1, 0, 3\)"),
        (lambda: mint.interpolate(SIGNAL[0], size=2), r"x must have shape \(N, C, L\) or \(N, C, H, W\) or"),
    ],
)
def test_refusals(refused, message):
    with pytest.raises(ValueError, match=message):
        refused()


def test_words_and_flags_are_no_sizes():
    for hyper in ({"size": "2"}, {"size": 2.0}, {"scale_factor": "twice"}, {"size": 2, "antialias": 1}):
        with pytest.raises(TypeError, match=r"^interpolate: .*; got "):
            mint.interpolate(MAP, mode="bilinear", **hyper)
