// SPDX-License-Identifier: Apache-2.0
// A manifest's bare C functions behind the raw tables of the ABI, so that the same rules look at them:
// every call goes through the host's own instance, which calls the functions through libffi.

import CReFTPlugin
import Glibc
import ReFTHost
import ReFTTensor

// Set once, before the entry is called; the tables have no context of their own.
nonisolated(unsafe) private var bridged: Plugin?
nonisolated(unsafe) private var description: UnsafeMutablePointer<reft_library_t>?

/// Makes a library description out of a manifest.
enum ManifestBridge {
  /// Loads the library that the manifest names and returns an entry for it.
  static func entry(_ specimen: Specimen) throws -> LoadedLibrary.Entry {
    guard let plugin = try specimen.hostPlugins().first else {
      throw Breach("The manifest describes no intervention.")
    }
    bridged = plugin
    description = library(of: plugin)
    return { _ in UnsafePointer(description) }
  }

  private static func library(of plugin: Plugin) -> UnsafeMutablePointer<reft_library_t> {
    let table = UnsafeMutablePointer<reft_plugin_t>.allocate(capacity: 1)
    var fields = reft_plugin_t()
    fields.struct_size = UInt32(MemoryLayout<reft_plugin_t>.size)
    fields.id = lasting(plugin.id)
    fields.version = lasting(plugin.version.contains(".") ? plugin.version : "0.0.0")
    fields.summary = lasting(plugin.description.summary.isEmpty ? "-" : plugin.description.summary)
    fields.license = lasting(plugin.description.license.isEmpty ? "-" : plugin.description.license)
    fields.capabilities = plugin.capabilities.rawValue
    fields.dtypes = 1 << UInt64(REFT_F32)
    fields.option_info = optionInfo
    fields.create = create
    fields.destroy = { pointer in
      guard let pointer else { return }
      Unmanaged<BridgedInstance>.fromOpaque(UnsafeRawPointer(pointer)).release()
    }
    fields.param_info = parameterInfo
    fields.plan = plan
    fields.forward = { pointer, args in BridgedInstance.of(pointer)?.forward(args) ?? REFT_E_INVALID
    }
    if !plugin.capabilities.contains(.noBackward) {
      fields.backward = { pointer, args in
        BridgedInstance.of(pointer)?.backward(args) ?? REFT_E_INVALID
      }
    }
    table.initialize(to: fields)
    let list = UnsafeMutablePointer<UnsafePointer<reft_plugin_t>?>.allocate(capacity: 1)
    list.initialize(to: UnsafePointer(table))
    let library = UnsafeMutablePointer<reft_library_t>.allocate(capacity: 1)
    library.initialize(
      to: reft_library_t(
        struct_size: UInt32(MemoryLayout<reft_library_t>.size),
        abi_major: 1,
        abi_minor: REFT_ABI_MINOR,
        n_plugins: 1,
        plugins: UnsafePointer(list)
      )
    )
    return library
  }
}

/// Text that lives as long as the process.
private func lasting(_ text: String) -> reft_str_t {
  let bytes = Array(text.utf8)
  let copy = UnsafeMutablePointer<CChar>.allocate(capacity: max(1, bytes.count))
  for (index, byte) in bytes.enumerated() { copy[index] = CChar(bitPattern: byte) }
  return reft_str_t(ptr: UnsafePointer(copy), len: UInt64(bytes.count))
}

private let optionInfo:
  @convention(c) (UInt32, UnsafeMutablePointer<reft_option_info_t>?) -> reft_status_t = {
    index,
    out in
    guard let out, let options = bridged?.options, Int(index) < options.count else {
      return REFT_E_INVALID
    }
    let option = options[Int(index)]
    var info = reft_option_info_t()
    info.struct_size = UInt32(MemoryLayout<reft_option_info_t>.size)
    info.name = lasting(option.name)
    info.help = lasting(option.help)
    info.choices = lasting(option.choices.joined(separator: "|"))
    info.minimum = option.range?.lowerBound ?? 1
    info.maximum = option.range?.upperBound ?? 0
    switch option.kind {
    case .int: info.type = REFT_OPTION_INT
    case .float: info.type = REFT_OPTION_FLOAT
    case .string: info.type = REFT_OPTION_STRING
    case .flag: info.type = REFT_OPTION_FLAG
    case .tensor: info.type = REFT_OPTION_TENSOR
    case .file: info.type = REFT_OPTION_FILE
    }
    switch option.defaultValue {
    case .int(let i): info.default_i = i
    case .float(let f): info.default_f = f
    case .string(let s): info.default_s = lasting(s)
    case .flag(let flag): info.default_i = flag ? 1 : 0
    }
    out.pointee = info
    return REFT_OK
  }

private let create:
  @convention(c) (
    UnsafePointer<reft_host_t>?, UnsafePointer<reft_shape_t>?, UnsafePointer<reft_option_t>?,
    UInt32,
    OpaquePointer?, UnsafeMutablePointer<OpaquePointer?>?
  ) -> reft_status_t = { host, shape, options, count, call, out in
    guard let host, let shape, let out, let plugin = bridged else { return REFT_E_INVALID }
    out.pointee = nil
    func refuse(_ code: reft_status_t, _ text: String) -> reft_status_t {
      var copy = text
      copy.withUTF8 { bytes in
        bytes.withMemoryRebound(to: CChar.self) {
          host.pointee.set_error?(
            host.pointee.context,
            call,
            code,
            $0.baseAddress,
            UInt64($0.count)
          )
        }
      }
      return code
    }
    guard shape.pointee.dtype == REFT_F32, shape.pointee.dim > 0, shape.pointee.dim < 1 << 24 else {
      return refuse(REFT_E_UNSUPPORTED, "a width or number type that manifests do not serve")
    }
    var values: [String: OptionValue] = [:]
    for index in 0..<Int(count) {
      guard let option = options?[index], let name = readText(option.name) else {
        return refuse(REFT_E_INVALID, "an option without a name")
      }
      switch option.type {
      case REFT_OPTION_INT: values[name] = .int(option.i)
      case REFT_OPTION_FLOAT: values[name] = .float(option.f)
      case REFT_OPTION_STRING: values[name] = .string(readText(option.s) ?? "\u{FFFD}")
      default:
        guard option.i == 0 || option.i == 1 else {
          return refuse(REFT_E_INVALID, "a flag that is neither 0 nor 1")
        }
        values[name] = .flag(option.i == 1)
      }
    }
    do {
      let site = PluginSite(
        dim: Int(shape.pointee.dim),
        layer: Int(shape.pointee.layer),
        component: "block_output",
        locations: Int(shape.pointee.n_locations)
      )
      let instance = BridgedInstance(
        try plugin.makeInstance(at: site, options: values),
        host: host,
        dim: site.dim
      )
      out.pointee = OpaquePointer(Unmanaged.passRetained(instance).toOpaque())
      return REFT_OK
    } catch {
      return refuse(REFT_E_INVALID, "\(error)")
    }
  }

private let parameterInfo:
  @convention(c) (OpaquePointer?, UInt32, UnsafeMutablePointer<reft_param_info_t>?) -> reft_status_t =
    { pointer, index, out in
      guard let self = BridgedInstance.of(pointer), let out else { return REFT_E_INVALID }
      guard Int(index) < self.instance.parameters.count else { return REFT_E_INVALID }
      out.pointee = self.info(Int(index))
      return REFT_OK
    }

private let plan:
  @convention(c) (
    OpaquePointer?, UnsafePointer<reft_shape_t>?, UnsafeMutablePointer<reft_workspace_t>?
  ) -> reft_status_t = { pointer, shape, out in
    guard let self = BridgedInstance.of(pointer), let shape, let out else { return REFT_E_INVALID }
    do {
      let workspace = try self.instance.plan(maxRows: Int(shape.pointee.max_rows))
      var answer = reft_workspace_t()
      answer.struct_size = UInt32(MemoryLayout<reft_workspace_t>.size)
      answer.saved_bytes_per_row = UInt64(workspace.savedPerRow)
      answer.saved_bytes_fixed = UInt64(workspace.savedFixed)
      answer.scratch_bytes_per_row = UInt64(workspace.scratchPerRow)
      answer.scratch_bytes_fixed = UInt64(workspace.scratchFixed)
      BridgedInstance.write(answer, to: out)
      return REFT_OK
    } catch {
      return self.fail(error, nil)
    }
  }

/// One of the host's instances behind an opaque pointer.
private final class BridgedInstance {
  let instance: any PluginInstance
  private let host: UnsafePointer<reft_host_t>
  private let dim: Int
  private let names: [reft_str_t]

  init(_ instance: any PluginInstance, host: UnsafePointer<reft_host_t>, dim: Int) {
    self.instance = instance
    self.host = host
    self.dim = dim
    names = instance.parameters.map { lasting($0.name) }
  }

  deinit {
    for name in names { UnsafeMutablePointer(mutating: name.ptr)?.deallocate() }
  }

  static func of(_ pointer: OpaquePointer?) -> BridgedInstance? {
    pointer.map { Unmanaged.fromOpaque(UnsafeRawPointer($0)).takeUnretainedValue() }
  }

  func info(_ index: Int) -> reft_param_info_t {
    let parameter = instance.parameters[index]
    var info = reft_param_info_t()
    info.struct_size = UInt32(MemoryLayout<reft_param_info_t>.size)
    info.rank = UInt32(parameter.shape.count)
    info.name = names[index]
    let dims = parameter.shape.map(Int64.init) + [0, 0, 0, 0]
    info.dims = (dims[0], dims[1], dims[2], dims[3])
    info.dtype = REFT_F32
    info.flags =
      (parameter.isTrainable ? REFT_PARAM_TRAINABLE : 0)
      | (parameter.allowsDecay ? 0 : REFT_PARAM_NO_DECAY)
    switch parameter.initialization {
    case .zeros, .custom, .input: info.init_kind = REFT_INIT_ZEROS
    case .constant(let a): (info.init_kind, info.init_a) = (REFT_INIT_CONSTANT, a)
    case .uniform(let a, let b):
      (info.init_kind, info.init_a, info.init_b) = (REFT_INIT_UNIFORM, a, b)
    case .normal(let a, let b):
      (info.init_kind, info.init_a, info.init_b) = (REFT_INIT_NORMAL, a, b)
    case .orthogonal: info.init_kind = REFT_INIT_ORTHOGONAL
    case .copy(let from): (info.init_kind, info.init_a) = (REFT_INIT_COPY, Double(from))
    }
    switch parameter.constraint {
    case .none: info.constraint = REFT_CONSTRAINT_NONE
    case .orthonormalRows: info.constraint = REFT_CONSTRAINT_ORTHONORMAL_ROWS
    case .orthonormalColumns: info.constraint = REFT_CONSTRAINT_ORTHONORMAL_COLUMNS
    case .unitRows: info.constraint = REFT_CONSTRAINT_UNIT_ROWS
    case .box(let low, let high):
      info.constraint = REFT_CONSTRAINT_BOX
      (info.constraint_a, info.constraint_b) = (low, high)
    }
    info.learning_rate_scale = parameter.learningRateScale
    info.weight_decay_scale = parameter.weightDecayScale
    return info
  }

  func forward(_ args: UnsafePointer<reft_args_t>?) -> reft_status_t {
    run(args) { call, args in
      call.y = floats(args.y)
      call.yStride = Int(args.y.row_stride)
      try instance.forward(call)
    }
  }

  func backward(_ args: UnsafePointer<reft_args_t>?) -> reft_status_t {
    run(args) { call, args in
      call.dy = floats(args.dy)
      call.dyStride = Int(args.dy.row_stride)
      if args.flags & REFT_CALL_NEED_DX != 0 {
        call.dx = floats(args.dx)
        call.dxStride = Int(args.dx.row_stride)
      }
      if args.flags & REFT_CALL_NEED_DPARAMS != 0 { call.parameterGradients = args.dparams }
      try instance.backward(call)
    }
  }

  private func run(
    _ pointer: UnsafePointer<reft_args_t>?,
    _ body: (inout PluginCall, reft_args_t) throws -> Void
  ) -> reft_status_t {
    guard let pointer else { return REFT_E_INVALID }
    let args = Self.read(pointer, size: pointer.pointee.struct_size, or: reft_args_t())
    guard args.flags & 0xFFFF_0000 == 0, args.x.cols == dim else { return REFT_E_UNSUPPORTED }
    guard args.x.rows > 0, let x = floats(args.x) else { return REFT_OK }
    var call = PluginCall(rows: Int(args.x.rows), x: x, xStride: Int(args.x.row_stride))
    call.parameters = args.params
    call.parameterCount = Int(args.n_params)
    call.isTraining = args.flags & REFT_CALL_TRAINING != 0
    call.saved = args.saved
    call.savedByteCount = Int(args.saved_bytes)
    call.scratch = args.scratch
    call.scratchByteCount = Int(args.scratch_bytes)
    call.randomKey = args.rng_key
    call.randomStep = args.rng_step
    do {
      let table =
        args.rows.map { Self.read($0, size: $0.pointee.struct_size, or: reft_rows_t()) }
        ?? reft_rows_t()
      try RowPlaces.withOrigins(rows: call.rows, replacing: table) { origins in
        call.origins = origins
        try body(&call, args)
      }
      return REFT_OK
    } catch {
      return fail(error, args.call)
    }
  }

  /// As much of a struct as its sender has; what is missing reads as zero.
  private static func read<Value>(
    _ pointer: UnsafePointer<Value>,
    size: UInt32,
    or empty: Value
  ) -> Value {
    var value = empty
    withUnsafeMutableBytes(of: &value) { target in
      let count = min(target.count, Int(size))
      target.copyMemory(from: UnsafeRawBufferPointer(start: pointer, count: count))
    }
    return value
  }

  /// Writes as much of a struct as its receiver has room for, behind its size.
  static func write(_ answer: reft_workspace_t, to out: UnsafeMutablePointer<reft_workspace_t>) {
    withUnsafeBytes(of: answer) { source in
      let end = min(source.count, Int(out.pointee.struct_size))
      guard end > 4 else { return }
      UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(out) + 4, count: end - 4)
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: source[4..<end]))
    }
  }

  func fail(_ error: any Error, _ call: OpaquePointer?) -> reft_status_t {
    var text = "\(error)"
    text.withUTF8 { bytes in
      bytes.withMemoryRebound(to: CChar.self) {
        host.pointee.set_error?(
          host.pointee.context,
          call,
          REFT_E_INTERNAL,
          $0.baseAddress,
          UInt64($0.count)
        )
      }
    }
    return REFT_E_INTERNAL
  }

  private func floats(_ matrix: reft_mat_t) -> UnsafeMutablePointer<Float>? {
    matrix.data?.assumingMemoryBound(to: Float.self)
  }
}
