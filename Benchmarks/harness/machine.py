# SPDX-License-Identifier: Apache-2.0
"""What the figures were measured on, in words that mean something to a stranger."""
import datetime
import os
import platform


def _first(path, key):
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.startswith(key):
                    return line.split(":", 1)[-1].split("=", 1)[-1].strip().strip('"')
    except OSError:
        pass
    return None


def describe():
    """Processor, cores, memory, system and date; no names of hosts or users."""
    memory = _first("/proc/meminfo", "MemTotal")
    flags = (_first("/proc/cpuinfo", "flags") or "").split()
    wanted = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8")
    return {
        "date": datetime.date.today().isoformat(),
        "processor": _first("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "instructions": [flag for flag in wanted if flag in flags],
        "memory_bytes": int(memory.split()[0]) * 1024 if memory else None,
        "system": _first("/etc/os-release", "PRETTY_NAME") or platform.system(),
    }


def load():
    """Programs that wanted to run during the last minute; more than a little makes figures worthless."""
    return os.getloadavg()[0]
