// SPDX-License-Identifier: Apache-2.0
// A parameter of a manifest: what `param_info` says for plugins with our header.

import ReFTTensor

/// A parameter tensor whose sizes depend on the width and the options of an instance.
struct ManifestParameter: Sendable {
  var name: String
  var dimensions: [ManifestSize]
  var initialization = ParameterInitialization.zeros
  var constraint = ParameterConstraint.none
  var isTrainable = true
  var allowsDecay = true
  var learningRateScale = 1.0

  init(_ node: ManifestNode, options: [PluginOption], earlier: [String]) throws(ReFTError) {
    let members = try node.members(
      required: ["name", "dims"],
      optional: ["init", "constraint", "trainable", "decay", "learning_rate_scale"]
    )
    name = ""
    dimensions = []
    for (key, member) in members.sorted(by: { $0.key < $1.key }) {
      switch key {
      case "name":
        name = try member.key()
        guard !earlier.contains(name) else {
          throw member.fail("is '\(name)', which an earlier parameter has")
        }
      case "dims":
        let items = try member.list()
        guard (1...4).contains(items.count) else {
          throw member.fail("has \(items.count) dimensions, expected 1 to 4")
        }
        for item in items { dimensions.append(try ManifestSize(item, options: options)) }
      case "init": initialization = try Self.initialization(member, earlier: earlier)
      case "constraint": constraint = try Self.constraint(member)
      case "trainable": isTrainable = try member.flag()
      case "decay": allowsDecay = try member.flag()
      default: learningRateScale = try member.number()
      }
    }
  }

  /// What an instance says about it.
  ///
  /// - Throws: `.badConfiguration` where the options give an impossible size, `.misbehaved` where
  ///   start or constraint do not fit the shape.
  func info(
    plugin: String,
    dim: Int,
    options: [String: OptionValue],
    earlier: [ParameterInfo]
  ) throws(ReFTError) -> ParameterInfo {
    let shape = dimensions.map { $0.resolved(dim: dim, options: options) ?? 0 }
    let count = shape.reduce(1.0) { $0 * Double($1) }
    guard shape.allSatisfy({ $0 > 0 }), count < 0x1p40 else {
      let list = options.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
      throw .manifestSizeImpossible(
        plugin,
        what: "parameter '\(name)'",
        dim: dim,
        options: list.isEmpty ? "no options" : list.joined(separator: ", ")
      )
    }
    let info = ParameterInfo(
      name: name,
      shape: shape,
      isTrainable: isTrainable,
      allowsDecay: allowsDecay,
      initialization: initialization,
      constraint: constraint,
      learningRateScale: learningRateScale
    )
    if let fault = info.fault(after: earlier) {
      throw .pluginMisbehaved(plugin, "parameter '\(name)' \(fault)")
    }
    return info
  }

  /// `"zeros"`, `"orthogonal"`, or `{"constant": 1}`, `{"normal": [0, 0.02]}`,
  /// `{"uniform": [-1, 1]}`, `{"copy": "name"}`.
  private static func initialization(
    _ node: ManifestNode,
    earlier: [String]
  ) throws(ReFTError) -> ParameterInitialization {
    if let text = node.value.word {
      switch text {
      case "zeros": return .zeros
      case "orthogonal": return .orthogonal
      default: throw node.fail("is '\(text)', expected 'zeros', 'orthogonal' or an object")
      }
    }
    let members = try node.members(
      required: [],
      optional: ["constant", "normal", "uniform", "copy"]
    )
    guard members.count == 1, let (key, member) = members.first else {
      throw node.fail("has \(members.count) keys, expected one of constant, normal, uniform, copy")
    }
    switch key {
    case "constant": return .constant(try member.number())
    case "copy":
      let name = try member.text()
      guard let index = earlier.firstIndex(of: name) else {
        throw member.fail("is '\(name)', expected the name of an earlier parameter")
      }
      return .copy(index: index)
    default:
      let pair = try numbers(member)
      return key == "normal"
        ? .normal(mean: pair.0, deviation: pair.1) : .uniform(lower: pair.0, upper: pair.1)
    }
  }

  /// `"none"`, `"orthonormal_rows"`, `"orthonormal_columns"`, `"unit_rows"` or `{"box": [-1, 1]}`.
  private static func constraint(_ node: ManifestNode) throws(ReFTError) -> ParameterConstraint {
    if let text = node.value.word {
      switch text {
      case "none": return .none
      case "orthonormal_rows": return .orthonormalRows
      case "orthonormal_columns": return .orthonormalColumns
      case "unit_rows": return .unitRows
      default:
        throw node.fail(
          "is '\(text)', expected none, orthonormal_rows, orthonormal_columns, unit_rows or "
            + "{\"box\": [lower, upper]}"
        )
      }
    }
    let members = try node.members(required: ["box"])
    guard let box = members["box"] else { throw node.fail("lacks 'box'") }
    let pair = try numbers(box)
    guard pair.0 <= pair.1 else { throw box.fail("is empty: \(pair.0) is above \(pair.1)") }
    return .box(lower: pair.0, upper: pair.1)
  }

  private static func numbers(_ node: ManifestNode) throws(ReFTError) -> (Double, Double) {
    let items = try node.list()
    guard items.count == 2 else { throw node.fail("has \(items.count) numbers, expected 2") }
    return (try items[0].number(), try items[1].number())
  }
}
