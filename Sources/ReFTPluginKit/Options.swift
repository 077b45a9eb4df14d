// SPDX-License-Identifier: Apache-2.0
// Typed options: declared once, checked and shown by the host, read by the plugin without casts.

import CReFTPlugin

/// Any option, whatever its type.
public protocol OptionDeclaration: Sendable {
  /// The key in the configuration.
  var name: String { get }
  /// The option as the ABI describes it.
  var description: OptionText { get }
}

/// An option of a plugin: `static let limit = Option("limit", default: 4.0, help: "…")`.
///
/// `Value` is `Int`, `Double`, `Bool` or `String`.
public struct Option<Value: Sendable>: OptionDeclaration {
  /// The key in the configuration.
  public let name: String
  /// The value when the user sets none.
  public let defaultValue: Value
  /// The option as the ABI describes it.
  public let description: OptionText
}

/// The plain facts of an option.
public struct OptionText: Sendable {
  var type: UInt32
  var help: String
  var choices = ""
  var integer: Int64 = 0
  var number = 0.0
  var text = ""
  var minimum = 0.0
  var maximum = -1.0
}

extension Option where Value == Int {
  /// Declares a whole number.
  public init(_ name: String, default value: Int, in range: ClosedRange<Int>? = nil, help: String) {
    self.name = name
    defaultValue = value
    description = OptionText(
      type: REFT_OPTION_INT,
      help: help,
      integer: Int64(value),
      minimum: Double(range?.lowerBound ?? 0),
      maximum: Double(range?.upperBound ?? -1)
    )
  }
}

extension Option where Value == Double {
  /// Declares a number.
  public init(
    _ name: String,
    default value: Double,
    in range: ClosedRange<Double>? = nil,
    help: String
  ) {
    self.name = name
    defaultValue = value
    description = OptionText(
      type: REFT_OPTION_FLOAT,
      help: help,
      number: value,
      minimum: range?.lowerBound ?? 0,
      maximum: range?.upperBound ?? -1
    )
  }
}

extension Option where Value == Bool {
  /// Declares a switch.
  public init(_ name: String, default value: Bool, help: String) {
    self.name = name
    defaultValue = value
    description = OptionText(type: REFT_OPTION_FLAG, help: help, integer: value ? 1 : 0)
  }
}

extension Option where Value == String {
  /// Declares a text, one of `choices` unless that is empty.
  public init(_ name: String, default value: String, choices: [String] = [], help: String) {
    self.name = name
    defaultValue = value
    description = OptionText(
      type: REFT_OPTION_STRING,
      help: help,
      choices: choices.joined(separator: "|"),
      text: value
    )
  }
}

extension Option where Value == InputTensor? {
  /// Declares a tensor of a file, `FILE.safetensors#TENSOR`, which the host reads.
  public init(_ name: String, help: String) {
    self.name = name
    defaultValue = nil
    description = OptionText(type: REFT_OPTION_TENSOR, help: help)
  }
}

extension Option where Value == InputFile? {
  /// Declares a file, which the host opens.
  public init(_ name: String, help: String) {
    self.name = name
    defaultValue = nil
    description = OptionText(type: REFT_OPTION_FILE, help: help)
  }
}

/// Numbers that the host read for the plugin; valid for the life of the instance.
public struct InputTensor: @unchecked Sendable {
  // Sendable: the host's memory is read-only.
  /// The sizes, row-major.
  public let dimensions: [Int]
  /// The numbers, as float32 whatever the file holds.
  public let numbers: UnsafeBufferPointer<Float>
  let index: Int64
}

/// The bytes of a file that the host opened; valid for the life of the instance.
public struct InputFile: @unchecked Sendable {
  // Sendable: the host's memory is read-only.
  /// The bytes.
  public let bytes: UnsafeRawBufferPointer
}

/// What the user set, read by declaration: `options[Self.limit]`.
public struct OptionValues {
  private let values: [String: reft_option_t]
  private let host: UnsafePointer<reft_host_t>

  init(
    _ first: UnsafePointer<reft_option_t>?,
    count: UInt32,
    host: UnsafePointer<reft_host_t>
  ) {
    self.host = host
    var values: [String: reft_option_t] = [:]
    if let first {
      for option in UnsafeBufferPointer(start: first, count: Int(count)) {
        values[String(option.name)] = option
      }
    }
    self.values = values
  }

  /// The value of a whole number.
  public subscript(option: Option<Int>) -> Int {
    values[option.name].map { Int($0.i) } ?? option.defaultValue
  }
  /// The value of a number.
  public subscript(option: Option<Double>) -> Double {
    values[option.name].map(\.f) ?? option.defaultValue
  }
  /// The value of a switch.
  public subscript(option: Option<Bool>) -> Bool {
    values[option.name].map { $0.i != 0 } ?? option.defaultValue
  }
  /// The value of a text.
  public subscript(option: Option<String>) -> String {
    values[option.name].map { String($0.s) } ?? option.defaultValue
  }

  /// A tensor that the user named; nil when none is.
  public subscript(option: Option<InputTensor?>) -> InputTensor? {
    guard let (index, input) = input(option.name), input.dtype == REFT_F32, let data = input.data
    else { return nil }
    let sizes = [input.dims.0, input.dims.1, input.dims.2, input.dims.3]
    let dimensions = sizes.prefix(Int(input.rank)).map { Int($0) }
    return InputTensor(
      dimensions: dimensions,
      numbers: UnsafeBufferPointer(
        start: data.assumingMemoryBound(to: Float.self),
        count: dimensions.reduce(1, *)
      ),
      index: index
    )
  }
  /// A file that the user named; nil when none is.
  public subscript(option: Option<InputFile?>) -> InputFile? {
    guard let (_, input) = input(option.name), input.dtype == REFT_U8 else { return nil }
    return InputFile(
      bytes: UnsafeRawBufferPointer(start: input.data, count: Int(input.dims.0))
    )
  }

  private func input(_ name: String) -> (Int64, reft_tensor_t)? {
    guard let index = values[name]?.i, index >= 0,
      holds(host.pointee.struct_size, \reft_host_t.input_info),
      let describe = host.pointee.input_info
    else { return nil }
    var answer = reft_tensor_t()
    answer.struct_size = UInt32(MemoryLayout<reft_tensor_t>.size)
    return describe(host.pointee.context, index, &answer) == REFT_OK ? (index, answer) : nil
  }

  /// Refuses names that are not declared and values of the wrong type or out of range.
  func check(against declarations: [any OptionDeclaration]) throws {
    for (name, value) in values {
      guard let declaration = declarations.first(where: { $0.name == name }) else {
        let known = declarations.map(\.name).joined(separator: ", ")
        throw PluginError.invalid(
          "unknown option '\(name)'; known: \(known.isEmpty ? "none" : known)"
        )
      }
      let text = declaration.description
      guard value.type == text.type else {
        throw PluginError.invalid("option '\(name)' has type \(value.type), expected \(text.type)")
      }
      let number = value.type == REFT_OPTION_INT ? Double(value.i) : value.f
      let isNumber = value.type == REFT_OPTION_INT || value.type == REFT_OPTION_FLOAT
      if isNumber, !number.isFinite {
        throw PluginError.invalid("option '\(name)' is \(number), expected a finite number")
      }
      if value.type == REFT_OPTION_FLAG, value.i != 0, value.i != 1 {
        throw PluginError.invalid("option '\(name)' is \(value.i), expected 0 or 1")
      }
      if isNumber, text.minimum <= text.maximum, !(text.minimum...text.maximum).contains(number) {
        throw PluginError.invalid(
          "option '\(name)' is \(number), expected \(text.minimum) to \(text.maximum)"
        )
      }
      if value.type == REFT_OPTION_STRING, !text.choices.isEmpty,
        !text.choices.split(separator: "|").contains(Substring(String(value.s)))
      {
        throw PluginError.invalid(
          "option '\(name)' is '\(String(value.s))', expected one of \(text.choices)"
        )
      }
    }
  }
}

extension String {
  /// The text of an ABI string.
  init(_ text: reft_str_t) {
    guard let start = text.ptr else {
      self = ""
      return
    }
    let bytes = UnsafeRawBufferPointer(start: start, count: Int(text.len))
    self = String(decoding: bytes, as: UTF8.self)
  }
}
