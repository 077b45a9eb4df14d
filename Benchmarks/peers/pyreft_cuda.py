#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The peer's side of the rows on a card: pyreft trains and generates on random weights of a shape, in bfloat16.

    python3 Benchmarks/peers/pyreft_cuda.py --shape 7b --batch 8 --tokens 256 --rank 8
    python3 Benchmarks/peers/pyreft_cuda.py --shape 7b --decode 64

LoReFT on all layers, the first and last seven tokens of the prompt, which is half of each sequence; the
other half are labels. One step is the forward call, the backward call, AdamW and zeroing, as in
pyreft_train.py. Prints one JSON document a row. Needs a card, PyTorch, transformers, pyreft 0.1.0.
"""
import argparse
import json
import statistics
import sys
import time

SHAPES = {
    "135m": dict(hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
                 num_key_value_heads=3, vocab_size=49152, tie_word_embeddings=True),
    "1b": dict(hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32,
               num_key_value_heads=8, vocab_size=49152, tie_word_embeddings=True),
    "7b": dict(hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32,
               num_key_value_heads=32, vocab_size=49152, tie_word_embeddings=True),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="7b")
    parser.add_argument("--batch", default="8x256", help="SEQUENCESxTOKENS, several separated by commas")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--decode", type=int, default=0, help="also generate so many tokens")
    parser.add_argument("--sequences", default="1", help="with --decode: how many at once, separated by commas")
    a = parser.parse_args()
    import pyreft
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    torch.manual_seed(1)
    config = transformers.LlamaConfig(max_position_embeddings=4096, attn_implementation="sdpa", **SHAPES[a.shape])
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = transformers.LlamaForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    layers = range(config.num_hidden_layers)
    reft = pyreft.get_reft_model(model, pyreft.ReftConfig(representations=[
        {"layer": layer, "component": "block_output", "low_rank_dimension": a.rank,
         "intervention": pyreft.LoreftIntervention(
             embed_dim=config.hidden_size, low_rank_dimension=a.rank, dtype=torch.bfloat16)}
        for layer in layers
    ]))
    reft.set_device("cuda")
    reft.train()
    parameters = [p for p in reft.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=9e-4, weight_decay=0.0)
    for word in filter(None, a.batch.split(",")):
        batch, tokens = (int(n) for n in word.split("x"))
        prompt = tokens // 2
        ids = torch.randint(0, config.vocab_size, (batch, tokens), device="cuda")
        labels = ids.clone()
        labels[:, :prompt] = -100
        mask = torch.ones_like(ids)
        places = list(range(7)) + list(range(prompt - 7, prompt))
        locations = [[places] * batch] * len(layers)
        times = []
        torch.cuda.reset_peak_memory_stats()
        try:
            for step in range(a.steps + 2):
                torch.cuda.synchronize()
                began = time.perf_counter()
                _, output = reft({"input_ids": ids, "attention_mask": mask},
                                 unit_locations={"sources->base": (None, locations)}, labels=labels)
                output.loss.backward()
                torch.nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                torch.cuda.synchronize()
                if step >= 2:
                    times.append(time.perf_counter() - began)
                del output, _
        except torch.OutOfMemoryError as error:
            print(json.dumps({"tool": "pyreft", "shape": a.shape, "batch": word, "error": str(error)[:80]}))
            torch.cuda.empty_cache()
            continue
        seconds = statistics.median(times)
        print(json.dumps({
            "tool": "pyreft", "work": "train", "shape": a.shape, "batch": batch, "tokens": tokens, "seconds": seconds,
            "tokens_per_second": batch * tokens / seconds, "peak_bytes": torch.cuda.max_memory_allocated(),
        }), flush=True)
    if a.decode:
        reft.eval()
        for count in (int(n) for n in a.sequences.split(",")):
            ids = torch.randint(0, config.vocab_size, (count, 512), device="cuda")
            places = [[list(range(7)) + list(range(505, 512))] * count] * len(layers)
            for turn, length in enumerate((4, 4, a.decode)):
                torch.cuda.synchronize()
                began = time.perf_counter()
                reft.generate({"input_ids": ids, "attention_mask": torch.ones_like(ids)},
                              unit_locations={"sources->base": (None, places)}, intervene_on_prompt=True,
                              max_new_tokens=length, min_new_tokens=length, do_sample=False, pad_token_id=0)
                torch.cuda.synchronize()
                seconds = time.perf_counter() - began
                if turn == 1:
                    short = seconds
            print(json.dumps({
                "tool": "pyreft", "work": "decode", "shape": a.shape, "sequences": count,
                "tokens_per_second": count * (a.decode - 4) / (seconds - short),
            }), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
