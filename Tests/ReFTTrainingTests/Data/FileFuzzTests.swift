// SPDX-License-Identifier: Apache-2.0
// Damaged and grown files of every kind, a few hundred of each: the long form is `reft-fuzz`.

import Testing
import _ReFTFuzz

@Suite("Damaged files")
struct FileFuzzTests {
  @Test(
    "are read or refused in a sentence, in short time",
    arguments: [
      "jsonl", "tsv", "csv", "yaml", "safetensors", "adapter_config", "gguf", "tokenizer",
      "sentencepiece", "elf", "trust", "torch",
    ]
  )
  func files(name: String) throws {
    let reader = try #require(FuzzReaders.named(name))
    let report = try FuzzRun(reader, seed: 11).run(0..<300)
    #expect(report.cases == 300)
    // Neither all are refused nor all are read: the inputs are near enough to sound ones.
    #expect((15...285).contains(report.accepted), "\(report.accepted) of 300 read")
  }
}
