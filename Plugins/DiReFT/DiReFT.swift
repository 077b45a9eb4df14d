// SPDX-License-Identifier: Apache-2.0
// DiReFT (Wu et al. 2024, arXiv 2404.03592, equation 3): y = h + W2ᵀ (act(W1 h + b)). The
// arithmetic of a row is in Row.swift; ReFTPluginKit speaks the ABI.

public import CReFTPlugin
import ReFTPluginKit

private let library = PluginLibrary(DiReFT.self)

/// The plugin's entry.
@c(reft_plugin_entry_v1) @implementation
public func reftPluginEntryV1(
  _ arguments: UnsafePointer<reft_entry_args_t>?
) -> UnsafePointer<reft_library_t>? {
  library.entry(arguments)
}

/// An edit through two low-rank matrices that know nothing of each other.
final class DiReFT: Intervention {
  static let id = "org.reft.direft"
  static let version = "1.0.0"
  static let summary = "DiReFT: h + W2^T act(W1 h + b)"
  static let license = "Apache-2.0"
  static let capabilities: Capabilities = [.rowwise, .reentrant, .inPlace, .bitwise]

  static let rank = Option(
    "rank",
    default: 4,
    in: 1...65536,
    help: "number of directions r that are edited"
  )
  static let dropout = Option(
    "dropout",
    default: 0.0,
    in: 0...0.99,
    help: "share of the edited row that training sets to zero, the rest being scaled up"
  )
  static let activation = Option(
    "activation",
    default: "linear",
    choices: Activation.allCases.map(\.rawValue),
    help: "function applied to W1 h + b"
  )
  static let orthogonal = Option(
    "orthogonal",
    default: false,
    help: "keep the rows of W2 orthonormal, as pyreft's class DireftIntervention does"
  )
  static let start = Option(
    "init",
    default: "default",
    choices: ["default", "identity"],
    help:
      "default: as pyreft; identity: starts as no edit (W2 = 0, or W1 = 0 where it is orthogonal)"
  )
  static let options: [any OptionDeclaration] = [rank, dropout, activation, orthogonal, start]

  private let edit: Row
  private let dropout: Float
  private let isOrthogonal: Bool
  private let isIdentity: Bool

  init(shape: Shape, options: OptionValues) throws {
    let rank = options[Self.rank]
    guard rank <= shape.width else {
      throw PluginError.invalid("rank is \(rank); it can be at most the row's width \(shape.width)")
    }
    guard let activation = Activation(rawValue: options[Self.activation]) else {
      throw PluginError.invalid("activation '\(options[Self.activation])' is unknown")
    }
    edit = Row(width: shape.width, rank: rank, activation: activation)
    dropout = Float(options[Self.dropout])
    isOrthogonal = options[Self.orthogonal]
    isIdentity = options[Self.start] == "identity"
  }

  var parameters: [Parameter] {
    let sizes = [edit.rank, edit.width]
    // torch.nn.Linear: weight and bias uniform in ±1/√d
    let bound = 1 / Double(edit.width).squareRoot()
    let random = Parameter.Start.uniform(-bound, bound)
    let source: Parameter.Start = isIdentity && isOrthogonal ? .zeros : random
    return [
      isOrthogonal
        ? Parameter(
          "proj.weight",
          sizes,
          start: .orthogonal,
          constraint: .orthonormalRows,
          decays: false
        )
        : Parameter("proj.weight", sizes, start: isIdentity ? .zeros : random),
      Parameter("source.weight", sizes, start: source),
      Parameter("source.bias", [edit.rank], start: source, decays: false),
    ]
  }

  // Saved: W1 h + b of each row. Scratch: two vectors of the rank, two of the width.
  var workspace: Workspace {
    Workspace(savedPerRow: edit.rank, scratchFixed: 2 * edit.rank + 2 * edit.width)
  }

  var isDeterministic: Bool { dropout == 0 }

  func deviceForm(isTraining: Bool) -> DeviceForm? {
    guard !isTraining || dropout == 0 else { return nil }
    return DeviceForm.direft(rank: edit.rank, activation: edit.activation)
  }

  func forward(_ call: ForwardCall) throws {
    guard let scratch = call.context.scratch else { throw PluginError.invalid("no scratch memory") }
    let (projection, source, bias) = (call.parameter(0), call.parameter(1), call.parameter(2))
    for row in 0..<call.x.count {
      guard let h = call.x[row].baseAddress, let y = call.y[row].baseAddress else { continue }
      let before = call.context.isTraining ? call.context.saved.map { $0 + row * edit.rank } : nil
      let a = before ?? scratch
      edit.project(h, source, bias, into: a)
      edit.lift(projection, a, h, into: y)
      if call.context.isTraining, dropout > 0 {
        drop(row, of: call.context, noise: scratch + 2 * edit.rank, from: y, to: y)
      }
    }
  }

  func backward(_ call: BackwardCall) throws {
    guard call.x.count > 0 else { return }  // Then there is no saved memory either.
    guard let saved = call.context.saved, let da = call.context.scratch else {
      throw PluginError.invalid("no saved or scratch memory")
    }
    let noise = da + 2 * edit.rank
    for row in 0..<call.x.count {
      guard let h = call.x[row].baseAddress, var g = call.dy[row].baseAddress else { continue }
      if dropout > 0 {
        drop(row, of: call.context, noise: noise, from: g, to: noise + edit.width)
        g = UnsafePointer(noise + edit.width)
      }
      let a = UnsafePointer(saved + row * edit.rank)
      edit.projectBack(call.parameter(0), a, g, into: da)
      if let gradient = call.gradient(0) { edit.addProjectionGradient(a, g, to: gradient) }
      if let gradient = call.gradient(1) { edit.addSourceGradient(da, h, to: gradient) }
      if let gradient = call.gradient(2) { for k in 0..<edit.rank { gradient[k] += da[k] } }
      if let dx = call.dx?[row].baseAddress { edit.liftBack(call.parameter(1), da, g, into: dx) }
    }
  }

  // Dropout of a row. Its noise is named by the token, so that it does not depend on how a batch is
  // split.
  private func drop(
    _ row: Int,
    of context: CallContext,
    noise: UnsafeMutablePointer<Float>,
    from source: UnsafePointer<Float>,
    to target: UnsafeMutablePointer<Float>
  ) {
    let position = UInt64(
      UInt32(bitPattern: context.rows?.pointee.position?[row] ?? Int32(truncatingIfNeeded: row))
    )
    context.fillUniform(
      UnsafeMutableBufferPointer(start: noise, count: edit.width),
      offset: context.key(of: row) << 40 &+ position &* UInt64(edit.width)
    )
    let scale = 1 / (1 - dropout)
    for j in 0..<edit.width { target[j] = noise[j] >= dropout ? source[j] * scale : 0 }
  }
}
