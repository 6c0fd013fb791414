"""The whole way of an ordinary JPEG, stage by stage, against the bare pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import perf_counter

import numpy as np

from benchmarks.pictures import LONGEST, ordinary
from benchmarks.registry import AS_A_WORKER, Row, benchmark
from benchmarks.timing import in_turns, ratios, row
from inference_worker.bundle import Bundle, find_bundle
from inference_worker.decode import decode
from inference_worker.decode.isolated import DecodeProcess
from inference_worker.pipeline import Pipeline
from inference_worker.preprocess import as_batch, letterbox
from inference_worker.runtimes import load_runtimes
from inference_worker.types import STAGES

_PICTURES = 64


@benchmark("pipeline, one JPEG at a time", **AS_A_WORKER)
def pipeline() -> Iterable[Row]:
    bundle = Bundle.load(find_bundle())
    runtimes = load_runtimes(bundle, precision="auto")
    analyser = Pipeline(bundle, runtimes)
    files, what = ordinary(_PICTURES)
    size = bundle.manifest.input.size
    batches = [as_batch(letterbox(decode(data).pixels, size)[0][np.newaxis]) for data in files]
    bare_network = runtimes[bundle.manifest.body_part_network.id]
    for data in files[:4]:
        analyser.analyse(data)
    bare, whole, extra, findings = [], [], [], []
    for data, batch in zip(files, batches, strict=True):
        start = perf_counter()
        bare_network.infer(batch)
        middle = perf_counter()
        result = analyser.analyse(data)
        end = perf_counter()
        findings.append(result.finding)
        bare.append((middle - start) * 1000)
        whole.append((end - middle) * 1000)
        extra.append(whole[-1] - bare[-1])
    for stage in STAGES:
        yield row(
            f"{stage} ({what}, ≤ {LONGEST} px)", [getattr(finding.timings, stage) for finding in findings]
        )
    yield row("whole pipeline", whole)
    yield row("bare pass", bare)
    yield row("pipeline on top of the bare pass", extra, at_most=15)
    inside = [finding.timings.infer for finding in findings]
    yield row("pass inside the pipeline by the bare pass", ratios(inside, bare), "ratio", at_most=1.1)


@benchmark("decoding in a child", **AS_A_WORKER)
def decoding() -> Iterable[Row]:
    files, what = ordinary(_PICTURES)
    with DecodeProcess() as child:
        child.decode(files[0])
        times = in_turns({"here": _over(files, decode), "child": _over(files, child.decode)}, rounds=5)
    each = [value / len(files) for value in times["child"]]
    yield row(f"one picture in the child ({what})", each)
    extra = [(slow - quick) / len(files) for slow, quick in zip(times["child"], times["here"], strict=True)]
    yield row("on top of decoding it in the worker", extra, at_most=3)


def _over(files: list[bytes], run: Callable[[bytes], object]) -> Callable[[], object]:
    return lambda: [run(data) for data in files]


@benchmark("pipeline, many pictures", **AS_A_WORKER)
def many() -> Iterable[Row]:
    """As a worker does it: decoded in a child, while another picture is in its pass."""
    bundle = Bundle.load(find_bundle())
    runtimes = load_runtimes(bundle, precision="auto")
    files, what = ordinary(_PICTURES)
    size = bundle.manifest.input.size
    passes = [as_batch(letterbox(decode(data).pixels, size)[0][np.newaxis]) for data in files]
    network = runtimes[bundle.manifest.body_part_network.id]
    with DecodeProcess() as child:
        analyser = Pipeline(bundle, runtimes, decoder=child)
        analyser.analyse_many(files[:8])
        times = in_turns(
            {
                "passes": lambda: [network.infer(batch) for batch in passes],
                "pipeline": lambda: analyser.analyse_many(files),
            },
            rounds=5,
        )
    rates = {name: [1000 * len(files) / value for value in values] for name, values in times.items()}
    yield row("bare passes a second", rates["passes"], "1/s")
    yield row(f"pictures a second ({what}, ≤ {LONGEST} px)", rates["pipeline"], "1/s")
    shares = [100 * share for share in ratios(rates["pipeline"], rates["passes"])]
    yield row("  share of the bare passes", shares, "%")
