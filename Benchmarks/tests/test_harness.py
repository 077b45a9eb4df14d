# SPDX-License-Identifier: Apache-2.0
"""Checks the benchmark scripts with programs that pretend to be reft and the peers."""
import json
import pathlib
import stat
import struct
import subprocess
import sys
import tempfile
import unittest
import xml.dom.minidom

HERE = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))

import run  # noqa: E402
import table  # noqa: E402
from harness import peers, plot, process, results, rows  # noqa: E402


def script(folder, name, body):
    """An executable that runs `body` as Python."""
    path = pathlib.Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\nimport json, sys\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


class ProcessTests(unittest.TestCase):
    def test_counts_the_memory_of_the_program_and_not_ours(self):
        with tempfile.TemporaryDirectory() as folder:
            big = script(folder, "big", "x = bytearray(300_000_000)\nx[::4096] = b'1' * len(x[::4096])\nprint('{}')")
            _, seconds, peak = process.run_json([big])
        self.assertGreater(peak, 290e6)
        self.assertLess(peak, 700e6)
        self.assertGreater(seconds, 0)

    def test_a_failing_program_is_named_with_what_it_said(self):
        with tempfile.TemporaryDirectory() as folder:
            bad = script(folder, "bad", "sys.exit('error: no model')")
            with self.assertRaisesRegex(process.Failed, "(?s)bad.*code 1.*no model"):
                process.run([bad])

    def test_output_that_is_no_json_is_an_error(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaisesRegex(process.Failed, "no JSON"):
                process.run_json([script(folder, "chatty", "print('hello')")])


class JudgeTests(unittest.TestCase):
    def sides(self, theirs, ours):
        return {"peer": {"median": theirs}, "reft": {"median": ours}}

    def test_rates_must_be_above_and_costs_below(self):
        for name, theirs, ours, reached in (
            ("train-all", 100, 350, True), ("train-all", 100, 349, False),
            ("memory-all", 100, 15, True), ("memory-all", 100, 16, False),
            ("first-token", 1.0, 0.29, True), ("first-token", 1.0, 0.31, False), ("first-token", 0.5, 0.28, False),
        ):
            with self.subTest(name, ours=ours):
                self.assertEqual(run.judge(rows.ROWS[name], self.sides(theirs, ours))[1], reached)


class RowTests(unittest.TestCase):
    """One whole command with pretended programs."""

    def test_decode_batch_prints_stores_and_tabulates(self):
        with tempfile.TemporaryDirectory() as folder:
            reft = script(folder, "reft", "n = int(sys.argv[sys.argv.index('--batch') + 1])\n"
                          "print(json.dumps({'tokens_per_second': 100.0 if n == 1 else 400.0}))")
            model = pathlib.Path(folder) / "m.gguf"
            model.write_bytes(b"GGUF")
            kept = pathlib.Path(folder) / "results.json"
            done = subprocess.run(
                [sys.executable, HERE / "run.py", "decode-batch", "--reft", reft, "--model", model, "--results", kept, "--rounds", "2"],
                capture_output=True, text=True, check=True,
            )
            self.assertIn("ratio 4 (must be ≥ 3: yes)", done.stdout)
            document = json.loads(kept.read_text())
            self.assertEqual(len(document["rows"]["decode-batch"]["samples"]["reft, 8 sequences"]), 2)
            self.assertIn("| decode, 8 sequences against one, after 512 | reft, 1 sequence 100 tok/s | 400 tok/s | **4.00** | ≥ 3 |", table.table(document))

    def test_missing_things_are_said_before_anything_runs(self):
        done = subprocess.run([sys.executable, HERE / "run.py", "decode", "--model", "/nonexistent.gguf"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no model at /nonexistent.gguf", done.stderr)

    def test_a_budget_ends_a_run_and_another_one_goes_on(self):
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "log"
            reft = script(folder, "reft", f"open({str(log)!r}, 'a').write('x')\nprint(json.dumps({{'tokens_per_second': 50.0}}))")
            model = pathlib.Path(folder) / "m.gguf"
            model.write_bytes(b"GGUF")
            kept = pathlib.Path(folder) / "results.json"

            def call(*options):
                return subprocess.run(
                    [sys.executable, HERE / "run.py", "decode-batch-short", "--reft", reft, "--model", model, "--results", kept,
                     "--rounds", "2", *options], capture_output=True, text=True).returncode

            self.assertEqual(call("--budget", "0.000001"), 75)
            self.assertFalse(log.exists())
            self.assertEqual(call("--resume"), 0)
            self.assertEqual(len(log.read_text()), 4)
            self.assertEqual(call("--resume"), 0)
            self.assertEqual(len(log.read_text()), 4)
            # Another program's rounds do not count.
            pathlib.Path(reft).write_text(pathlib.Path(reft).read_text() + "\n# changed\n")
            self.assertEqual(call("--resume"), 0)
            self.assertEqual(len(log.read_text()), 8)

    def test_a_row_that_fails_is_named_and_the_others_run(self):
        with tempfile.TemporaryDirectory() as folder:
            reft = script(folder, "reft", "if '8' in sys.argv and '16' not in sys.argv: sys.exit('error: no room')\n"
                          "print(json.dumps({'tokens_per_second': 50.0}))")
            model = pathlib.Path(folder) / "m.gguf"
            model.write_bytes(b"GGUF")
            done = subprocess.run(
                [sys.executable, HERE / "run.py", "decode-batch", "--reft", reft, "--model", model, "--no-store", "--rounds", "1", "--json"],
                capture_output=True, text=True)
            self.assertEqual(done.returncode, 1)
            self.assertIn("no room", done.stderr)
            document = json.loads(done.stdout)
            self.assertEqual(list(document["rows"]), ["decode-batch-short"])
            self.assertEqual(list(document["failures"]), ["decode-batch", "decode-batch-kv8", "decode-batch-int8", "decode-batch-int8-kv8"])

    def test_the_peer_counts_with_its_better_build(self):
        samples = {"AMX": {"seconds": 2.0, "peak_rss_bytes": 5}, "AVX-512": {"seconds": 1.5, "peak_rss_bytes": 4}}
        self.assertEqual(peers.best(samples, "seconds", False)["build"], "AVX-512")
        self.assertEqual(peers.best(samples, "seconds", True)["builds"], {"AMX": 2.0, "AVX-512": 1.5})
        self.assertEqual(peers.best({"": {"seconds": 1.0}}, "seconds", False), {"seconds": 1.0})

    def test_sides_alternate(self):
        order = []
        sides = {"a": lambda: order.append("a") or {}, "b": lambda: order.append("b") or {}}
        results.alternate(2, sides, lambda *_: None)
        self.assertEqual(order, ["a", "b", "b", "a"])


class TableTests(unittest.TestCase):
    def test_check_tells_whether_the_readme_is_up_to_date(self):
        with tempfile.TemporaryDirectory() as folder:
            kept, readme = pathlib.Path(folder) / "r.json", pathlib.Path(folder) / "README.md"
            side = {"median": 2e9, "lowest": 1.8e9, "highest": 2.2e9}
            results.store(kept, "memory-all", {
                "work": "peak memory", "unit": "GB", "sides": {"pyreft": side, "reft": side}, "ratio": 1.0, "reach": 0.15, "limit": None,
                "more_is_better": False, "reached": False, "samples": {"pyreft": [{"versions": {"pyreft": "0.1.0"}}]},
            })
            readme.write_text(f"# t\n{table.BEGIN}\nold\n{table.END}\nrest\n")
            call = lambda flag: subprocess.run([sys.executable, HERE / "table.py", "--results", kept, flag, readme], capture_output=True).returncode
            self.assertEqual(call("--check"), 1)
            self.assertEqual(call("--write"), 0)
            self.assertEqual(call("--check"), 0)
            text = readme.read_text()
            self.assertTrue(text.endswith(f"{table.END}\nrest\n"))
            self.assertIn("| peak memory | pyreft 2.00 GB (±10 %) | 2.00 GB (±10 %) | 1.00 ✗ | ≤ 0.15 |", text)
            self.assertIn("Peers: pyreft 0.1.0.", text)


class PlotTests(unittest.TestCase):
    def test_is_well_formed_and_stays_inside_its_panel(self):
        sweep = {"title": "a < b", "points": [{"x": x, "tokens_per_second": 10.0 * x, "peak_rss_bytes": 1e9} for x in (1, 8, 64)]}
        picture = xml.dom.minidom.parseString(plot.panels({"a": sweep, "b": sweep, "c": sweep}))
        ys = [float(c.getAttribute("cy")) for c in picture.getElementsByTagName("circle")]
        self.assertEqual(len(ys), 18)
        self.assertTrue(all(plot.TOP <= y <= plot.HEIGHT - plot.BOTTOM for y in ys))


class SyntheticModelTests(unittest.TestCase):
    def test_every_tensor_has_its_place_and_the_same_seed_gives_the_same_file(self):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / "vocabulary.gguf"
            string = lambda text: struct.pack("<Q", len(text)) + text.encode()
            words = [f"w{i}" for i in range(64)]
            source.write_bytes(
                struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + string("tokenizer.ggml.tokens")
                + struct.pack("<IIQ", 9, 8, len(words)) + b"".join(map(string, words))
            )
            make = lambda name: subprocess.run(
                [sys.executable, HERE / "make_synthetic_gguf.py", "--tokenizer", source, "--out", f"{folder}/{name}", "--blocks", "1",
                 "--width", "64", "--heads", "2", "--kv-heads", "1", "--ffn", "96"], check=True, capture_output=True)
            make("a")
            make("b")
            first, second = (pathlib.Path(folder, name).read_bytes() for name in "ab")
            self.assertEqual(first, second)
            self.assertEqual(struct.unpack("<Q", first[8:16])[0], 11)
            data = 64 * 64 // 32 * 34 + (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 96) // 32 * 20 + 3 * 64 * 4
            self.assertGreater(len(first), data)
            self.assertLess(len(first), data + 4096)


if __name__ == "__main__":
    unittest.main()
