"""One process a package, told line by line what to do: the two sides of a comparison take turns.

A line is `NAME FOLDER`; the answer is one line of JSON with what the function gives, how long it took and the
most memory the process has had. What the package prints goes to stderr.
"""

import json
import os
import resource
import sys
import time


def serve(functions):
    """Answer until there are no more lines; `functions` by name take the folder they read and write."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        name, folder = line.split()
        wall, cpu = time.perf_counter(), time.process_time()
        found = functions[name](folder) or {}
        took = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        answers.write(json.dumps(took | {"peak_mb": peak} | found) + "\n")
        answers.flush()
