"""Thin fronts over the dataset kinds, for those who know other tools."""
