"""The providers that are called over the network, one file for each wire format."""
