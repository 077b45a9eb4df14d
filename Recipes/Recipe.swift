// SPDX-License-Identifier: Apache-2.0
// Configurations to start from. Their files lie in `files/` here; the build embeds them in the program,
// which works from anywhere on the disk.

/// A configuration with what it needs.
public struct Recipe: Sendable {
  /// Its name.
  public let name: String
  /// The YAML file: comments that say what it needs, and the configuration.
  public let text: String

  /// All recipes: the paper's, small ones, and those for other uses.
  public static let all: [Recipe] = [
    Recipe("paper-commonsense", PackageResources.paper_commonsense_yaml),
    Recipe("paper-math", PackageResources.paper_math_yaml),
    Recipe("paper-math-direft", PackageResources.paper_math_direft_yaml),
    Recipe("paper-instruct", PackageResources.paper_instruct_yaml),
    Recipe("paper-glue", PackageResources.paper_glue_yaml),
    Recipe("style", PackageResources.style_yaml),
    Recipe("emoji", PackageResources.emoji_yaml),
    Recipe("gsm8k-small", PackageResources.gsm8k_small_yaml),
    Recipe("arc-cloze", PackageResources.arc_cloze_yaml),
    Recipe("glue-minilm-sst2", PackageResources.glue_minilm_sst2_yaml),
    Recipe("glue-minilm-mrpc", PackageResources.glue_minilm_mrpc_yaml),
    Recipe("glue-minilm-rte", PackageResources.glue_minilm_rte_yaml),
    Recipe("glue-minilm-cola", PackageResources.glue_minilm_cola_yaml),
    Recipe("glue-minilm-stsb", PackageResources.glue_minilm_stsb_yaml),
    Recipe("classification", PackageResources.classification_yaml),
    Recipe("lora", PackageResources.lora_yaml), Recipe("dpo", PackageResources.dpo_yaml),
    Recipe("steering", PackageResources.steering_yaml),
  ]

  private init(_ name: String, _ bytes: [UInt8]) {
    (self.name, text) = (name, String(decoding: bytes, as: UTF8.self))
  }

  /// The comment lines at the top, without their marks.
  private var comments: [String] {
    text.split(separator: "\n", omittingEmptySubsequences: false)
      .prefix { $0.hasPrefix("#") }
      .map { String($0.dropFirst($0.hasPrefix("# ") ? 2 : 1)) }
  }

  /// What it is for, in one sentence.
  public var title: String { comments.first ?? "" }
  /// Which rows it learns from, and where to get them.
  public var data: String { part("Data") }
  /// The model that it is written for, and where to get that.
  public var model: String { part("Model") }
  /// How long it takes.
  public var takes: String { part("Takes") }

  /// What stands behind a word of the comments, its indented lines joined.
  private func part(_ word: String) -> String {
    guard let start = comments.firstIndex(where: { $0.hasPrefix(word + ": ") }) else { return "" }
    let more = comments[(start + 1)...].prefix { $0.hasPrefix("  ") }
    let lines = [String(comments[start].dropFirst(word.count + 2))] + more
    return lines.map { $0.trimmed }.joined(separator: " ")
  }
}

extension String {
  /// Without blanks at the ends.
  fileprivate var trimmed: String {
    String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
  }
}
