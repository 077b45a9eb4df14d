// SPDX-License-Identifier: Apache-2.0
// The arguments of a call as the ABI wants them.

import CReFTPlugin
import ReFTTensor

extension PluginCall {
  /// Hands out the call; valid until the closure returns.
  func withForeign(
    site: PluginSite,
    record: CallRecord,
    _ body: (UnsafePointer<reft_args_t>) -> reft_status_t
  ) -> reft_status_t {
    let dim = site.dim
    var rowTable = reft_rows_t()
    rowTable.struct_size = UInt32(MemoryLayout<reft_rows_t>.size)
    rowTable.n = Int64(rows)
    rowTable.example = origins.example
    rowTable.position = origins.position
    rowTable.length = origins.length
    rowTable.location = origins.location
    rowTable.subspace = origins.subspace
    rowTable.adapter = origins.adapter
    rowTable.decoded = origins.decoded
    rowTable.key = origins.key
    var arguments = reft_args_t()
    arguments.struct_size = UInt32(MemoryLayout<reft_args_t>.size)
    arguments.flags = flags
    arguments.call = record.handle
    arguments.x = matrix(x, xStride, dim)
    arguments.source = matrix(source.map { .init(mutating: $0) }, sourceStride, site.sourceWidth)
    arguments.y = matrix(y, yStride, dim)
    arguments.dy = matrix(dy, dyStride, dim)
    arguments.dx = matrix(dx, dxStride, dim)
    arguments.params = parameters
    arguments.dparams = parameterGradients
    arguments.n_params = UInt32(parameterCount)
    arguments.saved = saved
    arguments.saved_bytes = UInt64(savedByteCount)
    arguments.scratch = scratch
    arguments.scratch_bytes = UInt64(scratchByteCount)
    arguments.rng_key = randomKey
    arguments.rng_step = randomStep
    addLaterFields(to: &arguments, site: site)
    return withUnsafePointer(to: &rowTable) { rows in
      arguments.rows = rows
      return body(&arguments)
    }
  }

  /// What came with ABI 1.1.
  private func addLaterFields(to arguments: inout reft_args_t, site: PluginSite) {
    arguments.dsource = matrix(dsource, dsourceStride, site.sourceWidth)
    arguments.counterpart = matrix(
      counterpart.map { .init(mutating: $0) },
      counterpartStride,
      site.dim
    )
    arguments.collected = matrix(collected, collectedWidth, collectedWidth)
    arguments.states = states
    arguments.auxiliary = auxiliary
    arguments.auxiliary_gradient = auxiliaryGradient
    arguments.step = Int64(progress.step)
    arguments.total_steps = Int64(progress.totalSteps)
  }

  /// Makes sure that a loss of the plugin's own is a number.
  func checkAuxiliary(_ plugin: String) throws(ReFTError) {
    guard let value = auxiliary?.pointee, !value.isFinite else { return }
    throw .auxiliaryNotFinite(plugin, value: value, rows: rows)
  }

  private var flags: UInt32 {
    var flags: UInt32 = isTraining ? REFT_CALL_TRAINING : 0
    if dx != nil { flags |= REFT_CALL_NEED_DX }
    if parameterGradients != nil { flags |= REFT_CALL_NEED_DPARAMS }
    if dsource != nil { flags |= REFT_CALL_NEED_DSOURCE }
    return flags
  }

  private func matrix(
    _ data: UnsafeMutablePointer<Float>?,
    _ stride: Int,
    _ dim: Int
  ) -> reft_mat_t {
    reft_mat_t(
      struct_size: UInt32(MemoryLayout<reft_mat_t>.size),
      dtype: REFT_F32,
      data: UnsafeMutableRawPointer(data),
      rows: data == nil ? 0 : Int64(rows),
      cols: Int64(dim),
      row_stride: Int64(stride),
      col_stride: 1
    )
  }
}
