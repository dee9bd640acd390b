"""Speed and memory, measured side by side with a floor: `python -m benchmarks`. What is measured: docs/performance.md."""
