"""X-Ray Portal: the Django project."""
