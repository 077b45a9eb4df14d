// SPDX-License-Identifier: Apache-2.0
// The parameters of an instance, as the plugin states them, checked.

import CReFTPlugin
import ReFTTensor

/// Reads and checks `param_info` of an instance.
enum ParameterTable {
  static func read(
    _ instance: OpaquePointer,
    of plugin: InProcessPlugin,
    inputs: [PluginInput] = []
  ) throws(ReFTError) -> [ParameterInfo] {
    guard let describe = plugin.table.pointee.param_info else { return [] }
    var result: [ParameterInfo] = []
    for index in 0..<PluginTable.listLimit {
      var info = reft_param_info_t()
      info.struct_size = UInt32(MemoryLayout<reft_param_info_t>.size)
      let status = plugin.guarded("param_info", looksAtSignals: index == 0) {
        describe(instance, index, &info)
      }
      if status == REFT_E_INVALID { return result }
      guard status == REFT_OK else {
        throw .pluginStatus(status, plugin: plugin.name, call: "param_info", message: nil)
      }
      let checked = try check(info, index: Int(index), earlier: result, plugin: plugin.name)
      if let fault = checked.inputFault(inputs) {
        throw .pluginMisbehaved(plugin.name, "parameter '\(checked.name)' \(fault)")
      }
      result.append(checked)
    }
    throw .pluginMisbehaved(plugin.name, "it states more than \(PluginTable.listLimit) parameters")
  }

  private static func check(
    _ info: reft_param_info_t,
    index: Int,
    earlier: [ParameterInfo],
    plugin: String
  ) throws(ReFTError) -> ParameterInfo {
    guard let name = ForeignText.strict(info.name), ParameterInfo.isName(name) else {
      throw .pluginMisbehaved(
        plugin,
        "parameter \(index) has no name of letters, digits, '.', '_' and '-'"
      )
    }
    func fault(_ text: String) -> ReFTError {
      .pluginMisbehaved(plugin, "parameter '\(name)' \(text)")
    }
    guard info.dtype == REFT_F32 else { throw fault("is of dtype \(info.dtype), not float32") }
    guard (1...4).contains(info.rank) else {
      throw fault("has \(info.rank) dimensions, not 1 to 4")
    }
    let sizes = [info.dims.0, info.dims.1, info.dims.2, info.dims.3]
    let result = ParameterInfo(
      name: name,
      shape: sizes.prefix(Int(info.rank)).map(Int.init),
      isTrainable: info.flags & REFT_PARAM_TRAINABLE != 0,
      allowsDecay: info.flags & REFT_PARAM_NO_DECAY == 0,
      initialization: try initialization(info, fault),
      constraint: try constraint(info, fault),
      learningRateScale: info.learning_rate_scale,
      weightDecayScale: info.weight_decay_scale
    )
    if let found = result.fault(after: earlier) { throw fault(found) }
    return result
  }

  private static func initialization(
    _ info: reft_param_info_t,
    _ fault: (String) -> ReFTError
  ) throws(ReFTError) -> ParameterInitialization {
    if info.flags & REFT_PARAM_CUSTOM_INIT != 0 { return .custom }
    switch info.init_kind {
    case REFT_INIT_ZEROS: return .zeros
    case REFT_INIT_CONSTANT: return .constant(info.init_a)
    case REFT_INIT_UNIFORM: return .uniform(lower: info.init_a, upper: info.init_b)
    case REFT_INIT_NORMAL: return .normal(mean: info.init_a, deviation: info.init_b)
    case REFT_INIT_ORTHOGONAL: return .orthogonal
    case REFT_INIT_INPUT: return .input(index: Int(exactly: info.init_a) ?? -1)
    case REFT_INIT_COPY: return .copy(index: Int(exactly: info.init_a) ?? -1)
    default: throw fault("has the unknown init_kind \(info.init_kind)")
    }
  }

  private static func constraint(
    _ info: reft_param_info_t,
    _ fault: (String) -> ReFTError
  ) throws(ReFTError) -> ParameterConstraint {
    switch info.constraint {
    case REFT_CONSTRAINT_NONE: return .none
    case REFT_CONSTRAINT_ORTHONORMAL_ROWS: return .orthonormalRows
    case REFT_CONSTRAINT_ORTHONORMAL_COLUMNS: return .orthonormalColumns
    case REFT_CONSTRAINT_UNIT_ROWS: return .unitRows
    case REFT_CONSTRAINT_BOX: return .box(lower: info.constraint_a, upper: info.constraint_b)
    default: throw fault("has the unknown constraint \(info.constraint)")
    }
  }
}
