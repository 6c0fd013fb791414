"""The unified network, its backbones, the weights that they start from, and exported graphs that are run."""
