"""The unified network on EfficientNet-Lite, layer by layer as ``training.network.unified`` has it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

#: kernel, stride, expansion, channels, repeats of each stage of Lite0
LITE0 = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
STEM, TOP, WIDTH = 32, 1280, 128
Stage = tuple[int, int, int, int, int]
Arrays = dict[str, NDArray[np.float32]]


def scaled(width: float, depth: float) -> tuple[Stage, ...]:
    """The stages of a larger Lite: channels times ``width`` in steps of 8, repeats times ``depth``.

    Lite2 has 1.1 and 1.2. The first and last stage keep their repeats (Tan and Le 2019, as EfficientNet-Lite
    has it).
    """
    stages = []
    for number, (kernel, stride, expansion, channels, repeats) in enumerate(LITE0):
        wanted = channels * width
        rounded = max(8, int(wanted + 4) // 8 * 8)
        rounded += 8 if rounded < 0.9 * wanted else 0
        kept = number in (0, len(LITE0) - 1)
        stages.append((kernel, stride, expansion, rounded, repeats if kept else math.ceil(depth * repeats)))
    return tuple(stages)


class Same(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding, for even sides, without a bias."""

    def __init__(self, inward: int, outward: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(
            inward, outward, kernel, stride, 0 if stride > 1 else kernel // 2, groups=groups, bias=False
        )
        self.missing = kernel - stride if stride > 1 else 0

    def forward(self, x: Tensor) -> Tensor:
        if self.missing:
            before, after = self.missing // 2, self.missing - self.missing // 2
            x = F.pad(x, (before, after, before, after))
        return super().forward(x)


class Unified(nn.Module):
    """Grey pictures ``(N, 1, S, S)``, 0 to 255, to part logits, logit, map ``(N, h, w)`` and embedding."""

    def __init__(self, stages: Sequence[Stage], parts: int, dropout: float, drop_path: float) -> None:
        super().__init__()
        self.dropout, self.drop_path = dropout, drop_path
        layers: dict[str, nn.Module] = {"stem_conv": Same(1, STEM, 3, 2), "stem_bn": _norm(STEM)}
        self.blocks: list[tuple[str, bool, bool]] = []
        channels, ends = STEM, []
        for kernel, stride, expansion, out, repeats in stages:
            for repeat in range(repeats):
                name, step, wide = (
                    f"block{len(self.blocks)}",
                    stride if repeat == 0 else 1,
                    channels * expansion,
                )
                if expansion > 1:
                    layers |= {
                        f"{name}_expand_conv": Same(channels, wide, 1),
                        f"{name}_expand_bn": _norm(wide),
                    }
                layers |= {
                    f"{name}_dwconv": Same(wide, wide, kernel, step, groups=wide),
                    f"{name}_dw_bn": _norm(wide),
                }
                layers |= {f"{name}_project_conv": Same(wide, out, 1), f"{name}_project_bn": _norm(out)}
                self.blocks.append((name, expansion > 1, step == 1 and channels == out))
                channels = out
            ends.append(len(self.blocks) - 1)
        self.fine_after = ends[4]
        layers |= {"top_conv": Same(channels, TOP, 1), "top_bn": _norm(TOP)}
        layers |= {"fuse_top_conv": Same(TOP, WIDTH, 1), "fuse_top_bn": _norm(WIDTH)}
        layers |= {"fuse_fine_conv": Same(stages[4][3], WIDTH, 1), "fuse_fine_bn": _norm(WIDTH)}
        layers |= {"evidence_dwconv": Same(WIDTH, WIDTH, 3, groups=WIDTH)}
        layers |= {
            "evidence_conv": Same(WIDTH, WIDTH, 1),
            "evidence_bn": _norm(WIDTH),
            "evidence": Same(WIDTH, 1, 1),
        }
        layers |= {"part_logits": nn.Linear(TOP, parts)}
        self.m = nn.ModuleDict(layers)
        self.bias = nn.Parameter(torch.zeros(()))
        for layer in layers.values():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(self.m["part_logits"].bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        m = self.m
        x = self._unit((x - 127) / 128, "stem_conv", "stem_bn")
        fine = x
        for number, (name, expands, skips) in enumerate(self.blocks):
            inward = x
            if expands:
                x = self._unit(x, f"{name}_expand_conv", f"{name}_expand_bn")
            x = self._unit(x, f"{name}_dwconv", f"{name}_dw_bn")
            x = m[f"{name}_project_bn"](m[f"{name}_project_conv"](x))
            if skips:
                x = self._dropped(x, self.drop_path * number / (len(self.blocks) - 1)) + inward
            if number == self.fine_after:
                fine = x
        top = self._unit(x, "top_conv", "top_bn")
        pooled = top.float().mean((2, 3))
        part = m["part_logits"](F.dropout(pooled, self.dropout, self.training))
        down = F.interpolate(m["fuse_top_bn"](m["fuse_top_conv"](top)), scale_factor=2, mode="nearest")
        e = F.relu(down + m["fuse_fine_bn"](m["fuse_fine_conv"](fine)))
        e = F.relu(m["evidence_bn"](m["evidence_conv"](m["evidence_dwconv"](e))))
        e = F.dropout2d(e, self.dropout, self.training).float()
        # Not as a convolution: autocast would round the map to three digits.
        evidence = (e * m["evidence"].weight.view(1, -1, 1, 1)).sum(1)
        logit = torch.logsumexp(evidence.flatten(1), 1) - math.log(evidence[0].numel()) + self.bias
        return part.float(), logit, evidence, pooled

    def _unit(self, x: Tensor, conv: str, norm: str) -> Tensor:
        return F.relu6(self.m[norm](self.m[conv](x)))

    def _dropped(self, x: Tensor, chance: float) -> Tensor:
        """Stochastic depth (Huang et al. 2016)."""
        if not self.training or not chance:
            return x
        kept = torch.rand(len(x), 1, 1, 1, device=x.device) >= chance
        return x * (kept.to(x.dtype) / (1 - chance))


def keras_arrays(network: Unified) -> Arrays:
    """All weights as ``layer/variable``, in Keras' layout."""
    found: dict[str, Tensor] = {"logit/bias": network.bias}
    for name, layer in network.m.items():
        for variable, tensor in _variables(layer).items():
            found[f"{name}/{variable}"] = tensor.permute(_axes(layer)) if variable == "kernel" else tensor
    return {name: tensor.detach().float().cpu().numpy().copy() for name, tensor in found.items()}


def load_keras(network: Unified, arrays: Mapping[str, NDArray[np.floating]]) -> None:
    """Put ``arrays`` where they belong; layers that they do not name keep their values.

    A kernel for RGB is summed: a grey picture is the same value in all three. Raises ``ValueError`` for an
    array that fits nowhere.
    """
    with torch.no_grad():
        for key, array in arrays.items():
            name, _, variable = key.partition("/")
            value = torch.from_numpy(np.asarray(array, np.float32))
            if key == "logit/bias":
                network.bias.copy_(value)
                continue
            layer = dict(network.m).get(name)
            target = _variables(layer).get(variable) if layer is not None else None
            if target is None:
                raise ValueError(f"{key} has no place in the network")
            if name == "stem_conv" and value.shape[2] == 3:
                value = value.sum(2, keepdim=True)
            if variable == "kernel":
                axes = _axes(layer)
                value = value.permute([axes.index(axis) for axis in range(len(axes))])
            if value.shape != target.shape:
                raise ValueError(f"{key} {tuple(value.shape)} does not fit the network")
            target.copy_(value)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def _variables(layer: nn.Module) -> dict[str, Tensor]:
    """A layer's tensors by the names that Keras has for them."""
    if isinstance(layer, nn.BatchNorm2d):
        return {
            "gamma": layer.weight,
            "beta": layer.bias,
            "moving_mean": layer.running_mean,
            "moving_variance": layer.running_var,
        }
    return {"kernel": layer.weight, **({"bias": layer.bias} if layer.bias is not None else {})}


def _axes(layer: nn.Module) -> tuple[int, ...]:
    """A kernel's axes in Keras' order: height, width, in, out; the channels of a depthwise one come third."""
    if isinstance(layer, nn.Linear):
        return (1, 0)
    return (2, 3, 0, 1) if layer.groups > 1 else (2, 3, 1, 0)
