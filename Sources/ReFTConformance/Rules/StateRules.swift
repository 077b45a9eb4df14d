// SPDX-License-Identifier: Apache-2.0
// States of sequences: what a plugin keeps from a prompt to its decoded tokens. Since ABI 1.1.

import CReFTPlugin

let stateRules: [Rule] = [
  Rule("ABI-246", "A plugin that keeps a state of sequences does not promise ROWWISE.") { bench in
    try eachStateful(bench) { subject in
      guard !subject.plugin.has(REFT_CAP_ROWWISE) else {
        throw Breach(
          "\(subject.label) asks for \(subject.workspace.state_bytes_per_sequence) bytes of state and "
            + "promises ROWWISE; a state carries what one row says to others."
        )
      }
    }
    return "No false promise."
  },
  Rule("ABI-247", "States are touched only within the bytes that plan asked for.") { bench in
    try eachStateful(bench) { subject in
      for side in [GuardedBuffer.Side.end, .start] {
        var style = CallStyle()
        style.side = side
        let result = try subject.forward(bench.random.normals(7 * subject.dim), style: style)
        for case .stray("state", let offset) in result.findings {
          throw Breach(
            "forward of \(subject.label) wrote \(offset) bytes from the start of a state of "
              + "\(subject.workspace.state_bytes_per_sequence) bytes."
          )
        }
      }
    }
    return "Inside."
  },
  Rule(
    "ABI-331",
    "A prompt and its decoded tokens, in calls of their own, give the numbers of one call."
  ) { bench in
    try eachStateful(bench) { subject in
      let places = Array(0..<RowPlaces.perSequence)
      let x = rowsThatDecide(subject, bench)
      var style = CallStyle()
      style.training = false
      for x in x {
        let whole = try subject.y(x, style: style)
        var parts = style
        parts.states = try StateMemory(subject, places: places)
        var joined: [Float] = []
        for part in [Array(places.dropLast()), [RowPlaces.perSequence - 1]] {
          parts.places = part
          let piece = part[0] * subject.dim..<(part[0] + part.count) * subject.dim
          joined += try subject.y(Array(x[piece]), style: parts)
        }
        try requireClose(
          joined,
          whole,
          1e-5,
          "forward of \(subject.label) over a prompt and then over its decoded token",
          width: subject.dim
        )
      }
    }
    return "What was decided at the prompt holds for decoded tokens."
  },
  Rule("ABI-332", "The states of sequences do not disturb each other.") { bench in
    try eachStateful(bench) { subject in
      let rows = rowsThatDecide(subject, bench)
      let prompt = Array(0..<RowPlaces.perSequence - 1)
      let last = [RowPlaces.perSequence - 1]
      var style = CallStyle()
      style.training = false
      /// The decoded rows of sequences whose prompts were read one after the other.
      func decoded(_ order: [Int]) throws -> [Int: [Float]] {
        var states: [Int: StateMemory] = [:]
        for index in order {
          style.states = try StateMemory(subject, places: prompt)
          states[index] = style.states
          style.places = prompt
          _ = try subject.y(Array(rows[index].dropLast(subject.dim)), style: style)
        }
        var result: [Int: [Float]] = [:]
        for index in order {
          (style.states, style.places) = (states[index], last)
          result[index] = try subject.y(Array(rows[index].suffix(subject.dim)), style: style)
        }
        return result
      }
      let together = try decoded(Array(rows.indices))
      for index in rows.indices {
        try requireClose(
          together[index] ?? [],
          try decoded([index])[index] ?? [],
          1e-5,
          "forward of a decoded row of \(subject.label) while other sequences are under way",
          width: subject.dim
        )
      }
    }
    return "Each sequence has its own."
  },
]

/// Runs a body on an instance of each intervention that keeps a state.
private func eachStateful(_ bench: Bench, _ body: (Subject) throws -> Void) throws {
  var count = 0
  try bench.eachUsual { subject in
    guard subject.workspace.state_bytes_per_sequence > 0 else { return }
    count += 1
    try body(subject)
  }
  guard count > 0 else { throw NotApplicable("It keeps no state of sequences.") }
}

/// Rows of a few sequences: some and their opposites, so that a sign or a threshold decides both ways.
private func rowsThatDecide(_ subject: Subject, _ bench: Bench) -> [[Float]] {
  (0..<3).flatMap { _ in
    let rows = bench.random.normals(RowPlaces.perSequence * subject.dim)
    return [rows, rows.map { -$0 }]
  }
}
