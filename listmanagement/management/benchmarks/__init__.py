"""What `manage.py benchmark NAME` can measure: one module a benchmark, registered in `BENCHMARKS`.

To add one, copy a sibling: it offers a `BENCHMARK`, works in a scratch database of its own
(`scratch.database`) and returns every figure it saw, with the bounds that those have to keep.
"""
