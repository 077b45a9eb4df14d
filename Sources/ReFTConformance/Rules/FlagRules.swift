// SPDX-License-Identifier: Apache-2.0
// Level 2: flags of calls, and structs from a future minor version.

import CReFTPlugin

let flagRules: [Rule] = [
  Rule("ABI-241", "An unknown must-understand flag (bits 16 to 31) is refused with E_UNSUPPORTED.")
  {
    bench in
    try bench.eachUsual { subject in
      for bit in [16, 23, 31] {
        var style = CallStyle()
        style.extraFlags = 1 << UInt32(bit)
        let x = bench.random.normals(3 * subject.dim)
        let first = try subject.forward(x, style: style)
        guard first.status == REFT_E_UNSUPPORTED else {
          throw Breach(
            "forward of \(subject.label) with flag bit \(bit) returned \(first.status); expected "
              + "REFT_E_UNSUPPORTED (\(REFT_E_UNSUPPORTED))."
          )
        }
        guard subject.plugin.hasBackward else { continue }
        let plain = try subject.forward(x)
        let second = try subject.backward(x, x, saved: plain.saved, style: style)
        guard second.status == REFT_E_UNSUPPORTED else {
          throw Breach(
            "backward of \(subject.label) with flag bit \(bit) returned \(second.status); expected "
              + "REFT_E_UNSUPPORTED (\(REFT_E_UNSUPPORTED))."
          )
        }
      }
    }
    return "Refused."
  },
  Rule("ABI-242", "An unknown ignorable flag (bits 4 to 15) changes nothing.") { bench in
    try bench.eachUsual { subject in
      for bit in [4, 8, 15] {
        var style = CallStyle()
        style.extraFlags = 1 << UInt32(bit)
        try requireSameNumbers(subject, style, "with the unknown flag bit \(bit)", tolerance: 1e-7)
      }
    }
    return "Ignored."
  },
  Rule("ABI-243", "Longer structs and a later minor version of the host change nothing.") { bench in
    for plugin in try bench.interventions() {
      let (dim, options) = try bench.usualWidth(plugin)
      let future = try HostServices(isFuture: true)
      let old = try bench.subject(plugin, dim: dim, options: options)
      let new: Subject
      do {
        new = try bench.subject(plugin, dim: dim, options: options, host: future, future: true)
      } catch let refusal as Subject.Refusal {
        throw Breach("create of \(plugin.id) by a host of ABI 1.7 was \(refusal.description).")
      }
      new.values = old.values
      let layouts = [new, old].map { $0.parameters.map(\.withoutInputIndex) }
      guard layouts[0] == layouts[1] else {
        throw Breach("\(plugin.id) has another parameter layout under a host of ABI 1.7.")
      }
      var style = CallStyle()
      style.future = true
      let x = bench.random.normals(5 * dim)
      try requireClose(
        try new.y(x, style: style),
        try old.y(x),
        1e-7,
        "forward of \(plugin.id) under a host of ABI 1.7",
        width: dim
      )
      if plugin.hasBackward {
        try requireClose(
          try new.derivative(x, x, style: style).dx,
          try old.derivative(x, x).dx,
          1e-7,
          "backward of \(plugin.id) under a host of ABI 1.7",
          width: dim
        )
      }
    }
    return "The same numbers."
  },
  Rule("ABI-244", "Without NEED_DX, dx is left alone and may be absent.") { bench in
    var checked = 0
    try bench.eachUsual { subject in
      guard subject.plugin.hasBackward else { return }
      checked += 1
      let x = bench.random.normals(5 * subject.dim)
      let plain = try subject.derivative(x, x)
      var style = CallStyle()
      style.needDX = false
      let present = try subject.derivative(x, x, style: style)
      let written = present.dx.count { $0.bitPattern != unwrittenPattern }
      guard written == 0 else {
        throw Breach("backward of \(subject.label) wrote \(written) numbers of dx unasked.")
      }
      style.absentOutputs = true
      let absent = try subject.derivative(x, x, style: style)
      for index in plain.gradients.indices {
        try requireClose(
          absent.gradients[index],
          plain.gradients[index],
          1e-5,
          "without dx, the gradient of \"\(subject.parameters[index].name)\" of \(subject.label)",
          width: subject.parameters[index].dims.last ?? 1
        )
      }
    }
    guard checked > 0 else { throw NotApplicable("It has no backward.") }
    return "Left alone."
  },
  Rule("ABI-245", "Without NEED_DPARAMS, dparams is left alone and may be NULL.") { bench in
    var checked = 0
    try bench.eachUsual { subject in
      guard subject.plugin.hasBackward else { return }
      checked += 1
      let x = bench.random.normals(5 * subject.dim)
      let plain = try subject.derivative(x, x)
      var style = CallStyle()
      style.needDParams = false
      style.gradientFill = 3
      let present = try subject.derivative(x, x, style: style)
      for (index, gradient) in present.gradients.enumerated() {
        let written = gradient.count { $0 != 3 }
        guard written == 0 else {
          throw Breach(
            "backward of \(subject.label) changed \(written) numbers of the gradient of "
              + "\"\(subject.parameters[index].name)\" unasked."
          )
        }
      }
      style.absentOutputs = true
      let absent = try subject.derivative(x, x, style: style)
      try requireClose(
        absent.dx,
        plain.dx,
        1e-5,
        "without dparams, dx of \(subject.label)",
        width: subject.dim
      )
    }
    guard checked > 0 else { throw NotApplicable("It has no backward.") }
    return "Left alone."
  },
  Rule("ABI-251", "Arguments that end where those of ABI 1.0 do are served or refused cleanly.") {
    bench in
    try bench.eachUsual { subject in
      var style = CallStyle()
      style.isFirstVersion = true
      let x = bench.random.normals(5 * subject.dim)
      let first = try subject.forward(x, style: style)
      guard first.status == REFT_OK, subject.plugin.hasBackward else { return }
      _ = try subject.backward(x, x, saved: first.saved, style: style)
    }
    return "Nothing behind them is read."
  },
]
