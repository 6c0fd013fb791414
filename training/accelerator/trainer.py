"""Networks trained side by side on one GPU: each records a step once and replays it on its own stream."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from inference_worker.types import Outputs
from training.accelerator.batches import Batch, Pictures
from training.accelerator.network import Unified
from training.learning.batches import deal
from training.learning.configuration import Config

#: As ``training.learning.losses.MapLoss``.
PRIOR = 2.0
CLIP, EPSILON = 5.0, 1e-7
#: Steps before one is recorded, and pictures in one pass when it answers.
WARM, BATCH = 3, 64
logger = logging.getLogger(__name__)
Rows = NDArray[np.intp]


class Trainer:
    """One network that learns from the pictures ``rows``. Its averaged weights are what ``finish`` returns.

    On a CPU it steps without a record: slow, and for tests.
    """

    def __init__(
        self,
        name: str,
        network: Unified,
        pictures: Pictures,
        rows: Rows,
        config: Config,
        *,
        steps: int,
        seed: int,
    ) -> None:
        self.name, self.pictures, self.config, self.steps = name, pictures, config, steps
        self.device = pictures.device
        self.is_gpu = self.device.type == "cuda"
        self.network = network.to(self.device, memory_format=torch.channels_last).train()
        self.order = torch.from_numpy(_order(pictures, rows, config, steps, seed)).to(self.device)
        self.rates = torch.from_numpy(_rates(config, steps)).to(self.device)
        self.at = torch.zeros(1, dtype=torch.long, device=self.device)
        self.rate = torch.zeros((), device=self.device)
        self.parameters = list(network.parameters())
        groups = [
            {"params": [p for p in self.parameters if p.ndim > 1], "weight_decay": config.decay},
            {"params": [p for p in self.parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        recorded = {"lr": self.rate, "capturable": True, "fused": True} if self.is_gpu else {}
        self.optimizer = torch.optim.AdamW(groups, eps=EPSILON, **recorded)
        self.state = [*self.parameters, *(b for b in network.buffers() if b.dtype.is_floating_point)]
        self.average = [tensor.detach().clone() for tensor in self.state]
        self.loss = torch.zeros((), device=self.device)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.stream: Any = torch.cuda.Stream() if self.is_gpu else None

    def record(self) -> None:
        """Record one step. The few steps that this needs are taken back only in the average."""
        if not self.is_gpu:
            return
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            for _ in range(WARM):
                self._step()
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, stream=self.stream):
            self._step()
        torch.cuda.synchronize()
        self.at.zero_()
        for mean, now in zip(self.average, self.state, strict=True):
            mean.copy_(now.detach())

    def go(self) -> None:
        """One step, without waiting for it."""
        if self.graph is None:
            self._step()
        else:
            with torch.cuda.stream(self.stream):
                self.graph.replay()

    def finish(self) -> Unified:
        self.graph = None
        with torch.no_grad():
            for mean, now in zip(self.average, self.state, strict=True):
                now.copy_(mean)
        return self.network.eval()

    def _step(self) -> None:
        self.rate.copy_(self.rates.index_select(0, self.at)[0])
        if not self.is_gpu:
            for group in self.optimizer.param_groups:
                group["lr"] = float(self.rate)
        rows = self.order.index_select(0, self.at)[0]
        with torch.no_grad():
            batch = self.pictures.batch(rows, self.config.augmentation, self.config.teacher_share)
        # A recorded step must not reuse casts of an earlier one.
        with torch.autocast(self.device.type, dtype=torch.bfloat16, cache_enabled=False):
            answer = self.network(batch.pictures.contiguous(memory_format=torch.channels_last))
        loss = loss_of(answer, batch, self.config)
        self.optimizer.zero_grad(set_to_none=not self.is_gpu)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, CLIP, foreach=True)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(
                self.average, [tensor.detach() for tensor in self.state], 1 - self.config.average
            )
            self.loss.lerp_(loss.detach(), 0.02)
        self.at.add_(1)


def loss_of(answer: tuple[Tensor, Tensor, Tensor, Tensor], batch: Batch, config: Config) -> Tensor:
    """The losses of ``training.learning.losses``, weighed as ``config`` says; one number."""
    part_logits, logit, evidence, _ = answer
    part = -(batch.part * F.log_softmax(part_logits, 1)).sum(1).mean()
    verdict = (F.softplus(logit) - batch.verdict * logit).mean()
    cell = evidence - PRIOR
    where = (batch.weight * (F.softplus(cell) - batch.target * cell)).mean()
    return config.body_part_weight * part + verdict + config.map_weight * where


def side_by_side(trainers: Sequence[Trainer], every: int = 250) -> list[Unified]:
    """Train all of them to their last step; say now and then how far they are."""
    for trainer in trainers:
        trainer.record()
    started = time.monotonic()
    for step in range(1, max(trainer.steps for trainer in trainers) + 1):
        for trainer in trainers:
            if step <= trainer.steps:
                trainer.go()
        if step % every == 0:  # reading a loss waits for it
            losses = ", ".join(f"{trainer.name} {float(trainer.loss):.3f}" for trainer in trainers)
            logger.info("step %d, %.0f s: %s", step, time.monotonic() - started, losses)
    if trainers[0].is_gpu:
        torch.cuda.synchronize()
    return [trainer.finish() for trainer in trainers]


@torch.no_grad()
def answers(network: Unified, pictures: Pictures, rows: Rows) -> Outputs:
    """What ``network`` answers to the pictures ``rows`` as they are, in float32."""
    # Channels last is what trains fast; in float32 its depthwise convolutions are slow.
    network.to(memory_format=torch.contiguous_format)
    found: list[list[NDArray[np.float32]]] = []
    for start in range(0, len(rows), BATCH):
        chosen = torch.as_tensor(rows[start : start + BATCH], device=pictures.device)
        part, logit, evidence, embedding = network(pictures.pixels[chosen].float()[:, None])
        found.append([tensor.cpu().numpy() for tensor in (part.softmax(1), logit, evidence, embedding)])
    part, logit, evidence, embedding = (np.concatenate(columns) for columns in zip(*found, strict=True))
    return Outputs(body_part=part, logit=logit, map=evidence, embedding=embedding)


@torch.no_grad()
def flipped(
    network: Unified, pictures: Pictures, rows: Rows
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A teacher's answers, the mean of four flips: logit ``(N,)`` and probability by cell ``(N, h, w)``."""
    network.to(memory_format=torch.contiguous_format)
    logits, maps = [], []
    for start in range(0, len(rows), BATCH):
        chosen = torch.as_tensor(rows[start : start + BATCH], device=pictures.device)
        x = pictures.pixels[chosen].float()[:, None]
        logit, cells = torch.zeros(len(x), device=x.device), torch.zeros(1, device=x.device)
        for sides in ((), (3,), (2,), (2, 3)):
            _, one, evidence, _ = network(x.flip(sides))
            logit = logit + one / 4
            cells = cells + torch.sigmoid(evidence - PRIOR).flip([side - 1 for side in sides]) / 4
        logits.append(logit.cpu().numpy())
        maps.append(cells.cpu().numpy())
    return np.concatenate(logits), np.concatenate(maps)


def _order(pictures: Pictures, rows: Rows, config: Config, steps: int, seed: int) -> NDArray[np.intp]:
    """The pictures of every step ``(steps, batch)``: a fixed share abnormal, from decks of their own."""
    generator = np.random.default_rng(seed)
    abnormal = pictures.label.cpu().numpy()[rows] == 1
    count = max(1, round(config.batch * config.abnormal_share))
    return np.concatenate(
        [
            deal(rows[abnormal], count * steps, generator).reshape(steps, -1),
            deal(rows[~abnormal], (config.batch - count) * steps, generator).reshape(steps, -1),
        ],
        axis=1,
    )


def _rates(config: Config, steps: int) -> NDArray[np.float32]:
    """Linear from a twentieth over ``warmup`` steps, then a cosine to half a hundredth."""
    step = np.arange(steps)
    warm = min(config.warmup, steps // 5)
    rising = config.rate * (0.05 + 0.95 * step / max(1, warm))
    along = np.clip((step - warm) / max(1, steps - warm), 0, 1)
    falling = config.rate * (0.005 + 0.995 * 0.5 * (1 + np.cos(np.pi * along)))
    return np.where(step < warm, rising, falling).astype(np.float32)
