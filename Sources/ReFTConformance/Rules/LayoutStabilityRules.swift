// SPDX-License-Identifier: Apache-2.0
// Level 2: the parameter layout, which is the format of checkpoints, and the plan of memory.

import CReFTPlugin

let layoutStabilityRules: [Rule] = [
  Rule("ABI-211", "Parameters have sizes that can be allocated, known codes and finite numbers.") {
    bench in
    var count = 0
    try bench.eachUsual(randomised: false) { subject in
      for index in subject.parameters.indices {
        guard
          let info = try Subject.parameterInfo(subject.plugin, subject.instance, UInt32(index))
        else { throw Breach("Parameter \(index) of \(subject.label) is gone when asked again.") }
        try checkParameter(info, index, subject)
        count += 1
      }
    }
    return "\(count) parameters are in order."
  },
  Rule("ABI-212", "Parameter names are unique UTF-8 checkpoint keys.") { bench in
    try bench.eachUsual(randomised: false) { subject in
      var seen: Set<String> = []
      for (index, parameter) in subject.parameters.enumerated() {
        guard !parameter.name.isEmpty,
          parameter.name.unicodeScalars.allSatisfy({
            $0.isASCII && $0.value > 32 && $0 != "/" && $0 != "\\" && $0 != "\""
          })
        else {
          throw Breach(
            "Parameter \(index) of \(subject.label) has the name \"\(parameter.name)\"; a "
              + "checkpoint key of letters, digits, '.', '-' and '_' is needed."
          )
        }
        guard seen.insert(parameter.name).inserted else {
          throw Breach("\(subject.label) has two parameters named \"\(parameter.name)\".")
        }
      }
    }
    return "All names are keys."
  },
  Rule("ABI-213", "The parameter layout never changes during the life of an instance.") { bench in
    try bench.eachUsual { subject in
      try requireSameLayout(subject, "when asked twice")
      let x = bench.random.normals(5 * subject.dim)
      for round in 0..<3 {
        if subject.plugin.hasBackward {
          _ = try subject.derivative(x, x)
        } else {
          _ = try subject.y(x)
        }
        try requireSameLayout(subject, "after \(round + 1) calls")
      }
      _ = try Subject.plan(subject.plugin, subject.instance, dim: subject.dim, maxRows: 128)
      try requireSameLayout(subject, "after another plan")
    }
    return "The same before and after calls."
  },
  Rule("ABI-214", "param_info refuses an index past the end with REFT_E_INVALID.") { bench in
    try bench.eachUsual(randomised: false) { subject in
      let count = UInt32(subject.parameters.count)
      for index: UInt32 in [count, count + 1, count + 1000, 0x8000_0000, UInt32.max] {
        let memory = try GuardedBuffer("param_info.out", byteCount: 120, alignment: 8)
        let out = memory.base.bindMemory(to: reft_param_info_t.self, capacity: 1)
        out.pointee.struct_size = 120
        bench.doing("param_info(\(index)) of \(subject.label)")
        let status = subject.plugin.table.pointee.param_info?(subject.instance, index, out)
        guard status == REFT_E_INVALID else {
          throw Breach(
            "param_info(\(index)), past the \(count) parameters of \(subject.label), returned "
              + "\(status ?? 0); expected REFT_E_INVALID (\(REFT_E_INVALID))."
          )
        }
      }
    }
    return "Refused."
  },
  Rule("ABI-215", "Names and order of parameters depend on the options alone.") { bench in
    for plugin in try bench.interventions() {
      let (dim, options) = try bench.usualWidth(plugin)
      let base = try bench.subject(plugin, dim: dim, options: options, layer: 0)
      let same = try bench.subject(plugin, dim: dim, options: options, layer: 0)
      guard base.parameters == same.parameters else {
        throw Breach("Two instances of \(base.label) have different parameter layouts.")
      }
      for (width, layer) in [(dim, 11), (dim * 2, 0), (dim, 0)] {
        let made = try Creation(
          plugin,
          dim: width,
          dtype: REFT_F32,
          options: options,
          host: bench.host(),
          layer: layer
        )
        guard let instance = made.instance else { continue }
        defer { plugin.destroy(instance) }
        let names = try Subject.layout(plugin, instance).map(\.name)
        guard names == base.parameters.map(\.name) else {
          throw Breach(
            "\(plugin.id) names its parameters \(base.parameters.map(\.name)) at layer 0, width "
              + "\(dim), and \(names) at layer \(layer), width \(width)."
          )
        }
      }
    }
    return "The same at other layers and widths."
  },
  Rule("ABI-216", "param_info and plan write nothing behind the struct_size that they are given.") {
    bench in
    try bench.eachUsual(randomised: false) { subject in
      for index in subject.parameters.indices {
        for size: UInt32 in [120, 184] {
          try requireBounded("param_info", 120, size, subject) { out in
            subject.plugin.table.pointee.param_info?(
              subject.instance,
              UInt32(index),
              out.assumingMemoryBound(to: reft_param_info_t.self)
            )
          }
        }
      }
      let shape = try ShapeMemory(
        dim: Int64(subject.dim),
        dtype: REFT_F32,
        maxRows: 8,
        layer: 0,
        sourceDim: Int64(subject.sourceDim)
      )
      for size: UInt32 in [40, 104] {
        try requireBounded("plan", 40, size, subject) { out in
          subject.plugin.table.pointee.plan?(
            subject.instance,
            shape.pointer,
            out.assumingMemoryBound(to: reft_workspace_t.self)
          )
        }
      }
    }
    return "Stays inside, and accepts longer structs."
  },
  Rule("ABI-217", "plan answers the same every time, and never less memory for more rows.") {
    bench in
    try bench.eachUsual(randomised: false) { subject in
      var last: (rows: Int, saved: UInt64, scratch: UInt64) = (0, 0, 0)
      for rows in [0, 1, 2, 7, 64, 1000, 4096] {
        bench.doing("plan for \(rows) rows of \(subject.label)")
        let one = try Subject.plan(
          subject.plugin,
          subject.instance,
          dim: subject.dim,
          maxRows: rows
        )
        let two = try Subject.plan(
          subject.plugin,
          subject.instance,
          dim: subject.dim,
          maxRows: rows
        )
        guard sizes(one) == sizes(two) else {
          throw Breach(
            "plan for \(rows) rows of \(subject.label) said \(sizes(one)) and then \(sizes(two)) "
              + "(saved per row, fixed, scratch per row, fixed, state, collected)."
          )
        }
        let saved = one.saved_bytes_per_row * UInt64(rows) + one.saved_bytes_fixed
        let scratch = one.scratch_bytes_per_row * UInt64(rows) + one.scratch_bytes_fixed
        guard saved >= last.saved, scratch >= last.scratch else {
          throw Breach(
            "plan for \(rows) rows of \(subject.label) asks for \(saved) saved and \(scratch) "
              + "scratch bytes, less than for \(last.rows) rows (\(last.saved), \(last.scratch))."
          )
        }
        last = (rows, saved, scratch)
      }
      let perRow = last.saved / 4096
      if perRow > UInt64(subject.dim) * 4 * 64 {
        bench.warn("\(subject.label) saves \(perRow) bytes per row, 64 times the row itself.")
      }
    }
    return "Stable and monotone."
  },
  Rule("ABI-218", "init_params is a pure function of the seed and fills exactly its parameters.") {
    bench in
    var applied = false
    try bench.eachUsual(randomised: false) { subject in
      let custom = subject.parameters.indices.filter {
        subject.parameters[$0].flags & REFT_PARAM_CUSTOM_INIT != 0
      }
      guard !custom.isEmpty else { return }
      applied = true
      let start = subject.values.enumerated().map { entry in
        custom.contains(entry.offset)
          ? [Float](repeating: Float(bitPattern: unwrittenPattern), count: entry.element.count)
          : entry.element
      }
      subject.values = start
      let first = try subject.customInitialised(seed: 7)
      subject.values = start
      let second = try subject.customInitialised(seed: 7)
      for index in start.indices {
        let name = subject.parameters[index].name
        if custom.contains(index) {
          let missing = first[index].count { $0.bitPattern == unwrittenPattern }
          guard missing == 0 else {
            throw Breach("init_params left \(missing) numbers of \"\(name)\" unwritten.")
          }
        } else if let at = firstDifference(first[index], start[index]) {
          throw Breach("init_params changed \"\(name)\", which is the host's, at index \(at).")
        }
        if let at = firstDifference(first[index], second[index]) {
          throw Breach("init_params with seed 7 gave two values for \"\(name)\" at index \(at).")
        }
      }
    }
    guard applied else { throw NotApplicable("No parameter asks for it.") }
    return "Pure and complete."
  },
]

private func sizes(_ workspace: reft_workspace_t) -> [UInt64] {
  [
    workspace.saved_bytes_per_row, workspace.saved_bytes_fixed, workspace.scratch_bytes_per_row,
    workspace.scratch_bytes_fixed, workspace.state_bytes_per_sequence, workspace.collected_per_row,
  ]
}

/// The index of the first two numbers whose bits differ.
func firstDifference(_ a: [Float], _ b: [Float]) -> Int? {
  if a.count != b.count { return min(a.count, b.count) }
  return a.indices.first { a[$0].bitPattern != b[$0].bitPattern }
}

private func requireSameLayout(_ subject: Subject, _ when: String) throws {
  let now = try Subject.layout(subject.plugin, subject.instance)
  guard now == subject.parameters else {
    throw Breach(
      "The parameter layout of \(subject.label) changed \(when): "
        + "\(subject.parameters.map { "\($0.name)\($0.dims)" }) became "
        + "\(now.map { "\($0.name)\($0.dims)" })."
    )
  }
}

private func requireBounded(
  _ name: String,
  _ known: Int,
  _ size: UInt32,
  _ subject: Subject,
  _ call: (UnsafeMutableRawPointer) -> reft_status_t?
) throws {
  let memory = try GuardedBuffer("\(name).out", byteCount: known + 64, alignment: 8, fill: 0xEE)
  memory.base.storeBytes(of: size, as: UInt32.self)
  subject.bench.doing("\(name) of \(subject.label) with struct_size \(size)")
  let status = call(memory.base)
  guard status == REFT_OK else {
    throw Breach(
      "\(name) of \(subject.label) returned \(status ?? 0) for struct_size \(size); a longer "
        + "struct is never refused."
    )
  }
  guard Int(size) == known else { return }
  for at in known..<known + 64
  where memory.base.load(fromByteOffset: at, as: UInt8.self) != 0xEE {
    throw Breach("\(name) of \(subject.label) wrote byte \(at) of a struct of \(known) bytes.")
  }
}

private func checkParameter(_ info: reft_param_info_t, _ index: Int, _ subject: Subject) throws {
  let name = readText(info.name).map { "\"\($0)\"" } ?? String(index)
  let place = "Parameter \(name) of \(subject.label)"
  guard readText(info.name) != nil else { throw Breach("\(place) has a name that is not UTF-8.") }
  guard info.dtype == REFT_F32 else {
    throw Breach("\(place) has dtype \(info.dtype); ABI 1.0 has REFT_F32 parameters only.")
  }
  let dims = [info.dims.0, info.dims.1, info.dims.2, info.dims.3]
  guard dims.dropFirst(Int(info.rank)).allSatisfy({ $0 == 0 }) else {
    throw Breach("\(place) has rank \(info.rank) but dimensions \(dims); unused ones must be 0.")
  }
  guard info.init_kind <= REFT_INIT_COPY else {
    throw Breach("\(place) has init_kind \(info.init_kind); ABI 1.0 knows 0 to \(REFT_INIT_COPY).")
  }
  guard info.constraint <= REFT_CONSTRAINT_BOX else {
    throw Breach("\(place) has constraint \(info.constraint); ABI 1.0 knows 0 to 4.")
  }
  guard info.flags <= 7 else {
    throw Breach("\(place) has flags 0x\(String(info.flags, radix: 16)); ABI 1.0 knows three.")
  }
  for (field, value) in [
    ("init_a", info.init_a), ("init_b", info.init_b),
    ("learning_rate_scale", info.learning_rate_scale),
    ("weight_decay_scale", info.weight_decay_scale),
  ] where !value.isFinite {
    throw Breach("\(place) has \(field) = \(value).")
  }
  guard info.learning_rate_scale >= 0, info.weight_decay_scale >= 0 else {
    throw Breach("\(place) has a negative learning-rate or decay scale.")
  }
  if info.flags & REFT_PARAM_TRAINABLE != 0, info.learning_rate_scale == 0 {
    subject.bench.warn("\(place) is trainable with a learning-rate scale of 0: it never moves.")
  }
  if info.init_kind == REFT_INIT_COPY {
    let from = Int(exactly: info.init_a) ?? -1
    guard (0..<index).contains(from),
      subject.parameters[from].dims == subject.parameters[index].dims
    else {
      throw Breach(
        "\(place) is a copy of parameter \(brief(info.init_a)), which is not an earlier one of its "
          + "shape."
      )
    }
  }
  let orthonormal = [REFT_CONSTRAINT_ORTHONORMAL_ROWS, REFT_CONSTRAINT_ORTHONORMAL_COLUMNS]
  if orthonormal.contains(info.constraint) {
    guard info.rank == 2 else {
      throw Breach("\(place) shall be orthonormal but has rank \(info.rank); rank 2 is needed.")
    }
    let byRows = info.constraint == REFT_CONSTRAINT_ORTHONORMAL_ROWS
    guard byRows ? dims[0] <= dims[1] : dims[1] <= dims[0] else {
      throw Breach(
        "\(place) of [\(dims[0]), \(dims[1])] cannot have orthonormal "
          + "\(byRows ? "rows" : "columns"): there are too many."
      )
    }
  }
  if info.constraint == REFT_CONSTRAINT_BOX, !(info.constraint_a <= info.constraint_b) {
    throw Breach(
      "\(place) has the empty box \(brief(info.constraint_a)) to \(brief(info.constraint_b))."
    )
  }
}
