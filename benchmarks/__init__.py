"""The accuracy and the speed of microgradx, compared with hand-written NumPy and other libraries.

    python -m benchmarks            speed: the tables of docs/benchmarks.md
    python -m benchmarks.accuracy   errors in units in the last place

`problems` are the computations; `harness` compares and times; each file of `implementations` is
for one library; `workloads` combines them; `targets` and `report` evaluate the measurements.
"""
