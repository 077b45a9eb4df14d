// SPDX-License-Identifier: Apache-2.0
// Level 4: leaks and pointers kept past their time.

import CReFTPlugin
import Glibc

let memoryRules: [Rule] = [
  Rule("ABI-421", "A thousand instances made and ended leave no memory behind.") { bench in
    for plugin in try bench.interventions() {
      let (dim, options) = try bench.usualWidth(plugin)
      let settings = try OptionMemory(options)
      let shape = try ShapeMemory(
        dim: Int64(dim),
        dtype: REFT_F32,
        maxRows: 64,
        layer: 1,
        sourceDim: Int64(plugin.sourceWidth(of: dim))
      )
      let host = try bench.host()
      func cycle() throws {
        var instance: OpaquePointer?
        let status = plugin.table.pointee.create?(
          host.table,
          shape.pointer,
          settings.pointer,
          settings.count,
          nil,
          &instance
        )
        guard status == REFT_OK else {
          throw Breach("create of \(plugin.id) failed on repetition.")
        }
        var workspace = reft_workspace_t()
        workspace.struct_size = UInt32(MemoryLayout<reft_workspace_t>.size)
        _ = plugin.table.pointee.plan?(instance, shape.pointer, &workspace)
        plugin.destroy(instance)
      }
      bench.doing("1100 instances of \(plugin.id)")
      for _ in 0..<100 { try cycle() }
      let before = heapBytes()
      for _ in 0..<1000 { try cycle() }
      let grown = heapBytes() - before
      guard grown < 8000 else {
        throw Breach(
          "1000 instances of \(plugin.id) left \(grown) bytes behind, \(grown / 1000) each; free in "
            + "destroy what create took."
        )
      }
    }
    return "Nothing is left."
  },
  Rule("ABI-422", "A thousand calls leave no memory behind.") { bench in
    try bench.eachUsual(maxRows: 8) { subject in
      let x = bench.random.normals(2 * subject.dim)
      func calls(_ count: Int) throws {
        for _ in 0..<count {
          if subject.plugin.hasBackward {
            _ = try subject.derivative(x, x)
          } else {
            _ = try subject.y(x)
          }
        }
      }
      try calls(100)
      let before = heapBytes()
      try calls(1000)
      let grown = heapBytes() - before
      guard grown < 8000 else {
        throw Breach(
          "1000 calls of \(subject.label) left \(grown) bytes behind, \(grown / 1000) each."
        )
      }
    }
    return "Nothing is left."
  },
  Rule("ABI-423", "No pointer of a call is used after it returned.") { bench in
    // Each call's memory is forbidden before the next; what create received is gone as well.
    GuardedBuffer.keepsAddresses = true
    defer { GuardedBuffer.keepsAddresses = false }
    try bench.eachUsual { subject in
      var style = CallStyle()
      style.reuseParameters = false
      for rows in [9, 2, 33, 5] {
        let x = bench.random.normals(rows * subject.dim)
        let first = try subject.forward(x, style: style)
        _ = try subject.y(bench.random.normals(3 * subject.dim), style: style)
        if subject.plugin.hasBackward {
          _ = try subject.backward(x, x, saved: first.saved, style: style)
        }
      }
      bench.doing(
        "param_info and destroy of \(subject.label), after its calls' memory was unmapped"
      )
      _ = try Subject.layout(subject.plugin, subject.instance)
      subject.end()
    }
    return "No pointer is kept."
  },
  Rule("ABI-424", "Memory from the host's alloc is given back by destroy.") { bench in
    for plugin in try bench.interventions() {
      let (dim, options) = try bench.usualWidth(plugin)
      let host = try HostServices()
      let subject = try bench.subject(plugin, dim: dim, options: options, host: host)
      _ = try subject.y(bench.random.normals(2 * dim))
      subject.end()
      guard host.liveBlocks == 0 else {
        throw Breach(
          "\(plugin.id) keeps \(host.liveBlocks) blocks of the host's alloc after destroy."
        )
      }
    }
    return "All given back."
  },
]
