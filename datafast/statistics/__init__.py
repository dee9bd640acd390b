"""What rows are like: how they differ, what shaped them, what is missing."""
