"""One call: wait for admission, send, record, read, ask again."""
