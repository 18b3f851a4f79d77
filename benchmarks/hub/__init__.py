"""What the hub costs beside its peers: `python -m benchmarks.hub [SCENARIO ...] [--quick] [--plot FILE]`.

Each implementation is a server process of its own, pinned to the last core; this process is the load generator, on the
first. The figure is the CPU time of the server, which other work on the machine changes less than it does the clock.
They are in `implementations/`: all publish the same event when `POST /publish` asks for it, by their own usual means.
"""
