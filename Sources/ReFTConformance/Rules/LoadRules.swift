// SPDX-License-Identifier: Apache-2.0
// Level 1: facts of the file, loading, and what loading does to the process.

import CReFTPlatform
import CReFTPlugin
import Glibc
import ReFTHost

let loadRules: [Rule] = [
  Rule("ABI-101", "The file is an ELF shared library for this machine.") { bench in
    let elf = try bench.image()
    return "An ELF library with \(elf.exports.count + elf.imports.count) dynamic symbols, needing "
      + (elf.needed.isEmpty ? "nothing." : elf.needed.joined(separator: ", ") + ".")
  },
  Rule("ABI-102", "It exports reft_plugin_entry_v1 and no other symbol of reft.") { bench in
    let exported = try bench.image().exports
    let ours = exported.filter { $0.hasPrefix("reft_") }
    guard ours.contains(REFT_ENTRY_SYMBOL) else {
      throw Breach(
        "It exports \(exported.count) symbols, but not \(REFT_ENTRY_SYMBOL); declare the entry "
          + "with REFT_EXPORT."
      )
    }
    let foreign = ours.filter { !($0.hasPrefix("reft_plugin_entry_v")) }
    guard foreign.isEmpty else {
      throw Breach(
        "Besides the entry it exports \(foreign.prefix(5).joined(separator: ", ")): such names can "
          + "be bound to another plugin's; make them static or build with -fvisibility=hidden."
      )
    }
    let others = exported.filter { name in
      !name.hasPrefix("reft_") && !name.hasPrefix("$s") && !name.hasPrefix("_$s")
        && !name.hasPrefix("__swift") && !name.hasPrefix("swift_")
        && !["_init", "_fini", "__bss_start", "_edata", "_end", "main"].contains(name)
        && !name.hasPrefix("_swift") && !name.hasPrefix("__start_") && !name.hasPrefix("__stop_")
    }
    if !others.isEmpty {
      bench.warn(
        "It exports \(others.count) further symbols, e.g. \(others.prefix(3).joined(separator: ", "))"
          + "; build with -fvisibility=hidden."
      )
    }
    return "Exports the entry."
  },
  Rule("ABI-103", "It has no text relocations, executable stack or writable code.") { bench in
    let elf = try bench.image()
    if elf.hasTextRelocations {
      throw Breach("It has text relocations (DT_TEXTREL); compile every object with -fPIC.")
    }
    if elf.hasExecutableStack {
      throw Breach("It asks for an executable stack; link with -z noexecstack.")
    }
    if elf.hasWritableCode { throw Breach("A segment is writable and executable at once.") }
    return "Code is read-only and position-independent."
  },
  Rule("ABI-104", "It brings no BLAS, OpenMP or thread pool of its own.") { bench in
    let elf = try bench.image()
    let libraries = [
      "openblas", "libblas", "libcblas", "liblapack", "libmkl", "libgomp", "libomp", "libiomp",
      "libtbb", "libblis",
    ]
    if let found = elf.needed.first(where: { name in libraries.contains { name.contains($0) } }) {
      throw Breach("It needs \(found); use the host's gemm_f32 and parallel_for instead.")
    }
    let prefixes = ["GOMP_", "omp_", "__kmpc_", "cblas_"]
    let names = elf.exports + elf.imports
    if let found = names.first(where: { name in prefixes.contains { name.hasPrefix($0) } }) {
      throw Breach(
        "It uses \(found), which belongs to a BLAS or OpenMP; use the host's gemm_f32 and "
          + "parallel_for instead."
      )
    }
    return "Needs none of them."
  },
  Rule("ABI-105", "The dynamic loader opens it with every symbol resolved.") { bench in
    _ = try bench.library()
    return "Loaded."
  },
  Rule("ABI-106", "Loading it and calling the entry leave the floating-point control word alone.") {
    bench in
    let before = ProcessState.now()
    let library = try bench.library()
    if let change = ProcessState.now().floatChange(since: before) {
      throw Breach("At loading, \(change); do not link with -Ofast or -ffast-math.")
    }
    bench.doing("reft_plugin_entry_v1")
    _ = try library.callEntry()
    if let change = ProcessState.now().floatChange(since: before) {
      throw Breach("In \(REFT_ENTRY_SYMBOL), \(change).")
    }
    return "Unchanged."
  },
  Rule("ABI-107", "Loading it and calling the entry leave signal handlers and the locale alone.") {
    bench in
    let before = ProcessState.now()
    let library = try bench.library()
    bench.doing("reft_plugin_entry_v1")
    _ = try library.callEntry()
    let after = ProcessState.now()
    if let change = after.signalChange(since: before) {
      throw Breach("At loading, \(change); signals belong to the host.")
    }
    guard after.locale == before.locale else {
      throw Breach("At loading, the locale changed from \(before.locale) to \(after.locale).")
    }
    return "Unchanged."
  },
  Rule("ABI-108", "Loading it and calling the entry start no thread.") { bench in
    let before = ProcessState.now().threads
    let library = try bench.library()
    bench.doing("reft_plugin_entry_v1")
    _ = try library.callEntry()
    let after = ProcessState.now().threads
    guard after == before else {
      throw Breach("The process had \(before) threads before loading and \(after) afterwards.")
    }
    return "No thread was started."
  },
  Rule("ABI-109", "It writes nothing to standard output or standard error.") { bench in
    let quiet = OutputCatcher()
    let library = try bench.library()
    bench.doing("reft_plugin_entry_v1")
    _ = try library.callEntry()
    try bench.eachUsual { subject in
      let x = bench.random.normals(3 * subject.dim)
      if subject.plugin.hasBackward {
        _ = try subject.derivative(x, x)
      } else {
        _ = try subject.y(x)
      }
      subject.end()
    }
    let text = quiet.stop()
    if !text.isEmpty {
      bench.warn(
        "It wrote \(text.utf8.count) bytes to the standard streams, beginning with "
          + "\"\(text.prefix(60).filter { !$0.isNewline })\"; use the host's log."
      )
    }
    return "Silent."
  },
  Rule("ABI-110", "The entry returns the same description at every call.") { bench in
    let library = try bench.library()
    bench.doing("reft_plugin_entry_v1")
    let first = try library.callEntry()
    let copy = first.pointee
    let second = try library.callEntry()
    guard first == second else {
      throw Breach("The first call returned \(first), the second \(second).")
    }
    let again = second.pointee
    guard copy.n_plugins == again.n_plugins, copy.plugins == again.plugins else {
      throw Breach("The second call changed the description that the first returned.")
    }
    return "The same pointer and contents twice."
  },
  Rule("ABI-111", "The library says ABI major 1 and a description at least as long as 1.0's.") {
    bench in
    let library = try bench.library()
    bench.doing("reft_plugin_entry_v1")
    let header = try library.callEntry().pointee
    guard header.struct_size >= 24 else {
      throw Breach("struct_size of the library is \(header.struct_size); 1.0 has 24.")
    }
    guard header.abi_major == 1 else {
      throw Breach("It says ABI major \(header.abi_major) behind the entry of major 1.")
    }
    return "ABI \(header.abi_major).\(header.abi_minor), \(header.n_plugins) interventions."
  },
  Rule("ABI-112", "Every intervention's table is present and at least as long as 1.0's.") { bench in
    let list = try bench.interventions()
    return "\(list.count): \(list.map(\.id).joined(separator: ", "))."
  },
  Rule("ABI-113", "Required functions are present; backward is absent exactly when so declared.") {
    bench in
    for plugin in try bench.interventions() {
      let table = plugin.table.pointee
      let slots: [(String, Bool)] = [
        ("create", table.create != nil), ("destroy", table.destroy != nil),
        ("param_info", table.param_info != nil), ("plan", table.plan != nil),
        ("forward", table.forward != nil),
        ("backward", table.backward != nil || plugin.has(REFT_CAP_NO_BACKWARD)),
      ]
      let missing = slots.filter { !$0.1 }.map(\.0)
      guard missing.isEmpty else {
        throw Breach("\(plugin.id) leaves \(missing.joined(separator: ", ")) NULL.")
      }
      if plugin.has(REFT_CAP_NO_BACKWARD), table.backward != nil {
        throw Breach("\(plugin.id) declares NO_BACKWARD and has a backward.")
      }
    }
    return "All there."
  },
]

/// Catches what is written to descriptors 1 and 2.
private final class OutputCatcher {
  private let file: Int32
  private let saved: [Int32]

  init() {
    fflush(nil)
    file = reft_probe_memory_file("reft-output")
    saved = [dup(1), dup(2)]
    dup2(file, 1)
    dup2(file, 2)
  }

  func stop() -> String {
    fflush(nil)
    dup2(saved[0], 1)
    dup2(saved[1], 2)
    lseek(file, 0, SEEK_SET)
    var bytes = [UInt8](repeating: 0, count: 4096)
    let n = read(file, &bytes, bytes.count)
    close(file)
    for descriptor in saved { close(descriptor) }
    return String(decoding: bytes.prefix(max(0, n)), as: UTF8.self)
  }
}
