"""Reading replies: from bytes to values."""
