"""Transformer encoder and decoder layers, and stacks of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from mint import hyperparameters
from mint.activation import GELU
from mint.attention import MultiheadAttention, xavier_uniform
from mint.container import ModuleList
from mint.differentiable import Array
from mint.dropout import Dropout
from mint.linear import Linear
from mint.module import Module, ModuleVjp, Sequential
from mint.norm import LayerNorm
from mint.piecewise import ReLU
from mint.sampling import generator

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]

BlockVjp = Callable[[Array], tuple[Array, ...]]
"""From gy to the gradients of the block's input and of the memory, if it reads that."""
Block = Callable[[Array], tuple[Array, BlockVjp]]


class _Elementwise(Module):
    """An operation on one array as a module."""

    def __init__(self, operation: Callable[[Array], tuple[Array, BlockVjp]]) -> None:
        self.operation = operation

    def forward(self, x: Array) -> tuple[Array, ModuleVjp]:  # type: ignore[override]
        y, vjp = self.operation(x)
        return y, lambda gy: vjp(gy)[0]


def _identity(x: Array) -> tuple[Array, ModuleVjp]:
    return x, lambda gy: gy


def _activation(name: str, activation: object) -> Module:
    if isinstance(activation, str) and activation in ("relu", "gelu"):
        return ReLU() if activation == "relu" else GELU()
    if isinstance(activation, Module):
        return activation
    if callable(activation):
        return _Elementwise(activation)
    error = ValueError if isinstance(activation, str) else TypeError
    raise error(f"{name}: activation must be 'relu', 'gelu', a module or an operation; got {activation!r}")


class _Layer(Module):
    """Blocks one after the other, attention and then a feed-forward network, each normalised and added to its input."""

    attentions: tuple[str, ...]
    """The attributes that hold them, in order."""

    self_attn: MultiheadAttention

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Module | Callable[[Array], tuple[Array, BlockVjp]] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        name = type(self).__name__
        rng = generator(name, rng)
        for attention in self.attentions:
            made = MultiheadAttention(
                d_model, nhead, dropout=dropout, bias=bias, batch_first=batch_first, rng=rng, dtype=dtype
            )
            setattr(self, attention, made)
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, rng=rng, dtype=dtype)
        self.dropout = Dropout(dropout, rng=rng)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, rng=rng, dtype=dtype)
        self.norm_first = hyperparameters.flag(name, "norm_first", norm_first)
        for place in range(1, len(self.attentions) + 2):
            setattr(self, f"norm{place}", LayerNorm(d_model, eps=layer_norm_eps, bias=bias, dtype=dtype))
            setattr(self, f"dropout{place}", Dropout(dropout, rng=rng))
        self.activation = _activation(name, activation)

    def block(self, place: int, x: Array, function: Block) -> tuple[Array, BlockVjp]:
        """x + function(norm(x)) with norm_first, else norm(x + function(x)); dropout comes after the function."""
        norm, dropout = getattr(self, f"norm{place}"), getattr(self, f"dropout{place}")
        before, after = (norm, _identity) if self.norm_first else (_identity, norm)
        read, of_before = before(x)
        found, of_function = function(read)
        kept, of_dropout = dropout(found)
        y, of_after = after(x + kept)

        def back(gy: Array) -> tuple[Array, ...]:
            # the sum hands on its cotangent to x, and to what the function has made of x
            g = of_after(gy)
            of_read, *others = of_function(of_dropout(g))
            return g + of_before(of_read), *others

        return y, back

    def attend(self, attention: MultiheadAttention, x: Array, memory: Array | None, **masks: Array | None) -> Any:
        """Attention to x itself, or to the memory."""
        source = x if memory is None else memory
        y, vjp = attention(x, source, source, need_weights=False, **masks)

        def back(gy: Array) -> tuple[Array, ...]:
            # the source is key and value
            gx, gkey, gvalue = vjp(gy)
            return (gx + gkey + gvalue,) if memory is None else (gx, gkey + gvalue)

        return y, back

    def feed_forward(self, x: Array) -> tuple[Array, BlockVjp]:
        """linear2(dropout(activation(linear1(x))))."""
        y, vjp = Sequential(self.linear1, self.activation, self.dropout, self.linear2)(x)
        return y, lambda gy: (vjp(gy),)


class TransformerEncoderLayer(_Layer):
    """Self-attention, then a feed-forward network linear2(activation(linear1(x))).

    Each is added to its input and normalised: norm(x + f(x)), or x + f(norm(x)) with norm_first. Called on src
    (S, N, d_model), or (N, S, d_model) with batch_first, or (S, d_model); src_mask and src_key_padding_mask are the
    attn_mask and key_padding_mask of ``multi_head_attention``, and constants. With a mask there is no need of PyTorch's
    is_causal.

    dropout: the probability that a weight of attention, or an element of what each part computes, is dropped while
    ``training``. activation: "relu", "gelu", or a module or operation on one array. rng: the ``numpy.random.Generator``
    that draws the parameters, and then what is dropped; a fresh one where None. dtype: that of the parameters.
    Source: Vaswani et al., "Attention is all you need", 2017; Xiong et al., "On layer normalization in the transformer
    architecture", 2020 (norm_first).

    >>> layer = TransformerEncoderLayer(4, 2, dim_feedforward=8, batch_first=True, rng=np.random.default_rng(0))
    >>> y, vjp = layer(np.ones((3, 5, 4), np.float32))
    >>> y.shape, vjp(y).shape
    ((3, 5, 4), (3, 5, 4))
    """

    attentions = ("self_attn",)

    def forward(  # type: ignore[override]
        self, src: Array, src_mask: Array | None = None, src_key_padding_mask: Array | None = None
    ) -> tuple[Array, ModuleVjp]:
        """Attention of src to itself, and the network."""
        masks = {"attn_mask": src_mask, "key_padding_mask": src_key_padding_mask}
        x, of_attention = self.block(1, src, lambda read: self.attend(self.self_attn, read, None, **masks))
        y, of_network = self.block(2, x, self.feed_forward)

        def back(gy: Array) -> Array:
            (gx,) = of_network(gy)
            (gsrc,) = of_attention(gx)
            return gsrc

        return y, back


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to the memory (what the encoder has made of the source), a feed-forward network.

    Called on tgt (T, N, d_model) and memory (S, N, d_model), or with N first with batch_first, or without N; the vjp
    returns ``(gtgt, gmemory)``. Everything else is as in ``TransformerEncoderLayer``.
    """

    attentions = ("self_attn", "multihead_attn")

    multihead_attn: MultiheadAttention

    def forward(  # type: ignore[override]
        self,
        tgt: Array,
        memory: Array,
        tgt_mask: Array | None = None,
        memory_mask: Array | None = None,
        tgt_key_padding_mask: Array | None = None,
        memory_key_padding_mask: Array | None = None,
    ) -> tuple[Array, ModuleVjp]:
        """Attention of tgt to itself and to the memory, and the network."""
        own = {"attn_mask": tgt_mask, "key_padding_mask": tgt_key_padding_mask}
        other = {"attn_mask": memory_mask, "key_padding_mask": memory_key_padding_mask}
        x, of_own = self.block(1, tgt, lambda read: self.attend(self.self_attn, read, None, **own))
        x, of_other = self.block(2, x, lambda read: self.attend(self.multihead_attn, read, memory, **other))
        y, of_network = self.block(3, x, self.feed_forward)

        def back(gy: Array) -> tuple[Array, Array]:
            (gx,) = of_network(gy)
            gx, gmemory = of_other(gx)
            (gtgt,) = of_own(gx)
            return gtgt, gmemory

        return y, back


def _generators(module: Module) -> Iterator[np.random.Generator]:
    yield from (value for value in vars(module).values() if isinstance(value, np.random.Generator))
    for _, child in module.children():
        yield from _generators(child)


def _copies(name: str, layer: Module, count: int) -> ModuleList:
    """Deep copies of a layer, which draw from the generators of the original: copies of these would drop the same."""
    count = hyperparameters.integer(name, "num_layers", count, least=1)
    shared = {id(found): found for found in _generators(layer)}
    return ModuleList(copy.deepcopy(layer, dict(shared)) for _ in range(count))


class TransformerEncoder(Module):
    """num_layers copies of a layer, one after the other, and a norm at the end, if there is one.

    Called as ``TransformerEncoderLayer``, the mask first. Without gradients PyTorch may leave zeros where
    src_key_padding_mask says that nothing is; Mint computes the same always.

    >>> layer = TransformerEncoderLayer(4, 2, dim_feedforward=8)
    >>> encoder = TransformerEncoder(layer, 2)
    >>> mask = Transformer.generate_square_subsequent_mask(3)
    >>> y, vjp = encoder(np.ones((3, 1, 4), np.float32), mask)
    >>> [name for name, _ in encoder.named_parameters()][-2:]
    ['layers.1.norm2.weight', 'layers.1.norm2.bias']
    """

    def __init__(self, encoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        self.layers = _copies("TransformerEncoder", encoder_layer, num_layers)
        self.norm = norm

    def forward(  # type: ignore[override]
        self, src: Array, mask: Array | None = None, src_key_padding_mask: Array | None = None
    ) -> tuple[Array, ModuleVjp]:
        """Every layer on what the one before has made, then the norm."""
        x, vjps = src, []
        for layer in self.layers:
            x, vjp = layer(x, src_mask=mask, src_key_padding_mask=src_key_padding_mask)
            vjps.append(vjp)
        x, of_norm = (self.norm or _identity)(x)

        def back(gy: Array) -> Any:
            g = of_norm(gy)
            for vjp in reversed(vjps):
                g = vjp(g)
            return g

        return x, back


class TransformerDecoder(Module):
    """num_layers copies of a layer, one after the other, and a norm at the end, if there is one.

    Called as ``TransformerDecoderLayer``; every layer reads the same memory, whose gradient is the sum of theirs.
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        self.layers = _copies("TransformerDecoder", decoder_layer, num_layers)
        self.norm = norm

    def forward(  # type: ignore[override]
        self,
        tgt: Array,
        memory: Array,
        tgt_mask: Array | None = None,
        memory_mask: Array | None = None,
        tgt_key_padding_mask: Array | None = None,
        memory_key_padding_mask: Array | None = None,
    ) -> tuple[Array, ModuleVjp]:
        """Every layer on what the one before has made and the memory, then the norm."""
        masks = {
            "tgt_mask": tgt_mask,
            "memory_mask": memory_mask,
            "tgt_key_padding_mask": tgt_key_padding_mask,
            "memory_key_padding_mask": memory_key_padding_mask,
        }
        x, vjps = tgt, []
        for layer in self.layers:
            x, vjp = layer(x, memory, **masks)
            vjps.append(vjp)
        x, of_norm = (self.norm or _identity)(x)

        def back(gy: Array) -> tuple[Array, Any]:
            g = of_norm(gy)
            gmemories = []
            for vjp in reversed(vjps):
                g, gmemory = vjp(g)
                gmemories.append(gmemory)
            return g, sum(gmemories)

        return x, back


class Transformer(Module):
    """An encoder of src and a decoder of tgt that reads what the encoder makes.

    Called on src (S, N, d_model) and tgt (T, N, d_model), or with N first with batch_first, or without N; the masks are
    those of ``TransformerEncoder`` and ``TransformerDecoder``; the vjp returns ``(gsrc, gtgt)``. Both stacks end with a
    norm. custom_encoder, custom_decoder: modules that take their place, with the same inputs and masks.
    Everything else is as in ``TransformerEncoderLayer``, but that weights begin as ``xavier_uniform``.
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Module | Callable[[Array], tuple[Array, BlockVjp]] = "relu",
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        rng = generator("Transformer", rng)

        def stack(layer: type[_Layer], whole: Callable[[Module, int, Module], Module], count: int) -> Module:
            one = layer(
                d_model,
                nhead,
                dim_feedforward,
                dropout,
                activation,
                layer_norm_eps,
                batch_first,
                norm_first,
                bias,
                rng=rng,
                dtype=dtype,
            )
            return whole(one, count, LayerNorm(d_model, eps=layer_norm_eps, bias=bias, dtype=dtype))

        self.encoder = custom_encoder or stack(TransformerEncoderLayer, TransformerEncoder, num_encoder_layers)
        self.decoder = custom_decoder or stack(TransformerDecoderLayer, TransformerDecoder, num_decoder_layers)
        for parameter in self.parameters():
            if parameter.data.ndim > 1:
                parameter.data = xavier_uniform(rng, parameter.data.shape, parameter.data.dtype)

    def forward(  # type: ignore[override]
        self,
        src: Array,
        tgt: Array,
        src_mask: Array | None = None,
        tgt_mask: Array | None = None,
        memory_mask: Array | None = None,
        src_key_padding_mask: Array | None = None,
        tgt_key_padding_mask: Array | None = None,
        memory_key_padding_mask: Array | None = None,
    ) -> tuple[Array, ModuleVjp]:
        """The decoder on tgt and on what the encoder makes of src."""
        memory, of_encoder = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask)
        y, of_decoder = self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
        )

        def back(gy: Array) -> tuple[Array, Array]:
            gtgt, gmemory = of_decoder(gy)
            return of_encoder(gmemory), gtgt

        return y, back

    @staticmethod
    def generate_square_subsequent_mask(sz: int, *, dtype: npt.DTypeLike = np.float32) -> Array:
        """The additive mask that leaves to each of sz elements itself and those before: −∞ above the diagonal, else 0.

        >>> Transformer.generate_square_subsequent_mask(3)
        array([[  0., -inf, -inf],
               [  0.,   0., -inf],
               [  0.,   0.,   0.]], dtype=float32)
        """
        return np.triu(np.full((sz, sz), -np.inf, dtype), 1)
