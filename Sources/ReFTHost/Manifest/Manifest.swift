// SPDX-License-Identifier: Apache-2.0
// `NAME.reft.json`: functions of a library that never heard of us, described so that they can be an
// intervention. docs/writing-a-plugin.md has the format; everything is checked here, before anything is called.

import Foundation
import ReFTTensor

/// A manifest that was read and checked.
struct Manifest: Sendable {
  /// Memory beside the parameters, in float32 numbers.
  struct Memory: Sendable {
    var perRow = ManifestSize.zero
    var fixed = ManifestSize.zero
  }

  var path: String
  var id: String
  var version = "0"
  var summary = ""
  var license = ""
  /// As written: absolute, or relative to the manifest's folder.
  var library: String
  var capabilities: PluginCapabilities = []
  var options: [PluginOption] = []
  var parameters: [ManifestParameter] = []
  var saved = Memory()
  var scratch = Memory()
  var forward: ManifestFunction
  var backward: ManifestFunction?
  /// The options that turn randomness on, as the manifest says; nil: it says nothing.
  var randomOptions: [String]?

  /// Whether numbers depend on more than rows and parameters, with some values of the options.
  ///
  /// Where the manifest says nothing, that is so when a function asks for random numbers, or for where
  /// its rows come from.
  func dependsOnSequence(_ values: [String: OptionValue]) -> Bool {
    if let randomOptions {
      return randomOptions.contains { values[$0]?.isZero == false }
    }
    let telling: Set<ManifestSource> = [
      .randomKey, .randomStep, .example, .length, .location, .subspace, .decoded, .key,
    ]
    return [forward, backward].compactMap(\.self).contains { function in
      function.arguments.contains { telling.contains($0.source) }
    }
  }

  /// The absolute path of the library.
  var libraryPath: String {
    if library.hasPrefix("/") { return library }
    return (path as NSString).deletingLastPathComponent + "/" + library
  }

  /// The longest text of a manifest: 1 MiB.
  static let maximumByteCount = 1 << 20

  /// Reads and checks the text of a manifest.
  ///
  /// - Throws: `.pluginRefused`, naming the place in the file.
  init(_ text: UnsafeRawBufferPointer, path: String) throws(ReFTError) {
    guard text.count <= Self.maximumByteCount else {
      throw .badManifest(
        path,
        place: "the manifest",
        reason: "has \(text.count) bytes, expected at most \(Self.maximumByteCount)"
      )
    }
    let value: JSONNode
    do {
      value = try JSONScanner.document(text)
    } catch {
      throw .manifestNotJSON(path, error)
    }
    let root = ManifestNode(value: value, place: "the manifest", path: path)
    let members = try root.members(
      required: ["reft_manifest", "id", "library", "forward"],
      optional: [
        "version", "summary", "license", "capabilities", "options", "parameters", "saved",
        "scratch", "backward", "random",
      ]
    )
    guard let format = members["reft_manifest"], let idNode = members["id"],
      let libraryNode = members["library"], let forwardNode = members["forward"]
    else { throw root.fail("lacks a required key") }
    guard try format.number() == 1 else {
      throw format.fail(
        "is \(try format.number()), expected 1: this version of reft knows no other"
      )
    }
    self.path = path
    id = try idNode.text()
    guard PluginDescription.isID(id) else {
      throw idNode.fail("is '\(id)', expected a reverse domain such as org.example.clip")
    }
    library = try libraryNode.line()
    version = try members["version"]?.line() ?? version
    summary = try members["summary"]?.line() ?? summary
    license = try members["license"]?.line() ?? license
    for node in try members["options"]?.list() ?? [] {
      let option = try PluginOption(node)
      guard !options.contains(where: { $0.name == option.name }) else {
        throw node.fail("declares '\(option.name)' a second time")
      }
      options.append(option)
    }
    for node in try members["parameters"]?.list() ?? [] {
      parameters.append(
        try ManifestParameter(node, options: options, earlier: parameters.map(\.name))
      )
    }
    saved = try Self.memory(members["saved"], options: options)
    scratch = try Self.memory(members["scratch"], options: options)
    forward = try ManifestFunction(
      forwardNode,
      isBackward: false,
      options: options,
      parameters: parameters
    )
    if let node = members["backward"] {
      backward = try ManifestFunction(
        node,
        isBackward: true,
        options: options,
        parameters: parameters
      )
    }
    randomOptions = try Self.randomOptions(members["random"], options: options)
    try checkRanges(options.map { ($0.name, $0.defaultValue) }, code: .pluginRefused)
    capabilities = try Self.capabilities(members["capabilities"])
    if backward == nil { capabilities.insert(.noBackward) }
  }

  /// Refuses values of options that do not fit the types that the functions take them as.
  func checkRanges(
    _ values: [(name: String, value: OptionValue)],
    code: ReFTError.Code = .badConfiguration
  ) throws(ReFTError) {
    for function in [forward, backward].compactMap(\.self) {
      for argument in function.arguments {
        guard case .option(let name) = argument.source,
          let value = values.first(where: { $0.name == name })?.value, !argument.type.holds(value)
        else { continue }
        throw .manifestOptionTooLarge(
          path,
          code: code,
          option: name,
          value: value,
          symbol: function.symbol,
          type: argument.type.rawValue
        )
      }
    }
  }

  private static func memory(
    _ node: ManifestNode?,
    options: [PluginOption]
  ) throws(ReFTError) -> Memory {
    guard let node else { return Memory() }
    let members = try node.members(required: [], optional: ["per_row", "fixed"])
    var memory = Memory()
    if let size = members["per_row"] { memory.perRow = try ManifestSize(size, options: options) }
    if let size = members["fixed"] { memory.fixed = try ManifestSize(size, options: options) }
    return memory
  }

  private static func randomOptions(
    _ node: ManifestNode?,
    options: [PluginOption]
  ) throws(ReFTError) -> [String]? {
    guard let node else { return nil }
    var names: [String] = []
    for item in try node.list() {
      let name = try item.text()
      guard options.contains(where: { $0.name == name }) else {
        throw item.fail("is '\(name)', expected the name of one of its options")
      }
      names.append(name)
    }
    return names
  }

  private static func capabilities(_ node: ManifestNode?) throws(ReFTError) -> PluginCapabilities {
    var result: PluginCapabilities = []
    let allowed: PluginCapabilities = [
      .rowwise, .reentrant, .inPlace, .bitwise, .identityAtStart, .affine,
    ]
    for item in try node?.list() ?? [] {
      let name = try item.text()
      guard let bit = PluginCapabilities.names.first(where: { $0.1 == name })?.0,
        allowed.contains(bit)
      else {
        let known = allowed.names.joined(separator: ", ")
        throw item.fail("is the unknown capability '\(name)'; known: \(known)")
      }
      result.insert(bit)
    }
    return result
  }
}
