"""What operations take and answer, by topic."""
