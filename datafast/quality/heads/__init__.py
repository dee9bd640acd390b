"""The numbers of heads (`datafast.quality.head`)."""
