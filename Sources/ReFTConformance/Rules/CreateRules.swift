// SPDX-License-Identifier: Apache-2.0
// Level 2: making and ending instances, and options that the plugin must refuse.

import CReFTPlugin

let createRules: [Rule] = [
  Rule(
    "ABI-201",
    "Instances are made with default options at usual widths; others are refused cleanly."
  ) { bench in
    var note: [String] = []
    for plugin in try bench.interventions() {
      let given = try bench.givenSettings(plugin)
      // Tensors have a width of their own; another one may be refused.
      let isOwn = !bench.namedWidths(given).isEmpty
      let own = try isOwn ? [bench.usualWidth(plugin).dim] : []
      let usual = [1, 3, 7, 64, 577, 2048]
      var served: [Int] = []
      for dim in usual + own.filter({ !usual.contains($0) }) {
        bench.doing("create of \(plugin.id) at width \(dim)")
        let made = try Creation(
          plugin,
          dim: dim,
          dtype: REFT_F32,
          options: try bench.needs(plugin, dim: dim),
          host: bench.host(),
          layer: 0
        )
        if let instance = made.instance {
          served.append(dim)
          plugin.destroy(instance)
        } else {
          try requireCleanRefusal(made, "create of \(plugin.id) at width \(dim)", bench)
        }
      }
      guard ([64, 2048] + own).contains(where: { served.contains($0) }) else {
        let what = given.map(\.description).joined(separator: ", ")
        throw Breach(
          "\(plugin.id) refuses \(given.isEmpty ? "its default options" : what) at the widths 64 "
            + "and 2048."
        )
      }
      note.append("\(plugin.id) serves \(served.map(String.init).joined(separator: ", "))")
    }
    return note.joined(separator: "; ") + "."
  },
  Rule("ABI-202", "Impossible shapes and unknown number types never crash create.") { bench in
    var refused = 0
    for plugin in try bench.interventions() {
      let shapes: [(Int, UInt32)] = [
        (0, REFT_F32), (-1, REFT_F32), (Int.min, REFT_F32), (Int.max, REFT_F32),
        (1 << 40, REFT_F32), (1 << 61, REFT_F32), (64, 0), (64, 99), (64, REFT_I32),
      ]
      for (dim, dtype) in shapes {
        let place = "create of \(plugin.id) at width \(dim) with dtype \(dtype)"
        bench.doing(place)
        let made = try Creation(
          plugin,
          dim: dim,
          dtype: dtype,
          options: [],
          host: bench.host(),
          layer: 0
        )
        guard let instance = made.instance else {
          try requireCleanRefusal(made, place, bench)
          refused += 1
          continue
        }
        if dim <= 0 || dtype == 0 || dtype > REFT_I32 {
          bench.warn("\(plugin.id) accepts width \(dim) with dtype \(dtype).")
        }
        plugin.destroy(instance)
      }
    }
    return "\(refused) refusals, all clean."
  },
  Rule("ABI-203", "An option that the schema does not name is refused.") { bench in
    for plugin in try bench.interventions() {
      let (dim, options) = try bench.usualWidth(plugin)
      for setting in [
        OptionSetting("no_such_option", .int(1)), OptionSetting("", .flag(1)),
        OptionSetting("rank_", .float(1)),
      ] {
        try requireRefused(plugin, dim, options + [setting], "an unknown option", bench)
      }
    }
    return "Unknown options are refused."
  },
  Rule("ABI-204", "An option of another type than the schema says is refused.") { bench in
    var tried = 0
    for plugin in try bench.interventions() {
      let (dim, _) = try bench.usualWidth(plugin)
      for option in try plugin.options() {
        for value in wrongTypes(option) {
          tried += 1
          try requireRefused(
            plugin,
            dim,
            try bench.needs(plugin, dim: dim).filter { $0.name != option.name }
              + [OptionSetting(option.name, value)],
            "a value of the wrong type",
            bench
          )
        }
      }
    }
    guard tried > 0 else { throw NotApplicable("There are no options.") }
    return "\(tried) values of wrong types are refused."
  },
  Rule("ABI-205", "A value outside the option's range or choices, or not finite, is refused.") {
    bench in
    var tried = 0
    for plugin in try bench.interventions() {
      let (dim, _) = try bench.usualWidth(plugin)
      for option in try plugin.options() {
        for value in impossibleValues(option) {
          tried += 1
          try requireRefused(
            plugin,
            dim,
            try bench.needs(plugin, dim: dim).filter { $0.name != option.name }
              + [OptionSetting(option.name, value)],
            "a value out of range",
            bench
          )
        }
      }
    }
    guard tried > 0 else { throw NotApplicable("There are no options with a range.") }
    return "\(tried) impossible values are refused."
  },
  Rule("ABI-206", "Every refusal of create says why through set_error.") { bench in
    var silent = 0
    for plugin in try bench.interventions() {
      let (dim, options) = try bench.usualWidth(plugin)
      bench.doing("create of \(plugin.id) with an unknown option")
      let made = try Creation(
        plugin,
        dim: dim,
        dtype: REFT_F32,
        options: options + [OptionSetting("no_such_option", .int(1))],
        host: bench.host(),
        layer: 0
      )
      plugin.destroy(made.instance)
      if made.instance == nil, (made.sentence ?? "").isEmpty {
        silent += 1
        bench.warn("\(plugin.id) refuses an unknown option without a word; call set_error.")
      }
    }
    return silent == 0 ? "Refusals have reasons." : "\(silent) refusals have no reason."
  },
  Rule("ABI-207", "destroy of NULL does nothing, and destroy of a fresh instance works.") { bench in
    for plugin in try bench.interventions() {
      bench.doing("destroy(NULL) of \(plugin.id)")
      plugin.destroy(nil)
      let (dim, options) = try bench.usualWidth(plugin)
      for _ in 0..<3 {
        let made = try Creation(
          plugin,
          dim: dim,
          dtype: REFT_F32,
          options: options,
          host: bench.host(),
          layer: 0
        )
        bench.doing("destroy of a fresh instance of \(plugin.id)")
        plugin.destroy(made.instance)
      }
    }
    return "Both work."
  },
  Rule("ABI-208", "Every value that the schema allows is served or refused cleanly.") { bench in
    var served = 0
    for plugin in try bench.interventions() {
      let (dim, _) = try bench.usualWidth(plugin)
      for option in try plugin.options() {
        for value in allowedValues(option) {
          let setting = OptionSetting(option.name, value)
          let needs = try bench.needs(plugin, dim: dim).filter { $0.name != option.name }
          let place = "create of \(plugin.id) with \(setting)"
          bench.doing(place)
          do {
            let subject = try bench.subject(plugin, dim: dim, options: needs + [setting])
            _ = try subject.y(bench.random.normals(2 * dim))
            served += 1
          } catch let refusal as Subject.Refusal {
            guard refusal.status < 0, refusal.status >= REFT_E_CANCELLED else {
              throw Breach("\(place) returned \(refusal.status), which is no status of the ABI.")
            }
          }
        }
      }
    }
    return "\(served) option values served."
  },
]

/// A refusal must have one of the ABI's negative statuses.
func requireCleanRefusal(_ made: Creation, _ place: String, _ bench: Bench) throws {
  guard made.status < 0, made.status >= REFT_E_CANCELLED else {
    throw Breach("\(place) returned \(made.status), which is no failure status of the ABI.")
  }
}

private func requireRefused(
  _ plugin: Intervention,
  _ dim: Int,
  _ options: [OptionSetting],
  _ what: String,
  _ bench: Bench
) throws {
  let place = "create of \(plugin.id) with \(options.map(\.description).joined(separator: ", "))"
  bench.doing(place)
  let made = try Creation(
    plugin,
    dim: dim,
    dtype: REFT_F32,
    options: options,
    host: bench.host(),
    layer: 0
  )
  if let instance = made.instance {
    plugin.destroy(instance)
    throw Breach("\(place) succeeded; \(what) must be refused with REFT_E_INVALID.")
  }
  try requireCleanRefusal(made, place, bench)
}

private func wrongTypes(_ option: OptionSchema) -> [OptionSetting.Value] {
  let text = OptionSetting.Value.string("text")
  switch option.type {
  case REFT_OPTION_INT: return [text, .flag(1), .float(1.5)]
  case REFT_OPTION_FLOAT: return [text, .flag(1)]
  case REFT_OPTION_STRING: return [.int(1), .float(0.5), .flag(1)]
  default: return [text, .float(0.5)]
  }
}

private func impossibleValues(_ option: OptionSchema) -> [OptionSetting.Value] {
  switch option.type {
  case REFT_OPTION_INT:
    guard option.hasRange else { return [] }
    var list: [OptionSetting.Value] = []
    if option.minimum > -9e18 { list += [.int(Int64(option.minimum) - 1), .int(Int64.min)] }
    if option.maximum < 9e18 { list += [.int(Int64(option.maximum) + 1), .int(Int64.max)] }
    return list
  case REFT_OPTION_FLOAT:
    var list: [OptionSetting.Value] = [.float(.nan)]
    guard option.hasRange else { return list }
    if option.minimum > -.infinity {
      list += [.float(option.minimum.nextDown - 1), .float(-.infinity)]
    }
    if option.maximum < .infinity {
      list += [.float(option.maximum.nextUp + 1), .float(.infinity)]
    }
    return list
  case REFT_OPTION_STRING:
    guard !option.choices.isEmpty else { return [] }
    return [.string("no such choice"), .string(""), .string(option.choices.joined(separator: "|"))]
      .filter { value in
        guard case .string(let text) = value else { return false }
        return !option.choices.contains(text)
      }
  default: return [.flag(2), .flag(-1)]
  }
}

/// Values inside the range, some at its ends.
func allowedValues(_ option: OptionSchema) -> [OptionSetting.Value] {
  switch option.type {
  case REFT_OPTION_INT:
    let low = option.hasRange ? Int64(max(option.minimum, -1e6)) : 1
    let high = option.hasRange ? Int64(min(option.maximum, 1e6)) : 16
    return Set([low, min(low + 1, high), min(high, max(low, 5)), option.defaultInt]).sorted()
      .map { .int($0) }
  case REFT_OPTION_FLOAT:
    let low = option.hasRange ? max(option.minimum, -1e6) : -2
    let high = option.hasRange ? min(option.maximum, 1e6) : 2
    return Set([low, low + (high - low) * 0.3, high, option.defaultFloat]).sorted()
      .map { .float($0) }
  case REFT_OPTION_STRING:
    let texts = option.choices.isEmpty ? [option.defaultString ?? ""] : option.choices
    return texts.map { .string($0) }
  default: return [.flag(0), .flag(1)]
  }
}
