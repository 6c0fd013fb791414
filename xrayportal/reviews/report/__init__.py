"""What is printed of a study: one A4 page about its result and its reviews, and single views with heatmap."""
