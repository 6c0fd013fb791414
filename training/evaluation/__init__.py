"""How good a bundle is: predictions, figures with intervals, plots, reports, explanations compared."""
