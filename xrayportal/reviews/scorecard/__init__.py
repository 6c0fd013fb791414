"""How the model does against signed reviews: pure statistics, queries, charts and the page."""
