"""Section 3: convolutions."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

import mint
from tests.derivations.equation import Array, assert_same, at, equation, integers, over, tabulate


def rotated(k: Array) -> Array:
    """k̂ of 3.1.3, in any number of axes."""
    return np.flip(k, tuple(range(2, k.ndim))).swapaxes(0, 1)


def spaced(delta: Array, stride: int) -> Array:
    """δ̌ of 3.2.1: S − 1 zeros inserted between neighbours along the map axes."""
    check = np.zeros((*delta.shape[:2], *((n - 1) * stride + 1 for n in delta.shape[2:])))
    check[:, :, *[slice(None, None, stride)] * (delta.ndim - 2)] = delta
    return check


def padded(delta: Array, before: int, after: int) -> Array:
    """δ̈ of 3.1.3: zeros before and after each map axis; a negative number cuts."""
    size = [n + before + after for n in delta.shape[2:]]
    return tabulate((*delta.shape[:2], *size), lambda n, c, *h: at(delta, n, c, *(i - before for i in h)))


class Convolution:
    """One call of a convolution of Mint on integers; f, s, p, q, d, o are F, S, P, P', D, O of section 3."""

    def __init__(
        self,
        rng: np.random.Generator,
        size: Sequence[int],
        f: int,
        *,
        s: int = 1,
        p: int = 0,
        q: int = 0,
        d: int = 1,
        o: int = 0,
        groups: int = 1,
        channels: tuple[int, int] = (2, 3),
        transposed: bool = False,
    ) -> None:
        self.f, self.s, self.p, self.q, self.d, self.o = f, s, p, q, d, o
        first, second = channels if transposed else channels[::-1]
        self.x = integers(rng, 2, channels[0], *size)
        self.k = integers(rng, first, second // groups, *[f] * len(size))
        self.b = integers(rng, channels[1])
        hyper: dict[str, Any] = {
            "padding": ((p, q),) * len(size),
            "stride": s,
            "dilation": d,
            "groups": groups,
        }
        if transposed:
            hyper["output_padding"] = o
        operation = getattr(mint, f"conv{'_transpose' * transposed}{len(size)}d")
        self.z, vjp = operation(self.x, self.k, self.b, **hyper)
        self.delta = integers(rng, *self.z.shape)
        self.gx, self.gk, self.gb = vjp(self.delta)
        #: N, C^(l−1), C^l, the sizes of the first map axis H^(l−1) and H^l, and A and B of 3.5
        self.batch, self.channels_in, self.channels_out = len(self.x), *channels
        self.rows_in, self.rows_out = self.x.shape[2], self.z.shape[2]
        self.group_in, self.group_out = channels[0] // groups, channels[1] // groups


def plane(rng: np.random.Generator) -> Iterator[Convolution]:
    """Unit stride and no padding, two axes."""
    yield Convolution(rng, (5, 4), 3)


@equation("3.1", plane)
def convolution(v: Convolution) -> None:
    def z(n: int, c: int, h: int, w: int) -> Any:
        terms = over(v.channels_in, v.f, v.f)
        return sum(v.x[n, a, h + i, w + j] * v.k[c, a, i, j] for a, i, j in terms) + v.b[c]

    assert v.rows_out == v.rows_in - v.f + 1
    assert_same(tabulate(v.z.shape, z), v.z)


@equation("3.2", plane)
def convolution_kernel(v: Convolution) -> None:
    def gk(c: int, a: int, i: int, j: int) -> Any:
        terms = over(v.batch, *v.z.shape[2:])
        return sum(v.x[n, a, h + i, w + j] * v.delta[n, c, h, w] for n, h, w in terms)

    assert_same(tabulate(v.k.shape, gk), v.gk)


@equation("3.3", plane)
def convolution_kernel_exchanged(v: Convolution) -> None:
    xt, dt = v.x.swapaxes(0, 1), v.delta.swapaxes(0, 1)

    def gk(c: int, a: int, i: int, j: int) -> Any:
        terms = over(v.batch, *v.z.shape[2:])
        return sum(xt[a, n, i + h, j + w] * dt[c, n, h, w] for n, h, w in terms)

    assert_same(tabulate(v.k.shape, gk), v.gk)
    # a convolution like any other: Mint's own, on the exchanged arrays
    assert_same(mint.conv2d(xt.copy(), dt.copy())[0].swapaxes(0, 1), v.gk)


def several(rng: np.random.Generator) -> Iterator[Convolution]:
    """Convolutions of every kind."""
    yield Convolution(rng, (5, 6), 2)
    yield Convolution(rng, (5, 6), 2, s=2, p=1, q=2, d=2)
    yield Convolution(rng, (5, 6), 2, channels=(2, 4), groups=2)
    yield Convolution(rng, (5, 6), 2, transposed=True, s=2, p=1, o=1)


@equation("3.4", several)
def convolution_bias(v: Convolution) -> None:
    def gb(c: int) -> Any:
        return sum(v.delta[n, c, h, w] for n, h, w in over(v.batch, *v.z.shape[2:]))

    assert_same(tabulate(v.b.shape, gb), v.gb)


@equation("3.5", plane)
def convolution_propagate(v: Convolution) -> None:
    def gx(n: int, c: int, h: int, w: int) -> Any:
        terms = over(v.channels_out, v.f, v.f)
        return sum(at(v.delta, n, a, h - i, w - j) * v.k[a, c, i, j] for a, i, j in terms)

    assert_same(tabulate(v.x.shape, gx), v.gx)


@equation("3.6", plane)
def convolution_propagate_padded(v: Convolution) -> None:
    reach = v.f - 1
    dd, kh = padded(v.delta, reach, reach), rotated(v.k)

    def gx(n: int, c: int, h: int, w: int) -> Any:
        terms = over(v.channels_out, v.f, v.f)
        return sum(dd[n, a, h + i, w + j] * kh[c, a, i, j] for a, i, j in terms)

    assert_same(tabulate(v.x.shape, gx), v.gx)
    assert_same(mint.conv2d(dd, kh.copy())[0], v.gx)


def strided(rng: np.random.Generator) -> Iterator[Convolution]:
    """Strides that divide and that do not, narrower and wider than the kernel."""
    for size, f, s in (((7, 5), 3, 2), ((8, 6), 3, 2), ((7, 9), 2, 3), ((6, 5), 1, 3)):
        yield Convolution(rng, size, f, s=s)


@equation("3.7", strided)
def stride_forward(v: Convolution) -> None:
    def z(n: int, c: int, h: int, w: int) -> Any:
        terms = over(v.channels_in, v.f, v.f)
        return sum(v.x[n, a, h * v.s + i, w * v.s + j] * v.k[c, a, i, j] for a, i, j in terms) + v.b[c]

    assert v.rows_out == (v.rows_in - v.f) // v.s + 1
    assert_same(tabulate(v.z.shape, z), v.z)


@equation("3.8", strided)
def stride_kernel(v: Convolution) -> None:
    def gk(c: int, a: int, i: int, j: int) -> Any:
        terms = over(v.batch, *v.z.shape[2:])
        return sum(v.x[n, a, h * v.s + i, w * v.s + j] * v.delta[n, c, h, w] for n, h, w in terms)

    assert_same(tabulate(v.k.shape, gk), v.gk)


@equation("3.9", strided)
def stride_kernel_exchanged(v: Convolution) -> None:
    xt, dt = v.x.swapaxes(0, 1), spaced(v.delta, v.s).swapaxes(0, 1)
    assert dt.shape[2] == (v.rows_out - 1) * v.s + 1

    def gk(c: int, a: int, i: int, j: int) -> Any:
        terms = over(v.batch, *dt.shape[2:])
        return sum(xt[a, n, i + h, j + w] * dt[c, n, h, w] for n, h, w in terms)

    assert_same(tabulate(v.k.shape, gk), v.gk)


@equation("3.10", strided)
def stride_propagate(v: Convolution) -> None:
    def gx(n: int, c: int, h: int, w: int) -> Any:
        terms = over(v.channels_out, *v.z.shape[2:], v.f, v.f)
        return sum(
            v.delta[n, a, p, q] * v.k[a, c, i, j] for a, p, q, i, j in terms if p * v.s + i == h and q * v.s + j == w
        )

    assert_same(tabulate(v.x.shape, gx), v.gx)


@equation("3.11", strided)
def stride_propagate_padded(v: Convolution) -> None:
    reach = v.f - 1
    kh, check = rotated(v.k), spaced(v.delta, v.s)
    rest = [(size - v.f) % v.s for size in v.x.shape[2:]]
    size = [n + 2 * reach + r for n, r in zip(check.shape[2:], rest, strict=True)]
    dd = tabulate(
        (*check.shape[:2], *size),
        lambda n, c, h, w: at(check, n, c, h - reach, w - reach),
    )
    assert dd.shape[2] - reach == v.rows_in

    def gx(n: int, c: int, h: int, w: int) -> Any:
        terms = over(v.channels_out, v.f, v.f)
        return sum(dd[n, a, h + i, w + j] * kh[c, a, i, j] for a, i, j in terms)

    assert_same(tabulate(v.x.shape, gx), v.gx)


def leaving_rows(rng: np.random.Generator) -> Iterator[Convolution]:
    """Strides that leave rows and columns unreached, at the end or between the windows."""
    return (v for v in strided(rng) if v.s > v.f or any((size - v.f) % v.s for size in v.x.shape[2:]))


@equation("3.12", leaving_rows)
def stride_unreached(v: Convolution) -> None:
    found = 0
    for axis, (size, out) in enumerate(zip(v.x.shape[2:], v.z.shape[2:], strict=True), start=2):
        unreached = [h for h in range(size) if h >= (out - 1) * v.s + v.f or h % v.s >= v.f]
        reached = [h for h in range(size) if h not in unreached]
        assert not np.take(v.gx, unreached, axis).any()
        assert all(np.take(v.gx, h, axis).any() for h in reached)
        found += len(unreached)
    assert found


def line(rng: np.random.Generator, dilations: Sequence[int] = (1,), **more: Any) -> Iterator[Convolution]:
    """Convolutions of one axis, with and without stride, padding and `dilations`."""
    for s, (p, q), d in itertools.product((1, 2, 3), ((0, 0), (1, 2), (3, 0)), dilations):
        yield Convolution(rng, (8,), 3, s=s, p=p, q=q, d=d, **more)


def dilated(rng: np.random.Generator) -> Iterator[Convolution]:
    """The same with dilation."""
    return line(rng, dilations=(2, 3))


@equation("3.13", line)
@equation("3.17", dilated)
def line_forward(v: Convolution) -> None:
    def z(n: int, c: int, h: int) -> Any:
        terms = over(v.channels_in, v.f)
        return sum(at(v.x, n, a, h * v.s + i * v.d - v.p) * v.k[c, a, i] for a, i in terms) + v.b[c]

    assert v.rows_out == (v.rows_in + v.p + v.q - v.d * (v.f - 1) - 1) // v.s + 1
    assert_same(tabulate(v.z.shape, z), v.z)


@equation("3.14", line)
@equation("3.18", dilated)
def line_kernel(v: Convolution) -> None:
    xt, dt = v.x.swapaxes(0, 1), spaced(v.delta, v.s).swapaxes(0, 1)

    def gk(c: int, a: int, i: int) -> Any:
        terms = over(v.batch, (v.rows_out - 1) * v.s + 1)
        return sum(at(xt, a, n, i * v.d + h - v.p) * dt[c, n, h] for n, h in terms)

    assert_same(tabulate(v.k.shape, gk), v.gk)


@equation("3.15", line)
@equation("3.19", dilated)
def line_propagate(v: Convolution) -> None:
    reach = v.d * (v.f - 1)
    rest = (v.rows_in + v.p + v.q - reach - 1) % v.s
    dd, kh = padded(spaced(v.delta, v.s), reach - v.p, reach - v.q + rest), rotated(v.k)

    def gx(n: int, c: int, h: int) -> Any:
        return sum(dd[n, a, h + i * v.d] * kh[c, a, i] for a, i in over(v.channels_out, v.f))

    assert dd.shape[2] - reach == v.rows_in
    assert_same(tabulate(v.x.shape, gx), v.gx)


def kept(rng: np.random.Generator) -> Iterator[Convolution]:
    """P and P' as (3.16) has them, for kernels of even and odd size."""
    for f, d in itertools.product((1, 2, 3, 4), (1, 2, 3)):
        p = d * (f - 1) // 2
        yield Convolution(rng, (7,), f, p=p, q=d * (f - 1) - p, d=d)


@equation("3.16", kept)
def padding_same(v: Convolution) -> None:
    z, vjp = mint.conv1d(v.x, v.k, v.b, padding="same", dilation=v.d)
    gx, gk, gb = vjp(v.delta)
    assert v.rows_out == v.rows_in
    for pairs, same in ((v.z, z), (v.gx, gx), (v.gk, gk), (v.gb, gb)):
        assert_same(pairs, same)
    for check in (line_forward, line_kernel, line_propagate):
        check(v)


def grouped(rng: np.random.Generator) -> Iterator[Convolution]:
    """Two groups, A = 2 input and B = 3 output channels each."""
    return line(rng, dilations=(1, 2), channels=(4, 6), groups=2)


@equation("3.20", grouped)
def groups_forward(v: Convolution) -> None:
    def z(n: int, c: int, h: int) -> Any:
        terms = over(v.group_in, v.f)
        first = v.group_in * (c // v.group_out)
        return sum(at(v.x, n, first + a, h * v.s + i * v.d - v.p) * v.k[c, a, i] for a, i in terms) + v.b[c]

    assert_same(tabulate(v.z.shape, z), v.z)


@equation("3.21", grouped)
def groups_kernel(v: Convolution) -> None:
    def gk(c: int, a: int, i: int) -> Any:
        terms = over(v.batch, v.rows_out)
        return sum(
            at(v.x, n, v.group_in * (c // v.group_out) + a, h * v.s + i * v.d - v.p) * v.delta[n, c, h]
            for n, h in terms
        )

    assert_same(tabulate(v.k.shape, gk), v.gk)


@equation("3.22", grouped)
def groups_propagate(v: Convolution) -> None:
    def gx(n: int, c: int, h: int) -> Any:
        first = v.group_out * (c // v.group_in)
        return sum(
            v.delta[n, first + b, q] * v.k[first + b, c % v.group_in, i]
            for b, q, i in over(v.group_out, v.rows_out, v.f)
            if q * v.s + i * v.d - v.p == h
        )

    assert_same(tabulate(v.x.shape, gx), v.gx)


def transposed(rng: np.random.Generator) -> Iterator[Convolution]:
    """Transposed convolutions, with every valid output padding below 3."""
    for s, (p, q), d, o in itertools.product((1, 2, 3), ((0, 0), (1, 2)), (1, 2), (0, 1, 2)):
        if o < max(s, d):
            yield Convolution(rng, (5,), 3, transposed=True, s=s, p=p, q=q, d=d, o=o)


@equation("3.23", transposed)
def transposed_forward(v: Convolution) -> None:
    def z(n: int, c: int, q: int) -> Any:
        terms = over(v.channels_in, v.rows_in, v.f)
        met = (v.x[n, a, h] * v.k[a, c, i] for a, h, i in terms if h * v.s + i * v.d - v.p == q)
        return sum(met) + v.b[c]

    assert_same(tabulate(v.z.shape, z), v.z)


@equation("3.24", transposed)
def transposed_size(v: Convolution) -> None:
    assert v.rows_out == (v.rows_in - 1) * v.s - v.p - v.q + v.d * (v.f - 1) + 1 + v.o


@equation("3.25", transposed)
def transposed_propagate(v: Convolution) -> None:
    def gx(n: int, a: int, h: int) -> Any:
        terms = over(v.channels_out, v.f)
        return sum(at(v.delta, n, c, h * v.s + i * v.d - v.p) * v.k[a, c, i] for c, i in terms)

    assert_same(tabulate(v.x.shape, gx), v.gx)


@equation("3.26", transposed)
def transposed_kernel(v: Convolution) -> None:
    def gk(a: int, c: int, i: int) -> Any:
        terms = over(v.batch, v.rows_in)
        return sum(v.x[n, a, h] * at(v.delta, n, c, h * v.s + i * v.d - v.p) for n, h in terms)

    assert_same(tabulate(v.k.shape, gk), v.gk)
