// SPDX-License-Identifier: Apache-2.0
// One adapter out of several, where their edits are affine in their parameters: then the sum of their
// differences is an edit of the same plugin, exactly.

import Foundation
import ReFTModel
public import ReFTTensor

/// Adapter folders and strengths, to be made one adapter.
public struct AdapterCombination: Sendable {
  /// One of the adapters.
  struct Source: Sendable {
    let word: AdapterWord
    let file: AdapterFile
    let weights: SafetensorsFile

    /// The values of a tensor; `.badData` where one is not finite.
    func finite(_ name: String) throws(ReFTError) -> [Float] {
      let values = try weights.floats(name)
      guard values.allSatisfy(\.isFinite) else {
        throw .adapterNotFinite(word.path + "/" + AdapterFile.tensorName, name)
      }
      return values
    }
  }

  let sources: [Source]

  /// Opens adapter folders.
  ///
  /// - Throws: `.usage` for fewer than two that differ in what they edit or how, saying what; as loading
  ///   does for folders.
  public init(_ words: [AdapterWord]) throws(ReFTError) {
    var sources: [Source] = []
    for word in words {
      sources.append(
        Source(
          word: word,
          file: try AdapterFile(folder: word.path),
          weights: try Safetensors.read(path: word.path + "/" + AdapterFile.tensorName)
        )
      )
    }
    guard let first = sources.first else { throw .nothingToCombine() }
    self.sources = sources
    for source in sources { try check(source, beside: first) }
  }

  /// What the user should know of the result, in sentences.
  public var notes: [String] {
    let first = sources[0]
    var notes: [String] = []
    for source in sources.dropFirst() {
      if source.file.base.fingerprint != first.file.base.fingerprint {
        notes.append(
          "'\(source.word.path)' was made for a model with another fingerprint than '\(first.word.path)'"
        )
      }
    }
    if Set(sources.map(\.file.template)).count > 1 {
      notes.append("the adapters were trained with different templates, so the result has none")
    }
    return notes
  }

  /// Makes the adapter folder.
  ///
  /// - Returns: the number of parameters.
  /// - Throws: `.usage` for plugins and parameters of which no one adapter is the sum, saying why;
  ///   `.badData` for numbers that are not finite, in an adapter or in the sum; what writing a folder
  ///   throws.
  public func write(to path: String) throws(ReFTError) -> Int {
    var file = sources[0].file
    var tensors: [String: NamedTensor] = [:]
    for index in file.specs.indices {
      let (options, made) = try combined(index)
      file.specs[index].options = options
      for tensor in made { tensors[tensor.name] = tensor }
    }
    if Set(sources.map(\.file.template)).count > 1 { file.template = nil }
    file.training = [
      "combined": .array(
        sources.map {
          .object([
            "adapter": .string(PathParts.name(of: $0.word.path)),
            "strength": .double(Double($0.word.strength)),
          ])
        }
      )
    ]
    let names = sources[0].weights.names.sorted()
    let list = names.compactMap { tensors[$0] }
    try AdapterFolder(file: file, tensors: list).save(to: path)
    return list.reduce(0) { $0 + $1.values.count }
  }

  /// Options and parameters of one intervention of the result.
  private func combined(
    _ index: Int
  ) throws(ReFTError) -> ([String: OptionValue], [NamedTensor]) {
    let form = try form(index)
    let specs = sources.map { $0.file.specs[index] }
    try form.check(specs, strengths: sources.map(\.word.strength))
    let prefix = "interventions.\(index)."
    let places = Set(
      sources[0].weights.names.filter { $0.hasPrefix(prefix) }.compactMap { name in
        form.tensors.keys.first { name.hasSuffix("." + $0) }.map {
          String(name.dropLast($0.count))
        }
      }
    )
    var result: [NamedTensor] = []
    for place in places.sorted() {
      var parts: [AffineForm.Part] = []
      for source in sources {
        var part = AffineForm.Part(
          name: source.word.path,
          strength: Double(source.word.strength),
          spec: source.file.specs[index]
        )
        for name in form.tensors.keys {
          guard let tensor = source.weights.tensor(place + name) else { continue }
          part.tensors[name] = (tensor.shape, try source.finite(place + name))
        }
        parts.append(part)
      }
      for (name, tensor) in try form.sum(parts, at: place) {
        guard tensor.values.allSatisfy(\.isFinite) else {
          throw .combineOverflows(sources.map(\.word), tensor: place + name)
        }
        result.append(NamedTensor(name: place + name, shape: tensor.shape, values: tensor.values))
      }
    }
    return (form.options(specs), result)
  }

  private func form(_ index: Int) throws(ReFTError) -> AffineForm {
    let file = sources[0].file
    let name = file.specs[index].plugin
    let short = name.split(separator: ".").last.map(String.init) ?? name
    let id = file.provenance[index].id ?? (name.contains(".") ? name : "org.reft." + short)
    guard id == "org.reft." + short, let form = AffineForm.known[short] else {
      throw .notAffine(name, because: "its edit is not known to be affine in its parameters")
    }
    return form
  }

  private func check(_ source: Source, beside first: Source) throws(ReFTError) {
    let (one, other) = (first.file, source.file)
    for (what, then, now) in [
      ("architecture", one.base.architecture, other.base.architecture),
      ("hidden_size", "\(one.base.hiddenSize)", "\(other.base.hiddenSize)"),
      ("layers of the model", "\(one.base.layers)", "\(other.base.layers)"),
      ("number of interventions", "\(one.specs.count)", "\(other.specs.count)"),
    ] where then != now {
      throw .combineDiffers(first.word.path, source.word.path, what: what, then, now)
    }
    if other.head != nil { throw .combineWith("a head", source.word.path) }
    if other.lora != nil { throw .combineWith("a LoRA", source.word.path) }
    for (index, spec) in other.specs.enumerated() {
      let reference = one.specs[index]
      for (what, then, now) in [
        ("plugin", reference.plugin, spec.plugin),
        ("layers", "\(reference.layers)", "\(spec.layers)"),
        ("component", reference.componentInWords, spec.componentInWords),
        ("positions", "\(reference.positions)", "\(spec.positions)"),
        ("sharing of weights", reference.sharingInWords, spec.sharingInWords),
      ] where then != now {
        let key = "\(what) of interventions.\(index)"
        throw .combineDiffers(first.word.path, source.word.path, what: key, then, now)
      }
      for earlier in other.specs[..<index] where spec.meets(earlier) {
        throw .combineInRow(source.word.path, index)
      }
    }
  }
}

extension InterventionSpec {
  /// Whether both edit a common site, and may edit the same numbers there.
  fileprivate func meets(_ other: InterventionSpec) -> Bool {
    guard component == other.component, !Set(layers).isDisjoint(with: other.layers) else {
      return false
    }
    guard let heads, let others = other.heads else { return true }
    return !Set(heads).isDisjoint(with: others)
  }
}
