// SPDX-License-Identifier: Apache-2.0
// The table of services that an instance of a plugin gets from this host.

import CReFTPlatform
package import CReFTPlugin
import Foundation
import Logging
import ReFTTensor

/// The host table of one instance; it lives until the instance is destroyed.
package final class HostServices: @unchecked Sendable {
  // Sendable: the table is written in init alone, the logger is thread-safe.

  /// What the plugin gets; valid for the life of the object.
  package let table: UnsafeMutablePointer<reft_host_t>
  private let logger: Logger
  private let plugin: String
  /// What options named, by index.
  private let inputs: [PluginInput]

  /// Makes the table for an instance of the plugin with a name.
  package init(plugin: String, inputs: [PluginInput] = []) {
    self.plugin = plugin
    self.inputs = inputs
    logger = Logger(label: "reft.plugin.\(plugin)")
    table = .allocate(capacity: 1)
    table.initialize(to: reft_host_t())
    fill()
  }

  deinit { table.deallocate() }

  private static func of(_ context: UnsafeMutableRawPointer?) -> HostServices? {
    guard let context else { return nil }
    return Unmanaged<HostServices>.fromOpaque(context).takeUnretainedValue()
  }

  private static func fixed(_ text: StaticString) -> reft_str_t {
    let start = UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
    return reft_str_t(ptr: start, len: UInt64(text.utf8CodeUnitCount))
  }

  private func fill() {
    table.pointee.struct_size = UInt32(MemoryLayout<reft_host_t>.size)
    table.pointee.abi_major = 1
    table.pointee.abi_minor = UInt32(PluginDescription.hostMinor)
    table.pointee.context = Unmanaged.passUnretained(self).toOpaque()
    table.pointee.name = Self.fixed("reft")
    table.pointee.version = Self.fixed(ProgramVersion.text)
    fillMessages()
    fillWork()
    fillNumbers()
  }

  private func fillMessages() {
    table.pointee.log = { context, level, text, length in
      HostServices.of(context)?.log(level, ForeignText.readable(text, length))
    }
    table.pointee.set_error = { _, call, _, text, length in
      CallRecord.of(call)?.set(ForeignText.readable(text, length))
    }
    table.pointee.cancelled = { _, call in
      CallRecord.of(call)?.isCancelled == true ? 1 : 0
    }
    table.pointee.extension = { _, _ in nil }
    table.pointee.input_info = { context, index, out in
      HostServices.of(context)?.describe(index, out) ?? REFT_E_INVALID
    }
  }

  private func describe(
    _ index: Int64,
    _ out: UnsafeMutablePointer<reft_tensor_t>?
  ) -> reft_status_t {
    guard let out, index >= 0, index < Int64(inputs.count) else { return REFT_E_INVALID }
    var answer = inputs[Int(index)].foreign
    answer.struct_size = out.pointee.struct_size
    let size = min(Int(answer.struct_size), MemoryLayout<reft_tensor_t>.size)
    withUnsafePointer(to: answer) {
      UnsafeMutableRawPointer(out).copyMemory(from: $0, byteCount: size)
    }
    return REFT_OK
  }

  private func fillWork() {
    table.pointee.alloc = { _, byteCount in
      var memory: UnsafeMutableRawPointer?
      guard byteCount <= UInt64(Int.max),
        posix_memalign(&memory, 64, max(64, Int(byteCount))) == 0
      else { return nil }
      return memory
    }
    table.pointee.free = { _, memory in free(memory) }
    table.pointee.parallel_for = { _, _, count, grain, body, argument in
      guard count > 0, let body else { return }
      let step = Int(max(1, grain))
      let end = Int(count)
      // Unsafe: the plugin's argument goes to several threads, as the ABI says it may.
      nonisolated(unsafe) let argument = argument
      ThreadPool.shared.run((end - 1) / step + 1) { piece in
        let start = piece * step
        body(argument, Int64(start), Int64(min(end, start + min(step, end - start))))
      }
    }
  }

  private func fillNumbers() {
    table.pointee.gemm_f32 = { _, _, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc in
      reft_system_gemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
    }
    table.pointee.rng_normal = { _, key, step, offset, out, count in
      let values = UnsafeMutableBufferPointer(start: out, count: Int(max(0, count)))
      CounterRandom(key: key, step: step).fillNormal(values, offset: offset)
    }
    table.pointee.rng_uniform = { _, key, step, offset, out, count in
      let values = UnsafeMutableBufferPointer(start: out, count: Int(max(0, count)))
      CounterRandom(key: key, step: step).fillUniform(values, offset: offset)
    }
  }

  private func log(_ level: Int32, _ message: String) {
    switch level {
    case REFT_LOG_DEBUG: logger.debug("\(plugin): \(message)")
    case REFT_LOG_INFO: logger.info("\(plugin): \(message)")
    case REFT_LOG_ERROR: logger.error("\(plugin): \(message)")
    case REFT_LOG_HOST_MISBEHAVING:
      logger.error("plugin '\(plugin)' says that the host misbehaves: \(message)")
    case REFT_LOG_PLUGIN_MISBEHAVING:
      logger.error("plugin '\(plugin)' says that it misbehaves itself: \(message)")
    default: logger.warning("\(plugin): \(message)")
    }
  }
}
