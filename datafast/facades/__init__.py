"""Other interfaces to the dataset kinds, for users of other tools."""
