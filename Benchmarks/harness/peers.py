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
    python = os.environ.get("REFT_BENCH_PYTHON") or ensure(scratch() / "pyreft-venv/bin/python", "setup-pyreft.sh")
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


def llama_builds(tool):
    """The peer's builds of a program by name: with AMX tiles and without where a processor has them, else one."""
    root = scratch() / "llama-cpp"
    plain = ensure(root / "bin" / tool, "setup-llama-cpp.sh")
    without = root / "bin-no-amx" / tool
    return {"AMX": plain, "AVX-512": str(without)} if without.exists() else {"": plain}


def best(samples, figure, more_is_better):
    """The sample of the peer's better build, with the figures of all."""
    choose = max if more_is_better else min
    name = choose(samples, key=lambda one: samples[one][figure])
    figures = {build: one[figure] for build, one in samples.items()}
    return samples[name] if len(samples) == 1 else {**samples[name], "build": name, "builds": figures}


def _llama_bench(settings, *options, model=None):
    samples = {}
    for build, binary in llama_builds("llama-bench").items():
        made, seconds, peak = process.run_json(
            [binary, "-m", model or settings.model, "-t", str(settings.threads), "-o", "json", "-r", "3", *options]
        )
        one = made[0]
        samples[build] = {"tokens_per_second": one["avg_ts"], "seconds": seconds, "peak_rss_bytes": peak,
                          "versions": {"llama.cpp": one.get("build_commit")}}
    return best(samples, "tokens_per_second", True)


def llama_prefill(settings, model=None):
    """Prompt tokens per second of llama-bench, a prompt of 512."""
    return _llama_bench(settings, "-p", "512", "-n", "0", model=model)


def llama_decode(settings, model=None):
    """Generated tokens per second of llama-bench, one sequence that already holds 512 tokens."""
    return _llama_bench(settings, "-p", "0", "-n", "128", "-d", "512", model=model)


def llama_first_token(settings, warm_up):
    """Wall time of a whole llama-completion that makes one token of a 16-token prompt."""
    return _llama_completion(settings, settings.model, settings.prompt, 1, warm_up)


def llama_short(settings, model=None):
    """Wall time of a whole llama-completion that makes 16 tokens after a prompt of 512, without its warm-up."""
    return _llama_completion(settings, model or settings.model, settings.long_prompt, 16, False)


def _llama_completion(settings, model, prompt, tokens, warm_up):
    samples = {}
    for build, binary in llama_builds("llama-completion").items():
        command = [binary, "-m", model, "-t", str(settings.threads), "-p", prompt, "-n", str(tokens),
                   "--temp", "0", "--ignore-eos", "-no-cnv", "--no-display-prompt", "-c", "512" if tokens == 1 else "1024"]
        _, seconds, peak = process.run(command if warm_up else command + ["--no-warmup"])
        samples[build] = {"seconds": seconds, "peak_rss_bytes": peak}
    return best(samples, "seconds", False)
