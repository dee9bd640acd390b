"""What a run is going to do: templates, their expansion, and lazy countable plans. Pure: no file, no network, no clock."""
