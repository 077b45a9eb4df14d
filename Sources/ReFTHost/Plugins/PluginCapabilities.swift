// SPDX-License-Identifier: Apache-2.0
// The promises of a plugin, by the names of the header.

/// What a plugin promises; the host uses it, and `reft plugin check` tests it.
public struct PluginCapabilities: OptionSet, Sendable, Hashable {
  /// The bits of the ABI.
  public let rawValue: UInt64

  /// Takes the bits as they stand.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Row i of the output depends on row i of the input alone.
  public static let rowwise = PluginCapabilities(rawValue: 1 << 0)
  /// Concurrent calls on one instance are allowed.
  public static let reentrant = PluginCapabilities(rawValue: 1 << 1)
  /// The output may be the input.
  public static let inPlace = PluginCapabilities(rawValue: 1 << 2)
  /// The same input gives the same bits.
  public static let bitwise = PluginCapabilities(rawValue: 1 << 3)
  /// Reads a second set of rows.
  public static let needsSource = PluginCapabilities(rawValue: 1 << 4)
  /// Changes nothing right after initialisation.
  public static let identityAtStart = PluginCapabilities(rawValue: 1 << 5)
  /// The output is an affine function of the input.
  public static let affine = PluginCapabilities(rawValue: 1 << 6)
  /// Accepts a column stride other than 1.
  public static let strided = PluginCapabilities(rawValue: 1 << 7)
  /// Serves inference only.
  public static let noBackward = PluginCapabilities(rawValue: 1 << 8)
  /// Its backward says how the loss depends on the second set of rows.
  public static let sourceGradient = PluginCapabilities(rawValue: 1 << 9)
  /// Reads the same rows of a run over another prompt.
  public static let needsCounterpart = PluginCapabilities(rawValue: 1 << 10)
  /// Adds to a loss of its own.
  public static let auxiliaryLoss = PluginCapabilities(rawValue: 1 << 11)

  /// Each known bit with its name.
  public static let names: [(PluginCapabilities, String)] = [
    (.rowwise, "rowwise"), (.reentrant, "reentrant"), (.inPlace, "inplace"),
    (.bitwise, "bitwise"), (.needsSource, "needs_source"), (.identityAtStart, "identity_init"),
    (.affine, "affine_in_x"), (.strided, "strided"), (.noBackward, "no_backward"),
    (.sourceGradient, "source_gradient"), (.needsCounterpart, "needs_counterpart"),
    (.auxiliaryLoss, "auxiliary_loss"),
  ]

  /// Without those that the ABI version of a library does not know: bits that it sets there mean nothing.
  func known(to abi: String) -> PluginCapabilities {
    abi == "1.0" ? intersection(PluginCapabilities(rawValue: 1 << 9 - 1)) : self
  }

  /// The names of the promises made.
  public var names: [String] { Self.names.filter { contains($0.0) }.map(\.1) }
}
