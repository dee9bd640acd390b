"""A model that costs nothing and answers in any shape that is asked for."""
