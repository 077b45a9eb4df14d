// SPDX-License-Identifier: Apache-2.0
// Options that a rule sets, and their C form in guarded memory.

import CReFTPlugin

/// One option with its value.
struct OptionSetting: CustomStringConvertible, Hashable {
  enum Value: Hashable {
    case int(Int64)
    case float(Double)
    case string(String)
    case flag(Int64)
  }

  let name: String
  let value: Value

  init(_ name: String, _ value: Value) {
    self.name = name
    self.value = value
  }

  var description: String {
    switch value {
    case .int(let i): "\(name)=\(i)"
    case .float(let f): "\(name)=\(f)"
    case .string(let s): "\(name)=\"\(s.prefix(24))\""
    case .flag(let i): "\(name)=\(i == 0 ? "false" : i == 1 ? "true" : "flag(\(i))")"
    }
  }
}

/// Options as the plugin receives them: each struct and each text ends at a forbidden page.
final class OptionMemory {
  let memory: GuardedBuffer?
  let count: UInt32
  private var texts: [GuardedBuffer] = []

  init(_ settings: [OptionSetting]) throws {
    count = UInt32(settings.count)
    guard !settings.isEmpty else {
      memory = nil
      return
    }
    let size = MemoryLayout<reft_option_t>.size
    let memory = try GuardedBuffer("options", byteCount: settings.count * size, alignment: 8)
    self.memory = memory
    let list = memory.base.bindMemory(to: reft_option_t.self, capacity: settings.count)
    for (index, setting) in settings.enumerated() {
      var option = reft_option_t()
      option.struct_size = UInt32(size)
      let name = try GuardedBuffer("option name", text: setting.name)
      texts.append(name)
      option.name = name.string
      switch setting.value {
      case .int(let i):
        option.type = REFT_OPTION_INT
        option.i = i
      case .float(let f):
        option.type = REFT_OPTION_FLOAT
        option.f = f
      case .string(let s):
        option.type = REFT_OPTION_STRING
        let text = try GuardedBuffer("option value", text: s)
        texts.append(text)
        option.s = text.string
      case .flag(let i):
        option.type = REFT_OPTION_FLAG
        option.i = i
      }
      list[index] = option
    }
    memory.makeReadOnly()
  }

  var pointer: UnsafePointer<reft_option_t>? {
    memory.map { UnsafePointer($0.base.assumingMemoryBound(to: reft_option_t.self)) }
  }
}

/// One call of `create` and what came of it.
struct Creation {
  let status: reft_status_t
  let instance: OpaquePointer?
  let sentence: String?

  /// Calls `create`; everything but the host is unmapped afterwards.
  ///
  /// - Throws: a breach when the status and the instance contradict each other.
  init(
    _ plugin: Intervention,
    dim: Int,
    dtype: UInt32,
    options: [OptionSetting],
    host: HostServices,
    layer: Int,
    maxRows: Int = 64,
    locations: Int = RowPlaces.locationCount,
    future: Bool = false
  ) throws {
    let settings = try OptionMemory(options)
    let shape = try ShapeMemory(
      dim: Int64(dim),
      dtype: dtype,
      maxRows: Int64(maxRows),
      layer: Int64(layer),
      sourceDim: Int64(plugin.sourceWidth(of: dim)),
      locations: locations,
      future: future
    )
    let call = try GuardedBuffer("call", byteCount: 0)
    call.forbid()
    var out: OpaquePointer?
    _ = host.takeError()
    guard let create = plugin.table.pointee.create else { throw Breach("`create` is NULL.") }
    status = create(
      host.table,
      shape.pointer,
      settings.pointer,
      settings.count,
      OpaquePointer(call.base),
      &out
    )
    sentence = host.takeError()
    instance = out
    guard (status == REFT_OK) == (out != nil) else {
      throw Breach(
        "`create` of \(plugin.id) at width \(dim) returned status \(status) "
          + "and \(out == nil ? "no instance" : "an instance"); *out must be NULL exactly on failure."
      )
    }
  }
}

/// A `reft_shape_t` in guarded memory.
final class ShapeMemory {
  private let memory: GuardedBuffer
  private let component: GuardedBuffer

  init(
    dim: Int64,
    dtype: UInt32,
    maxRows: Int64,
    layer: Int64,
    sourceDim: Int64 = 0,
    locations: Int = RowPlaces.locationCount,
    future: Bool = false
  ) throws {
    let size = MemoryLayout<reft_shape_t>.size
    let tail = future ? 64 : 0
    memory = try GuardedBuffer("shape", byteCount: size + tail, alignment: 8, fill: 0xFF)
    component = try GuardedBuffer("shape.component", text: "block_output")
    var shape = reft_shape_t()
    shape.struct_size = UInt32(size + tail)
    shape.dtype = dtype
    shape.max_rows = maxRows
    shape.dim = dim
    shape.layer = layer
    shape.component = component.string
    shape.source_dim = sourceDim
    shape.n_locations = Int64(locations)
    memory.base.bindMemory(to: reft_shape_t.self, capacity: 1).initialize(to: shape)
    memory.makeReadOnly()
  }

  var pointer: UnsafePointer<reft_shape_t> {
    UnsafePointer(memory.base.assumingMemoryBound(to: reft_shape_t.self))
  }
}
