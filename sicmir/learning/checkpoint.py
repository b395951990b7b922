"""The state of an unfinished training on disk."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, Protocol

import torch

from sicmir import paths
from sicmir.errors import ParameterError

SEARCH, REFIT = "search", "refit"
"""The two phases of a training, see :class:`sicmir.learning.training.NetworkRegressor`."""


class Run(Protocol):
    """The parts of a phase that are kept."""

    phase: str
    epochs: int
    history: list[tuple]
    best_epoch: int
    best_loss: float

    @property
    def network(self) -> torch.nn.Module:
        """The network in training."""

    @property
    def optimiser(self) -> torch.optim.Optimizer:
        """Its optimiser."""

    @property
    def schedule(self) -> torch.optim.lr_scheduler.LRScheduler:
        """Of the learning rate."""


class Checkpoint:
    """The state of an unfinished training on disk, tied to its data and options by a key."""

    def __init__(self, path: str | Path, key: str) -> None:
        self.path, self.key = Path(path) if str(path) else None, key
        self.state: dict[str, Any] = {}
        if self.path is not None and self.path.is_file():
            # weights_only: the file is data; nothing in it is executed.
            try:
                self.state = torch.load(self.path, weights_only=True)
            except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
                raise ParameterError(
                    f"The checkpoint {self.path} is damaged ({error}). Delete it to start anew."
                ) from error
            if self.state.get("key") != key:
                raise ParameterError(
                    f"The checkpoint {self.path} belongs to a training with other data or options. "
                    "Give another file, or delete it to start anew."
                )

    def restore(self, run: Run) -> None:
        """Bring a run to where the checkpoint stands; a search that is over is only read back."""
        if run.phase == SEARCH and self.state.get("phase") == REFIT:
            run.history = [tuple(row) for row in self.state["earlier"]]
            run.epochs = len(run.history)
        elif run.phase == self.state.get("phase"):
            run.network.load_state_dict(self.state["network"])
            run.optimiser.load_state_dict(self.state["optimiser"])
            run.schedule.load_state_dict(self.state["schedule"])
            torch.set_rng_state(self.state["random"])
            run.history = [tuple(row) for row in self.state["history"]]
            run.best_epoch, run.best_loss = self.state["best_epoch"], self.state["best_loss"]

    def write(self, run: Run, earlier: list[tuple] | None) -> None:
        """Keep the state of a run, and the history of the phase before it."""
        if self.path is None:
            return
        state = {
            "key": self.key,
            "phase": run.phase,
            "network": run.network.state_dict(),
            "optimiser": run.optimiser.state_dict(),
            "schedule": run.schedule.state_dict(),
            "random": torch.get_rng_state(),
            "history": run.history,
            "earlier": earlier or [],
            "best_epoch": run.best_epoch,
            "best_loss": float(run.best_loss),
        }
        with paths.replacing(self.path) as part:
            torch.save(state, part)
