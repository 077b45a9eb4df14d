// SPDX-License-Identifier: Apache-2.0
// An instance of a manifest: arguments in the order of the function, outputs checked as everywhere.

import CReFTPlatform
import Foundation
import ReFTTensor
import Synchronization

/// One use of a manifest's functions, with its options and width.
final class ManifestInstance: PluginInstance, @unchecked Sendable {
  // Sendable: fixed after init but for what is behind locks.
  let parameters: [ParameterInfo]
  let dependsOnSequence: Bool
  private let library: ManifestLibrary
  private let site: PluginSite
  private let options: [String: OptionValue]
  private let workspace: PluginWorkspace
  private let counted = Mutex(PluginUsage())
  private let turn = NSLock()

  init(
    _ library: ManifestLibrary,
    at site: PluginSite,
    options given: [String: OptionValue]
  ) throws(ReFTError) {
    let manifest = library.manifest
    let defaults = manifest.options.map { ($0.name, $0.defaultValue) }
    let options = Dictionary(uniqueKeysWithValues: defaults).merging(given) { $1 }
    try manifest.checkRanges(options.map { ($0.key, $0.value) })
    var parameters: [ParameterInfo] = []
    for parameter in manifest.parameters {
      parameters.append(
        try parameter.info(
          plugin: library.description.name,
          dim: site.dim,
          options: options,
          earlier: parameters
        )
      )
    }
    func bytes(_ size: ManifestSize, _ what: String) throws(ReFTError) -> Int {
      guard let count = size.resolved(dim: site.dim, options: options) else {
        throw .manifestSizeImpossible(
          library.description.name,
          what: what,
          dim: site.dim,
          options: "\(options)"
        )
      }
      return 4 * count
    }
    workspace = PluginWorkspace(
      savedPerRow: try bytes(manifest.saved.perRow, "saved"),
      savedFixed: try bytes(manifest.saved.fixed, "saved"),
      scratchPerRow: try bytes(manifest.scratch.perRow, "scratch"),
      scratchFixed: try bytes(manifest.scratch.fixed, "scratch")
    )
    self.parameters = parameters
    dependsOnSequence = manifest.dependsOnSequence(options)
    self.library = library
    self.site = site
    self.options = options
  }

  var usage: PluginUsage { counted.withLock { $0 } }

  func initialize(_ parameters: [UnsafeMutableRawPointer], seed: UInt64) throws(ReFTError) {}

  func plan(maxRows: Int) throws(ReFTError) -> PluginWorkspace {
    if let fault = workspace.fault(rows: maxRows) {
      throw .pluginMisbehaved(library.description.name, "its manifest asks for \(fault)")
    }
    return workspace
  }

  func forward(_ call: PluginCall) throws(ReFTError) {
    try call.guarded(
      "forward",
      plugin: library.description.name,
      site: site,
      parameters: parameters,
      runForward
    )
    if let y = call.y { try checkFinite(y, call.yStride, call, "forward") }
  }

  func backward(_ call: PluginCall) throws(ReFTError) {
    try call.guarded(
      "backward",
      plugin: library.description.name,
      site: site,
      parameters: parameters,
      runBackward
    )
    if let dx = call.dx { try checkFinite(dx, call.dxStride, call, "backward") }
    try call.checkGradients(library.description.name, site: site, parameters: parameters)
  }

  /// Calls the function and looks at nothing but its status.
  func runForward(_ given: PluginCall) throws(ReFTError) {
    guard let y = given.y else { return }
    var call = given
    // The function knows nothing of training: what it keeps must have a place in inference too.
    let unwanted = call.saved == nil ? FloatBuffer(count: savedCount(rows: call.rows)) : nil
    if let unwanted { call.saved = UnsafeMutableRawPointer(unwanted.base) }
    defer { withExtendedLifetime(unwanted) {} }
    let start = DispatchTime.now().uptimeNanoseconds
    let function = library.forward
    let number = counted.withLock { usage in
      usage.forwardCalls += 1
      return usage.forwardCalls
    }
    let status = inTurn(library.manifest.forward.symbol, number: number) {
      Tight.with(call.x, call.xStride, call, site.dim, function.takes(.xStride), .input) { x, xs in
        Tight.with(y, call.yStride, call, site.dim, function.takes(.yStride), .output) { y, ys in
          function.call { argument in
            switch argument.source {
            case .x: Self.word(x)
            case .y: Self.word(y)
            case .xStride: UInt64(xs)
            case .yStride: UInt64(ys)
            default: common(argument, call)
            }
          }
        }
      }
    }
    let time = Int(DispatchTime.now().uptimeNanoseconds - start)
    counted.withLock {
      $0.forwardNanoseconds += time
      $0.rows += call.rows
    }
    try check(status, library.manifest.forward.symbol)
  }

  /// Calls the function and looks at nothing but its status.
  func runBackward(_ call: PluginCall) throws(ReFTError) {
    guard let function = library.backward, let description = library.manifest.backward else {
      throw .manifestHasNoBackward(library.description.name)
    }
    guard let dy = call.dy else { return }
    let start = DispatchTime.now().uptimeNanoseconds
    // What the caller does not want must still have a place to go.
    let unwanted = call.dx == nil ? FloatBuffer(count: call.rows * site.dim) : nil
    guard let dx = call.dx ?? unwanted?.base else { return }
    let dxStride = call.dx == nil ? site.dim : call.dxStride
    let gradients = GradientTargets(
      call,
      parameters,
      overwrites: description.overwritesGradients
    )
    let number = counted.withLock { usage in
      usage.backwardCalls += 1
      return usage.backwardCalls
    }
    let status = inTurn(description.symbol, number: number) {
      Tight.with(call.x, call.xStride, call, site.dim, function.takes(.xStride), .input) { x, xs in
        Tight.with(dy, call.dyStride, call, site.dim, function.takes(.dyStride), .input) {
          dy,
          dys in
          Tight.with(dx, dxStride, call, site.dim, function.takes(.dxStride), .output) { dx, dxs in
            function.call { argument in
              switch argument.source {
              case .x: Self.word(x)
              case .dy: Self.word(dy)
              case .dx: Self.word(dx)
              case .xStride: UInt64(xs)
              case .dyStride: UInt64(dys)
              case .dxStride: UInt64(dxs)
              case .gradient(let index): Self.word(gradients.pointers[index])
              default: common(argument, call)
              }
            }
          }
        }
      }
    }
    if status == 0 { gradients.finish() }
    let time = Int(DispatchTime.now().uptimeNanoseconds - start)
    counted.withLock { $0.backwardNanoseconds += time }
    try check(status, description.symbol)
  }

  private func savedCount(rows: Int) -> Int { (workspace.savedByteCount(rows: rows) + 3) / 4 }

  private func inTurn(_ symbol: String, number: Int, _ body: () -> Int32) -> Int32 {
    let looks = SignalGuard.looks(atCall: number)
    if library.description.capabilities.contains(.reentrant) {
      return library.guarded(symbol, looksAtSignals: looks, body)
    }
    return turn.withLock { library.guarded(symbol, looksAtSignals: looks, body) }
  }

  private func check(_ status: Int32, _ symbol: String) throws(ReFTError) {
    guard status != 0 else { return }
    throw .manifestCallFailed(library.description.name, symbol: symbol, status: status)
  }

  private func checkFinite(
    _ rows: UnsafeMutablePointer<Float>,
    _ stride: Int,
    _ call: PluginCall,
    _ name: String
  ) throws(ReFTError) {
    for row in 0..<call.rows
    where reft_system_all_finite(rows + row * stride, Int64(site.dim)) == 0 {
      let input = call.dy.map { ($0, call.dyStride) } ?? (call.x, call.xStride)
      let isFinite =
        input.0 == rows || reft_system_all_finite(input.0 + row * input.1, Int64(site.dim)) != 0
      throw .pluginNotFinite(
        library.description.name,
        call: name,
        rows: call.rows,
        inputIsFinite: isFinite
      )
    }
  }

  /// The arguments that mean the same in both directions.
  private func common(_ argument: ManifestFunction.Argument, _ call: PluginCall) -> UInt64 {
    switch argument.source {
    case .rows: UInt64(call.rows)
    case .dim: UInt64(site.dim)
    case .layer: UInt64(bitPattern: Int64(site.layer))
    case .isTraining: call.isTraining ? 1 : 0
    case .randomKey: call.randomKey
    case .randomStep: call.randomStep
    case .saved: Self.word(call.saved)
    case .scratch: Self.word(call.scratch)
    case .example: Self.word(call.origins.example)
    case .position: Self.word(call.origins.position)
    case .length: Self.word(call.origins.length)
    case .location: Self.word(call.origins.location)
    case .subspace: Self.word(call.origins.subspace)
    case .adapter: Self.word(call.origins.adapter)
    case .decoded: Self.word(call.origins.decoded)
    case .key: Self.word(call.origins.key)
    case .parameter(let index): Self.word(call.parameters?[index])
    case .option(let name): word(options[name], as: argument.type)
    case .x, .y, .dy, .dx, .xStride, .yStride, .dyStride, .dxStride, .gradient: 0
    }
  }

  private func word(_ value: OptionValue?, as type: ManifestType) -> UInt64 {
    let integer: Int64
    let number: Double
    switch value {
    case .int(let value): (integer, number) = (value, Double(value))
    case .flag(let value): (integer, number) = (value ? 1 : 0, value ? 1 : 0)
    case .float(let value): (integer, number) = (0, value)
    case .string, nil: (integer, number) = (0, 0)
    }
    switch type {
    case .f32: return UInt64(Float(number).bitPattern)
    case .f64: return number.bitPattern
    default: return UInt64(bitPattern: integer)
    }
  }

  private static func word(_ pointer: UnsafeRawPointer?) -> UInt64 {
    UInt64(UInt(bitPattern: pointer))
  }
}

extension ForeignFunction {
  func takes(_ source: ManifestSource) -> Bool { arguments.contains { $0.source == source } }
}

/// Rows laid end to end, for functions that know of no stride.
private enum Tight {
  enum Direction { case input, output }

  static func with(
    _ rows: UnsafeMutablePointer<Float>,
    _ stride: Int,
    _ call: PluginCall,
    _ dim: Int,
    _ takesStride: Bool,
    _ direction: Direction,
    _ body: (UnsafeMutablePointer<Float>, Int) -> Int32
  ) -> Int32 {
    if takesStride || stride == dim || call.rows == 1 { return body(rows, stride) }
    let copy = FloatBuffer(count: call.rows * dim)
    if direction == .input {
      for row in 0..<call.rows {
        (copy.base + row * dim).update(from: rows + row * stride, count: dim)
      }
    }
    let status = body(copy.base, dim)
    if direction == .output {
      for row in 0..<call.rows {
        (rows + row * stride).update(from: copy.base + row * dim, count: dim)
      }
    }
    return status
  }
}

/// Where gradients go: to the caller's memory, or to a place of their own first.
private struct GradientTargets {
  var pointers: [UnsafeMutableRawPointer?] = []
  private var ownPlaces: [(count: Int, buffer: FloatBuffer, target: UnsafeMutableRawPointer?)] = []
  private let showsGaps: Bool

  init(_ call: PluginCall, _ parameters: [ParameterInfo], overwrites: Bool) {
    showsGaps = call.ownsBehindOutput
    for (index, parameter) in parameters.enumerated() {
      let target = call.parameterGradients?[index]
      if let target, !overwrites {
        pointers.append(target)
      } else {
        let buffer = FloatBuffer(count: ParameterStore.span(parameter.count))
        ownPlaces.append((parameter.count, buffer, target))
        pointers.append(UnsafeMutableRawPointer(buffer.base))
      }
    }
  }

  /// Adds what was overwritten to what the caller has; where the memory behind that is the caller's too,
  /// what was written there as well, for it to be seen.
  func finish() {
    for place in ownPlaces {
      guard let target = place.target?.assumingMemoryBound(to: Float.self) else { continue }
      let count = showsGaps ? place.buffer.count : place.count
      for index in 0..<count { target[index] += place.buffer[index] }
    }
  }
}
