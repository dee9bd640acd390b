"""Configs in the viewer: the files that it shows, and a process of its own that says what a text of a config means."""
