"""One picture through the network, with its heatmap, against the usual ways on the same weights."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import sgemm_rate
from benchmarks.pictures import ordinary
from benchmarks.registry import Row, benchmark
from benchmarks.timing import in_turns, ratios, row
from inference_worker import gradcam
from inference_worker.bundle import Bundle, find_bundle
from inference_worker.decode import decode
from inference_worker.preprocess import as_batch, letterbox
from inference_worker.runtimes import load_runtimes
from inference_worker.types import Runtime

_ROUNDS = 20
_TIMES = "times"
#: Pictures that set the ranges of the INT8 graph: for its pace any will do.
_RANGES = 8
#: Of the machine's own single-precision matrix rate, in percent.
_SHARE = 45


@benchmark("network, batch 1")
def network() -> Iterable[Row]:
    bundle = Bundle.load(find_bundle())
    manifest = bundle.manifest
    unified = manifest.body_part_network
    files, _ = ordinary(_RANGES)
    squares = np.stack([letterbox(decode(file).pixels, manifest.input.size)[0] for file in files])
    picture = as_batch(squares[:1])
    openvino = load_runtimes(bundle, "openvino")[unified.id]
    tensorflow = load_runtimes(bundle, "tensorflow")[unified.id]

    from benchmarks.rivals import Rivals  # TensorFlow's logging is set up by then

    rivals = Rivals(bundle.file(unified, "tensorflow"), manifest.map.features, picture)
    expected = rivals.compiled_autodiff()
    heatmap = gradcam.grad_cam(openvino.infer(picture).map[0])
    # The rivals must compute the same thing, or comparing them is idle.
    assert np.allclose(heatmap, expected, atol=1e-3 * max(1.0, float(expected.max())))

    others = _less_than_f32(bundle, squares)
    times = in_turns(
        {
            "ours": partial(_explained, openvino, picture),
            **{name: partial(_explained, runtime, picture) for name, runtime in others.items()},
            "ours, TensorFlow": partial(_explained, tensorflow, picture),
            "recipe": rivals.usual_recipe,
            "tf-keras-vis": rivals.tf_keras_vis,
            "compiled": rivals.compiled_autodiff,
        },
        _ROUNDS,
    )
    ours = times["ours"]
    yield row("our pass with heatmap, OpenVINO f32", ours)
    for name in others:
        yield row(f"our pass with heatmap, OpenVINO {name}", times[name])
    yield row("our pass with heatmap, TensorFlow runtime", times["ours, TensorFlow"])
    yield row("usual Keras recipe (predict + GradientTape)", times["recipe"])
    yield row("tf-keras-vis Gradcam (heatmap only)", times["tf-keras-vis"])
    yield row("compiled TensorFlow graph with autodiff", times["compiled"])
    yield row("usual recipe / ours", ratios(times["recipe"], ours), _TIMES, at_least=15)
    yield row("tf-keras-vis / ours", ratios(times["tf-keras-vis"], ours), _TIMES, at_least=10)
    yield row("compiled autodiff / ours", ratios(times["compiled"], ours), _TIMES, at_least=1.5)

    rates = sgemm_rate()
    work = _operations(bundle.file(unified, "openvino"), manifest.input.size) / 1e9
    yield row("the machine's own sgemm", rates, "GFLOP/s")
    for name in ("ours", *others):
        achieved = [work / (milliseconds / 1000) for milliseconds in times[name]]
        precision = "f32" if name == "ours" else name
        yield row(f"our pass, {precision} ({work:.2f} GFLOP)", achieved, "GFLOP/s")
        shares = [100 * each / float(np.median(rates)) for each in achieved]
        promised = _SHARE if precision == "f32" else None
        yield row(f"share of sgemm, {precision}", shares, "%", at_least=promised)


def _less_than_f32(bundle: Bundle, squares: NDArray[np.uint8]) -> dict[str, Runtime]:
    """The same network in what this processor knows of bf16 and INT8, the latter quantised here for its pace
    alone: whether it decides as well is for ``python -m training export --int8`` to say.
    """
    import openvino

    from inference_worker.runtimes.openvino import OpenVinoRuntime
    from training.release.quantise import to_int8

    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    unified, size = bundle.manifest.body_part_network, bundle.manifest.input.size
    runtimes: dict[str, Runtime] = {}
    if "BF16" in capabilities:
        runtimes["bf16"] = load_runtimes(bundle, "openvino", precision="bf16")[unified.id]
    if "INT8" in capabilities and "int8" not in bundle.manifest.data:
        with TemporaryDirectory() as folder:
            graph = Path(folder) / "network.xml"
            for suffix in (".xml", ".bin"):
                source = bundle.file(unified, "openvino").with_suffix(suffix)
                shutil.copyfile(source, graph.with_suffix(suffix))
            to_int8(graph, squares)
            runtime = OpenVinoRuntime(graph, size)
            runtime.infer(as_batch(squares[:1]))  # compiled while its files are there
            runtimes["INT8"] = runtime
    return runtimes


def _explained(runtime: Runtime, picture: NDArray[np.float32]) -> NDArray[np.float32]:
    return gradcam.grad_cam(runtime.infer(picture).map[0])


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
