// SPDX-License-Identifier: Apache-2.0
// The options that a manifest declares.

import ReFTTensor

extension PluginOption {
  /// Reads one entry of `options`.
  init(_ node: ManifestNode) throws(ReFTError) {
    let members = try node.members(
      required: ["name", "type", "default"],
      optional: ["help", "range", "choices"]
    )
    guard let nameNode = members["name"], let typeNode = members["type"],
      let defaultNode = members["default"]
    else { throw node.fail("lacks 'name', 'type' or 'default'") }
    let name = try nameNode.key()
    let typeName = try typeNode.text()
    guard let kind = Kind(rawValue: typeName) else {
      throw typeNode.fail("is '\(typeName)', expected int, float, string or flag")
    }
    let value = try Self.defaultValue(defaultNode, kind: kind)
    var range: ClosedRange<Double>?
    if let rangeNode = members["range"] {
      let bounds = try rangeNode.list()
      guard bounds.count == 2, kind == .int || kind == .float else {
        throw rangeNode.fail("must be two numbers, for an int or a float")
      }
      let (lower, upper) = (try bounds[0].number(), try bounds[1].number())
      guard lower <= upper else { throw rangeNode.fail("is empty: \(lower) is above \(upper)") }
      range = lower...upper
    }
    var choices: [String] = []
    for choice in try members["choices"]?.list() ?? [] { choices.append(try choice.line()) }
    self.init(
      name: name,
      kind: kind,
      help: try members["help"]?.line() ?? "",
      defaultValue: value,
      choices: choices,
      range: range
    )
    do throws(ReFTError) {
      _ = try resolve(value, plugin: "the manifest")
    } catch {
      throw defaultNode.fail("does not fit the option's own rules: \(error.message)")
    }
  }

  private static func defaultValue(
    _ node: ManifestNode,
    kind: Kind
  ) throws(ReFTError) -> OptionValue {
    switch kind {
    case .flag: return .flag(try node.flag())
    case .string: return .string(try node.text())
    case .float: return .float(try node.number())
    case .tensor, .file:
      throw node.fail(
        "belongs to an input, which no manifest can pass on; known types: int, float, string, flag"
      )
    case .int:
      let number = try node.number()
      guard let value = Int64(exactly: number) else {
        throw node.fail("is \(number), expected a whole number")
      }
      return .int(value)
    }
  }
}
