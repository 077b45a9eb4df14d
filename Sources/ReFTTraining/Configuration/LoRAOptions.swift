// SPDX-License-Identifier: Apache-2.0
// The `lora` part of a configuration: its keys and defaults, and how they are read.

import Foundation
public import ReFTHost
public import ReFTModel
import ReFTTensor

/// The `lora` part of a configuration.
public struct LoRAOptions: Sendable, Equatable {
  /// `rank`: rows of A and columns of B; 8 by default.
  public var rank = 8
  /// `alpha`: multiplies the update, divided by the rank; 16 by default.
  public var alpha = 16.0
  /// `dropout`: the part of the numbers before A that a training step leaves out; 0 by default.
  public var dropout = 0.0
  /// `targets`: the matrices that are updated; [q_proj, v_proj] by default.
  public var targets: [BlockProjection] = [.query, .value]
  /// `layers`: `all` (nil here), a list, or a text such as "2;10;18".
  public var layers: [Int]?
  /// `rank_stabilized`: whether alpha is divided by √rank instead; false by default.
  public var isRankStabilized = false
  /// `learning_rate`: the peak rate of its parameters; that of `train` by default.
  public var learningRate: Double?

  /// The defaults of the file.
  public init() {}

  /// The LoRA for a model.
  public func spec(_ model: ModelConfiguration) -> LoRASpec {
    LoRASpec(
      rank: rank,
      alpha: alpha,
      dropout: dropout,
      targets: targets,
      layers: layers ?? Array(0..<model.layers),
      isRankStabilized: isRankStabilized
    )
  }
}

extension LoRAOptions {
  init(_ reader: consuming ConfigurationReader) throws(ReFTError) {
    var reader = reader
    self.init()
    rank = try reader.integer("rank", in: 1...LoRASpec.maximumRank) ?? rank
    alpha = try reader.number("alpha", expected: "a number above 0") { $0 > 0 } ?? alpha
    dropout =
      try reader.number("dropout", expected: "a number from 0 and below 1") {
        (0..<1).contains($0)
      } ?? dropout
    if let node = reader.node("targets") { targets = try Self.targets(node) }
    if let node = reader.node("layers") {
      layers = try node.layers(key: reader.name("layers"))
    }
    isRankStabilized = try reader.flag("rank_stabilized") ?? isRankStabilized
    learningRate = try reader.number("learning_rate", expected: "a number from 0 to 100") {
      (0...100).contains($0)
    }
    try reader.finish()
  }

  private static func targets(_ node: ConfigurationNode) throws(ReFTError) -> [BlockProjection] {
    guard case .sequence(let items) = node.content, !items.isEmpty else {
      throw .wrongType(
        node,
        key: "lora.targets",
        expected: "a list of matrices, such as [q_proj, v_proj]"
      )
    }
    var result: [BlockProjection] = []
    for (index, item) in items.enumerated() {
      let key = "lora.targets.\(index)"
      guard let target = BlockProjection(rawValue: try item.string(key: key)) else {
        throw .unknownChoice(item, key: key, valid: BlockProjection.allCases.map(\.rawValue))
      }
      guard !result.contains(target) else {
        throw .configuration(item.origin, "'\(key)' names \(target.rawValue) twice; name it once")
      }
      result.append(target)
    }
    return BlockProjection.allCases.filter(result.contains)
  }
}

extension ConfigurationNode {
  /// `all`, one number, a list of numbers, or numbers separated by semicolons.
  func layers(key: String) throws(ReFTError) -> [Int]? {
    let expected = "'all', block numbers from 0 such as [2, 10], or \"2;10\""
    var numbers: [Int] = []
    if case .scalar(let text, _) = content {
      if text == "all" { return nil }
      for part in text.split(separator: ";", omittingEmptySubsequences: false) {
        guard let number = Int(part.trimmingCharacters(in: .whitespaces)),
          (0...1_000_000).contains(number)
        else {
          throw .wrongType(self, key: key, expected: expected)
        }
        numbers.append(number)
      }
    } else {
      guard case .sequence(let items) = content, !items.isEmpty else {
        throw .wrongType(self, key: key, expected: expected)
      }
      for (index, item) in items.enumerated() {
        numbers.append(try item.integer(key: "\(key).\(index)", in: 0...1_000_000))
      }
    }
    var seen: Set<Int> = []
    if let twice = numbers.first(where: { !seen.insert($0).inserted }) {
      throw .configuration(origin, "'\(key)' names block \(twice) twice; name it once")
    }
    return numbers.sorted()
  }
}
