"""Cells to GeoJSON for QuPath: seconds and memory for a million cells.

python benchmarks/bench_qupath.py CELLS.parquet [--cells 1000000]

The rows of a cells table are repeated until there are as many as asked for, written as a cells table, and
exported once for warmth and once for the record, in a process of its own whose peak memory is printed.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from histome.cells import read_cells, write_cells
from histome.exports.place import Place
from histome.exports.qupath import write_features
from histome.threads import available_cpus

PLACE = Place("bench", "bench.svs", "0" * 64, (100_000, 100_000), (0.5, 0.5))


def repeat(table: pa.Table, n: int) -> pa.Table:
    times = -(-n // len(table))
    return pa.concat_tables([table] * times).slice(0, n).replace_schema_metadata(table.schema.metadata)


def export(cells: Path) -> None:
    n = pq.read_metadata(cells).num_rows
    with tempfile.TemporaryDirectory() as folder:
        for name in ("warm.zip", "cells.zip"):
            start, cpu = time.perf_counter(), time.process_time()
            write_features(Path(folder) / name, PLACE, [], cells)
            wall_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu
        size = (Path(folder) / name).stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{n:,} cells: {wall_s:.1f} s on {available_cpus()} CPUs ({cpu_s:.1f} CPU-s), {size / 1e6:.0f} MB,")
    print(f"peak memory of the whole process {peak:.2f} GiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--as-it-is", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.as_it_is:
        export(given.table)
        return
    with tempfile.TemporaryDirectory() as folder:
        cells = Path(folder) / "cells.parquet"
        write_cells(repeat(read_cells(given.table), given.cells), cells)
        size = cells.stat().st_size / given.cells / 10
        print(f"cells.parquet: {size:.2f} MB per 100,000 cells")
        subprocess.run([sys.executable, __file__, cells, "--as-it-is"], check=True)


if __name__ == "__main__":
    main()
