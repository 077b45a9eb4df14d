// SPDX-License-Identifier: Apache-2.0
// The C tables of the ABI, made from Swift types. Errors become statuses with a sentence; a trap
// cannot be caught, it ends the process (or the worker, for an isolated plugin).

public import CReFTPlugin

/// The description of a shared library, made once from the interventions that it offers.
public final class PluginLibrary: @unchecked Sendable {
  // Sendable: nothing changes after `init`.
  private let library: UnsafePointer<reft_library_t>

  /// Describes 1 to 8 interventions.
  public init(_ types: any Intervention.Type...) {
    precondition((1...slots.count).contains(types.count), "1 to \(slots.count) interventions")
    registered = types
    let tables = UnsafeMutablePointer<UnsafePointer<reft_plugin_t>?>.allocate(capacity: types.count)
    for (index, type) in types.enumerated() {
      let table = UnsafeMutablePointer<reft_plugin_t>.allocate(capacity: 1)
      table.initialize(to: makeTable(type, slots[index]))
      tables[index] = UnsafePointer(table)
    }
    let memory = UnsafeMutablePointer<reft_library_t>.allocate(capacity: 1)
    memory.initialize(
      to: reft_library_t(
        struct_size: UInt32(MemoryLayout<reft_library_t>.size),
        abi_major: REFT_ABI_MAJOR,
        abi_minor: REFT_ABI_MINOR,
        n_plugins: UInt32(types.count),
        plugins: tables
      )
    )
    library = UnsafePointer(memory)
  }

  /// What the exported entry function returns.
  public func entry(_ arguments: UnsafePointer<reft_entry_args_t>?) -> UnsafePointer<
    reft_library_t
  >? {
    guard let arguments, arguments.pointee.host_abi_major == REFT_ABI_MAJOR else {
      if let arguments, let error = arguments.pointee.error {
        let text =
          "this plugin speaks ABI \(REFT_ABI_MAJOR), the host \(arguments.pointee.host_abi_major)"
        let room = Int(arguments.pointee.error_capacity)
        for (index, byte) in (Array(text.utf8.prefix(max(0, room - 1))) + [0]).enumerated()
        where index < room {
          error[index] = CChar(bitPattern: byte)
        }
      }
      return nil
    }
    return library
  }
}

// Written once by the library's initialiser, before any slot can be called.
private nonisolated(unsafe) var registered: [any Intervention.Type] = []

private typealias CreateFunction =
  @convention(c) (
    UnsafePointer<reft_host_t>?, UnsafePointer<reft_shape_t>?, UnsafePointer<reft_option_t>?,
    UInt32, OpaquePointer?, UnsafeMutablePointer<OpaquePointer?>?
  ) -> reft_status_t
private typealias OptionFunction =
  @convention(c) (UInt32, UnsafeMutablePointer<reft_option_info_t>?) -> reft_status_t

/// `create` and `option_info` get no instance that could say which type they serve, and a C function
/// cannot capture one: hence one pair of functions for each place in the library.
private struct Slot {
  let create: CreateFunction
  let option: OptionFunction
}

private let slots: [Slot] = [
  Slot(create: { make(0, $0, $1, $2, $3, $4, $5) }, option: { describeOption(0, $0, $1) }),
  Slot(create: { make(1, $0, $1, $2, $3, $4, $5) }, option: { describeOption(1, $0, $1) }),
  Slot(create: { make(2, $0, $1, $2, $3, $4, $5) }, option: { describeOption(2, $0, $1) }),
  Slot(create: { make(3, $0, $1, $2, $3, $4, $5) }, option: { describeOption(3, $0, $1) }),
  Slot(create: { make(4, $0, $1, $2, $3, $4, $5) }, option: { describeOption(4, $0, $1) }),
  Slot(create: { make(5, $0, $1, $2, $3, $4, $5) }, option: { describeOption(5, $0, $1) }),
  Slot(create: { make(6, $0, $1, $2, $3, $4, $5) }, option: { describeOption(6, $0, $1) }),
  Slot(create: { make(7, $0, $1, $2, $3, $4, $5) }, option: { describeOption(7, $0, $1) }),
]

/// One instance: the author's object, the host's services, and texts that live as long.
final class Instance {
  let intervention: any Intervention
  let host: UnsafePointer<reft_host_t>
  let infos: [reft_param_info_t]

  init(_ intervention: any Intervention, host: UnsafePointer<reft_host_t>) {
    self.intervention = intervention
    self.host = host
    infos = intervention.parameters.map(makeInfo)
  }

  deinit {
    for info in infos { info.name.ptr?.deallocate() }
  }

  /// Runs the author's code and turns what it throws into a status.
  func run(_ call: OpaquePointer?, _ body: () throws -> Void) -> reft_status_t {
    do {
      try body()
      return REFT_OK
    } catch {
      return report(error, to: host, call)
    }
  }

  static func of(_ pointer: OpaquePointer?) -> Instance? {
    pointer.map { Unmanaged<Instance>.fromOpaque(UnsafeRawPointer($0)).takeUnretainedValue() }
  }
}

private func report(
  _ error: any Error,
  to host: UnsafePointer<reft_host_t>,
  _ call: OpaquePointer?
) -> reft_status_t {
  let known = error as? PluginError
  let status = known?.status ?? REFT_E_INTERNAL
  var message = known?.message ?? "\(error)"
  message.withUTF8 { text in
    text.withMemoryRebound(to: CChar.self) { text in
      host.pointee.set_error?(
        host.pointee.context,
        call,
        status,
        text.baseAddress,
        UInt64(text.count)
      )
    }
  }
  return status
}

private func make(
  _ slot: Int,
  _ host: UnsafePointer<reft_host_t>?,
  _ shape: UnsafePointer<reft_shape_t>?,
  _ options: UnsafePointer<reft_option_t>?,
  _ count: UInt32,
  _ call: OpaquePointer?,
  _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> reft_status_t {
  guard let host, let shape, let out else { return REFT_E_INVALID }
  out.pointee = nil
  do {
    // An older host has neither of them.
    let sourceWidth =
      holds(shape.pointee.struct_size, \reft_shape_t.source_dim)
      ? Int(shape.pointee.source_dim) : 0
    let locations =
      holds(shape.pointee.struct_size, \reft_shape_t.n_locations)
      ? Int(shape.pointee.n_locations) : 0
    let type = registered[slot]
    let (dtype, width) = (shape.pointee.dtype, shape.pointee.dim)
    guard dtype == REFT_F32 else {
      throw PluginError.unsupported("rows have dtype \(dtype), expected float32")
    }
    guard width > 0, shape.pointee.max_rows >= 0 else {
      throw PluginError.invalid("rows of width \(width), expected at least 1")
    }
    let values = OptionValues(options, count: count, host: host)
    try values.check(against: type.options)
    let intervention = try type.init(
      shape: Shape(
        width: Int(width),
        maximumRows: Int(shape.pointee.max_rows),
        layer: Int(shape.pointee.layer),
        component: String(shape.pointee.component),
        sourceWidth: sourceWidth,
        locations: locations
      ),
      options: values
    )
    let instance = Instance(intervention, host: host)
    out.pointee = OpaquePointer(Unmanaged.passRetained(instance).toOpaque())
    return REFT_OK
  } catch {
    return report(error, to: host, call)
  }
}

private func describeOption(
  _ slot: Int,
  _ index: UInt32,
  _ out: UnsafeMutablePointer<reft_option_info_t>?
) -> reft_status_t {
  guard let out, Int(index) < optionInfos[slot].count else { return REFT_E_INVALID }
  copy(optionInfos[slot][Int(index)], to: out, room: out.pointee.struct_size)
  return REFT_OK
}

/// Writes as much of an info as the receiver has room for; its `struct_size` stays what it was.
func copy<Info>(_ info: Info, to out: UnsafeMutablePointer<Info>, room: UInt32) {
  let size = min(Int(room), MemoryLayout<Info>.size)
  withUnsafeBytes(of: info) { source in
    let fields = source[4..<max(4, size)]
    UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(out) + 4, count: fields.count)
      .copyMemory(from: UnsafeRawBufferPointer(rebasing: fields))
  }
}

// Made once; the texts live as long as the process.
private nonisolated(unsafe) let optionInfos: [[reft_option_info_t]] = registered.map { type in
  type.options.map { option in
    let text = option.description
    return reft_option_info_t(
      struct_size: UInt32(MemoryLayout<reft_option_info_t>.size),
      type: text.type,
      name: permanent(option.name),
      help: permanent(text.help),
      choices: permanent(text.choices),
      default_i: text.integer,
      default_f: text.number,
      default_s: permanent(text.text),
      minimum: text.minimum,
      maximum: text.maximum
    )
  }
}

private func makeInfo(_ parameter: Parameter) -> reft_param_info_t {
  var info = reft_param_info_t()
  info.struct_size = UInt32(MemoryLayout<reft_param_info_t>.size)
  info.rank = UInt32(parameter.dimensions.count)
  info.name = permanent(parameter.name)
  let sizes = parameter.dimensions.prefix(4).map(Int64.init) + [0, 0, 0, 0]
  info.dims = (sizes[0], sizes[1], sizes[2], sizes[3])
  info.dtype = REFT_F32
  var isTrainable = parameter.isTrainable
  if case .input = parameter.start { isTrainable = false }
  info.flags =
    (isTrainable ? REFT_PARAM_TRAINABLE : 0)
    | (parameter.decays ? 0 : REFT_PARAM_NO_DECAY)
  (info.init_kind, info.init_a, info.init_b) = startFields(parameter.start)
  (info.constraint, info.constraint_a, info.constraint_b) = constraintFields(parameter.constraint)
  info.learning_rate_scale = parameter.learningRateScale
  info.weight_decay_scale = 1
  return info
}

private func startFields(_ start: Parameter.Start) -> (UInt32, Double, Double) {
  switch start {
  case .zeros: (REFT_INIT_ZEROS, 0, 0)
  case .constant(let value): (REFT_INIT_CONSTANT, value, 0)
  case .uniform(let low, let high): (REFT_INIT_UNIFORM, low, high)
  case .normal(let mean, let deviation): (REFT_INIT_NORMAL, mean, deviation)
  case .orthogonal: (REFT_INIT_ORTHOGONAL, 0, 0)
  case .copy(let index): (REFT_INIT_COPY, Double(index), 0)
  case .input(let tensor): (REFT_INIT_INPUT, Double(tensor.index), 0)
  }
}

private func constraintFields(_ constraint: Parameter.Constraint) -> (UInt32, Double, Double) {
  switch constraint {
  case .none: (REFT_CONSTRAINT_NONE, 0, 0)
  case .orthonormalRows: (REFT_CONSTRAINT_ORTHONORMAL_ROWS, 0, 0)
  case .orthonormalColumns: (REFT_CONSTRAINT_ORTHONORMAL_COLUMNS, 0, 0)
  case .unitRows: (REFT_CONSTRAINT_UNIT_ROWS, 0, 0)
  case .box(let low, let high): (REFT_CONSTRAINT_BOX, low, high)
  }
}

private func makeTable(_ type: any Intervention.Type, _ slot: Slot) -> reft_plugin_t {
  var table = reft_plugin_t()
  table.struct_size = UInt32(MemoryLayout<reft_plugin_t>.size)
  table.id = permanent(type.id)
  table.version = permanent(type.version)
  table.summary = permanent(type.summary)
  table.license = permanent(type.license)
  table.capabilities = type.capabilities.rawValue
  table.dtypes = 1 << UInt64(REFT_F32)
  table.option_info = type.options.isEmpty ? nil : slot.option
  table.create = slot.create
  table.destroy = { pointer in
    guard let pointer else { return }
    Unmanaged<Instance>.fromOpaque(UnsafeRawPointer(pointer)).release()
  }
  table.param_info = { pointer, index, out in
    guard let out, let instance = Instance.of(pointer), Int(index) < instance.infos.count else {
      return REFT_E_INVALID
    }
    copy(instance.infos[Int(index)], to: out, room: out.pointee.struct_size)
    return REFT_OK
  }
  table.plan = { pointer, _, out in
    guard let out, let instance = Instance.of(pointer) else { return REFT_E_INVALID }
    let sizes = instance.intervention.workspace
    var workspace = reft_workspace_t()
    workspace.saved_bytes_per_row = UInt64(4 * sizes.savedPerRow)
    workspace.saved_bytes_fixed = UInt64(4 * sizes.savedFixed)
    workspace.scratch_bytes_per_row = UInt64(4 * sizes.scratchPerRow)
    workspace.scratch_bytes_fixed = UInt64(4 * sizes.scratchFixed)
    workspace.state_bytes_per_sequence = UInt64(4 * sizes.statePerSequence)
    workspace.collected_per_row = UInt64(sizes.collectedPerRow)
    copy(workspace, to: out, room: out.pointee.struct_size)
    return REFT_OK
  }
  table.extension = { pointer, id in
    guard let id, let instance = Instance.of(pointer) else { return nil }
    switch String(cString: id) {
    case "reft.deterministic/1":
      return instance.intervention.isDeterministic ? UnsafeRawPointer(pointer) : nil
    case REFT_CUDA_EXTENSION:
      return instance.intervention.deviceForm(isTraining: false) == nil ? nil : deviceTable
    default: return nil
    }
  }
  table.forward = { pointer, arguments in
    guard let arguments, let instance = Instance.of(pointer) else { return REFT_E_INVALID }
    return instance.run(arguments.pointee.call) {
      let context = CallContext(arguments: arguments, host: instance.host)
      try instance.intervention.forward(try context.forwardCall())
    }
  }
  if !type.capabilities.contains(.noBackward) {
    table.backward = { pointer, arguments in
      guard let arguments, let instance = Instance.of(pointer) else { return REFT_E_INVALID }
      return instance.run(arguments.pointee.call) {
        let context = CallContext(arguments: arguments, host: instance.host)
        try instance.intervention.backward(try context.backwardCall())
      }
    }
  }
  return table
}

/// A copy of a text that nobody moves.
func permanent(_ text: String) -> reft_str_t {
  let bytes = Array(text.utf8)
  let memory = UnsafeMutablePointer<CChar>.allocate(capacity: max(1, bytes.count))
  for (index, byte) in bytes.enumerated() { memory[index] = CChar(bitPattern: byte) }
  return reft_str_t(ptr: memory, len: UInt64(bytes.count))
}
