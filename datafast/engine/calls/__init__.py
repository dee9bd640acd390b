"""One call: admit, send, record, read, ask again."""
