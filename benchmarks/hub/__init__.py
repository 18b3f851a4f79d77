"""What the hub costs beside its peers: `python -m benchmarks.hub [WORK ...] [--quick] [--plot FILE]`.

Each subject is a server process of its own, pinned to the last core; this process is the load generator, on the
first. The figure is the CPU time of the server, which other work on the machine changes less than it does the clock.
The subjects are in `subjects/`: all publish the same event when `POST /publish` asks for it, by their own usual means.
"""
