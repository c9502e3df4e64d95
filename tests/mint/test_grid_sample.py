"""Sampling at points: by hand, the three paddings, slopes on elements and borders, places that are none, refusals."""

import math

import numpy as np
import pytest

import mint

NAN, INF = math.nan, math.inf
#: x[i, j] = 10·i + j
MAP = np.array([[[[0.0, 1, 2, 3], [10, 11, 12, 13], [20, 21, 22, 23]]]])
PADDING_MODES = ("zeros", "border", "reflection")


def grid_of(places, size, align_corners):
    """The coordinates that mean places (u, v, …), in elements of the last axis of the map first."""
    n = np.array(size[::-1], float)
    places = np.asarray(places, float)
    return 2 * places / (n - 1) - 1 if align_corners else (2 * places + 1) / n - 1


def sampled(x, places, **hyper):
    """Map x of one sample and channel at places, and the slopes of each along the axes of a place, per element."""
    size = x.shape[2:]
    grid = grid_of(places, size, hyper.get("align_corners", False))
    grid = grid.reshape(1, *(1,) * (len(size) - 1), len(places), len(size))
    y, vjp = mint.grid_sample(x, grid, **hyper)
    per_element = np.array([(n - 1) / 2 if hyper.get("align_corners") else n / 2 for n in size[::-1]])
    return y.ravel(), (vjp(np.ones_like(y))[1] / per_element).reshape(len(places), len(size))


@pytest.mark.parametrize("align_corners", [False, True])
def test_bilinear_by_hand(align_corners):
    y, slopes = sampled(MAP, [(1, 2), (0.5, 0), (2.25, 1.5)], align_corners=align_corners)
    assert y == pytest.approx([21, 0.5, 17.25], rel=1e-14)
    assert slopes[2] == pytest.approx([1, 10], rel=1e-13)


def test_the_last_axis_comes_first_in_a_point():
    x = np.arange(24.0).reshape(1, 1, 2, 3, 4)
    y, slopes = sampled(x, [(3, 2, 1), (0.5, 0.5, 0.5)], align_corners=True)
    assert y == pytest.approx([23, 0.5 + 2 + 6])
    assert slopes[1] == pytest.approx([1, 4, 12])


def test_what_lies_beyond_the_map():
    places = [(-0.25, 0), (-1, 0), (5, 1), (3.5, 2)]
    for mode, padding_mode, due in (
        ("bilinear", "zeros", [0, 0, 0, 11.5]),
        ("bilinear", "border", [0, 0, 13, 23]),
        ("bilinear", "reflection", [0, 0, 12, 23]),
        ("nearest", "zeros", [0, 0, 0, 0]),
        ("nearest", "border", [0, 0, 13, 23]),
        ("nearest", "reflection", [0, 0, 12, 23]),
    ):
        assert sampled(MAP, places, mode=mode, padding_mode=padding_mode)[0] == pytest.approx(due), (mode, padding_mode)
    # mirrored at the centres of the outer elements, not at their borders
    y, _ = sampled(MAP, [(-1, 0), (4, 0), (7, 0), (10, 4)], padding_mode="reflection", align_corners=True)
    assert y == pytest.approx([1, 2, 1, 2], abs=1e-13)
    # and at their borders, again and again
    y, _ = sampled(MAP, [(-1, 0), (4, 0), (-4, 0), (-5, 0), (9, 7)], padding_mode="reflection")
    assert y == pytest.approx([0, 3, 3, 3, 11], abs=1e-13)


def test_halves_are_rounded_to_even():
    y, _ = sampled(MAP, [(0.5, 0), (1.5, 0), (2.5, 0), (0, 0.5), (0, 1.5), (-0.5, -0.5)], mode="nearest")
    assert y.tolist() == [0, 2, 2, 0, 20, 0]
    y, slopes = sampled(MAP, [(3.5, 0), (1.2, 1.1)], mode="nearest")
    assert y.tolist() == [0, 11]
    assert not slopes.any()


def test_the_slope_on_an_element_is_that_towards_the_next():
    x = np.array([[[[0.0, 1, 5, 25]]]])
    for padding_mode, due in (("zeros", [1, 4, 20, -25]), ("border", [0, 4, 20, 0]), ("reflection", [0, 4, 20, 0])):
        _, slopes = sampled(x, [(0, 0), (1, 0), (2, 0), (3, 0)], padding_mode=padding_mode)
        assert slopes[:, 0].tolist() == due, padding_mode
    # beyond the border nothing changes; in the mirror it changes the other way
    _, slopes = sampled(x, [(-0.25, 0), (-2.5, 0), (-6.5, 0), (6.5, 0)], padding_mode="reflection")
    assert slopes[:, 0].tolist() == [0, -4, 4, -1]
    _, slopes = sampled(x, [(-0.25, 0), (-2, 0), (7, 0)], padding_mode="border")
    assert not slopes[:, 0].any()


def test_cubic_by_hand():
    x = np.zeros((1, 1, 1, 8))
    x[0, 0, 0, 3] = 32
    # half-way the weights are −3/32, 19/32, 19/32, −3/32, and their slopes 3/16, −21/16, 21/16, −3/16
    y, slopes = sampled(x, [(2.5, 0), (3.5, 0), (1.5, 0), (3, 0)], mode="bicubic")
    assert y == pytest.approx([19, 19, -3, 32])
    assert slopes[:, 0] == pytest.approx([42, -42, -6, 0])
    # with a = −3/4 what is linear does not stay so
    _, slopes = sampled(np.arange(8.0).reshape(1, 1, 1, 8), [(3, 0), (3.5, 0)], mode="bicubic")
    assert slopes[:, 0] == pytest.approx([1.5, 0.75])
    # beyond the border all elements are the same: nothing changes
    y, slopes = sampled(MAP, [(50.3, 0), (-50.3, 0)], mode="bicubic", padding_mode="border")
    assert y == pytest.approx([3, 0])
    assert not slopes[:, 0].any()


def test_gradients_add_up_where_points_meet():
    x = np.ones((1, 2, 2, 2))
    grid = np.zeros((1, 3, 1, 2))
    y, vjp = mint.grid_sample(x, grid)
    gx, _ = vjp(np.array([1.0, 10, 100, 2, 20, 200]).reshape(1, 2, 3, 1))
    assert gx[0, 0].tolist() == [[27.75, 27.75], [27.75, 27.75]]
    assert gx[0, 1].tolist() == [[55.5, 55.5], [55.5, 55.5]]
    assert y.tolist() == np.ones((1, 2, 3, 1)).tolist()


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding_mode", PADDING_MODES)
@pytest.mark.parametrize("align_corners", [False, True])
def test_a_place_that_is_none_is_minus_one(mode, padding_mode, align_corners):
    hyper = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    nowhere = [NAN] if padding_mode != "reflection" else [NAN, INF, -INF]
    for lost in nowhere:
        y, vjp = mint.grid_sample(MAP, np.array([[[[lost, 0.3]]]]), **hyper)
        due, due_vjp = mint.grid_sample(MAP, np.array([[[[-1.0, 0.3]]]]), **hyper)
        assert y == due
        gx, ggrid = vjp(np.ones_like(y))
        due_gx, due_ggrid = due_vjp(np.ones_like(y))
        assert np.array_equal(gx, due_gx)
        assert ggrid.ravel().tolist() == [0, due_ggrid.ravel()[1]]


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("far", [1e5, 1e10, 1e30, "max", INF])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_far_away(mode, far, dtype):
    u = np.finfo(dtype).max if far == "max" else far
    x, grid = MAP.astype(dtype), np.array([[[[-u, 0.3], [u, 0.3]]]], dtype)
    for padding_mode, total in (("zeros", 0), ("border", 2)):
        y, vjp = mint.grid_sample(x, grid, mode=mode, padding_mode=padding_mode)
        # the same as anywhere in maps that are their first and their last column throughout
        for column, got in zip((x[..., :1], x[..., -1:]), y.ravel(), strict=True):
            inside = np.array([[[[0, 0.3]]]], dtype)
            due, _ = mint.grid_sample(column.repeat(8, -1), inside, mode=mode, padding_mode=padding_mode)
            assert got == pytest.approx(due.item() if total else 0, rel=1e-6)
        gx, ggrid = vjp(np.ones_like(y))
        assert not ggrid[..., 0].any()
        assert gx.sum() == pytest.approx(total, rel=1e-6)
    # the digits of where that is are lost, but it is within the map
    y, vjp = mint.grid_sample(x, grid, mode=mode, padding_mode="reflection")
    assert (abs(y) <= 40).all()
    assert all(np.isfinite(g).all() for g in vjp(np.ones_like(y)))


def test_infinite_elements():
    x = MAP.copy()
    x[0, 0, 1, 1] = INF
    y, _ = sampled(x, [(0.5, 0.5), (2.5, 0.5), (1, 1)])
    assert (y[0], y[1]) == (INF, 7.5)
    # where the point does not move with its coordinate it has no slope, whatever is there
    _, vjp = mint.grid_sample(x[:, :, 1:2, 1:2], np.zeros((1, 1, 1, 2)), align_corners=True)
    assert vjp(np.ones((1, 1, 1, 1)))[1].tolist() == [[[[0, 0]]]]


def test_nothing_to_sample():
    for x, grid, due in (
        ((0, 2, 3, 3), (0, 2, 2, 2), (0, 2, 2, 2)),
        ((1, 0, 3, 3), (1, 2, 2, 2), (1, 0, 2, 2)),
        ((1, 2, 3, 3), (1, 0, 2, 2), (1, 2, 0, 2)),
        ((1, 2, 3, 3, 3), (1, 2, 2, 0, 3), (1, 2, 2, 2, 0)),
    ):
        y, vjp = mint.grid_sample(np.ones(x), np.zeros(grid))
        assert y.shape == due
        assert [g.shape for g in vjp(y)] == [x, grid]
        assert not any(g.any() for g in vjp(y))


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("padding_mode", PADDING_MODES)
@pytest.mark.parametrize("align_corners", [False, True])
def test_the_same_as_in_pytorch(axes, padding_mode, align_corners):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    rng = np.random.default_rng(0)
    for mode in ("bilinear", "nearest", "bicubic")[: 5 - axes]:
        for size in ((4, 5, 6), (1, 2, 1), (1, 1, 1)):
            x = rng.standard_normal((2, 3, *size[:axes]))
            # every border, centre and half-way place between them, and anything
            grid = rng.integers(-24, 25, (2, *(7, 6, 5)[:axes], axes)) / 8
            grid[1] += 0.01 * rng.standard_normal(grid[1].shape)
            hyper = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
            y, vjp = mint.grid_sample(x, grid, **hyper)
            tensors = [torch.tensor(a, requires_grad=True) for a in (x, grid)]
            expected = torch.nn.functional.grid_sample(*tensors, **hyper)
            gy = rng.standard_normal(y.shape)
            due = [expected.detach(), *torch.autograd.grad(expected, tensors, torch.tensor(gy))]
            for got, wanted in zip((y, *vjp(gy)), due, strict=True):
                np.testing.assert_allclose(got, wanted.numpy(), rtol=0, atol=1e-12)


def test_pytorch_takes_nan_for_minus_one_in_some_modes():
    functional = pytest.importorskip("torch.nn.functional", reason="compares with PyTorch")
    import torch

    grid = np.array([[[[NAN, 0.3], [0.3, NAN]]]])
    for mode in ("bilinear", "nearest"):
        for padding_mode in ("border", "reflection"):
            hyper = {"mode": mode, "padding_mode": padding_mode, "align_corners": False}
            y, _ = mint.grid_sample(MAP, grid, **hyper)
            # not its gradient: that may end the process
            assert y.tolist() == functional.grid_sample(torch.tensor(MAP), torch.tensor(grid), **hyper).tolist()


def test_affine_grid_by_hand():
    theta = np.array([[[1.0, 10, 100], [0.5, 2, -1]]])
    y, vjp = mint.affine_grid(theta, size=(1, 3, 2, 4))
    # u in −3/4, −1/4, 1/4, 3/4, and v in −1/2, 1/2
    assert y[0, 0].tolist() == [[94.25, -2.375], [94.75, -2.125], [95.25, -1.875], [95.75, -1.625]]
    gy = np.zeros_like(y)
    gy[0, 1, 3, 0] = 4
    assert vjp(gy)[0].tolist() == [[[3, 2, 4], [0, 0, 0]]]
    y, _ = mint.affine_grid(theta, size=(1, 3, 1, 3), align_corners=True)
    assert y[0, 0].tolist() == [[99, -1.5], [100, -1], [101, -0.5]]


def test_the_identity_samples_the_map_itself():
    rng = np.random.default_rng(0)
    for size in ((2, 3, 4, 5), (2, 3, 2, 4, 3), (1, 1, 1, 1)):
        axes = len(size) - 2
        theta = np.broadcast_to(np.eye(axes, axes + 1), (size[0], axes, axes + 1))
        x = rng.standard_normal(size)
        for align_corners in (False, True):
            grid, _ = mint.affine_grid(theta, size=size, align_corners=align_corners)
            y, _ = mint.grid_sample(x, grid, align_corners=align_corners)
            assert np.allclose(y, x, rtol=0, atol=1e-14)


def test_affine_grid_as_in_pytorch():
    functional = pytest.importorskip("torch.nn.functional", reason="compares with PyTorch")
    import torch

    rng = np.random.default_rng(0)
    for size in ((2, 1, 4, 5), (2, 1, 2, 4, 3), (1, 2, 5, 2)):
        axes = len(size) - 2
        theta = rng.standard_normal((size[0], axes, axes + 1))
        for align_corners in (False, True):
            tensor = torch.tensor(theta, requires_grad=True)
            expected = functional.affine_grid(tensor, size, align_corners=align_corners)
            y, vjp = mint.affine_grid(theta, size=size, align_corners=align_corners)
            gy = rng.standard_normal(y.shape)
            gtheta = torch.autograd.grad(expected, tensor, torch.tensor(gy))[0]
            np.testing.assert_allclose(y, expected.detach().numpy(), rtol=0, atol=1e-14)
            np.testing.assert_allclose(vjp(gy)[0], gtheta.numpy(), rtol=0, atol=1e-13)


GRID, THETA = np.zeros((1, 2, 2, 2)), np.zeros((1, 2, 3))


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (lambda: mint.grid_sample(MAP, GRID, mode="trilinear"), "mode must be one of 'bilinear', 'nearest', 'bicubic'"),
        (
            lambda: mint.grid_sample(MAP, GRID, padding_mode="reflect"),
            "padding_mode must be one of 'zeros', 'border', ",
        ),
        (
            lambda: mint.grid_sample(MAP, GRID[0]),
            r"shapes must be x \(N, C, H, W\) and grid .*; got .* and \(2, 2, 2\)",
        ),
        (lambda: mint.grid_sample(MAP, np.zeros((2, 2, 2, 2))), "shapes must be x .*; got "),
        (lambda: mint.grid_sample(MAP, np.zeros((1, 2, 2, 3))), "shapes must be x .*; got "),
        (lambda: mint.grid_sample(MAP[0], GRID[0]), "shapes must be x .*; got "),
        (lambda: mint.grid_sample(MAP[:, :, :0], GRID), r"x must be empty in N and C only; got shape \(1, 1, 0, 4\)"),
        (
            lambda: mint.grid_sample(MAP[None], np.zeros((1, 1, 1, 1, 3)), mode="bicubic"),
            r"mode 'bicubic' needs x \(N, C, H, W\); got shape \(1, 1, 1, 3, 4\)",
        ),
        (lambda: mint.affine_grid(THETA, size=(1, 1, 2)), r"size must be 4 or 5 ints of at least 1; got \(1, 1, 2\)"),
        (lambda: mint.affine_grid(THETA, size=(1, 0, 2, 2)), r"size must be 4 or 5 ints of at least 1; got \(1, 0, 2,"),
        (
            lambda: mint.affine_grid(THETA, size=(2, 1, 2, 2)),
            r"theta must have shape \(2, 2, 3\) to fit size; got \(1, ",
        ),
        (lambda: mint.affine_grid(THETA, size=(1, 1, 2, 2, 2)), r"theta must have shape \(1, 3, 4\) to fit size"),
    ],
)
def test_refusals(refused, message):
    with pytest.raises(ValueError, match=message):
        refused()


def test_flags_and_sizes_have_their_types():
    for refused in (
        lambda: mint.grid_sample(MAP, GRID, align_corners=1),
        lambda: mint.grid_sample(MAP, GRID, mode=0),
        lambda: mint.affine_grid(THETA, size=(1, 1, 2.0, 2)),
        lambda: mint.affine_grid(THETA, size=(1, 1, 2, 2), align_corners="yes"),
    ):
        with pytest.raises(TypeError, match=r"^(grid_sample|affine_grid): .*; got "):
            refused()
