"""Read the weights of the authors' network, a pickled module, without running anything in it.

Unpickling runs whatever a pickle names. Here a pickle may name only the few things of which a network of
this form is made, and each name stands for an inert stand-in. Torch's own restricted reader takes a whole
module in the zip format only, not in the older one, and allows more.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch

from sicmir.data.checksum import digest
from sicmir.errors import BundleError
from sicmir.learning.architecture import LayerOrder, SicmirNetwork

N_GENES, HIDDEN, N_MIRNAS = 977, 1024, 1298

_NETWORK = "__main__.NeuralNet"
_LAYERS = (
    "container.Sequential",
    "linear.Linear",
    "batchnorm.BatchNorm1d",
    "activation.ReLU",
    "dropout.Dropout",
)
_STORAGES = {"torch.FloatStorage": "<f4", "torch.LongStorage": "<i8"}
_MAX_BYTES = 100_000_000  # the real file has 14 MB
_MAX_PICKLE = 1_000_000  # and its pickle some kB, beside the numbers
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C

_KINDS: dict[str, LayerOrder] = {
    "Linear ReLU BatchNorm1d Linear ReLU BatchNorm1d Linear": "relu-norm",
    "Linear BatchNorm1d ReLU Linear BatchNorm1d ReLU Linear": "norm-relu",
    "Linear BatchNorm1d ReLU Linear ReLU BatchNorm1d Linear": "mixed",
}
_NORM = dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (HIDDEN,)) | {
    "num_batches_tracked": ()
}
_SHAPES = [
    {"weight": (HIDDEN, N_GENES), "bias": (HIDDEN,)},
    _NORM,
    {"weight": (HIDDEN, HIDDEN), "bias": (HIDDEN,)},
    _NORM,
    {"weight": (N_MIRNAS, HIDDEN), "bias": (N_MIRNAS,)},
]


class _Storage(NamedTuple):
    """Where the numbers of tensors lie in the file."""

    key: str
    dtype: str
    size: int


class _Tensor(NamedTuple):
    """A tensor of which only the place is known."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Weights:
    """What a published weights file holds.

    Attributes
    ----------
    tensors
        Per layer with parameters (linear, normalisation, linear, normalisation, linear): name -> tensor.
    order
        Order of ReLU and batch normalisation, as the numbering of the layers in the file gives it.
    form
        ``"whole module"`` or ``"state dict"``.
    checksum
        Of the file, as the manifest writes it: ``git_blob_sha1:`` and the digest.
    """

    tensors: list[dict[str, torch.Tensor]]
    order: LayerOrder
    form: str
    checksum: str

    def network(self, order: LayerOrder | None = None) -> SicmirNetwork:
        """Make the network, in evaluation mode, with the order of the file or another one."""
        network = SicmirNetwork(N_GENES, N_MIRNAS, HIDDEN, order=order or self.order)
        holders = [
            layer for layer in network.layers if isinstance(layer, torch.nn.Linear | torch.nn.BatchNorm1d)
        ]
        for layer, tensors in zip(holders, self.tensors, strict=True):
            layer.load_state_dict(tensors)
        return network.eval()


def read_weights(path: str | Path) -> Weights:
    """Read a weights file of the published form. Nothing in it is executed.

    Parameters
    ----------
    path
        Whole module ``__main__.NeuralNet`` holding one ``Sequential``, or the state dict of one, as
        ``torch.save`` writes it, in the zip format or the older one.

    Raises
    ------
    BundleError
        If the pickle names anything that such a file does not need (the name is told), the file is
        truncated, or layers, shapes or values are not those of the published network.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise BundleError(f"{path}: expected a weights file, which is not there. Check the path.")
    if path.stat().st_size > _MAX_BYTES:
        raise BundleError(
            f"{path}: expected about 14 MB, found {path.stat().st_size} bytes. This is another file."
        )
    try:
        with path.open("rb") as file:
            zipped = file.read(4) == b"PK\x03\x04"
            file.seek(0)
            root, numbers = _read_zip(file) if zipped else _read_legacy(file)
            kinds, layers = _layers(root)
            form = "state dict" if isinstance(root, OrderedDict) else "whole module"
            order = _order(kinds)
            tensors = _tensors(layers, numbers)
        return Weights(tensors, order, form, f"git_blob_sha1:{digest(path, 'git_blob_sha1')}")
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from error
    except Exception as error:
        # A hostile or damaged pickle can raise anything; none of it is a network.
        raise BundleError(
            f"{path}: truncated, or not a file of the published form ({type(error).__name__}: {error}). "
            "Fetch it again."
        ) from error


class _Unpickler(pickle.Unpickler):
    """Unpickler that knows the parts of such a network alone, each as an inert stand-in."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}
        # Made anew for each file: a pickle can set attributes of a class, which must not outlive it.
        modules = [_NETWORK, *(f"torch.nn.modules.{name}" for name in _LAYERS)]
        self._allowed: dict[str, Any] = {
            **{name: type(name.rpartition(".")[2], (), {}) for name in modules},
            **_STORAGES,
            "torch._utils._rebuild_tensor_v2": lambda storage, offset, shape, stride, *_: _Tensor(
                storage, offset, shape, stride
            ),
            "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
            "collections.OrderedDict": OrderedDict,
            "builtins.set": set,
        }

    def find_class(self, module: str, name: str) -> Any:
        full = f"{'builtins' if module == '__builtin__' else module}.{name}"
        if full not in self._allowed:
            raise BundleError(
                f"the pickle names {full}, which no network of the published form needs. It was refused and "
                "nothing was run. Do not load this file by other means unless you trust its source."
            )
        return self._allowed[full]

    def persistent_load(self, reference: Any) -> Any:
        if reference[0] == "module":  # the older format: class, source file, source text
            return reference[1]
        tag, dtype, key, _, size, *view = reference
        if tag != "storage" or dtype not in _STORAGES.values() or any(view) or not 0 <= size <= _MAX_BYTES:
            raise BundleError(f"found a reference that is no plain storage of numbers: {reference!r:.200}.")
        return self.storages.setdefault(key, _Storage(key, dtype, size))


Numbers = Callable[[_Storage], bytes]


def _read_zip(file: BinaryIO) -> tuple[Any, Numbers]:
    archive = zipfile.ZipFile(file)
    (name,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
    folder = name.removesuffix("data.pkl")
    if archive.getinfo(name).file_size > _MAX_PICKLE:
        raise BundleError(f"{name} should have some kB, found {archive.getinfo(name).file_size} bytes.")
    if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
        raise BundleError("expected little-endian numbers, found big-endian ones.")

    def numbers(storage: _Storage) -> bytes:
        info = archive.getinfo(f"{folder}data/{storage.key}")
        _check_length(storage, info.file_size)  # before unpacking: a few kB can unpack to terabytes
        return archive.read(info)

    return _Unpickler(io.BytesIO(archive.read(name))).load(), numbers


def _read_legacy(file: BinaryIO) -> tuple[Any, Numbers]:
    magic, _, system = (_Unpickler(file).load() for _ in range(3))
    if magic != _LEGACY_MAGIC or not system["little_endian"]:
        raise BundleError("expected a little-endian file that torch.save wrote, found another format.")
    unpickler = _Unpickler(file)
    root = unpickler.load()
    content = {}
    for key in _Unpickler(file).load():
        storage = unpickler.storages[key]
        length = int.from_bytes(file.read(8), "little") * np.dtype(storage.dtype).itemsize
        _check_length(storage, length)
        content[key] = file.read(length)
        _check_length(storage, len(content[key]))
    return root, lambda storage: content[storage.key]


def _check_length(storage: _Storage, found: int) -> None:
    expected = storage.size * np.dtype(storage.dtype).itemsize
    if found != expected:
        raise BundleError(f"storage {storage.key}: expected {expected} bytes, found {found}; truncated.")


def _layers(root: Any) -> tuple[list[str], list[dict[str, _Tensor]]]:
    """Kinds of all layers and tensors of those that have any, from a whole module or a state dict."""
    if isinstance(root, OrderedDict):
        return _layers_of_state(root)
    if type(root).__name__ != "NeuralNet":
        raise BundleError(f"expected a module {_NETWORK} or a state dict, found a {type(root).__name__}.")
    parts = list(vars(root)["_modules"].values())
    if [type(part).__name__ for part in parts] != ["Sequential"]:
        raise BundleError(f"expected one Sequential, found {[type(part).__name__ for part in parts]}.")
    kinds, layers = [], []
    for layer in vars(parts[0])["_modules"].values():
        state = vars(layer)
        kinds.append(type(layer).__name__)
        if state.get("eps", 1e-5) != 1e-5:
            raise BundleError(f"expected batch normalisation with eps 1e-05, found {state['eps']!r}.")
        tensors = {**state["_parameters"], **state["_buffers"]}
        layers.append({name: tensor for name, tensor in tensors.items() if tensor is not None})
    return kinds, [tensors for tensors in layers if tensors]


def _layers_of_state(state: OrderedDict[str, _Tensor]) -> tuple[list[str], list[dict[str, _Tensor]]]:
    if len({key.rpartition(".")[0].rpartition(".")[0] for key in state}) != 1:
        raise BundleError(f"expected the state of one Sequential, found the keys {list(state)[:20]}.")
    layers: dict[int, dict[str, _Tensor]] = {}
    for key, tensor in state.items():
        *_, position, name = key.split(".")
        layers.setdefault(int(position), {})[name] = tensor
    # Layers without tensors are not listed: what is missing is ReLU beside the normalisation, or dropout.
    kinds = ["ReLU" if place in (1, 2, 5, 6) else "Dropout" for place in range(max(layers) + 1)]
    for place, tensors in layers.items():
        kinds[place] = "BatchNorm1d" if "running_mean" in tensors else "Linear"
    return kinds, [layers[place] for place in sorted(layers)]


def _order(kinds: list[str]) -> LayerOrder:
    found = " ".join(kind for kind in kinds if kind != "Dropout")  # does nothing when predicting
    if found not in _KINDS:
        raise BundleError(f"expected the layers {' or '.join(_KINDS)}, found {found[:200]}.")
    return _KINDS[found]


def _tensors(layers: list[dict[str, _Tensor]], numbers: Numbers) -> list[dict[str, torch.Tensor]]:
    read = []
    for place, (layer, expected) in enumerate(zip(layers, _SHAPES, strict=True), start=1):
        shapes = {name: tuple(tensor.shape) for name, tensor in layer.items()}
        if shapes != expected:
            raise BundleError(f"layer {place}: expected the shapes {expected}, found {shapes}.")
        read.append({name: _tensor(f"layer {place}, {name}", t, numbers) for name, t in layer.items()})
    return read


def _tensor(name: str, tensor: _Tensor, numbers: Numbers) -> torch.Tensor:
    shape = tensor.shape
    contiguous = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    dtype = "<i8" if name.endswith("num_batches_tracked") else "<f4"
    start, stop = tensor.offset, tensor.offset + math.prod(shape)
    if (
        tensor.storage.dtype != dtype
        or tensor.stride != contiguous
        or not 0 <= start <= stop <= tensor.storage.size
    ):
        raise BundleError(f"{name}: expected {dtype} numbers in one piece, found {tensor}.")
    values = np.frombuffer(numbers(tensor.storage), dtype)[start:stop].reshape(shape).copy()
    if not np.isfinite(values).all() or (name.endswith("running_var") and (values < 0).any()):
        raise BundleError(f"{name}: holds values that are not finite, or negative variances.")
    return torch.from_numpy(values)
