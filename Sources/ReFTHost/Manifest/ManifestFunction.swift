// SPDX-License-Identifier: Apache-2.0
// One function of a manifest: its symbol and the order, meaning and type of its arguments.

import ReFTTensor

/// The C types that an argument may have.
enum ManifestType: String, Sendable, CaseIterable {
  case i32, i64, u32, u64, f32, f64
  case f32Pointer = "f32*"
  case i32Pointer = "i32*"
  case i64Pointer = "i64*"

  var isPointer: Bool { self == .f32Pointer || self == .i32Pointer || self == .i64Pointer }

  /// Whether the value of an option can be passed as it without becoming another one.
  func holds(_ value: OptionValue) -> Bool {
    switch (self, value) {
    case (.i32, .int(let number)): Int32(exactly: number) != nil
    case (.u32, .int(let number)): UInt32(exactly: number) != nil
    case (.u64, .int(let number)): number >= 0
    case (.f32, .float(let number)): Float(number).isFinite
    default: true
    }
  }
}

/// What the host passes for an argument.
enum ManifestSource: Sendable, Hashable {
  /// A matrix of rows: its first number.
  case x, y, dy, dx
  /// Numbers from one row of a matrix to the next.
  case xStride, yStride, dyStride, dxStride
  case rows, dim, layer, isTraining, randomKey, randomStep
  case saved, scratch
  case example, position, length, location, subspace, adapter, decoded, key
  case option(String)
  case parameter(Int)
  case gradient(Int)

  static let names: [(String, ManifestSource)] = [
    ("x", .x), ("y", .y), ("dy", .dy), ("dx", .dx), ("x.stride", .xStride),
    ("y.stride", .yStride), ("dy.stride", .dyStride), ("dx.stride", .dxStride), ("rows", .rows),
    ("dim", .dim), ("layer", .layer), ("training", .isTraining), ("random.key", .randomKey),
    ("random.step", .randomStep), ("saved", .saved), ("scratch", .scratch),
    ("example", .example), ("position", .position), ("length", .length),
    ("location", .location), ("subspace", .subspace), ("adapter", .adapter), ("decoded", .decoded),
    ("key", .key),
  ]

  /// The types that make sense for it.
  func allows(_ type: ManifestType, options: [PluginOption]) -> Bool {
    switch self {
    case .x, .y, .dy, .dx, .saved, .scratch, .parameter, .gradient: type == .f32Pointer
    case .example, .position, .length, .location, .subspace, .adapter, .decoded:
      type == .i32Pointer
    case .key: type == .i64Pointer
    case .randomKey, .randomStep: type == .u64
    case .option(let name):
      switch options.first(where: { $0.name == name })?.kind {
      case .float: type == .f32 || type == .f64
      case .int, .flag: !type.isPointer
      default: false
      }
    default: !type.isPointer && type != .f32 && type != .f64
    }
  }
}

/// A function of the library, as the manifest describes it.
struct ManifestFunction: Sendable {
  struct Argument: Sendable {
    var source: ManifestSource
    var type: ManifestType
  }

  var symbol: String
  /// Whether it returns an i32, 0 for success; else nothing.
  var returnsStatus: Bool
  var arguments: [Argument]
  /// Whether it writes gradients instead of adding to them.
  var overwritesGradients = false

  init(
    _ node: ManifestNode,
    isBackward: Bool,
    options: [PluginOption],
    parameters declared: [ManifestParameter]
  ) throws(ReFTError) {
    let parameters = declared.map(\.name)
    let members = try node.members(
      required: ["symbol", "arguments"],
      optional: ["returns"] + (isBackward ? ["gradients"] : [])
    )
    let lookup = ManifestNames(options: options, parameters: parameters, isBackward: isBackward)
    symbol = ""
    returnsStatus = false
    arguments = []
    for (key, member) in members.sorted(by: { $0.key < $1.key }) {
      switch key {
      case "symbol":
        symbol = try member.line()
      case "returns":
        let type = try member.text()
        guard type == "i32" || type == "void" else {
          throw member.fail("is '\(type)', expected 'void' or 'i32' (0 for success)")
        }
        returnsStatus = type == "i32"
      case "gradients":
        let mode = try member.text()
        guard mode == "add" || mode == "overwrite" else {
          throw member.fail("is '\(mode)', expected 'add' or 'overwrite'")
        }
        overwritesGradients = mode == "overwrite"
      default:
        let items = try member.list()
        guard (1...64).contains(items.count) else {
          throw member.fail("has \(items.count) entries, expected 1 to 64")
        }
        for item in items { arguments.append(try lookup.argument(item)) }
        try checkUse(member, isBackward: isBackward, parameters: declared)
      }
    }
  }

  /// Every input must be asked for once, and what only the function can make must be asked for.
  private func checkUse(
    _ node: ManifestNode,
    isBackward: Bool,
    parameters declared: [ManifestParameter]
  ) throws(ReFTError) {
    let parameters = declared.map(\.name)
    let sources = arguments.map(\.source)
    for source in sources where sources.count(where: { $0 == source }) > 1 {
      let name = ManifestNames.name(of: source, parameters: parameters)
      throw node.fail("names '\(name)' more than once")
    }
    let needed: [ManifestSource] = isBackward ? [.dy, .dx] : [.x, .y]
    for source in needed where !sources.contains(source) {
      let name = ManifestNames.name(of: source, parameters: parameters)
      throw node.fail("lacks '\(name):f32*', without which there is nothing to compute")
    }
    guard isBackward else { return }
    for (index, parameter) in declared.enumerated()
    where parameter.isTrainable && !sources.contains(.gradient(index)) {
      throw node.fail(
        "lacks 'dparam.\(parameter.name):f32*': the parameter could not be trained; add it, or declare the "
          + "parameter with \"trainable\": false"
      )
    }
  }
}

/// Resolves the words of an argument list.
struct ManifestNames {
  let options: [PluginOption]
  let parameters: [String]
  let isBackward: Bool

  static func name(of source: ManifestSource, parameters: [String]) -> String {
    switch source {
    case .option(let name): "option.\(name)"
    case .parameter(let index): "param.\(parameters[index])"
    case .gradient(let index): "dparam.\(parameters[index])"
    default: ManifestSource.names.first { $0.1 == source }?.0 ?? "?"
    }
  }

  func argument(_ node: ManifestNode) throws(ReFTError) -> ManifestFunction.Argument {
    let text = try node.text()
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2 else {
      throw node.fail("is '\(text)', expected 'NAME:TYPE', such as 'x:f32*'")
    }
    guard let type = ManifestType(rawValue: parts[1]) else {
      let types = ManifestType.allCases.map(\.rawValue).joined(separator: ", ")
      throw node.fail("has the unknown type '\(parts[1])'; known: \(types)")
    }
    let source = try resolve(parts[0], node)
    guard source.allows(type, options: options) else {
      let types = ManifestType.allCases.filter { source.allows($0, options: options) }
      let list = types.map(\.rawValue).joined(separator: ", ")
      throw node.fail(
        "passes '\(parts[0])' as \(type.rawValue); "
          + (list.isEmpty ? "texts cannot be passed" : "it can be \(list)")
      )
    }
    return ManifestFunction.Argument(source: source, type: type)
  }

  private func resolve(_ name: String, _ node: ManifestNode) throws(ReFTError) -> ManifestSource {
    if let source = ManifestSource.names.first(where: { $0.0 == name })?.1 {
      if !isBackward, source == .dy || source == .dx || source == .dyStride || source == .dxStride {
        throw node.fail("asks for '\(name)', which exists in backward alone")
      }
      if isBackward, source == .y || source == .yStride {
        throw node.fail("asks for '\(name)', which exists in forward alone; keep it in 'saved'")
      }
      return source
    }
    if name.hasPrefix("option.") {
      let option = String(name.dropFirst(7))
      guard options.contains(where: { $0.name == option }) else {
        throw node.fail("names option '\(option)', which the manifest does not declare")
      }
      return .option(option)
    }
    for (prefix, isGradient) in [("param.", false), ("dparam.", true)] where name.hasPrefix(prefix)
    {
      let parameter = String(name.dropFirst(prefix.count))
      guard let index = parameters.firstIndex(of: parameter) else {
        throw node.fail("names parameter '\(parameter)', which the manifest does not declare")
      }
      if isGradient, !isBackward {
        throw node.fail("asks for '\(name)', which exists in backward alone")
      }
      return isGradient ? .gradient(index) : .parameter(index)
    }
    let known = ManifestSource.names.map(\.0)
    let nearest = NearestName.find(name, in: known).map { "; did you mean '\($0)'?" } ?? ""
    throw node.fail(
      "names the unknown argument '\(name)'; known: \(known.joined(separator: ", ")), option.NAME, "
        + "param.NAME, dparam.NAME\(nearest)"
    )
  }
}
