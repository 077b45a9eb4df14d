# SPDX-License-Identifier: Apache-2.0
"""How the peers are called: pyreft for training, llama.cpp for generation."""
import os
import pathlib

from . import process

HERE = pathlib.Path(__file__).resolve().parent.parent


def scratch():
    """Where the set-up scripts put the peers."""
    return pathlib.Path(os.environ.get("REFT_BENCH_DIR") or pathlib.Path.home() / ".cache/reft/bench")


def ensure(path, script):
    """Sets a peer up unless it is there."""
    if not path.exists():
        print(f"{path} is missing: running Benchmarks/peers/{script}")
        status = os.spawnvp(os.P_WAIT, "bash", ["bash", str(HERE / "peers" / script)])
        if status != 0 or not path.exists():
            raise process.Failed(f"Benchmarks/peers/{script} ended with code {status} and {path} is still missing")
    return str(path)


def pyreft_train(settings, layers, epochs):
    """One training run of pyreft: tokens per second of its loop, and its peak memory."""
    python = ensure(scratch() / "pyreft-venv/bin/python", "setup-pyreft.sh")
    command = [python, str(HERE / "pyreft_train.py"), "--model", settings.model, "--data", settings.data,
               "--layers", layers, "--epochs", str(epochs), "--rows", str(settings.rows), "--threads", str(settings.threads)]
    made, _, peak = process.run_json(command)
    return {"tokens_per_second": made["tokens_per_second"], "seconds": made["seconds"], "tokens": made["tokens"],
            "loss": made["loss"], "peak_rss_bytes": peak, "versions": made["versions"]}


def quantised(settings, kind):
    """The model in another format, made once by the peer's own tool."""
    if kind is None:
        return settings.model
    source = pathlib.Path(settings.model)
    path = scratch() / "formats" / f"{source.name.split('.')[0]}.{kind}.gguf"
    if not path.exists():
        binary = ensure(scratch() / "llama-cpp/bin/llama-quantize", "setup-llama-cpp.sh")
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        process.run([binary, "--allow-requantize", str(source), str(partial), kind])
        os.replace(partial, path)
    return str(path)


def _llama_bench(settings, *options, model=None):
    binary = ensure(scratch() / "llama-cpp/bin/llama-bench", "setup-llama-cpp.sh")
    made, seconds, peak = process.run_json(
        [binary, "-m", model or settings.model, "-t", str(settings.threads), "-o", "json", "-r", "3", *options]
    )
    one = made[0]
    return {"tokens_per_second": one["avg_ts"], "seconds": seconds, "peak_rss_bytes": peak,
            "versions": {"llama.cpp": one.get("build_commit")}}


def llama_prefill(settings, model=None):
    """Prompt tokens per second of llama-bench, a prompt of 512."""
    return _llama_bench(settings, "-p", "512", "-n", "0", model=model)


def llama_decode(settings, model=None):
    """Generated tokens per second of llama-bench, one sequence that already holds 512 tokens."""
    return _llama_bench(settings, "-p", "0", "-n", "128", "-d", "512", model=model)


def llama_first_token(settings, warm_up):
    """Wall time of a whole llama-completion that makes one token of a 16-token prompt."""
    binary = ensure(scratch() / "llama-cpp/bin/llama-completion", "setup-llama-cpp.sh")
    command = [binary, "-m", settings.model, "-t", str(settings.threads), "-p", settings.prompt, "-n", "1",
               "--temp", "0", "-no-cnv", "--no-display-prompt", "-c", "512"]
    _, seconds, peak = process.run(command if warm_up else command + ["--no-warmup"])
    return {"seconds": seconds, "peak_rss_bytes": peak}
