// SPDX-License-Identifier: Apache-2.0
// A given option against the schema of a plugin: as strict as a configuration is, so that no check runs
// with other options than its author meant.

import CReFTPlugin
import ReFTTensor

extension GivenOption {
  /// The value in the type that the schema states.
  ///
  /// - Throws: what is expected, where the text is no such value or names nothing that can be read.
  func setting(
    _ schema: OptionSchema,
    of plugin: String
  ) throws(WrongOption) -> OptionSetting {
    guard let value = try value(schema, of: plugin) else {
      let near = NearestName.find(text, in: schema.choices).map { "; did you mean '\($0)'?" } ?? ""
      throw .value(self, plugin: plugin, expected: schema.expectation + near)
    }
    return OptionSetting(name, value)
  }

  private func value(
    _ schema: OptionSchema,
    of plugin: String
  ) throws(WrongOption) -> OptionSetting.Value? {
    switch schema.type {
    case REFT_OPTION_INT:
      return Int64(text).flatMap { schema.allows(Double($0)) ? .int($0) : nil }
    case REFT_OPTION_FLOAT:
      return Double(text).flatMap { $0.isFinite && schema.allows($0) ? .float($0) : nil }
    case REFT_OPTION_FLAG:
      return Bool(text).map { .flag($0 ? 1 : 0) }
    case REFT_OPTION_STRING:
      return schema.choices.isEmpty || schema.choices.contains(text) ? .string(text) : nil
    case REFT_OPTION_TENSOR, REFT_OPTION_FILE:
      return .input(try input(schema, of: plugin))
    default: return nil
    }
  }

  private func input(
    _ schema: OptionSchema,
    of plugin: String
  ) throws(WrongOption) -> BenchInput {
    let wantsTensor = schema.type == REFT_OPTION_TENSOR
    switch content {
    case .tensor(let shape, let values) where wantsTensor:
      return BenchInput(text: text, shape: shape, values: values)
    case .file(let bytes) where !wantsTensor:
      return BenchInput(text: text, shape: [bytes.count], values: [], bytes: bytes)
    case .unreadable(let reason):
      throw .value(self, plugin: plugin, expected: "\(schema.expectation): \(reason)")
    case .nothing where !wantsTensor || text.contains("#"), .tensor:
      throw .value(
        self,
        plugin: plugin,
        expected: "\(schema.expectation), and '\(wantsTensor ? path : text)' is not there"
      )
    case .nothing, .file:
      throw .value(self, plugin: plugin, expected: schema.expectation)
    }
  }
}

extension OptionSchema {
  /// Whether a number lies in the option's range.
  func allows(_ number: Double) -> Bool { !hasRange || (minimum...maximum).contains(number) }

  /// What values the option takes, in words.
  var expectation: String {
    switch type {
    case REFT_OPTION_INT: "a whole number" + rangeText
    case REFT_OPTION_FLOAT: "a number" + rangeText
    case REFT_OPTION_FLAG: "true or false"
    case REFT_OPTION_STRING: "one of " + choices.joined(separator: ", ")
    case REFT_OPTION_TENSOR: "a tensor of a safetensors file, FILE#TENSOR"
    case REFT_OPTION_FILE: "a file"
    default: "of a type that the ABI knows, and not \(type)"
    }
  }

  private var rangeText: String {
    guard hasRange else { return "" }
    let bounds = [minimum, maximum].map { bound in
      Int64(exactly: bound).map { String($0) } ?? String(bound)
    }
    return " from \(bounds[0]) to \(bounds[1])"
  }
}

/// An option that the author gave and the plugin does not take: a wrong question, and no fault of the
/// plugin.
struct WrongOption: Error {
  let message: String

  /// A value of another kind than the option has, or out of its range.
  static func value(_ option: GivenOption, plugin: String, expected: String) -> WrongOption {
    WrongOption(
      message: "--option \(option.argument): option '\(option.name)' of \(plugin) must be "
        + expected
    )
  }

  /// A name that none of the interventions has.
  static func unknown(_ option: GivenOption, plugins: [String], known: [String]) -> WrongOption {
    let names = Set(known).sorted()
    let list = names.isEmpty ? "there are no options" : "there are " + names.joined(separator: ", ")
    let remedy = NearestName.find(option.name, in: names).map { "; did you mean '\($0)'?" } ?? ""
    let owners = plugins.joined(separator: ", ")
    let who = plugins.count == 1 ? "\(owners) has no option" : "none of \(owners) has an option"
    return WrongOption(
      message: "--option \(option.argument): \(who) '\(option.name)'; \(list)\(remedy)"
    )
  }

  /// Values that the schema allows and with which no instance is made.
  static func refused(
    _ options: [GivenOption],
    plugin: String,
    widths: [Int],
    reason: String
  ) -> WrongOption {
    let list = options.map { "--option \($0.argument)" }.joined(separator: " ")
    return WrongOption(
      message: "\(list): \(plugin) makes no instance with it at any of the widths "
        + "\(widths.map(String.init).joined(separator: ", ")); \(reason); give options that it takes"
    )
  }
}
