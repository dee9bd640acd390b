"""From a request to the bytes of its answer: HTTP, and what its errors mean."""
