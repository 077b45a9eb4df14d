// SPDX-License-Identifier: Apache-2.0
// Model files with weights that are no numbers, and files that change while they are in use.

import Foundation
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Spoiled models")
struct SpoiledModelTests {
  /// Overwrites one float of a float32 tensor in a model's file.
  private func poison(_ path: String, _ tensor: String, element: Int, with value: Float) throws {
    let offset: Int
    do {
      let file = try GGUFFile(path: path)
      let data = try #require(file.tensor(tensor)).bytes
      let start = try #require(data.baseAddress)
      offset = try #require(file.file.bytes.baseAddress).distance(to: start) + 4 * element
    }
    let handle = try FileHandle(forUpdating: URL(fileURLWithPath: path))
    try handle.seek(toOffset: UInt64(offset))
    try handle.write(contentsOf: withUnsafeBytes(of: value.bitPattern.littleEndian) { Data($0) })
    try handle.close()
  }

  @Test(
    "with weights that are no numbers are named, whatever is done with them",
    arguments: [
      ("blk.1.ffn_down.weight", 77, Float.nan), ("blk.0.attn_q.weight", 0, Float.infinity),
      ("output_norm.weight", 3, -Float.infinity), ("token_embd.weight", 64 * 200 + 5, Float.nan),
    ]
  )
  func notFinite(_ tensor: String, _ element: Int, _ value: Float) throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      try poison(bench.path("tiny.gguf"), tensor, element: element, with: value)
      let message =
        "model '$M': tensor '\(tensor)' holds \(value) at element \(element), expected finite "
        + "numbers; fetch the model again, or convert it anew\n"
      for (call, prefix) in [
        ("score --model $M --data rows.jsonl", "error: "),
        ("score --model $M --data rows.jsonl --json", "error: "),
        ("generate --model $M --prompt one --max-tokens 3", "error: "),
        (
          "generate --model $M --input rows.jsonl --batch-size 4 --max-tokens 3",
          "error: request 0: "
        ),
        ("train run.yaml", "error: "),
      ] {
        let words = call.split(separator: " ").map {
          $0.replacing("$M", with: bench.path("tiny.gguf"))
        }
        let tool = try Tool.reft(words.map { String($0) }, folder: folder)
        #expect(tool.status == 65, "\(call): \(tool.errors)")
        let last = tool.errors.replacing(bench.path("tiny.gguf"), with: "$M")
        #expect(last.hasSuffix(prefix + message), "\(call): \(tool.errors)")
        #expect(!tool.text.contains("nan"))
      }
    }
  }

  /// Trains without end, does `change` to the model after a checkpoint, and waits; then goes on with
  /// the model as it was, to the next checkpoint.
  private func change(_ change: String, _ check: (Workbench, Tool) throws -> Void) throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      let script = """
        train() { exec "\(Tool.products)/reft" train run.yaml --set train.epochs=1000000 \
          --set train.save_every=20 "$@"; }
        saved() { ls run/checkpoints 2>/dev/null | grep step- | tail -1; }
        cp tiny.gguf whole.gguf
        train &
        until [ -n "$(saved)" ]; do sleep 0.02; done
        \(change)
        wait $!; status=$?
        last=$(saved)
        cp whole.gguf tiny.gguf
        train --resume 2> again &
        until [ "$(saved)" != "$last" ]; do sleep 0.02; done
        kill -TERM $!; wait $!; echo "resumed $?"
        exit $status
        """
      let tool = try Tool.run("/bin/bash", ["-c", script], folder: folder)
      #expect(tool.text == "resumed 130\n")
      try check(bench, tool)
    }
  }

  @Test("that become shorter end the command with a sentence, and the checkpoint stays")
  func shortened() throws {
    try change("truncate -s 4096 tiny.gguf") { bench, tool in
      #expect(tool.status == 74, "\(tool.errors)")
      #expect(
        tool.errors.hasSuffix(
          "\nerror: file '\(bench.path("tiny.gguf"))' became shorter while it was read, or its "
            + "disk failed; put it back whole and run the command again (a training run goes on with "
            + "--resume)\n"
        ),
        "\(tool.errors)"
      )
    }
  }

  @Test("that are written to are told as such, not as a learning rate")
  func written() throws {
    try change(
      "head -c 300000 /dev/urandom | dd of=tiny.gguf bs=1 seek=60000 conv=notrunc status=none"
    ) { bench, tool in
      #expect(tool.status == 65, "\(tool.errors)")
      #expect(
        tool.errors.contains(
          "error: model '\(bench.path("tiny.gguf"))' changed while it was in use: it was written to; "
            + "put the file back as it was and run the command again; a training run goes on from its "
            + "last checkpoint with --resume"
        ),
        "\(tool.errors)"
      )
    }
  }

  @Test("that are replaced by renaming do not disturb a run, since the old file is still read")
  func replaced() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      let script = """
        "\(Tool.products)/reft" train run.yaml --set train.epochs=100 --set train.save_every=10 --json &
        until ls run/checkpoints 2>/dev/null | grep -q step-; do sleep 0.02; done
        head -c 1000 tiny.gguf > other && mv other tiny.gguf
        wait $!
        """
      let tool = try Tool.run("/bin/bash", ["-c", script], folder: folder)
      #expect(tool.status == 0, "\(tool.errors)")
      #expect(try tool.json()["steps"] as? Int == 200)
    }
  }

  @Test(
    "and other kernels than a checkpoint's are told at --resume",
    .enabled(if: Machine.usesFastKernels, "this processor has no other kernels")
  )
  func kernels() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      let first = try Tool.reft(["train", "run.yaml"], folder: folder)
      #expect(first.status == 0)
      let same = try Tool.reft(["train", "run.yaml", "--resume"], folder: folder)
      #expect(same.status == 0 && !same.errors.contains("kernels"))
      let other = try Tool.reft(
        ["train", "run.yaml", "--resume"],
        environment: ["REFT_KERNELS": "ref"],
        folder: folder
      )
      #expect(other.status == 0)
      #expect(
        other.errors.contains(
          "warning: the kernels were '\(Machine.kernels)' up to step 2 and are 'portable' from there "
            + "on: the bits may differ from those of a run that was not interrupted"
        ),
        "\(other.errors)"
      )
    }
  }
}
