#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiles CUDA kernels for the cards that are supported, without a card: with the NVRTC of the
package nvidia-cuda-nvrtc, which is fetched once into .build/nvrtc.

  Scripts/checks/cuda-kernels.py [--registers] FILE.cu...

Each file is compiled in every variant that it has: formats of activations, and sizes of heads or
numbers of rows where its text asks for REFT_HEAD or REFT_N. Exit 1 when one does not compile, 75 when
the compiler cannot be had.
"""

import concurrent.futures
import ctypes
import glob
import itertools
import os
import re
import subprocess
import sys

FOLDER = os.path.join(os.path.dirname(__file__), "..", "..", ".build", "nvrtc")
ARCHITECTURES = ["sm_80", "sm_90"]
HEADS, ROWS = [16, 64, 128, 256], [1, 4, 8]
UNAVAILABLE = 75


def library():
    """NVRTC, fetched if it is not there yet; None when it cannot be had."""
    pattern = os.path.join(FOLDER, "nvidia", "*", "lib", "libnvrtc.so.*")
    if not glob.glob(pattern):
        fetch = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        fetch += ["--disable-pip-version-check", "--target", FOLDER, "nvidia-cuda-nvrtc"]
        if subprocess.run(fetch, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
            return None
    found = glob.glob(pattern)
    return ctypes.CDLL(found[0]) if found else None


def text(path, included):
    """A file with each header of its folder in the place where it is first included."""
    lines = []
    with open(path, encoding="utf-8") as file:
        for line in file.read().split("\n"):
            name = re.fullmatch(r'#include "(.*)"', line)
            if not name:
                lines.append(line)
            elif name[1] not in included:
                included.add(name[1])
                lines.append(text(os.path.join(os.path.dirname(path), name[1]), included))
    return "\n".join(lines)


def variants(source):
    """The options of each way to compile a text."""
    heads = HEADS if "REFT_HEAD" in source else [None]
    rows = ROWS if "REFT_N" in source else [None]
    for architecture, act, head, n in itertools.product(ARCHITECTURES, [0, 1], heads, rows):
        options = [f"--gpu-architecture={architecture}", "--std=c++17",
                   "--device-as-default-execution-space", f"-DREFT_ACT={act}"]
        options += [f"-DREFT_HEAD={head}"] if head else []
        options += [f"-DREFT_N={n}"] if n else []
        yield options


def compile_text(nvrtc, name, source, options):
    """NVRTC's status and what it says."""
    program = ctypes.c_void_p()
    status = nvrtc.nvrtcCreateProgram(
        ctypes.byref(program), source.encode(), name.encode(), 0, None, None
    )
    if status:
        return status, "nvrtcCreateProgram fails"
    options = [option.encode() for option in options + ["--ptxas-options=-v"]]
    status = nvrtc.nvrtcCompileProgram(
        program, len(options), (ctypes.c_char_p * len(options))(*options)
    )
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return status, log.value.decode(errors="replace")


def registers(log):
    """Each kernel's registers, and its spills if it has any."""
    kernel, spills = "", ""
    for line in log.split("\n"):
        if found := re.search(r"Function properties for (\w+)", line):
            kernel, spills = found[1], ""
        elif found := re.search(r"(\d+) bytes spill stores", line):
            spills = f", {found[1]} bytes spilled" if found[1] != "0" else ""
        elif found := re.search(r"Used (\d+) registers", line):
            yield f"{kernel}: {found[1]} registers{spills}"


def main(arguments):
    tells = "--registers" in arguments
    files = [argument for argument in arguments if argument != "--registers"]
    nvrtc = library()
    if nvrtc is None:
        print("cuda-kernels: nvidia-cuda-nvrtc cannot be fetched; kernels are not compiled here")
        return UNAVAILABLE
    jobs = [
        (file, source, options)
        for file in files
        for source in [text(file, set())]
        for options in variants(source)
    ]
    failed = False
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda job: compile_text(nvrtc, *job), jobs)
        for (file, _, options), (status, log) in zip(jobs, results):
            where = f"{file} {' '.join(options)}"
            if status:
                failed = True
                print(f"{where}: does not compile (status {status})\n{log}", file=sys.stderr)
            elif tells:
                print(where, *registers(log), sep="\n  ")
    print(f"cuda-kernels: {len(jobs)} variants of {len(files)} files")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
