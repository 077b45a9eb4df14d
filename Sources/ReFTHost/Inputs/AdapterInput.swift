// SPDX-License-Identifier: Apache-2.0
// The inputs of an adapter in its folder: up to 16 MiB each lie among the parameters, files as bytes, so
// that the folder is all that the adapter needs; what is larger is named with its hash.

import Foundation
import ReFTTensor

/// What `adapter_config.json` says of one input.
struct AdapterInput {
  /// The option that names it.
  var option: String
  /// The tensor of `adapter_model.safetensors` that holds it; nil: it is read from `path`.
  var embedded: String?
  /// Where it came from.
  var path: String
  var tensor: String?
  var shape: [Int]
  var hash: String

  /// As the document has it.
  var members: [String: JSONValue] {
    var members: [String: JSONValue] = [
      "path": .string(path), "shape": .array(shape.map { .int(Int64($0)) }),
      "sha256": .string(hash),
    ]
    if let tensor { members["tensor"] = .string(tensor) }
    if let embedded { members["embedded"] = .string(embedded) }
    return members
  }

  /// Reads the inputs of an intervention.
  static func read(_ intervention: JSONReader) throws(ReFTError) -> [AdapterInput] {
    guard let list = try intervention.optional("inputs") else { return [] }
    var result: [AdapterInput] = []
    for member in list.members {
      let item = try list.required(member.key)
      var shape: [Int] = []
      for size in try item.required("shape").items() { shape.append(try size.int()) }
      result.append(
        AdapterInput(
          option: member.key,
          embedded: try item.optional("embedded")?.string(),
          path: try item.required("path").string(),
          tensor: try item.optional("tensor")?.string(),
          shape: shape,
          hash: try item.required("sha256").string()
        )
      )
    }
    return result
  }
}

extension AdapterFile {
  /// Opens the inputs of each intervention, which must be what they were.
  ///
  /// - Throws: `.inputMissing` or `.badData`, naming the input and what to do.
  func openInputs(of folder: String) throws(ReFTError) -> [[String: PluginInput]] {
    var result: [[String: PluginInput]] = []
    for list in inputs {
      var opened: [String: PluginInput] = [:]
      for input in list { opened[input.option] = try open(input, of: folder) }
      result.append(opened)
    }
    return result
  }

  private func open(_ input: AdapterInput, of folder: String) throws(ReFTError) -> PluginInput {
    let text = input.path + (input.tensor.map { "#" + $0 } ?? "")
    let found: PluginInput
    if let name = input.embedded {
      let file = try Safetensors.read(path: folder + "/" + Self.tensorName)
      if input.tensor == nil { return try whole(input, try file.bytes(name), file, of: folder) }
      let values = try file.floats(name)
      guard values.count == input.shape.reduce(1, *), !values.isEmpty else {
        throw .adapterInputDescription(
          folder + "/" + Self.configName,
          option: input.option,
          reason: "has the shape \(input.shape) and \(values.count) numbers in '\(name)'"
        )
      }
      found = .of(
        values,
        shape: input.shape,
        text: text,
        path: input.path,
        tensor: input.tensor ?? ""
      )
    } else {
      guard FileManager.default.fileExists(atPath: input.path) else {
        throw .adapterInputMissing(folder, option: input.option, path: input.path)
      }
      let option = PluginOption(
        name: input.option,
        kind: input.tensor == nil ? .file : .tensor,
        help: "",
        defaultValue: .string("")
      )
      found = try .open(text, option: option, plugin: "", relativeTo: nil)
    }
    try check(found, input, of: folder)
    return found
  }

  private func whole(
    _ input: AdapterInput,
    _ bytes: UnsafeRawBufferPointer,
    _ file: SafetensorsFile,
    of folder: String
  ) throws(ReFTError) -> PluginInput {
    let found = PluginInput(
      text: input.path,
      path: input.path,
      tensor: nil,
      shape: [bytes.count],
      bytes: bytes,
      owner: file
    )
    try check(found, input, of: folder)
    return found
  }

  private func check(
    _ found: PluginInput,
    _ input: AdapterInput,
    of folder: String
  ) throws(ReFTError) {
    guard found.hash != input.hash else { return }
    throw .adapterInputChanged(
      folder,
      option: input.option,
      input: found.place,
      found: found.hash,
      expected: input.hash
    )
  }
}

extension Adapter {
  /// What options of an intervention name, as the folder tells it.
  func adapterInputs(of intervention: Int) -> [AdapterInput] {
    let inputs = units.first { $0.intervention == intervention }?.inputs ?? [:]
    return inputs.sorted { $0.key < $1.key }.map { option, input in
      let isEmbedded = input.bytes.count <= PluginInput.embeddedLimit
      return AdapterInput(
        option: option,
        embedded: isEmbedded ? "interventions.\(intervention).inputs.\(option)" : nil,
        path: input.path,
        tensor: input.tensor,
        shape: input.shape,
        hash: input.hash
      )
    }
  }

  /// The inputs that the folder takes in, as tensors.
  var embeddedInputs: [NamedTensor] {
    embedded.filter { !$0.input.isFile }.map {
      NamedTensor(name: $0.name, shape: $0.input.shape, values: $0.input.values)
    }
  }

  /// The files that the folder takes in, as bytes.
  var embeddedFiles: [RawTensor] {
    embedded.filter(\.input.isFile).map { RawTensor(name: $0.name, bytes: Array($0.input.bytes)) }
  }

  private var embedded: [(name: String, input: PluginInput)] {
    var result: [(name: String, input: PluginInput)] = []
    for intervention in specs.indices {
      let inputs = units.first { $0.intervention == intervention }?.inputs ?? [:]
      for described in adapterInputs(of: intervention) {
        guard let name = described.embedded, let input = inputs[described.option] else { continue }
        result.append((name, input))
      }
    }
    return result
  }
}
