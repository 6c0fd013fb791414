"""The two ways to a destination."""
