"""The command line. One command a file; whatever is heavy is imported when a command runs."""
