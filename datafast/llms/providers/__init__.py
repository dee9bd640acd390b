"""The providers that are reached over the network: a file for each wire format."""
