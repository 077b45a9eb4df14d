# SPDX-License-Identifier: Apache-2.0
"""Runs one program, and tells how long it took and how much memory it had at its peak."""
import json
import os
import subprocess
import tempfile
import time


class Failed(Exception):
    """A program ended with another exit code than 0, or printed something else than asked."""


def run(command, environment=None):
    """Runs `command` to its end.

    Returns its standard output, the wall time in seconds, and its peak resident memory in bytes as
    the kernel counted it: the same clock and the same scale for us and for the peer.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, env={**os.environ, **(environment or {})}
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode("utf-8", "replace")
        if process.returncode != 0:
            errors.seek(0)
            tail = errors.read().decode("utf-8", "replace").strip().splitlines()[-12:]
            raise Failed(f"{' '.join(map(str, command))}\nended with code {process.returncode}\n" + "\n".join(tail))
    return text, seconds, usage.ru_maxrss * 1024


def run_json(command, environment=None):
    """Runs a program that prints one JSON document; returns the document, the seconds, the peak bytes."""
    text, seconds, peak = run(command, environment)
    try:
        # A peer's libraries may speak before the document begins.
        start = max(text.find("\n{") + 1, 0) if not text.startswith("{") else 0
        return json.loads(text[start:]), seconds, peak
    except ValueError as error:
        raise Failed(f"{' '.join(map(str, command))}\nprinted no JSON: {error}\n{text[:400]}") from error
