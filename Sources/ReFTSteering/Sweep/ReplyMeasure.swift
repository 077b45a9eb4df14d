// SPDX-License-Identifier: Apache-2.0
// What the model says when it is steered, and how much it repeats itself.

import ReFTGeneration
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText

/// Replies to a few prompts.
struct ReplyMeasure {
  /// Replies under one variant.
  struct Outcome {
    var repetition: Double
    var replies: [String]
  }

  let prompts: [String]
  let maxTokens: Int
  let encoder: ContrastEncoder
  let generator: TextGenerator

  /// Tokens in the runs that are counted.
  private static let runLength = 4

  /// Generates the most likely replies of all variants at once.
  ///
  /// - Parameters:
  ///   - variants: the adapter of each; nil for the frozen model.
  ///   - instruction: what is put before each prompt.
  /// - Returns: an outcome for each variant.
  /// - Throws: what generating throws.
  func outcomes(_ variants: [Adapter?], instruction: String? = nil) throws -> [Outcome] {
    guard !prompts.isEmpty else {
      return variants.map { _ in Outcome(repetition: 0, replies: []) }
    }
    let before = instruction.map { $0 + "\n\n" } ?? ""
    let requests = variants.flatMap { adapter in
      prompts.map {
        GenerationRequest(
          encoder.prompt(before + $0),
          maxTokens: maxTokens,
          adapter: adapter
        )
      }
    }
    let results = try generator.generate(requests, batchSize: min(32, requests.count))
    return variants.indices.map { variant in
      let own = results[variant * prompts.count..<(variant + 1) * prompts.count]
      let rates = own.map { Self.repetition(of: $0.ids) }
      return Outcome(
        repetition: rates.reduce(0, +) / Double(rates.count),
        replies: own.map(\.text)
      )
    }
  }

  /// The part of the runs of four tokens that stand there already.
  ///
  /// It is seq-rep-4 of Welleck et al., Neural Text Generation with Unlikelihood Training, arXiv
  /// 1908.04319.
  static func repetition(of ids: [Int32]) -> Double {
    guard ids.count >= runLength else { return 0 }
    let runs = (0...ids.count - runLength).map { ids[$0..<$0 + runLength] }
    return 1 - Double(Set(runs).count) / Double(runs.count)
  }
}
