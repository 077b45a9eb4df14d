// SPDX-License-Identifier: Apache-2.0
// What was run of each family, format by format. A family is added here with its tests.

public import ReFTTensor

/// What of a family was run in one format.
public struct FamilyCoverage: Sendable, Equatable {
  /// The family, as plans name it.
  public var family: String
  /// How its models are stored.
  public var format: ModelFormat
  /// The number formats of weights that were trained with, read and decoded.
  public var types: [TensorType]
  /// What was run: models by name, and tiny ones that are compared with the reference library.
  public var models: [String]

  /// All that was run.
  public static let all: [FamilyCoverage] =
    [
      FamilyCoverage(
        family: "llama",
        format: .gguf,
        types: TensorType.allCases,
        models: [
          "SmolLM2 135M Instruct (Q4_1; F32, F16 and BF16 made of it)", "tiny, every number format",
        ]
      ),
      FamilyCoverage(
        family: "llama",
        format: .huggingFace,
        types: [.f32],
        models: ["tiny, plain, with biases and with Llama 3's rotation, against transformers"]
      ),
      FamilyCoverage(
        family: "gemma3",
        format: .gguf,
        types: [.f32, .q5_0, .q8_0, .q4_K, .q6_K],
        models: ["Gemma 3 270M (Q4_K_M)", "tiny"]
      ),
      FamilyCoverage(
        family: "gemma3",
        format: .huggingFace,
        types: [.f32],
        models: ["tiny, against transformers"]
      ),
    ]
    + compared([
      "qwen2", "qwen3", "gemma", "gemma2", "phi3", "olmo2", "gpt2", "bert",
    ]) + tiny("gpt_neox", .huggingFace) + tiny("gptneox", .gguf)
    + tiny("mistral", .huggingFace) + tiny("roberta", .huggingFace)
    + tiny("distilbert", .huggingFace)

  /// Families of which tiny models were compared with transformers, and their GGUF file with the folder.
  private static func compared(_ families: [String]) -> [FamilyCoverage] {
    families.flatMap { tiny($0, .huggingFace) + tiny($0, .gguf) }
  }

  private static func tiny(_ family: String, _ format: ModelFormat) -> [FamilyCoverage] {
    if format == .huggingFace {
      let model = "tiny, against transformers"
      return [FamilyCoverage(family: family, format: format, types: [.f32], models: [model])]
    }
    let own = family == "bert" ? ["all-MiniLM-L6-v2 (Q8_0, written by quantize)"] : []
    return [
      FamilyCoverage(
        family: family,
        format: format,
        types: [.f32, .f16] + (family == "bert" ? [.q8_0] : []),
        models: own + ["tiny, written by quantize, against its folder"]
      )
    ]
  }

  /// The families and formats that this version runs and the table does not name; none, by a test.
  package static var missing: [String] {
    Architectures.all.flatMap { family in
      family.names.compactMap { format, name in
        let plain = name.hasSuffix("_text") ? String(name.dropLast(5)) : name
        return all.contains { $0.family == plain && $0.format == format }
          ? nil : "\(plain) in \(format)"
      }
    }
  }
}
