"""A model that costs nothing and answers in any requested shape."""
