"""What the DataSetGenerator is made of."""
