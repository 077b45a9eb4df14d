// SPDX-License-Identifier: Apache-2.0
// Level 4: a plugin leaves the process as it found it.

import CReFTPlugin
import Glibc

let environmentRules: [Rule] = [
  Rule(
    "ABI-411",
    "create, plan, forward, backward and destroy leave the floating-point control word."
  ) { bench in
    try eachStage(bench) { stage, before, after in
      if let change = after.floatChange(since: before) { throw Breach("In \(stage), \(change).") }
    }
    return "Unchanged."
  },
  Rule("ABI-412", "No function starts a thread.") { bench in
    let watch = try bench.watch()
    try eachStage(bench) { stage, before, after in
      guard after.threads == before.threads else {
        throw Breach(
          "The process had \(before.threads) threads before \(stage) and \(after.threads) after it; "
            + "use the host's parallel_for."
        )
      }
    }
    let count = watch.take().threads
    guard count == 0 else {
      throw Breach("It called pthread_create \(count) times; use the host's parallel_for.")
    }
    return "No thread was started."
  },
  Rule("ABI-413", "No function replaces a signal handler, blocks a signal or sets the locale.") {
    bench in
    try eachStage(bench) { stage, before, after in
      if let change = after.signalChange(since: before) { throw Breach("In \(stage), \(change).") }
      guard after.locale == before.locale else {
        throw Breach("In \(stage), the locale became \(after.locale).")
      }
    }
    return "Unchanged."
  },
  Rule("ABI-414", "No function ends the process or starts another.") { bench in
    let watch = try bench.watch()
    try eachStage(bench) { stage, _, _ in
      let count = watch.take().processes
      guard count == 0 else {
        throw Breach("In \(stage), it tried to start another process \(count) times.")
      }
      var status: Int32 = 0
      guard waitpid(-1, &status, WNOHANG) == -1 else {
        throw Breach("In \(stage), it started another process.")
      }
    }
    return "The process is still here, alone."
  },
  Rule("ABI-415", "forward and backward allocate no memory.") { bench in
    try eachHotCall(bench) { counts, place in
      if counts.allocations > 0 {
        bench.warn(
          "\(place) allocated \(counts.allocations) times; ask for scratch memory in plan instead."
        )
      }
    }
    return "No allocation by the plugin itself."
  },
  Rule("ABI-416", "forward and backward take no lock.") { bench in
    try eachHotCall(bench) { counts, place in
      if counts.locks > 0 { bench.warn("\(place) took a lock \(counts.locks) times.") }
    }
    return "No lock by the plugin itself."
  },
]

/// Runs the life of an instance and hands the process state around each stage to a body.
private func eachStage(
  _ bench: Bench,
  _ body: (String, ProcessState, ProcessState) throws -> Void
) throws {
  let plugins = try bench.interventions()
  let before = ProcessState.now()
  for plugin in plugins {
    func around<T>(_ stage: String, _ work: () throws -> T) throws -> T {
      let result = try work()
      try body("\(stage) of \(plugin.id)", before, ProcessState.now())
      return result
    }
    let (dim, options) = try around("create") { try bench.usualWidth(plugin) }
    let subject = try around("create, param_info and plan") {
      try bench.subject(plugin, dim: dim, options: options)
    }
    for rows in [1, 33] {
      let x = bench.random.normals(rows * dim)
      let first = try around("forward") { try subject.forward(x) }
      if plugin.hasBackward {
        _ = try around("backward") { try subject.backward(x, x, saved: first.saved) }
      }
    }
    try around("destroy") { subject.end() }
  }
}

/// Counts what the plugin calls during single warm forwards and backwards.
private func eachHotCall(
  _ bench: Bench,
  _ body: (CallWatch.Counts, String) -> Void
) throws {
  let watch = try bench.watch()
  try bench.eachUsual { subject in
    let x = bench.random.normals(33 * subject.dim)
    for round in 0..<2 {
      _ = watch.take()
      let first = try subject.forward(x)
      let forward = watch.take()
      if round == 1 { body(forward, "forward of \(subject.label)") }
      guard subject.plugin.hasBackward else { continue }
      _ = try subject.backward(x, x, saved: first.saved)
      let backward = watch.take()
      if round == 1 { body(backward, "backward of \(subject.label)") }
    }
  }
}
