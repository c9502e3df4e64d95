"""Mint: neural-network layers in NumPy, each with its gradient written by hand.

An operation takes arrays and keyword hyper-parameters, and returns its result and the gradient's function::

    y, vjp = mint.conv2d(x, w, b, stride=2, padding=1)
    gx, gw, gb = vjp(gy)
"""

from mint.activation import *
from mint.adaptive_pool import *
from mint.attention import *
from mint.container import *
from mint.conv import *
from mint.ctc import *
from mint.distance import *
from mint.dropout import *
from mint.embedding import *
from mint.fractional_pool import *
from mint.grid_sample import *
from mint.interpolate import *
from mint.likelihood import *
from mint.linear import *
from mint.loss import *
from mint.lp_pool import *
from mint.margin import *
from mint.module import *
from mint.norm import *
from mint.pad import *
from mint.piecewise import *
from mint.pool import *
from mint.recurrent import *
from mint.reparametrisation import *
from mint.shape import *
from mint.shuffle import *
from mint.softmax import *
from mint.transformer import *
from mint.unfold import *
from mint.unpool import *

__version__ = "0.1.0"

# every family says itself what it offers
__all__ = sorted(name for name, value in globals().items() if getattr(value, "__module__", "").startswith("mint."))
