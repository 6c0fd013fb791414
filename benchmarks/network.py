"""One picture through the network, with its heatmap: ours against the usual ways, on the same weights."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from benchmarks.machine import sgemm_rate
from benchmarks.pictures import ordinary
from benchmarks.registry import Row, benchmark
from benchmarks.timing import in_turns, ratios, row
from inference_worker import gradcam
from inference_worker.bundle import Bundle, find_bundle
from inference_worker.decode import decode
from inference_worker.preprocess import as_batch, letterbox
from inference_worker.runtimes import load_runtimes

_ROUNDS = 20
_TIMES = "times"


@benchmark("network, batch 1")
def network() -> Iterable[Row]:
    bundle = Bundle.load(find_bundle())
    manifest = bundle.manifest
    unified = manifest.part_network
    files, _ = ordinary(1)
    square, _ = letterbox(decode(files[0]).pixels, manifest.input.size)
    picture = as_batch(square[np.newaxis])
    openvino = load_runtimes(bundle, "openvino")[unified.id]
    tensorflow = load_runtimes(bundle, "tensorflow")[unified.id]

    from benchmarks.rivals import Rivals  # TensorFlow's logging is set up by then

    rivals = Rivals(bundle.file(unified, "tensorflow"), manifest.map.features, picture)
    expected = rivals.compiled_autodiff()
    found = gradcam.grad_cam(openvino.infer(picture).map[0])
    # The rivals must compute the same thing, or comparing them is idle.
    assert np.allclose(found, expected, atol=1e-3 * max(1.0, float(expected.max())))

    times = in_turns(
        {
            "ours": lambda: gradcam.grad_cam(openvino.infer(picture).map[0]),
            "ours, TensorFlow": lambda: gradcam.grad_cam(tensorflow.infer(picture).map[0]),
            "recipe": rivals.usual_recipe,
            "tf-keras-vis": rivals.tf_keras_vis,
            "compiled": rivals.compiled_autodiff,
        },
        _ROUNDS,
    )
    ours = times["ours"]
    yield row("our pass with heatmap, OpenVINO f32", ours)
    yield row("our pass with heatmap, TensorFlow runtime", times["ours, TensorFlow"])
    yield row("usual Keras recipe (predict + GradientTape)", times["recipe"])
    yield row("tf-keras-vis Gradcam (heatmap only)", times["tf-keras-vis"])
    yield row("compiled TensorFlow graph with autodiff", times["compiled"])
    yield row("usual recipe / ours", ratios(times["recipe"], ours), _TIMES, at_least=15)
    yield row("tf-keras-vis / ours", ratios(times["tf-keras-vis"], ours), _TIMES, at_least=10)
    yield row("compiled autodiff / ours", ratios(times["compiled"], ours), _TIMES, at_least=1.5)

    rates = sgemm_rate()
    work = _operations(bundle.file(unified, "openvino"), manifest.input.size) / 1e9
    achieved = [work / (milliseconds / 1000) for milliseconds in ours]
    yield row("the machine's own sgemm", rates, "GFLOP/s")
    yield row(f"our pass ({work:.2f} GFLOP)", achieved, "GFLOP/s")
    yield row("share of sgemm", [100 * each / float(np.median(rates)) for each in achieved], "%")


def _operations(graph: object, size: int) -> float:
    """Multiplications and additions of the convolutions and matrix products of an IR graph."""
    import openvino

    model = openvino.Core().read_model(graph)
    model.reshape([1, size, size, 1])
    total = 0.0
    for node in model.get_ops():
        kind = node.get_type_name()
        if kind not in ("Convolution", "GroupConvolution", "MatMul"):
            continue
        outputs = float(np.prod(node.output(0).shape))
        weights = list(node.input_value(1).shape)
        if kind == "MatMul":
            inner = node.input_value(0).shape[-1]
        elif kind == "Convolution":  # weights are O I h w
            inner = float(np.prod(weights[1:]))
        else:  # weights are G O I h w
            inner = float(np.prod(weights[2:]))
        total += 2 * outputs * inner
    return total
