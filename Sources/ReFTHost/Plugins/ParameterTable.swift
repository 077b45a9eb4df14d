// SPDX-License-Identifier: Apache-2.0
// The parameters of an instance, as the plugin states them, checked.

import CReFTPlugin
import ReFTTensor

/// Reads and checks `param_info` of an instance.
enum ParameterTable {
  /// The most values that one parameter may have.
  private static let valueLimit = 1 << 32

  static func read(
    _ instance: OpaquePointer,
    of plugin: InProcessPlugin
  ) throws(ReFTError) -> [ParameterInfo] {
    guard let describe = plugin.table.pointee.param_info else { return [] }
    var result: [ParameterInfo] = []
    for index in 0..<PluginTable.listLimit {
      var info = reft_param_info_t()
      info.struct_size = UInt32(MemoryLayout<reft_param_info_t>.size)
      let status = plugin.guarded("param_info") { describe(instance, index, &info) }
      if status == REFT_E_INVALID { return result }
      guard status == REFT_OK else {
        throw .pluginStatus(status, plugin: plugin.name, call: "param_info", message: nil)
      }
      result.append(try check(info, index: Int(index), earlier: result, plugin: plugin.name))
    }
    throw .pluginMisbehaved(plugin.name, "it states more than \(PluginTable.listLimit) parameters")
  }

  private static func check(
    _ info: reft_param_info_t,
    index: Int,
    earlier: [ParameterInfo],
    plugin: String
  ) throws(ReFTError) -> ParameterInfo {
    guard let name = ForeignText.strict(info.name), isName(name) else {
      throw .pluginMisbehaved(
        plugin,
        "parameter \(index) has no name of letters, digits, '.', '_' and '-'"
      )
    }
    func fault(_ text: String) -> ReFTError {
      .pluginMisbehaved(plugin, "parameter '\(name)' \(text)")
    }
    guard !earlier.contains(where: { $0.name == name }) else { throw fault("is there twice") }
    guard info.dtype == REFT_F32 else { throw fault("is of dtype \(info.dtype), not float32") }
    let shape = try shape(info, fault)
    guard info.learning_rate_scale.isFinite, info.learning_rate_scale >= 0,
      info.weight_decay_scale.isFinite, info.weight_decay_scale >= 0
    else { throw fault("has a rate or decay scale below 0 or not finite") }
    return ParameterInfo(
      name: name,
      shape: shape,
      isTrainable: info.flags & REFT_PARAM_TRAINABLE != 0,
      allowsDecay: info.flags & REFT_PARAM_NO_DECAY == 0,
      initialization: try initialization(info, shape, earlier, fault),
      constraint: try constraint(info, shape, fault),
      learningRateScale: info.learning_rate_scale,
      weightDecayScale: info.weight_decay_scale
    )
  }

  private static func isName(_ name: String) -> Bool {
    !name.isEmpty && name.utf8.count <= 128
      && name.utf8.allSatisfy {
        (0x61...0x7A).contains($0) || (0x41...0x5A).contains($0) || (0x30...0x39).contains($0)
          || $0 == 0x2D || $0 == 0x2E || $0 == 0x5F
      }
  }

  private static func shape(
    _ info: reft_param_info_t,
    _ fault: (String) -> ReFTError
  ) throws(ReFTError) -> [Int] {
    guard (1...4).contains(info.rank) else {
      throw fault("has \(info.rank) dimensions, not 1 to 4")
    }
    let all = [info.dims.0, info.dims.1, info.dims.2, info.dims.3]
    var count = 1
    for size in all.prefix(Int(info.rank)) {
      guard size > 0, size <= valueLimit else { throw fault("has a dimension of \(size)") }
      let (product, overflows) = count.multipliedReportingOverflow(by: Int(size))
      guard !overflows, product <= valueLimit else {
        throw fault("has more than \(valueLimit) values")
      }
      count = product
    }
    return all.prefix(Int(info.rank)).map(Int.init)
  }

  private static func initialization(
    _ info: reft_param_info_t,
    _ shape: [Int],
    _ earlier: [ParameterInfo],
    _ fault: (String) -> ReFTError
  ) throws(ReFTError) -> ParameterInitialization {
    if info.flags & REFT_PARAM_CUSTOM_INIT != 0 { return .custom }
    guard info.init_a.isFinite, info.init_b.isFinite else {
      throw fault("has an init_a or init_b that is not finite")
    }
    switch info.init_kind {
    case REFT_INIT_ZEROS: return .zeros
    case REFT_INIT_CONSTANT: return .constant(info.init_a)
    case REFT_INIT_UNIFORM:
      guard info.init_a <= info.init_b else { throw fault("has an empty range of initial values") }
      return .uniform(lower: info.init_a, upper: info.init_b)
    case REFT_INIT_NORMAL: return .normal(mean: info.init_a, deviation: info.init_b)
    case REFT_INIT_ORTHOGONAL:
      guard shape.count == 2 else { throw fault("is to start orthogonal but is no matrix") }
      return .orthogonal
    case REFT_INIT_COPY:
      guard info.init_a >= 0, info.init_a < Double(earlier.count),
        info.init_a == info.init_a.rounded(),
        earlier[Int(info.init_a)].shape == shape
      else {
        throw fault("is to copy parameter \(info.init_a), which is no earlier one of its shape")
      }
      return .copy(index: Int(info.init_a))
    default: throw fault("has the unknown init_kind \(info.init_kind)")
    }
  }

  private static func constraint(
    _ info: reft_param_info_t,
    _ shape: [Int],
    _ fault: (String) -> ReFTError
  ) throws(ReFTError) -> ParameterConstraint {
    let rows = shape[0]
    let columns = shape.count == 2 ? shape[1] : 0
    switch info.constraint {
    case REFT_CONSTRAINT_NONE: return .none
    case REFT_CONSTRAINT_ORTHONORMAL_ROWS:
      guard shape.count == 2, rows <= columns else {
        throw fault("of shape \(shape) cannot have orthonormal rows")
      }
      return .orthonormalRows
    case REFT_CONSTRAINT_ORTHONORMAL_COLUMNS:
      guard shape.count == 2, columns <= rows else {
        throw fault("of shape \(shape) cannot have orthonormal columns")
      }
      return .orthonormalColumns
    case REFT_CONSTRAINT_UNIT_ROWS: return .unitRows
    case REFT_CONSTRAINT_BOX:
      guard info.constraint_a <= info.constraint_b else { throw fault("has an empty box") }
      return .box(lower: info.constraint_a, upper: info.constraint_b)
    default: throw fault("has the unknown constraint \(info.constraint)")
    }
  }
}
