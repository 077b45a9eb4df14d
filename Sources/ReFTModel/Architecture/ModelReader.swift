// SPDX-License-Identifier: Apache-2.0
// How an architecture reads a stored model: by one set of names for all formats, and with a list of
// what was asked for, so that the rest can be refused by name.

import ReFTTensor

/// Reads keys and tensors of a stored model, and remembers which.
///
/// Keys and parts are called as in GGUF, without the family: `attention.head_count`,
/// `blk.0.attn_q`; `FileNames` says what they are called in the file.
final class ModelReader {
  let source: any TensorSource
  let names: FileNames
  private var usedKeys: Set<String> = []
  private var usedTensors: Set<String> = []
  private var ignoredPrefixes: [String] = []

  init(_ source: any TensorSource, _ names: FileNames) {
    (self.source, self.names) = (source, names)
  }

  var path: String { source.path }

  // MARK: Keys

  /// The value of a key, and what the file calls it.
  private func value(_ key: String) -> (name: String, value: GGUFValue?) {
    let candidates = names.keys(key)
    usedKeys.formUnion(candidates)
    let name = candidates.first { source.metadata[$0] != nil } ?? candidates.first ?? key
    return (name, source.metadata[name])
  }

  /// What the file calls a key.
  func keyName(_ key: String) -> String { value(key).name }

  /// Whether the file has a key.
  func has(_ key: String) -> Bool { value(key).value != nil }

  /// A whole number.
  ///
  /// - Throws: `badData` when it is missing and has no default, or out of range.
  func size(
    _ key: String,
    in range: ClosedRange<Int>,
    default other: Int? = nil
  ) throws(ReFTError) -> Int {
    let (name, value) = value(key)
    if value == nil, let other { return try checked(other, name, range) }
    guard case .int(let number) = value else { throw .missingMetadata(name, path) }
    return try checked(Int(number), name, range)
  }

  private func checked(
    _ value: Int,
    _ name: String,
    _ range: ClosedRange<Int>
  ) throws(ReFTError) -> Int {
    guard range.contains(value) else { throw .metadataOutOfRange(name, value, range, path) }
    return value
  }

  /// A positive number, or zero where that is allowed.
  ///
  /// - Throws: `badData` when it is missing and has no default, or not such a number.
  func number(
    _ key: String,
    default other: Double? = nil,
    allowsZero: Bool = false
  ) throws(ReFTError) -> Double {
    let (name, value) = value(key)
    if value == nil, let other { return other }
    guard let number = value?.number, number.isFinite, number > 0 || allowsZero && number == 0
    else { throw .missingMetadata(name, path) }
    return number
  }

  /// A text; nil where there is none.
  ///
  /// - Throws: `badData` when the value is no text.
  func text(_ key: String) throws(ReFTError) -> String? {
    let (name, value) = value(key)
    guard let value else { return nil }
    guard case .string(let text) = value else { throw .missingMetadata(name, path) }
    return text
  }

  /// A list of texts; nil where there is none.
  ///
  /// - Throws: `badData` when the value is no such list.
  func texts(_ key: String) throws(ReFTError) -> [String]? {
    let (name, value) = value(key)
    guard let value else { return nil }
    guard case .strings(let texts) = value else { throw .missingMetadata(name, path) }
    return texts
  }

  /// A truth value.
  ///
  /// - Throws: `badData` when the value is none.
  func flag(_ key: String, default other: Bool) throws(ReFTError) -> Bool {
    let (name, value) = value(key)
    guard let value else { return other }
    guard case .bool(let flag) = value else { throw .missingMetadata(name, path) }
    return flag
  }

  /// Keys that a family understands only at one value, which changes nothing.
  ///
  /// - Throws: `badData` naming the key that says otherwise.
  func expect(_ neutral: KeyValuePairs<String, GGUFValue>) throws(ReFTError) {
    for (key, expected) in neutral {
      let (name, value) = value(key)
      guard let value, !value.means(expected) else { continue }
      throw .unusedKey(name, value.shown, path)
    }
  }

  // MARK: Tensors

  /// What the file calls a part's tensor, whether it has it or not.
  func name(_ part: String, _ suffix: String = "weight") -> String {
    names.tensor(part, source) + "." + suffix
  }

  /// The tensor of a part, where the file has it.
  func tensor(_ part: String, _ suffix: String = "weight") -> StoredTensor? {
    let name = name(part, suffix)
    usedTensors.insert(name)
    return source.tensor(name)
  }

  /// A matrix, with its bias where the file has one.
  ///
  /// - Throws: `badData` when it is missing or has another shape.
  func matrix(
    _ part: String,
    rows: Int,
    columns: Int,
    slice: ModelPlan.Slice? = nil,
    isTransposed: Bool = false
  ) throws(ReFTError) -> ModelPlan.Matrix {
    let total = slice?.total ?? rows
    let shape = isTransposed ? [columns, total] : [total, columns]
    let weight = try required(part, "weight", shape: shape)
    let bias = try tensor(part, "bias").map { _ throws(ReFTError) in
      try required(part, "bias", shape: [total])
    }
    return ModelPlan.Matrix(
      tensor: weight,
      rows: rows,
      columns: columns,
      bias: bias,
      slice: slice,
      isTransposed: isTransposed
    )
  }

  /// A normalisation over `size` numbers.
  ///
  /// - Throws: `badData` when it is missing or has another shape.
  func norm(_ part: String, size: Int, like other: NormKind) throws(ReFTError) -> ModelPlan.Norm {
    // The oldest folders name weight and bias as the paper does.
    let isOld = tensor(part, "weight") == nil && tensor(part, "gamma") != nil
    let bias = isOld ? "beta" : "bias"
    return ModelPlan.Norm(
      kind: other.kind,
      tensor: try required(part, isOld ? "gamma" : "weight", shape: [size]),
      bias: other.kind == .layer ? try required(part, bias, shape: [size]) : nil,
      size: size,
      epsilon: other.epsilon,
      offset: other.offset
    )
  }

  /// Says that a tensor changes nothing, whether the file has it or not.
  func ignore(_ part: String, _ suffix: String = "weight") {
    usedTensors.insert(name(part, suffix))
  }

  /// Says that the tensors of a folder whose names begin so change nothing.
  func ignore(prefix: String) {
    if source.format == .huggingFace { ignoredPrefixes.append(prefix) }
  }

  private func required(
    _ part: String,
    _ suffix: String,
    shape: [Int]
  ) throws(ReFTError) -> String {
    guard let tensor = tensor(part, suffix) else { throw .missingTensor(name(part, suffix), path) }
    guard tensor.shape == shape else {
      throw .tensorShape(
        tensor.name,
        found: source.inFileOrder(tensor.shape),
        expected: source.inFileOrder(shape),
        path
      )
    }
    return tensor.name
  }

  // MARK: The rest

  /// Refuses what nobody asked for.
  ///
  /// - Throws: `badData` naming the key or the tensors.
  func finish() throws(ReFTError) {
    for key in source.metadata.keys.sorted() where !usedKeys.contains(key) {
      guard names.concernsModel(key) else { continue }
      throw .unusedKey(key, source.metadata[key]?.shown ?? "", path)
    }
    let unused = source.tensors.map(\.name).filter { name in
      !usedTensors.contains(name) && !ignoredPrefixes.contains { name.hasPrefix($0) }
    }
    guard unused.isEmpty else { throw .unusedTensors(unused, path) }
  }
}

extension GGUFValue {
  /// A number of any type, or a truth value as 0 or 1.
  fileprivate var number: Double? {
    switch self {
    case .int(let value): Double(value)
    case .uint(let value): Double(value)
    case .double(let value): value
    default: nil
    }
  }

  /// Whether two values say the same: numbers by value, zero and false alike.
  fileprivate func means(_ other: GGUFValue) -> Bool {
    func plain(_ value: GGUFValue) -> Double? {
      if case .bool(let flag) = value { return flag ? 1 : 0 }
      return value.number
    }
    if case .string(let text) = self, case .string(let expected) = other { return text == expected }
    guard let value = plain(self), let expected = plain(other) else { return false }
    return value == expected
  }

  /// The value as a user would write it.
  fileprivate var shown: String {
    switch self {
    case .int(let value): "\(value)"
    case .uint(let value): "\(value)"
    case .double(let value): "\(value)"
    case .bool(let value): "\(value)"
    case .string(let value): "'\(value.prefix(40))'"
    default: "a list"
    }
  }
}
