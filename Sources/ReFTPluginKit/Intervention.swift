// SPDX-License-Identifier: Apache-2.0
// What the author of a plugin in Swift writes: one class per intervention. The C tables of the ABI
// are made from it in PluginLibrary.swift. These files are copied into a plugin as source, so they
// import nothing but the ABI header.

public import CReFTPlugin

/// A function that edits rows of a hidden tensor, and its derivative.
///
/// ```swift
/// private let library = PluginLibrary(MyEdit.self)
///
/// @c(reft_plugin_entry_v1) @implementation
/// public func reftPluginEntryV1(
///   _ arguments: UnsafePointer<reft_entry_args_t>?
/// ) -> UnsafePointer<reft_library_t>? {
///   library.entry(arguments)
/// }
/// ```
///
/// `reft plugin check` tests every promise below.
public protocol Intervention: AnyObject {
  /// Reverse domain name; its last part is the name by which users select the plugin.
  static var id: String { get }
  /// Semantic version, such as "1.0.0".
  static var version: String { get }
  /// One line with the formula.
  static var summary: String { get }
  /// SPDX identifier of the licence.
  static var license: String { get }
  /// Promises that the host exploits and the checker tests.
  static var capabilities: Capabilities { get }
  /// The options that users may set; none unless stated.
  static var options: [any OptionDeclaration] { get }

  /// Makes an instance for rows of `shape.width` numbers.
  init(shape: Shape, options: OptionValues) throws
  /// The parameters, in a fixed order; the host owns their memory.
  var parameters: [Parameter] { get }
  /// The memory that calls need beside parameters; none unless stated.
  var workspace: Workspace { get }
  /// Whether numbers depend on x and the parameters alone, in training too: not on random numbers, nor
  /// on where a row comes from. False unless stated, which costs only speed.
  var isDeterministic: Bool { get }
  /// Kernels for rows that stay on a CUDA card, the same at every call; nil where there are none, as for
  /// training with random numbers. Nil unless stated, which costs only speed.
  func deviceForm(isTraining: Bool) -> DeviceForm?
  /// Writes the edited rows to `call.y`, and to `call.saved` what `backward` needs.
  func forward(_ call: ForwardCall) throws
  /// Overwrites `call.dx` and adds to the parameter gradients.
  ///
  /// Left out by plugins with the capability `noBackward`.
  func backward(_ call: BackwardCall) throws
}

extension Intervention {
  /// No options.
  public static var options: [any OptionDeclaration] { [] }
  /// No memory.
  public var workspace: Workspace { Workspace() }
  /// No promise.
  public var isDeterministic: Bool { false }
  /// No kernels.
  public func deviceForm(isTraining: Bool) -> DeviceForm? { nil }
  /// Refuses, for plugins that serve inference only.
  public func backward(_ call: BackwardCall) throws {
    throw PluginError.unsupported("\(Self.id) has no backward")
  }
}

/// Promises of a plugin; see the ABI header for their exact sense.
public struct Capabilities: OptionSet, Sendable {
  /// The bits of `REFT_CAP_…`.
  public let rawValue: UInt64
  /// Takes the bits as they are.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Row i of y depends on row i of x alone.
  public static let rowwise = Capabilities(rawValue: 1 << 0)
  /// Concurrent calls on one instance are allowed.
  public static let reentrant = Capabilities(rawValue: 1 << 1)
  /// `y` may be the memory of `x`, and `dx` that of `dy`.
  public static let inPlace = Capabilities(rawValue: 1 << 2)
  /// The same input gives the same bits.
  public static let bitwise = Capabilities(rawValue: 1 << 3)
  /// Reads `call.source`.
  public static let needsSource = Capabilities(rawValue: 1 << 4)
  /// y equals x right after initialisation.
  public static let identityAtStart = Capabilities(rawValue: 1 << 5)
  /// y is an affine function of x.
  public static let affine = Capabilities(rawValue: 1 << 6)
  /// Serves inference only: there is no `backward`.
  public static let noBackward = Capabilities(rawValue: 1 << 8)
  /// Backward writes `call.dsource`.
  public static let sourceGradient = Capabilities(rawValue: 1 << 9)
  /// Reads `call.counterpart`.
  public static let needsCounterpart = Capabilities(rawValue: 1 << 10)
  /// Forward adds to a loss of the plugin's own.
  public static let auxiliaryLoss = Capabilities(rawValue: 1 << 11)
}

/// Where an instance works.
public struct Shape: Sendable {
  /// The width of a row.
  public let width: Int
  /// The most rows that a call may have.
  public let maximumRows: Int
  /// The block, counted from 0.
  public let layer: Int
  /// The hidden tensor, such as "block_output".
  public let component: String
  /// The width of a row of the source; 0 where there is none.
  public let sourceWidth: Int
  /// How many locations the position rule lists, the same for every prompt; 0 where it has no list.
  public let locations: Int
}

/// One parameter tensor of float32 numbers, row-major.
public struct Parameter: Sendable {
  /// How the host fills it at the start.
  public enum Start: Sendable {
    /// All zero.
    case zeros
    /// One value everywhere.
    case constant(Double)
    /// Uniform in [low, high).
    case uniform(Double, Double)
    /// Normal numbers.
    case normal(mean: Double, deviation: Double)
    /// Orthonormal rows, or columns when there are more rows.
    case orthogonal
    /// Equal to an earlier parameter.
    case copy(of: Int)
  }

  /// What the host keeps true after each optimiser step.
  public enum Constraint: Sendable {
    /// Nothing.
    case none
    /// Rows of unit length, at right angles.
    case orthonormalRows
    /// Columns of unit length, at right angles.
    case orthonormalColumns
    /// Rows of unit length.
    case unitRows
    /// Every value in a range.
    case box(Double, Double)
  }

  /// The checkpoint key, such as "rotate.weight"; must never change.
  public var name: String
  /// One to four sizes.
  public var dimensions: [Int]
  /// How the host fills it.
  public var start: Start
  /// What the host keeps true of it.
  public var constraint: Constraint
  /// Whether training changes it.
  public var isTrainable: Bool
  /// Whether weight decay touches it.
  public var decays: Bool
  /// Multiplies the learning rate of the run.
  public var learningRateScale: Double

  /// Describes a parameter.
  public init(
    _ name: String,
    _ dimensions: [Int],
    start: Start = .zeros,
    constraint: Constraint = .none,
    isTrainable: Bool = true,
    decays: Bool = true,
    learningRateScale: Double = 1
  ) {
    self.name = name
    self.dimensions = dimensions
    self.start = start
    self.constraint = constraint
    self.isTrainable = isTrainable
    self.decays = decays
    self.learningRateScale = learningRateScale
  }
}

/// Memory that the host provides to calls, counted in float32 numbers.
public struct Workspace: Sendable {
  /// Written by forward, read by the backward of the same rows; per row.
  public var savedPerRow: Int
  /// The same, once per call.
  public var savedFixed: Int
  /// Undefined at the start of each call; per row.
  public var scratchPerRow: Int
  /// The same, once per call.
  public var scratchFixed: Int
  /// Kept for each sequence from its prompt to its last token.
  ///
  /// It is zero at the start, and excludes the capability `rowwise`.
  public var statePerSequence: Int
  /// What a row may write to `collected`.
  public var collectedPerRow: Int

  /// States sizes; what is not named is zero.
  public init(
    savedPerRow: Int = 0,
    savedFixed: Int = 0,
    scratchPerRow: Int = 0,
    scratchFixed: Int = 0,
    statePerSequence: Int = 0,
    collectedPerRow: Int = 0
  ) {
    self.savedPerRow = savedPerRow
    self.savedFixed = savedFixed
    self.scratchPerRow = scratchPerRow
    self.scratchFixed = scratchFixed
    self.statePerSequence = statePerSequence
    self.collectedPerRow = collectedPerRow
  }
}

/// Why a plugin cannot do what it is asked; the host shows the sentence to the user.
public struct PluginError: Error, Sendable {
  /// A `REFT_E_…` code.
  public let status: reft_status_t
  /// What happened, with values, and what to do.
  public let message: String

  /// An option or argument is out of its range.
  public static func invalid(_ message: String) -> PluginError {
    PluginError(status: REFT_E_INVALID, message: message)
  }
  /// A shape, type or flag that this plugin cannot serve.
  public static func unsupported(_ message: String) -> PluginError {
    PluginError(status: REFT_E_UNSUPPORTED, message: message)
  }
  /// The numbers do not allow a result.
  public static func numeric(_ message: String) -> PluginError {
    PluginError(status: REFT_E_NUMERIC, message: message)
  }
}
