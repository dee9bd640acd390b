"""From a YAML file to a project that can be run."""
