"""From the bytes of a reply to what it says."""
