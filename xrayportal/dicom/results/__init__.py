"""What is sent back of a result: a secondary capture, a structured report and a presentation state."""
