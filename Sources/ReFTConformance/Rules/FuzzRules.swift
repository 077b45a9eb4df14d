// SPDX-License-Identifier: Apache-2.0
// Level 5: random but replayable abuse.

import CReFTPlugin

let fuzzRules: [Rule] = [
  Rule("ABI-501", "Random options are served or refused cleanly.", timeoutSeconds: 60) { bench in
    var served = 0
    var refused = 0
    for plugin in try bench.interventions() {
      let (dim, _) = try bench.usualWidth(plugin)
      let names = try plugin.options().map(\.name) + ["", "x", "rank\u{0}", "räng"]
      for _ in 0..<300 {
        let settings = (0..<bench.random.below(4)).map { _ in
          OptionSetting(names[bench.random.below(names.count)], randomValue(&bench.random))
        }
        let place = "create of \(plugin.id) with \(settings.map(\.description))"
        bench.doing(place)
        let made = try Creation(
          plugin,
          dim: dim,
          dtype: REFT_F32,
          options: settings,
          host: bench.host(),
          layer: bench.random.below(100)
        )
        if let instance = made.instance {
          served += 1
          _ = try? Subject.layout(plugin, instance)
          plugin.destroy(instance)
        } else {
          try requireCleanRefusal(made, place, bench)
          refused += 1
        }
      }
    }
    return "\(served) served, \(refused) refused."
  },
  Rule(
    "ABI-502",
    "Random sequences of calls on several instances match fresh ones.",
    timeoutSeconds: 60
  ) {
    bench in
    var calls = 0
    for plugin in try bench.interventions() {
      var subjects: [Subject] = []
      for _ in 0..<120 {
        if subjects.count < 3 || bench.random.below(10) == 0 {
          if subjects.count >= 3 { subjects.remove(at: bench.random.below(subjects.count)).end() }
          let drawn = 1 + bench.random.below(70)
          for (dim, options) in try bench.served(plugin, among: [drawn]) {
            subjects.append(try bench.subject(plugin, dim: dim, options: options))
          }
        }
        let subject = subjects[bench.random.below(subjects.count)]
        var style = CallStyle()
        style.rowPadding = bench.random.below(9)
        style.side = bench.random.below(2) == 0 ? .end : .start
        style.scratchFill = UInt8(bench.random.below(256))
        style.withRows = bench.random.below(2) == 0
        let x = bench.random.normals((1 + bench.random.below(20)) * subject.dim)
        let fresh = try bench.subject(
          plugin,
          dim: subject.dim,
          options: subject.options,
          randomised: false
        )
        fresh.values = subject.values
        try requireClose(
          try subject.y(x, style: style),
          try fresh.y(x, style: style),
          1e-5,
          "forward of \(subject.describe(x.count / subject.dim, style)), against a fresh instance,",
          width: subject.dim
        )
        if plugin.hasBackward {
          try requireClose(
            try subject.derivative(x, x, style: style).dx,
            try fresh.derivative(x, x, style: style).dx,
            1e-5,
            "dx of \(subject.describe(x.count / subject.dim, style)), against a fresh instance,",
            width: subject.dim
          )
        }
        calls += 1
      }
    }
    return "\(calls) random calls."
  },
  Rule(
    "ABI-503",
    "Rows of random bits neither crash nor hang, and leave other calls alone.",
    timeoutSeconds: 60
  ) { bench in
    try bench.eachUsual { subject in
      let x = bench.random.normals(4 * subject.dim)
      let before = try subject.y(x)
      for _ in 0..<100 {
        let wild = (0..<4 * subject.dim).map { _ in
          Float(bitPattern: UInt32(truncatingIfNeeded: bench.random.next()))
        }
        let first = try subject.forward(wild)
        if subject.plugin.hasBackward, first.status == REFT_OK {
          _ = try subject.backward(wild, wild, saved: first.saved)
        }
      }
      try requireClose(
        try subject.y(x),
        before,
        1e-6,
        "forward of \(subject.label) after rows of random bits",
        width: subject.dim
      )
    }
    return "100 wild calls."
  },
  Rule(
    "ABI-504",
    "Parameters of any size give a derivative or a clean failure.",
    timeoutSeconds: 60
  ) {
    bench in
    try bench.eachUsual { subject in
      let keep = subject.values
      for scale: Float in [0, 1e-20, 1e10, .infinity, .nan] {
        subject.values = keep.map { list in list.map { $0 * scale } }
        let x = bench.random.normals(3 * subject.dim)
        bench.doing("a call of \(subject.label) with parameters times \(scale)")
        let first = try subject.forward(x)
        guard first.status == REFT_OK || first.status < 0 else {
          throw Breach("forward returned \(first.status), which is no status of the ABI.")
        }
        if subject.plugin.hasBackward, first.status == REFT_OK {
          _ = try subject.backward(x, x, saved: first.saved)
        }
      }
    }
    return "It returns for all of them."
  },
]

private func randomValue(_ random: inout BenchRandom) -> OptionSetting.Value {
  let integers: [Int64] = [0, 1, -1, 2, 8, 64, 1 << 31, 1 << 40, .max, .min]
  let floats = [0, -0.0, 0.5, 1, -1, 1e300, -1e300, .infinity, .nan, Double.leastNonzeroMagnitude]
  switch random.below(5) {
  case 0: return .int(integers[random.below(integers.count)])
  case 1: return .float(floats[random.below(floats.count)])
  case 2: return .flag(Int64(random.below(5)) - 1)
  case 3: return .string(String(repeating: "a", count: random.below(300)))
  default: return .int(Int64(bitPattern: random.next()))
  }
}
