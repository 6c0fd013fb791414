"""From trained weights to a bundle: graphs, calibration, thresholds, trust, detector, manifest, card."""
