#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the folders beside it with PyTorch, as pyreft 0.1.0 and the adapters library lay them out:

    $REFT_BENCH_DIR/pyreft-venv/bin/python Tests/Fixtures/interchange/make_fixtures.py

A row has 64 numbers, as the tests' tiny model has. The modules here are our own, with the names and shapes
of pyreft's state dicts; `expected.safetensors` holds each parameter as the formula uses it. The pickles of
hostile/ are written byte by byte: nothing here, and nothing that reads them, may run what they ask for.
"""
import json
import os
import struct
import zipfile
from collections import OrderedDict

import torch
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
WIDTH, RANK = 64, 3


class Rotation(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.nn.init.orthogonal_(torch.empty(WIDTH, RANK)))


def rotation(turned):
    """A parametrised rotation; a turned one is as training leaves it, away from its start."""
    layer = torch.nn.utils.parametrizations.orthogonal(Rotation())
    if turned:
        with torch.no_grad():
            original = layer.parametrizations.weight.original
            original += torch.tril(0.3 * torch.randn_like(original), -1)
    return layer


class Direft(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("embed_dim", torch.tensor(WIDTH))
        self.register_buffer("interchange_dim", torch.tensor(WIDTH))
        self.rotate_layer = rotation(turned=True)
        self.learned_source = torch.nn.Linear(WIDTH, RANK)


class Consreft(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("embed_dim", torch.tensor(WIDTH))
        self.register_buffer("interchange_dim", torch.tensor(WIDTH))
        self.rotate_layer = rotation(turned=True)
        self.learned_source = torch.nn.Parameter(torch.rand(RANK))


class Noreft(torch.nn.Module):
    def __init__(self, dtype):
        super().__init__()
        self.register_buffer("embed_dim", torch.tensor(WIDTH))
        self.register_buffer("interchange_dim", torch.tensor(WIDTH))
        self.proj_layer = torch.nn.Linear(WIDTH, RANK, bias=True).to(dtype)
        self.learned_source = torch.nn.Linear(WIDTH, RANK).to(dtype)


def loreft(dtype):
    """LoReFT's own state dict: the rotation is materialised, and stays in float32."""
    source = torch.nn.Linear(WIDTH, RANK).to(dtype)
    return OrderedDict(
        weight=source.weight.data, bias=source.bias.data, rotate_layer=rotation(True).weight.data
    )


def folder(name, kind, states, fields=14, separator="_", component="block_output"):
    path = os.path.join(HERE, name)
    os.makedirs(path, exist_ok=True)
    keys, rows, copies = [], [], {}
    for layer, state in states:
        copy = copies.get(layer, 0)
        copies[layer] = copy + 1
        parts = ["layer", str(layer), "comp", component, "unit", "pos", "nunit", "1"]
        keys.append(separator.join(parts) + f"#{copy}")
        torch.save(state, os.path.join(path, f"intkey_{keys[-1]}.bin"))
        rows.append([layer, component, "pos", 1, RANK] + [None] * (fields - 5))
    config = {
        "intervention_constant_sources": [True] * len(rows),
        "intervention_dimensions": [WIDTH] * len(rows),
        "intervention_types": [f"<class 'pyreft.interventions.{kind}'>"] * len(rows),
        "mode": "parallel",
        "representations": rows,
        "sorted_keys": keys,
        "transformers_version": "4.49.0",
    }
    with open(os.path.join(path, "config.json"), "w") as file:
        json.dump(config, file, indent=2, sort_keys=True)
        file.write("\n")


def keep(expected, prefix, **tensors):
    for name, tensor in tensors.items():
        expected[prefix + name.replace("__", ".")] = tensor.detach().float().contiguous()


def pyreft(expected):
    # Old names, 13 fields, bfloat16 beside float32, one set for each end.
    states = [(layer, loreft(torch.bfloat16)) for layer in (0, 1, 0, 1)]
    folder("pyreft-old", "LoreftIntervention", states, fields=13, separator=".")
    for (layer, state), end in zip(states, ["prefix"] * 2 + ["suffix"] * 2):
        keep(
            expected, f"pyreft-old/interventions.0.layers.{layer}.{end}.",
            rotate__weight=state["rotate_layer"].T, source__weight=state["weight"], source__bias=state["bias"],
        )
    module = Direft()
    folder("pyreft-direft", "DireftIntervention", [(1, module.state_dict())])
    keep(
        expected, "pyreft-direft/interventions.0.layers.1.", proj__weight=module.rotate_layer.weight.T,
        source__weight=module.learned_source.weight, source__bias=module.learned_source.bias,
    )
    module = Consreft()
    folder("pyreft-consreft", "ConsreftIntervention", [(0, module.state_dict())])
    keep(
        expected, "pyreft-consreft/interventions.0.layers.0.", rotate__weight=module.rotate_layer.weight.T,
        source__bias=module.learned_source,
    )
    module = Noreft(torch.float16)
    folder("pyreft-noreft", "NoreftIntervention", [(1, module.state_dict())], component="mlp_output")
    keep(
        expected, "pyreft-noreft/interventions.0.layers.1.", proj__weight=module.proj_layer.weight,
        proj__bias=module.proj_layer.bias, source__weight=module.learned_source.weight,
        source__bias=module.learned_source.bias,
    )


def adapter_hub(expected):
    """A LoReFT with its parametrised projection, and a DiReFT whose file does not say that it is one."""
    for name, orthogonal in (("adapter-hub-loreft", True), ("adapter-hub-unsaid", False)):
        path = os.path.join(HERE, name)
        os.makedirs(path, exist_ok=True)
        state = OrderedDict()
        for layer in (0, 1):
            for unit, end in enumerate(("prefix", "suffix")):
                source = torch.nn.Linear(WIDTH, RANK)
                projection = torch.nn.Linear(WIDTH, RANK, bias=False)
                if orthogonal:
                    projection = torch.nn.utils.parametrizations.orthogonal(projection)
                    with torch.no_grad():
                        projection.parametrizations.weight.original.add_(
                            torch.triu(0.3 * torch.randn(RANK, WIDTH), 1)
                        )
                prefix = f"model.layers.{layer}.reft_layer.refts.mine.units.{unit}."
                for key, tensor in source.state_dict().items():
                    state[prefix + "learned_source." + key] = tensor
                for key, tensor in projection.state_dict().items():
                    state[prefix + "projection." + key] = tensor
                ours = "rotate__weight" if orthogonal else "proj__weight"
                keep(
                    expected, f"{name}/interventions.0.layers.{layer}.{end}.",
                    **{ours: projection.weight}, source__weight=source.weight, source__bias=source.bias,
                )
        if orthogonal:
            torch.save(state, os.path.join(path, "pytorch_adapter.bin"))
        else:
            save_file(state, os.path.join(path, "adapter.safetensors"))
        config = {
            "architecture": "reft", "dropout": 0.05, "layers": "all", "non_linearity": "relu",
            "orthogonality": orthogonal, "output_reft": True, "prefix_positions": 1, "r": RANK,
            "suffix_positions": 2, "tied_weights": False,
        }
        document = {
            "config": config, "hidden_size": WIDTH, "model_class": "LlamaAdapterModel", "model_name": "tiny",
            "model_type": "llama", "name": "mine", "version": "adapters.1.0.0",
        }
        with open(os.path.join(path, "adapter_config.json"), "w") as file:
            json.dump(document, file, indent=2, sort_keys=True)
            file.write("\n")


def archive(name, pickle, storages=(b"\0" * 16,), compressed=False):
    path = os.path.join(HERE, "hostile", name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", method) as file:
        def add(entry, content):
            info = zipfile.ZipInfo("archive/" + entry, (1980, 1, 1, 0, 0, 0))
            info.compress_type = method
            file.writestr(info, content)
        add("data.pkl", pickle)
        add("byteorder", "little")
        for number, storage in enumerate(storages):
            add(f"data/{number}", storage)
        add("version", "3\n")


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def tensor(storage="FloatStorage", count=4, offset=0, shape=b"K\x04", strides=b"K\x01"):
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + b"ctorch\n" + storage.encode() + b"\n"
        + text("0") + text("cpu") + b"J" + struct.pack("<i", count) + b"tQJ" + struct.pack("<i", offset)
        + b"(" + shape + b"t(" + strides + b"t\x89ccollections\nOrderedDict\n)RtR"
    )


def state(*items):
    return b"\x80\x02ccollections\nOrderedDict\n)R(" + b"".join(items) + b"u."


def hostile():
    sound = state(text("x"), tensor())
    archive("sound.bin", sound)
    archive("system.bin", b"\x80\x02cposix\nsystem\n" + text("echo ran") + b"\x85R.")
    archive("eval.bin", b"\x80\x02c__builtin__\neval\n" + text("1 + 1") + b"\x85R.")
    archive("newobj.bin", b"\x80\x02ccollections\nOrderedDict\n)\x81.")
    archive("stack-global.bin", b"\x80\x04\x8c\x05posix\x8c\x06system\x93.")
    archive("setstate.bin", b"\x80\x02ctorch\nFloatStorage\n}b.")
    archive("memo-bomb.bin", b"\x80\x02)" + b"".join(
        b"q" + bytes([n]) + b"h" + bytes([n]) + b"\x86" for n in range(200)) + b".")
    archive("memo-far.bin", b"\x80\x02}r\xff\xff\xff\xff.")
    archive("deep.bin", b"\x80\x02)" + b"\x85" * 100_000 + b".")
    archive("long-text.bin", b"\x80\x02X\xff\xff\xff\x7f" + b"a" * 64)
    archive("long-name.bin", b"\x80\x02c" + b"a" * 5000)
    archive("long-number.bin", b"\x80\x02\x8a\xff" + b"\1" * 255 + b".")
    archive("no-stop.bin", sound[:-1])
    archive("cut.bin", sound[:60])
    archive("trailing.bin", sound + b"cposix\nsystem\n")
    archive("not-a-tensor.bin", state(text("x"), b"K\x01"))
    archive("twice.bin", state(text("x"), tensor(), text("x"), tensor()))
    archive("underflow.bin", b"\x80\x02R.")
    archive("mark.bin", b"\x80\x02t.")
    archive("outside.bin", state(text("x"), tensor(offset=1)))
    archive("repeats.bin", state(text("x"), tensor(shape=b"J\xff\xff\xff\x7f", strides=b"K\x00")))
    archive("negative.bin", state(text("x"), tensor(strides=b"J\xff\xff\xff\xff")))
    archive("wrong-size.bin", state(text("x"), tensor(count=5)))
    archive("no-storage.bin", sound, storages=())
    archive("integers.bin", state(text("x"), tensor("LongStorage", 2, shape=b"K\x02")))
    archive("deflated.bin", sound, compressed=True)
    with open(os.path.join(HERE, "hostile", "sound.bin"), "rb") as file:
        sound_file = file.read()
    for name, change in (
        ("cut-archive.bin", lambda b: b[: len(b) // 2]),
        ("checksum.bin", lambda b: b.replace(b"\0" * 16 + b"PK", b"\0" * 15 + b"\1PK", 1)),
        ("overlap.bin", overlap),
        ("two-headers.bin", two_headers),
        ("encrypted.bin", lambda b: flags(b, 1)),
        ("legacy.bin", lambda b: b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."),
    ):
        with open(os.path.join(HERE, "hostile", name), "wb") as file:
            file.write(change(sound_file))


def overlap(content):
    """The directory says that the first entry reaches into the second."""
    start = content.index(b"PK\1\2")
    size = struct.unpack_from("<I", content, start + 20)[0] + 40
    return content[: start + 20] + struct.pack("<II", size, size) + content[start + 28:]


def two_headers(content):
    """The directory calls the first entry otherwise than the header before its data."""
    start = content.index(b"PK\1\2")
    return content[:start] + content[start:].replace(b"archive/data.pkl", b"archive/data.pkx", 1)


def flags(content, value):
    start = content.index(b"PK\1\2")
    return content[: start + 8] + struct.pack("<H", value) + content[start + 10:]


if __name__ == "__main__":
    torch.manual_seed(14)
    expected = {}
    pyreft(expected)
    adapter_hub(expected)
    save_file(expected, os.path.join(HERE, "expected.safetensors"))
    hostile()
    print(sum(len(files) for _, _, files in os.walk(HERE)), "files")
