"""The built-in types of columns, a family a file."""
