"""Benchmarks against other libraries: `./dev bench`, see docs/performance.md. Nothing here is installed."""
