#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures this machine's float32 GEMM peak through OpenBLAS, to check the one that `reft bench` reports.

    Benchmarks/gemm_peak.py [--threads 2] [--json]

Every thread multiplies matrices of its own with single-threaded OpenBLAS, as our pool does. Only ctypes and
libopenblas are needed (Debian: apt-get install libopenblas0-pthread).
"""
import argparse
import array
import ctypes
import ctypes.util
import json
import os
import sys
import threading
import time


def load():
    """OpenBLAS, told to use one thread per call."""
    for name in (ctypes.util.find_library("openblas"), "libopenblas.so.0"):
        try:
            library = ctypes.CDLL(name) if name else None
        except OSError:
            continue
        if library:
            library.openblas_set_num_threads(1)
            return library
    sys.exit("error: libopenblas not found; install it with: apt-get install libopenblas0-pthread")


def rate(library, threads, m, n, k, seconds):
    """Floating point operations per second of C[m, n] = A[m, k] B[k, n] on all threads together."""
    floats = lambda count: (ctypes.c_float * count).from_buffer(array.array("f", bytes(4 * count)))
    gemm = library.cblas_sgemm
    gemm.argtypes = [ctypes.c_int] * 6 + [ctypes.c_float, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_int,
                     ctypes.c_float, ctypes.c_void_p, ctypes.c_int]
    gemm.restype = None
    counts = [0] * threads
    stop = threading.Event()
    ready = threading.Barrier(threads + 1)

    def work(index):
        a, b, c = floats(m * k), floats(k * n), floats(m * n)
        call = lambda: gemm(101, 111, 111, m, n, k, 1.0, a, k, b, n, 0.0, c, n)  # row major, nothing transposed
        call()
        ready.wait()
        while not stop.is_set():
            call()
            counts[index] += 1

    workers = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
    for worker in workers:
        worker.start()
    ready.wait()
    began = time.perf_counter()
    time.sleep(seconds)
    stop.set()
    for worker in workers:
        worker.join()
    return 2.0 * m * n * k * sum(counts) / (time.perf_counter() - began)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seconds", type=float, default=1.0, help="per shape")
    parser.add_argument("--json", action="store_true")
    a = parser.parse_args()
    library = load()
    shapes = {"square 1024": (1024, 1024, 1024), "query 576": (1024, 576, 576), "gate 1536": (1024, 1536, 576), "down 576": (1024, 576, 1536)}
    found = {name: rate(library, a.threads, *shape, a.seconds) for name, shape in shapes.items()}
    if a.json:
        json.dump({"threads": a.threads, "flops_per_second": found, "peak_flops_per_second": max(found.values())}, sys.stdout)
        print()
        return
    for name, value in found.items():
        print(f"{name:12} {value / 1e9:7.1f} GFLOP/s")


if __name__ == "__main__":
    main()
