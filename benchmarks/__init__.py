"""How exact and how fast microgradx is, beside hand-written NumPy and its peers.

    python -m benchmarks            speed: what docs/benchmarks.md shows
    python -m benchmarks.accuracy   errors in units in the last place

The floors: `problems` says what is to be computed; `harness` compares and times; each file of
`implementations` holds all that is written with one library; `workloads` puts them together;
`targets` and `report` judge and show what was measured.
"""
