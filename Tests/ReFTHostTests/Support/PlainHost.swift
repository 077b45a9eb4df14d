// SPDX-License-Identifier: Apache-2.0
// A host for one call of a plugin, written against the ABI alone: with any number of threads, or
// without parallel_for.

import CReFTPlugin
import Foundation
import ReFTTensor
import Synchronization
import Testing
import _ReFTTestSupport

/// A host in a few lines: one instance, one forward call and its backward.
final class PlainHost: Sendable {
  /// How many pieces `parallel_for` was asked for.
  let pieces = Mutex(0)
  private let pool: ThreadPool?

  init(threads: Int?) { pool = threads.map { ThreadPool(threadCount: $0) } }

  struct Result {
    var numbers: [String: [Float]] = [:]
    var scratchBytes = 0
  }

  private var table: reft_host_t {
    var host = reft_host_t()
    host.struct_size = UInt32(MemoryLayout<reft_host_t>.size)
    host.abi_major = 1
    host.context = Unmanaged.passUnretained(self).toOpaque()
    host.set_error = { _, _, _, text, length in
      let bytes = UnsafeRawBufferPointer(start: text, count: Int(length))
      Issue.record("\(String(decoding: bytes, as: UTF8.self))")
    }
    host.alloc = { _, bytes in malloc(Int(bytes)) }
    host.free = { _, memory in free(memory) }
    host.rng_uniform = { _, key, step, offset, out, count in
      let values = UnsafeMutableBufferPointer(start: out, count: Int(count))
      CounterRandom(key: key, step: step).fillUniform(values, offset: offset)
    }
    guard pool != nil else { return host }
    host.parallel_for = { context, _, count, grain, body, argument in
      guard let context, let body else { return }
      let host = Unmanaged<PlainHost>.fromOpaque(context).takeUnretainedValue()
      let pieces = Int((count + grain - 1) / grain)
      host.pieces.withLock { $0 += pieces }
      nonisolated(unsafe) let argument = argument
      host.pool?.run(pieces) { piece in
        body(argument, Int64(piece) * grain, min(count, Int64(piece + 1) * grain))
      }
    }
    return host
  }

  private func plugin(_ library: String, _ id: String) throws -> UnsafePointer<reft_plugin_t> {
    let folder = try #require(BuiltPlugins.folder)
    let handle = try #require(dlopen("\(folder)/lib\(library).so", RTLD_NOW | RTLD_LOCAL))
    let symbol = try #require(dlsym(handle, REFT_ENTRY_SYMBOL))
    typealias Entry =
      @convention(c) (UnsafePointer<reft_entry_args_t>?) -> UnsafePointer<reft_library_t>?
    let description = try #require(unsafeBitCast(symbol, to: Entry.self)(nil)).pointee
    let plugins = (0..<Int(description.n_plugins)).compactMap { description.plugins[$0] }
    return try #require(
      plugins.first {
        String(cString: UnsafeRawPointer($0.pointee.id.ptr).assumingMemoryBound(to: UInt8.self))
          == id
      }
    )
  }

  func differentiate(
    _ library: String,
    _ id: String,
    _ options: [String: Double],
    rows: Int,
    width: Int
  ) throws -> Result {
    let plugin = try plugin(library, id)
    var host = table
    return try withUnsafePointer(to: &host) { host in
      var shape = reft_shape_t()
      shape.struct_size = UInt32(MemoryLayout<reft_shape_t>.size)
      shape.dtype = REFT_F32
      (shape.max_rows, shape.dim) = (Int64(rows), Int64(width))
      let instance = try create(plugin, host, &shape, options)
      defer { plugin.pointee.destroy(instance) }
      var workspace = reft_workspace_t()
      workspace.struct_size = UInt32(MemoryLayout<reft_workspace_t>.size)
      try #require(plugin.pointee.plan(instance, &shape, &workspace) == REFT_OK)
      return try withExtendedLifetime(self) {
        try call(plugin, instance, workspace, rows: rows, width: width)
      }
    }
  }

  private func create(
    _ plugin: UnsafePointer<reft_plugin_t>,
    _ host: UnsafePointer<reft_host_t>,
    _ shape: UnsafePointer<reft_shape_t>,
    _ options: [String: Double]
  ) throws -> OpaquePointer {
    let names = options.keys.sorted().map { strdup($0) }
    defer { for name in names { free(name) } }
    let list = names.map { name in
      let key = name.map { String(cString: $0) } ?? ""
      var option = reft_option_t()
      option.struct_size = UInt32(MemoryLayout<reft_option_t>.size)
      option.type = key == "dropout" ? UInt32(REFT_OPTION_FLOAT) : UInt32(REFT_OPTION_INT)
      option.name = reft_str_t(ptr: UnsafePointer(name), len: UInt64(key.utf8.count))
      (option.i, option.f) = (Int64(options[key] ?? 0), options[key] ?? 0)
      return option
    }
    var instance: OpaquePointer?
    let status = plugin.pointee.create(host, shape, list, UInt32(list.count), nil, &instance)
    try #require(status == REFT_OK)
    return try #require(instance)
  }

  private func parameterCounts(
    _ plugin: UnsafePointer<reft_plugin_t>,
    _ instance: OpaquePointer
  ) -> [Int] {
    var counts: [Int] = []
    var info = reft_param_info_t()
    info.struct_size = UInt32(MemoryLayout<reft_param_info_t>.size)
    while plugin.pointee.param_info(instance, UInt32(counts.count), &info) == REFT_OK {
      counts.append(Int(info.dims.0 * (info.rank == 2 ? info.dims.1 : 1)))
    }
    return counts
  }

  private func call(
    _ plugin: UnsafePointer<reft_plugin_t>,
    _ instance: OpaquePointer,
    _ workspace: reft_workspace_t,
    rows: Int,
    width: Int
  ) throws -> Result {
    var generator = SeededGenerator(seed: 3)
    let counts = parameterCounts(plugin, instance)
    let parameters = counts.map { count in
      FloatBuffer(generator.normals(count).map { $0 / 32 })
    }
    let gradients = counts.map { FloatBuffer(generator.normals($0)) }
    let x = FloatBuffer(generator.normals(rows * width))
    let dy = FloatBuffer(generator.normals(rows * width))
    let (y, dx) = (FloatBuffer(count: rows * width), FloatBuffer(count: rows * width))
    let savedBytes = workspace.saved_bytes_per_row * UInt64(rows) + workspace.saved_bytes_fixed
    let scratchBytes =
      workspace.scratch_bytes_per_row * UInt64(rows) + workspace.scratch_bytes_fixed
    let saved = FloatBuffer(count: Int(savedBytes) / 4 + 1)
    let scratch = FloatBuffer(count: Int(scratchBytes) / 4 + 1)
    func matrix(_ buffer: FloatBuffer) -> reft_mat_t {
      reft_mat_t(
        struct_size: UInt32(MemoryLayout<reft_mat_t>.size),
        dtype: REFT_F32,
        data: UnsafeMutableRawPointer(buffer.base),
        rows: Int64(rows),
        cols: Int64(width),
        row_stride: Int64(width),
        col_stride: 1
      )
    }
    var arguments = reft_args_t()
    arguments.struct_size = UInt32(MemoryLayout<reft_args_t>.size)
    arguments.flags = REFT_CALL_TRAINING | REFT_CALL_NEED_DX | REFT_CALL_NEED_DPARAMS
    (arguments.x, arguments.y) = (matrix(x), matrix(y))
    (arguments.dy, arguments.dx) = (matrix(dy), matrix(dx))
    arguments.n_params = UInt32(counts.count)
    (arguments.saved, arguments.saved_bytes) = (UnsafeMutableRawPointer(saved.base), savedBytes)
    arguments.scratch = UnsafeMutableRawPointer(scratch.base)
    arguments.scratch_bytes = scratchBytes
    (arguments.rng_key, arguments.rng_step) = (11, 5)
    let values = parameters.map { UnsafeRawPointer($0.base) as UnsafeRawPointer? }
    let sums = gradients.map { UnsafeMutableRawPointer($0.base) as UnsafeMutableRawPointer? }
    try values.withUnsafeBufferPointer { values in
      try sums.withUnsafeBufferPointer { sums in
        (arguments.params, arguments.dparams) = (values.baseAddress, sums.baseAddress)
        try #require(plugin.pointee.forward(instance, &arguments) == REFT_OK)
        try #require(plugin.pointee.backward(instance, &arguments) == REFT_OK)
      }
    }
    func all(_ buffer: FloatBuffer, _ count: Int) -> [Float] {
      Array(UnsafeBufferPointer(start: buffer.base, count: count))
    }
    var result = Result(scratchBytes: Int(scratchBytes))
    (result.numbers["y"], result.numbers["dx"]) = (all(y, rows * width), all(dx, rows * width))
    for (index, count) in counts.enumerated() {
      result.numbers["gradient \(index)"] = all(gradients[index], count)
    }
    // The plugin knows them by address alone.
    withExtendedLifetime((parameters, gradients, x, y)) {}
    withExtendedLifetime((dx, dy, saved, scratch)) {}
    return result
  }
}
