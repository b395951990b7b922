"""Predictors: what a bundle can hold, each rebuilt from plain facts and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np

from sicmir.errors import BundleError, ParameterError
from sicmir.learning.arrays import grouped
from sicmir.matrices.normalise import InputTransform

if TYPE_CHECKING:
    from sicmir.learning.architecture import SicmirNetwork

_HOME = {
    "kernel": ("sicmir.learning.kernel", "MaskedKernelRidge"),
    "network": ("sicmir.learning.predictors", "NetworkPredictor"),
}


class Predictor(Protocol):
    """What a bundle asks of a fitted model: to predict, and to say all that rebuilds it.

    Attributes
    ----------
    kind
        Name by which :func:`predictor_class` finds the class again.
    """

    kind: ClassVar[str]

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return samples × miRNAs, float32, from samples × genes, log2(x+1), NaN = not measured."""

    def state(self) -> dict[str, np.ndarray]:
        """Arrays that rebuild the predictor, by name."""

    def facts(self) -> dict[str, Any]:
        """What :meth:`from_state` needs beside the arrays, for example options; fit for JSON."""

    @classmethod
    def from_state(cls, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Rebuild the predictor, or raise :class:`sicmir.errors.BundleError` if it cannot be."""


def predictor_class(kind: str) -> type[Predictor]:
    """Find the class of a kind of predictor. Only what this kind needs is imported.

    Raises
    ------
    BundleError
        If there is no such kind.
    """
    if kind not in _HOME:
        raise BundleError(
            f"There is no predictor of the kind {kind!r}; expected {' or '.join(_HOME)}. Use the version of "
            "sicmir that wrote the bundle."
        )
    module, name = _HOME[kind]
    return getattr(import_module(module), name)


@dataclass(frozen=True, eq=False)
class NetworkPredictor:
    """The network between the scalers of its input and its output.

    Attributes
    ----------
    network
        The trained network, in evaluation mode.
    transform
        Fitted input transform: from log2 expression to network input; a gene that was not measured enters
        as its neutral value.
    target_mean, target_sd
        Per miRNA, mean and SD over the training samples, in the units of the output; float32, length
        n_mirnas.
    """

    network: SicmirNetwork
    transform: InputTransform
    target_mean: np.ndarray
    target_sd: np.ndarray

    kind: ClassVar[str] = "network"

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return samples × miRNAs, float32, in the units of the targets.

        Raises
        ------
        DataError
            If a value is infinite or no log2 value, or a sample has no measured gene.
        """
        # Imported here and below, because other predictors do without torch.
        import torch

        from sicmir.learning.architecture import torch_threads

        inputs = torch.from_numpy(self.transform.transform(X))
        with torch_threads(), torch.inference_mode():
            standardised = self.network(inputs).numpy()
        return standardised * self.target_sd + self.target_mean

    def state(self) -> dict[str, np.ndarray]:
        """Arrays ``network.*``, ``transform.*``, ``target.mean`` and ``target.sd``."""
        return {
            **{f"network.{name}": v.numpy().copy() for name, v in self.network.state_dict().items()},
            **{f"transform.{name}": v for name, v in self.transform.state().items()},
            "target.mean": self.target_mean.copy(),
            "target.sd": self.target_sd.copy(),
        }

    def facts(self) -> dict[str, Any]:
        """The architecture of the network and the name of the transform."""
        return {"architecture": self.network.architecture, "transform": self.transform.name}

    @classmethod
    def from_state(cls, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Rebuild a predictor from :meth:`facts` and :meth:`state`.

        Raises
        ------
        BundleError
            If a fact or an array is absent or unexpected, or shapes do not agree.
        """
        import torch

        from sicmir.learning.architecture import SicmirNetwork

        groups = grouped(arrays)
        if set(groups) != {"network", "transform", "target"}:
            raise BundleError(
                "The state of the network model should hold network.*, transform.* and target.*; found "
                f"{sorted(groups)}."
            )
        try:
            network = SicmirNetwork(**facts["architecture"])
            tensors = {name: torch.from_numpy(np.array(v)) for name, v in groups["network"].items()}
            network.load_state_dict(tensors)
            transform = InputTransform.from_state(facts["transform"], groups["transform"])
            mean, sd = (np.array(groups["target"][key], dtype=np.float32) for key in ("mean", "sd"))
        except (KeyError, TypeError, RuntimeError, ParameterError) as error:
            raise BundleError(f"The network cannot be rebuilt from its facts and arrays: {error}") from error
        n_genes, n_mirnas = (network.architecture[key] for key in ("n_genes", "n_mirnas"))
        if transform.n_genes != n_genes or not mean.shape == sd.shape == (n_mirnas,):
            raise BundleError(
                f"The network has {n_genes} genes and {n_mirnas} miRNAs; its transform has "
                f"{transform.n_genes} genes, target.mean and target.sd have the shapes {mean.shape} and "
                f"{sd.shape}."
            )
        return cls(network.eval(), transform, mean, sd)
