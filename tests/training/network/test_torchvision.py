"""State dicts without PyTorch: what is read, what is refused, and that every tensor finds its one place."""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.training.conftest import outputs_of
from training.learning.checkpoint import Checkpoint
from training.learning.configuration import Config
from training.network.backbones import load_pretrained
from training.network.state_dict import StateDictError, read_state_dict
from training.network.torchvision import DEVIATION, MEAN, load_torchvision
from training.network.unified import unified
from training.release.portable import portable

# Keras 3.15 writes its variables in a way that NumPy 2 warns about.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

#: Written by PyTorch 2.13 itself: the form of today, and the one before version 1.6.
WRITTEN = Path(__file__).parent / "weights"
State = dict[str, np.ndarray]


@pytest.mark.parametrize("form", ["zip", "row"])
def test_what_pytorch_wrote_is_read(form: str) -> None:
    actual = read_state_dict(WRITTEN / f"torch-{form}.pth")
    assert list(actual) == ["conv.weight", "conv.bias", "half", "count", "shared", "double"]
    np.testing.assert_allclose(actual["conv.weight"], np.arange(36).reshape(2, 2, 3, 3) / 10, rtol=1e-6)
    np.testing.assert_array_equal(actual["conv.bias"], np.array([0.5, -2.0], np.float32))
    np.testing.assert_array_equal(actual["half"], np.array([[1.5], [2.5], [-3.0]], np.float16))
    assert actual["half"].dtype == np.float16
    assert actual["count"] == 7
    assert actual["count"].dtype == np.int64
    np.testing.assert_array_equal(actual["shared"], [2.0, 3.0, 4.0])  # a part of a longer storage
    assert actual["double"] == pytest.approx(1 / 3, abs=1e-16)  # a parameter


def zipped(path: Path, data: bytes, values: bytes = b"") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w/data.pkl", data)
        archive.writestr("w/data/0", values)
    return path


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("owned",)


def pickled(value: object, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """As ``torch.save`` would: ``Storage`` by reference, tensors by the function that makes them."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def _rebuild_tensor_v2() -> None: ...

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2  # type: ignore[attr-defined]  # a module made here
    torch.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})  # type: ignore[attr-defined]  # as above

    class Pickler(pickle.Pickler):
        def persistent_id(self, some: object) -> Any:
            if isinstance(some, Stored):
                return ("storage", torch.FloatStorage, "0", "cpu", some.count)
            return None

        def reducer_override(self, some: object) -> Any:
            if isinstance(some, Viewed):
                view = (Stored(some.count), some.offset, some.shape, some.strides, False, OrderedDict())
                return _rebuild_tensor_v2, view
            return NotImplemented

    file = io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "torch", torch)
        patch.setitem(sys.modules, "torch._utils", utils)
        Pickler(file, protocol=2).dump(value)
    return file.getvalue()


class Stored:
    def __init__(self, count: int) -> None:
        self.count = count


class Viewed:
    def __init__(self, count: int, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self.count, self.offset, self.shape, self.strides = count, offset, shape, strides


def test_a_pickle_that_calls_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in (
        zipped(tmp_path / "evil.pth", pickle.dumps({"a": Evil()})),
        tmp_path / "evil-row.pth",
    ):
        if not file.exists():
            file.write_bytes(pickle.dumps(Evil()))
        with pytest.raises(StateDictError, match=r"posix\.mkdir, which no state dict needs"):
            read_state_dict(file)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("view", "words"),
    [
        (Viewed(4, 2, (3,), (1,)), "beyond its values"),
        (Viewed(4, -1, (3,), (1,)), "negative"),
        (Viewed(4, 3, (3,), (-1,)), "negative"),
        (Viewed(5, 0, (3,), (1,)), "ends before"),
    ],
)
def test_a_tensor_does_not_leave_its_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, view: Viewed, words: str
) -> None:
    values = struct.pack("<4f", 1, 2, 3, 4)
    good = zipped(tmp_path / "good.pth", pickled({"a": Viewed(4, 1, (3,), (1,))}, monkeypatch), values)
    np.testing.assert_array_equal(read_state_dict(good)["a"], [2, 3, 4])
    with pytest.raises(StateDictError, match=words):
        read_state_dict(zipped(tmp_path / "bad.pth", pickled({"a": view}, monkeypatch), values))


def test_what_is_no_state_dict_is_one_sentence(tmp_path: Path) -> None:
    whole = (WRITTEN / "torch-zip.pth").read_bytes()
    row = (WRITTEN / "torch-row.pth").read_bytes()
    for name, content, words in (
        ("empty", b"", "no PyTorch state dict"),
        ("text", b"not a file of weights\n", "no PyTorch state dict"),
        ("short", whole[: len(whole) // 2], "no PyTorch state dict"),
        ("short row", row[:-3], "ends before its values"),
        ("other pickle", pickle.dumps({"a": 1}), "no file of PyTorch"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(StateDictError, match=words):
            read_state_dict(tmp_path / name)
    with pytest.raises(StateDictError, match="the state dict of the network alone"):
        read_state_dict(zipped(tmp_path / "checkpoint", pickle.dumps({"model": {}, "epoch": 3})))
    with pytest.raises(StateDictError, match="something else"):
        read_state_dict(zipped(tmp_path / "list", pickle.dumps([1])))


def densenet_state(generator: np.random.Generator) -> State:
    """Names and shapes of torchvision's DenseNet169, written out after its definition."""
    state: State = {}

    def convolution(name: str, inward: int, outward: int, side: int) -> None:
        state[f"{name}.weight"] = generator.normal(0, 0.1, (outward, inward, side, side)).astype(np.float32)

    def normalisation(name: str, width: int) -> None:
        _normalisation(state, generator, name, width)

    convolution("features.conv0", 3, 64, 7)
    normalisation("features.norm0", 64)
    width = 64
    for block, count in enumerate((6, 12, 32, 32), start=1):
        for layer in range(1, count + 1):
            own = f"features.denseblock{block}.denselayer{layer}"
            normalisation(f"{own}.norm1", width)
            convolution(f"{own}.conv1", width, 128, 1)
            normalisation(f"{own}.norm2", 128)
            convolution(f"{own}.conv2", 128, 32, 3)
            width += 32
        if block < 4:
            normalisation(f"features.transition{block}.norm", width)
            convolution(f"features.transition{block}.conv", width, width // 2, 1)
            width //= 2
    normalisation("features.norm5", width)
    state["classifier.weight"], state["classifier.bias"] = np.zeros((1000, width)), np.zeros(1000)
    return state


def efficientnet_state(generator: np.random.Generator) -> State:
    """Names and shapes of torchvision's EfficientNetB0, written out after its definition."""
    state: State = {}

    def step(name: str, inward: int, outward: int, side: int) -> None:
        kernel = generator.normal(0, 0.1, (outward, inward, side, side))
        state[f"{name}.0.weight"] = kernel.astype(np.float32)
        _normalisation(state, generator, f"{name}.1", outward)

    step("features.0", 3, 32, 3)
    stages = ((1, 3, 16, 1), (6, 3, 24, 2), (6, 5, 40, 2), (6, 3, 80, 3), (6, 5, 112, 3), (6, 5, 192, 4),
              (6, 3, 320, 1))  # fmt: skip
    width = 32
    for stage, (expansion, side, outward, repeats) in enumerate(stages, start=1):
        for repeat in range(repeats):
            own, inner, at = f"features.{stage}.{repeat}.block", width * expansion, 0
            if expansion > 1:
                step(f"{own}.0", width, inner, 1)
                at = 1
            step(f"{own}.{at}", 1, inner, side)
            for name, shape in (("fc1", (width // 4, inner)), ("fc2", (inner, width // 4))):
                weight = generator.normal(0, 0.1, (*shape, 1, 1)).astype(np.float32)
                state[f"{own}.{at + 1}.{name}.weight"] = weight
                state[f"{own}.{at + 1}.{name}.bias"] = generator.normal(size=shape[0]).astype(np.float32)
            step(f"{own}.{at + 2}", inner, outward, 1)
            width = outward
    step("features.8", 320, 1280, 1)
    state["classifier.1.weight"], state["classifier.1.bias"] = np.zeros((1000, 1280)), np.zeros(1000)
    return state


def _normalisation(state: State, generator: np.random.Generator, name: str, width: int) -> None:
    values = {
        "weight": generator.uniform(0.5, 1.5, width),
        "bias": generator.normal(size=width),
        "running_mean": generator.normal(size=width),
        # Some so small that the epsilon is most of it.
        "running_var": generator.uniform(0, 0.01, width),
    }
    state.update({f"{name}.{kind}": value.astype(np.float32) for kind, value in values.items()})
    state[f"{name}.num_batches_tracked"] = np.array(7)


def normalised(values: np.ndarray, state: State, name: str) -> np.ndarray:
    """Batch normalisation as PyTorch has it, on ``(h, w, C)``."""
    weight, bias, mean, variance = (
        state[f"{name}.{kind}"].astype(np.float64)
        for kind in ("weight", "bias", "running_mean", "running_var")
    )
    return (values - mean) / np.sqrt(variance + 1e-5) * weight + bias


def convolved(values: np.ndarray, weight: np.ndarray, pad: int, stride: int) -> np.ndarray:
    """A convolution as PyTorch has it, ``(h, w, C)`` and ``(O, I, k, k)``; all sides are padded alike."""
    padded = np.pad(values, ((pad, pad), (pad, pad), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], axis=(0, 1))
    return np.einsum("hwcij,ocij->hwo", windows[::stride, ::stride], weight.astype(np.float64))


@pytest.fixture(scope="module", params=["densenet169", "efficientnetb0"])
def loaded(request: pytest.FixtureRequest) -> tuple[str, keras.Model, State]:
    make = {"densenet169": densenet_state, "efficientnetb0": efficientnet_state}[request.param]
    state = make(np.random.default_rng(5))
    network = unified(64, 2, backbone=request.param, grid="top")
    load_torchvision(network, request.param, state)
    return request.param, network, state


def test_every_tensor_finds_one_place_and_every_place_its_tensor(
    loaded: tuple[str, keras.Model, State],
) -> None:
    backbone, network, state = loaded
    ours = ("part_logits", "evidence", "logit")
    own = [layer for layer in network.layers if layer.weights and layer.name not in ours]
    own = [layer for layer in own if not isinstance(layer, keras.layers.Normalization)]
    placed = [weight for layer in own for weight in layer.get_weights()]
    given = [value for name, value in state.items() if "classifier" not in name and "tracked" not in name]
    assert len(placed) == len(given)
    assert sum(value.size for value in placed) == sum(value.size for value in given)
    # Random values tell the tensors apart: their sums, unmoved by layout, must be the same ones.
    # The variances are moved by the difference of the epsilons.
    assert backbone in ("densenet169", "efficientnetb0")
    moved = {"densenet169": 1e-5 - 1.001e-5, "efficientnetb0": 1e-5 - 1e-3}[backbone]
    expected = sorted(
        float(value.sum(dtype=np.float64)) + moved * value.size * name.endswith("running_var")
        for name, value in state.items()
        if "classifier" not in name and "tracked" not in name
    )
    np.testing.assert_allclose(sorted(float(v.sum(dtype=np.float64)) for v in placed), expected, atol=1e-3)


def test_the_first_block_computes_what_pytorch_does(loaded: tuple[str, keras.Model, State]) -> None:
    backbone, network, state = loaded
    grey = np.random.default_rng(6).uniform(0, 255, (1, 64, 64, 1)).astype(np.float32)
    colour = (np.repeat(grey[0].astype(np.float64), 3, axis=-1) / 255 - MEAN) / DEVIATION
    end = {"densenet169": "conv1_bn", "efficientnetb0": "stem_bn"}[backbone]
    actual = outputs_of(keras.Model(network.input, network.get_layer(end).output), grey)[0]
    if backbone == "densenet169":
        values = convolved(colour, state["features.conv0.weight"], 3, 2)
        np.testing.assert_allclose(actual, normalised(values, state, "features.norm0"), rtol=1e-3, atol=1e-2)
        return
    # Keras' window lies one pixel further; the last row and column see its zeros instead.
    values = convolved(colour[1:, 1:], state["features.0.0.weight"], 1, 2)
    expected = normalised(values, state, "features.0.1")
    np.testing.assert_allclose(actual[1:-1, 1:-1], expected[1:-1, 1:-1], rtol=1e-3, atol=1e-2)


def test_the_released_network_scales_its_input_too(loaded: tuple[str, keras.Model, State]) -> None:
    backbone, network, _ = loaded
    scaling = [layer for layer in portable(network).layers if isinstance(layer, keras.layers.Normalization)]
    assert len(scaling) == (backbone == "efficientnetb0")
    for layer in scaling:
        levels = np.full((1, 1, 1, 3), 0.4, np.float32)
        np.testing.assert_allclose(layer(levels)[0, 0, 0], (0.4 - np.array(MEAN)) / DEVIATION, rtol=1e-5)


def test_counting_weights_are_not_averaged(tmp_path: Path) -> None:
    """EfficientNet's normalisation has one beside its mean and variance."""
    network = keras.Sequential([keras.Input((3,)), keras.layers.Normalization(), keras.layers.Dense(1)])
    checkpoint = Checkpoint(tmp_path, Config("c"), {})
    checkpoint.set_model(network)
    for batch in range(3):
        checkpoint.on_train_batch_end(batch)
    assert [value.dtype.kind for value in checkpoint.average] == ["f", "f", "i", "f", "f"]


def test_a_file_is_loaded_and_what_does_not_fit_is_named(
    loaded: tuple[str, keras.Model, State], tmp_path: Path
) -> None:
    backbone, network, state = loaded
    with pytest.raises(ValueError, match=r"conv\.weight has no place"):
        load_pretrained(network, backbone, str(WRITTEN / "torch-zip.pth"))
    conv = "features.conv0.weight" if backbone == "densenet169" else "features.0.0.weight"
    without = {name: value for name, value in state.items() if name != conv}
    with pytest.raises(ValueError, match="nothing in it is for"):
        load_torchvision(network, backbone, without)
    with pytest.raises(ValueError, match="another shape"):
        load_torchvision(network, backbone, {**state, conv: np.zeros((2, 3, 3, 3), np.float32)})
    with pytest.raises(ValueError, match="another shape"):
        load_torchvision(network, backbone, {**state, conv: np.zeros(3, np.float32)})


def test_the_names_of_torchvisions_own_densenet_file() -> None:
    """It says ``norm.1`` where torchvision's code says ``norm1``."""
    from training.network.torchvision import _densenet

    old, new = "features.denseblock2.denselayer7.conv.2", "features.denseblock2.denselayer7.conv2"
    assert _densenet(old) == _densenet(new) == "conv3_block7_2_conv"


def test_lite0_is_not_torchvisions() -> None:
    with pytest.raises(ValueError, match="no place in Lite0"):
        load_pretrained(unified(64, 2), "lite0", str(WRITTEN / "torch-zip.pth"))
