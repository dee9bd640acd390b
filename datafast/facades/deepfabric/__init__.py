"""The parts of the `DataSetGenerator`."""
