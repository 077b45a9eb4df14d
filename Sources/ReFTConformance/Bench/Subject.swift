// SPDX-License-Identifier: Apache-2.0
// An instance under test: its parameter values and its working memory. What it says of them is asked in
// `Subject+Layout.swift`, the calls themselves are in `Subject+Calls.swift`.

import CReFTPlugin
import Glibc

/// A parameter as the plugin describes it.
struct Parameter: Equatable {
  var name: String
  var dims: [Int]
  var flags: UInt32
  var initKind: UInt32
  var initA: Double
  var initB: Double
  var constraint: UInt32
  var constraintA: Double
  var constraintB: Double

  var count: Int { dims.reduce(1, *) }
  var isInput: Bool { initKind == REFT_INIT_INPUT }
  var isTrainable: Bool { flags & REFT_PARAM_TRAINABLE != 0 }

  /// The same for every host: each gives its inputs indices of its own.
  var withoutInputIndex: Parameter {
    var other = self
    if isInput { other.initA = 0 }
    return other
  }
}

/// One instance of an intervention with everything that the host owes it.
final class Subject {
  let plugin: Intervention
  let dim: Int
  let maxRows: Int
  /// How many locations the position rule lists.
  let locations: Int
  /// The width of a row of what the layer reads; 0 for plugins that do not look at it.
  let sourceDim: Int
  let options: [OptionSetting]
  let host: HostServices
  let bench: Bench
  let instance: OpaquePointer
  let parameters: [Parameter]
  let workspace: reft_workspace_t
  /// The values of each parameter, in order.
  var values: [[Float]] { didSet { sharedParameters = nil } }
  var sharedParameters: ParameterMemory?
  private var isAlive = true

  init(
    _ plugin: Intervention,
    dim: Int,
    options: [OptionSetting],
    maxRows: Int,
    layer: Int,
    host: HostServices,
    bench: Bench,
    locations: Int = RowPlaces.locationCount,
    future: Bool = false
  ) throws {
    self.plugin = plugin
    self.locations = locations
    self.dim = dim
    self.maxRows = maxRows
    sourceDim = plugin.sourceWidth(of: dim)
    self.options = options
    self.host = host
    self.bench = bench
    let creation = try Creation(
      plugin,
      dim: dim,
      dtype: REFT_F32,
      options: options,
      host: host,
      layer: layer,
      maxRows: maxRows,
      locations: locations,
      future: future
    )
    guard let made = creation.instance else {
      throw Refusal(status: creation.status, sentence: creation.sentence)
    }
    instance = made
    bench.doing("param_info of \(plugin.id) at width \(dim)")
    parameters = try Subject.layout(plugin, made)
    bench.doing("plan of \(plugin.id) at width \(dim)")
    workspace = try Subject.plan(
      plugin,
      made,
      dim: dim,
      maxRows: maxRows,
      layer: layer,
      locations: locations,
      future: future
    )
    try Subject.requireRoom(parameters)
    values = parameters.map { [Float](repeating: 0, count: $0.count) }
  }

  /// `create` said no, in order.
  struct Refusal: Error, CustomStringConvertible {
    let status: Int32
    let sentence: String?
    var description: String { "refused with status \(status): \(sentence ?? "no reason given")" }
  }

  deinit { if isAlive { plugin.destroy(instance) } }

  /// Destroys the instance now.
  func end() {
    if isAlive { plugin.destroy(instance) }
    isAlive = false
  }

  func savedBytes(rows: Int) -> Int {
    Int(workspace.saved_bytes_per_row) * rows + Int(workspace.saved_bytes_fixed)
  }

  func scratchBytes(rows: Int) -> Int {
    Int(workspace.scratch_bytes_per_row) * rows + Int(workspace.scratch_bytes_fixed)
  }

  /// Fills the parameters as the layout says, as the host does.
  func initialise(seed: UInt64) throws {
    var random = BenchRandom(seed: seed &+ 17)
    var filled = values
    for (index, parameter) in parameters.enumerated() {
      switch parameter.initKind {
      case REFT_INIT_CONSTANT:
        filled[index] = [Float](repeating: Float(parameter.initA), count: parameter.count)
      case REFT_INIT_UNIFORM:
        for at in 0..<parameter.count {
          let span = parameter.initB - parameter.initA
          filled[index][at] = Float(parameter.initA + span * random.uniform())
        }
      case REFT_INIT_NORMAL:
        for at in 0..<parameter.count {
          filled[index][at] = Float(parameter.initA + parameter.initB * random.normal())
        }
      case REFT_INIT_ORTHOGONAL:
        filled[index] = orthonormal(random.normals(parameter.count), dims: parameter.dims)
      case REFT_INIT_INPUT: filled[index] = try inputValues(parameter)
      case REFT_INIT_COPY:
        let from = Int(parameter.initA)
        if (0..<index).contains(from), parameters[from].count == parameter.count {
          filled[index] = filled[from]
        }
      default: break
      }
    }
    values = filled
    if parameters.contains(where: { $0.flags & REFT_PARAM_CUSTOM_INIT != 0 }) {
      values = try customInitialised(seed: seed)
    }
  }

  /// The numbers of the input that a parameter is.
  private func inputValues(_ parameter: Parameter) throws -> [Float] {
    var info = reft_tensor_t()
    info.struct_size = UInt32(MemoryLayout<reft_tensor_t>.size)
    let index = Int64(exactly: parameter.initA) ?? -1
    let status = host.table.pointee.input_info?(host.table.pointee.context, index, &info)
    let dims = [info.dims.0, info.dims.1, info.dims.2, info.dims.3].prefix(Int(info.rank))
    guard status == REFT_OK, info.dtype == REFT_F32, dims.map({ Int($0) }) == parameter.dims,
      let data = info.data
    else {
      throw Breach(
        "Parameter \"\(parameter.name)\" of \(label) with the dimensions \(parameter.dims) is to be "
          + "input \(index), which is no tensor of them."
      )
    }
    return Array(
      UnsafeBufferPointer(start: data.assumingMemoryBound(to: Float.self), count: parameter.count)
    )
  }

  /// What `init_params` makes of the present values.
  func customInitialised(seed: UInt64) throws -> [[Float]] {
    guard let fill = plugin.table.pointee.init_params else {
      throw Breach("A parameter asks for REFT_PARAM_CUSTOM_INIT, but `init_params` is NULL.")
    }
    let memory = try ParameterMemory(values, writable: true)
    let call = try GuardedBuffer("call", byteCount: 0)
    call.forbid()
    bench.doing("init_params")
    let status = memory.pointers.base.withMemoryRebound(
      to: UnsafeMutableRawPointer?.self,
      capacity: values.count
    ) { fill(instance, seed, $0, UInt32(values.count), OpaquePointer(call.base)) }
    guard status == REFT_OK else { throw Breach("`init_params` returned status \(status).") }
    return memory.buffers.map(\.array)
  }

  /// Moves the parameters to a point where every term of the formula counts; constraints hold.
  func randomise() {
    var random = bench.random
    for (index, parameter) in parameters.enumerated() where !parameter.isInput {
      let width = Double(parameter.dims.last ?? 1)
      let noise = random.normals(parameter.count, scale: 0.7 / width.squareRoot().squareRoot())
      switch parameter.constraint {
      case REFT_CONSTRAINT_ORTHONORMAL_ROWS, REFT_CONSTRAINT_ORTHONORMAL_COLUMNS:
        values[index] = orthonormal(noise, dims: parameter.dims)
      case REFT_CONSTRAINT_UNIT_ROWS:
        values[index] = unitRows(noise, width: parameter.dims.last ?? 1)
      case REFT_CONSTRAINT_BOX:
        let low = max(parameter.constraintA, -10)
        let high = min(parameter.constraintB, 10)
        values[index] = noise.indices.map { _ in
          Float(low + (high - low) * (0.25 + 0.5 * random.uniform()))
        }
      default: values[index] = noise
      }
    }
    bench.random = random
  }

  /// Its id and shape, for messages.
  var label: String {
    "\(plugin.id) at width \(dim)\(options.isEmpty ? "" : " with \(options.map(\.description).joined(separator: ", "))")"
  }
}

/// Orthonormal rows, or columns where there are more rows, by Gram-Schmidt in double.
func orthonormal(_ source: [Float], dims: [Int]) -> [Float] {
  guard dims.count == 2 else { return unitRows(source, width: dims.last ?? 1) }
  let (rows, columns) = (dims[0], dims[1])
  let byRows = rows <= columns
  let (count, length) = byRows ? (rows, columns) : (columns, rows)
  var vectors = (0..<count).map { v in
    (0..<length).map { i in Double(source[byRows ? v * columns + i : i * columns + v]) }
  }
  for v in 0..<count {
    for _ in 0..<2 {
      for u in 0..<v {
        let dot = zip(vectors[u], vectors[v]).reduce(0) { $0 + $1.0 * $1.1 }
        for i in 0..<length { vectors[v][i] -= dot * vectors[u][i] }
      }
    }
    let norm = vectors[v].reduce(0) { $0 + $1 * $1 }.squareRoot()
    for i in 0..<length { vectors[v][i] /= max(norm, 1e-12) }
  }
  var out = source
  for v in 0..<count {
    for i in 0..<length { out[byRows ? v * columns + i : i * columns + v] = Float(vectors[v][i]) }
  }
  return out
}

private func unitRows(_ source: [Float], width: Int) -> [Float] {
  var out = source
  for start in stride(from: 0, to: source.count - width + 1, by: max(1, width)) {
    let norm = out[start..<start + width].reduce(Float(0)) { $0 + $1 * $1 }.squareRoot()
    for i in start..<start + width { out[i] /= max(norm, 1e-12) }
  }
  return out
}
