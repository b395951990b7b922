"""The network of the published method as a plain torch module, and how many threads it may use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch
from torch import nn

from sicmir.errors import ParameterError
from sicmir.threads import asked_threads

LayerOrder = Literal["relu-norm", "norm-relu", "mixed"]
"""Order within the hidden layers. ``relu-norm``: ReLU, then batch normalisation; ``norm-relu``: the other
way round; ``mixed``: normalisation first in the first hidden layer, ReLU first in the second."""


class SicmirNetwork(nn.Module):
    """Multilayer perceptron of Cai et al. 2026: landmarks → 1024 → 1024 → miRNAs.

    Each hidden layer is linear, ReLU and batch normalisation, dropout; the output is linear. The
    published code has batch normalisation before ReLU in some commits and after it in others; the
    latter reached the higher correlation within the cohorts of tcga-small and is the default. With
    1,298 miRNAs it has the 3,385,618 parameters of the published network.

    Parameters
    ----------
    n_genes, n_mirnas
        Width of input and output.
    hidden
        Width of both hidden layers.
    dropout
        Share of hidden units left out at each training step, in [0, 1).
    order
        ``"relu-norm"``, ``"norm-relu"`` or ``"mixed"``, see :data:`LayerOrder`.

    Raises
    ------
    ParameterError
        If there is no such order.

    References
    ----------
    Cai et al., Advanced Science 2026, doi:10.1002/advs.202514446.
    """

    def __init__(
        self,
        n_genes: int,
        n_mirnas: int,
        hidden: int = 1024,
        dropout: float = 0.3,
        order: LayerOrder = "relu-norm",
    ) -> None:
        super().__init__()
        if order not in get_args(LayerOrder):
            raise ParameterError(
                f"There is no layer order {order!r}; choose one of {', '.join(get_args(LayerOrder))}."
            )
        self.order: LayerOrder = order
        self.layers = nn.Sequential(
            *_hidden_layer(n_genes, hidden, dropout, norm_first=order != "relu-norm"),
            *_hidden_layer(hidden, hidden, dropout, norm_first=order == "norm-relu"),
            nn.Linear(hidden, n_mirnas),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Standardised landmarks (n × genes) to standardised miRNAs (n × miRNAs)."""
        return self.layers(x)

    @property
    def architecture(self) -> dict[str, Any]:
        """The arguments that build this network again."""
        first, last = self.layers[0], self.layers[-1]
        return {
            "n_genes": first.in_features,
            "n_mirnas": last.out_features,
            "hidden": first.out_features,
            "dropout": self.layers[3].p,
            "order": self.order,
        }


def _hidden_layer(n_in: int, n_out: int, dropout: float, norm_first: bool) -> list[nn.Module]:
    between = [nn.ReLU(), nn.BatchNorm1d(n_out)]
    return [nn.Linear(n_in, n_out), *(between[::-1] if norm_first else between), nn.Dropout(dropout)]


@contextmanager
def torch_threads() -> Iterator[None]:
    """Let torch use ``SICMIR_THREADS`` threads (default 1) inside the block, and restore its setting.

    One is the default because the network is small: on a shared machine a second thread mostly
    waits for the first.

    Raises
    ------
    ParameterError
        If ``SICMIR_THREADS`` is not a positive whole number.
    """
    threads = asked_threads() or 1
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
