"""Names of what the networks are made of. They need no Keras: it loads once a configuration is sound."""

from __future__ import annotations

BACKBONES = ("lite0", "densenet169", "efficientnetb0")
POOLINGS = ("mean", "logsumexp", "topk", "max")
#: Pixels of the input for one position of the evidence map, by kind of grid.
STRIDES = {"fine": 16, "top": 32}
#: What the unified network gives.
OUTPUTS = ("part", "logit", "map", "embedding")
#: The layer whose features the map is linear in.
FEATURES = "evidence_features"
