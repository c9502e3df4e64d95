"""A convolution in plain NumPy, as one would write it from a text book, and wrong in one place.

    mint fuzz conv2d --subject examples/strided_conv.py:conv2d --time 20s

says which tensor is wrong and when. (The remedy is in the last lines.)
"""

import numpy as np


def _pair(value):
    return value if isinstance(value, tuple) else (value, value)


def conv2d(x, w, b=None, *, stride=1, padding=0, dilation=1, groups=1):
    """Convolve x (N, C, H, W) with w (O, C, F, G)."""
    if groups != 1 or _pair(dilation) != (1, 1) or isinstance(padding, str):
        raise NotImplementedError("groups, dilation and words for padding")
    (s, t), (p, q) = _pair(stride), _pair(padding)
    if min(s, t) < 1 or s != int(s) or t != int(t):
        raise ValueError(f"stride must be positive integers, got {stride}")
    if isinstance(p, tuple):
        raise NotImplementedError("padding that differs by side")
    if x.shape[1] != w.shape[1]:
        raise ValueError(f"x has {x.shape[1]} channels, w takes {w.shape[1]}")
    kernel_h, kernel_w = w.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (q, q)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel_h, kernel_w), axis=(2, 3))[:, :, ::s, ::t]
    y = np.einsum("nchwij,ocij->nohw", windows, w)
    if b is not None:
        y = y + b[:, None, None]

    def vjp(gy):
        gw = np.einsum("nohw,nchwij->ocij", gy, windows)
        gx = np.zeros_like(padded)
        for i in range(kernel_h):
            for j in range(kernel_w):
                part = np.einsum("nohw,oc->nchw", gy, w[:, :, i, j])
                # wrong: `=` keeps only the last of the windows that overlap here; `+=` adds them up
                gx[:, :, i : i + s * gy.shape[2] : s, j : j + t * gy.shape[3] : t] = part
        gx = gx[:, :, p : gx.shape[2] - p, q : gx.shape[3] - q]
        return gx, gw, None if b is None else gy.sum(axis=(0, 2, 3))

    return y, vjp
