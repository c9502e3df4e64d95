"""Real bugs: what real projects have got wrong, written anew on top of Mint's layers, one family a file."""

from tests.meta.planted.bug import Planted
from tests.meta.zoo import (
    activation,
    attention,
    convolution,
    embedding,
    loss,
    normalisation,
    pooling,
    recurrent,
    vision,
)

FAMILIES = (convolution, pooling, normalisation, activation, attention, recurrent, embedding, loss, vision)
ZOO = tuple(bug for family in FAMILIES for bug in vars(family).values() if isinstance(bug, Planted))
