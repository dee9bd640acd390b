"""Conversations: with reasoning, with tools, in several formats."""
