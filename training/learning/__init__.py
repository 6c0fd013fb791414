"""From a configuration and pictures to trained weights: splits, batches, augmentation, losses."""
