// SPDX-License-Identifier: Apache-2.0
// The options that a plugin understands, as it states them itself.

/// One option of a plugin: name, type, default, range and a line of help.
public struct PluginOption: Sendable, Hashable {
  /// What values an option takes.
  public enum Kind: String, Sendable, Hashable {
    /// A whole number.
    case int
    /// A number.
    case float
    /// A text.
    case string
    /// True or false.
    case flag
    /// A tensor of a safetensors file, as `FILE#TENSOR`, which the host reads; since ABI 1.1.
    case tensor
    /// A file, which the host opens; since ABI 1.1.
    case file
  }

  /// The key in a configuration.
  public var name: String
  /// What values it takes.
  public var kind: Kind
  /// What it is for, in one line.
  public var help: String
  /// The value when the user says nothing.
  public var defaultValue: OptionValue
  /// The texts that are allowed; empty: any.
  public var choices: [String]
  /// The range of a number; nil: any.
  public var range: ClosedRange<Double>?

  /// Describes an option.
  public init(
    name: String,
    kind: Kind,
    help: String,
    defaultValue: OptionValue,
    choices: [String] = [],
    range: ClosedRange<Double>? = nil
  ) {
    self.name = name
    self.kind = kind
    self.help = help
    self.defaultValue = defaultValue
    self.choices = choices
    self.range = range
  }
}
