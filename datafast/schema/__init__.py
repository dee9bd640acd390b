"""Public import paths of configs and rows; everything here lives with its kind."""
