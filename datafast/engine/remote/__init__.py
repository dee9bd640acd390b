"""A run whose requests are sent by workers elsewhere: what they may send, what they work on, what comes back."""
