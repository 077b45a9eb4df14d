// SPDX-License-Identifier: Apache-2.0
// What interventions have of a run for themselves: a learning rate, and how far the run is.

import Foundation
import ReFTTensor
import ReFTTraining
import Testing
import _ReFTTestSupport

@Suite("Interventions of a run")
struct OwnRateTests {
  private func tensors(_ run: TinyRun, _ output: String) throws -> SafetensorsFile {
    try Safetensors.read(path: "\(run.folder)/\(output)/adapter/adapter_model.safetensors")
  }

  @Test("have a learning rate of their own, which the records tell")
  func ownRate() throws {
    try withTinyRun { run in
      var run = run
      let plain = run.intervention
      run.intervention = """
        {plugin: loreft, layers: [1, 2], options: {rank: 2}}
          - {plugin: loreft, layers: 1, options: {rank: 2}, learning_rate: 0}
        """
      let two = [
        "train.schedule=constant", "train.warmup=0",
      ]
      try run.train("still", two + ["train.max_steps=1"])
      try run.train("long", two)
      let (first, last) = try (tensors(run, "still"), tensors(run, "long"))
      for tensor in last.tensors {
        // Orthonormal rows are put right after each step, whatever its size.
        let moved =
          try zip(first.floats(tensor.name), last.floats(tensor.name))
          .map { abs($0 - $1) }.max() ?? 0
        #expect((moved < 1e-6) == tensor.name.hasPrefix("interventions.1"), "\(tensor.name)")
      }
      let records = try run.records("long")
      #expect(records.allSatisfy { $0.learningRate == 2e-2 })
      #expect(records.allSatisfy { $0.learningRates == ["interventions.1": 0] })
      run.intervention = plain
      try run.train("plain", ["train.max_steps=1"])
      #expect(try run.records("plain").allSatisfy { $0.learningRates == nil })
    }
  }

  @Test("know step and total steps, the same after an interruption and in a process of their own")
  func progress() throws {
    // y grows with step / total_steps, so that a wrong step gives other bits.
    try withTinyRun(plugin: "aux") { run in
      var run = run
      run.intervention = "{plugin: aux, layers: 1, positions: f2+l2, isolation: none}"
      let steps = ["train.max_steps=5"]
      try run.train("whole", steps)
      #expect(throws: ReFTError.self) { try run.train("parts", steps, endingAt: 3) }
      try run.train("parts", steps, mode: .resume)
      try run.train("apart", steps + ["interventions.0.isolation=process"])
      #expect(try run.tensors("whole") == run.tensors("parts"))
      #expect(try run.tensors("whole") == run.tensors("apart"))
      // The first step is step 0 of any total; later ones differ.
      let constant = ["train.schedule=constant", "train.warmup=0"]
      try run.train("long", constant + steps)
      try run.train("longer", constant + ["train.max_steps=6"])
      let (five, six) = try (run.records("long"), run.records("longer"))
      #expect(five[0].loss == six[0].loss)
      #expect(five[2].loss != six[2].loss)
    }
  }
}
