"""From a request to the bytes of its answer: HTTP and its errors."""
