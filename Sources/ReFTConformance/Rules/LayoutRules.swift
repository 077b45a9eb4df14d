// SPDX-License-Identifier: Apache-2.0
// Level 1: what the tables say about the interventions and their options.

import CReFTPlugin

let layoutRules: [Rule] = [
  Rule("ABI-114", "Ids, versions, summaries and licences are UTF-8 text in their form.") { bench in
    for plugin in try bench.interventions() {
      let table = plugin.table.pointee
      let texts = [
        ("id", table.id), ("version", table.version), ("summary", table.summary),
        ("license", table.license),
      ]
      for (name, value) in texts {
        guard let text = readText(value) else {
          throw Breach(
            "The \(name) of plugins[\(plugin.index)], \(value.len) bytes, is not UTF-8 text."
          )
        }
        guard !text.isEmpty || name == "license" else {
          throw Breach("The \(name) of plugins[\(plugin.index)] is empty.")
        }
        guard !text.unicodeScalars.contains(where: { $0.value < 32 }) else {
          throw Breach("The \(name) of plugins[\(plugin.index)] is not one line of text.")
        }
      }
      let allowed = plugin.id.unicodeScalars.allSatisfy {
        ("a"..."z").contains($0) || ("A"..."Z").contains($0) || ("0"..."9").contains($0)
          || $0 == "." || $0 == "-" || $0 == "_"
      }
      let parts = plugin.id.split(separator: ".", omittingEmptySubsequences: false)
      guard allowed, parts.count >= 2, !parts.contains("") else {
        throw Breach(
          "The id \"\(plugin.id)\" is not of the form org.example.name (letters, digits, - and _)."
        )
      }
      let version = readText(table.version) ?? ""
      let numbers = version.split(whereSeparator: { $0 == "-" || $0 == "+" }).first ?? ""
      let fields = numbers.split(separator: ".", omittingEmptySubsequences: false)
      guard fields.count == 3, fields.allSatisfy({ UInt64($0) != nil }) else {
        throw Breach("The version \"\(version)\" of \(plugin.id) is not of the form 1.2.3.")
      }
      if (readText(table.license) ?? "").isEmpty { bench.warn("\(plugin.id) names no licence.") }
    }
    return "All texts are in order."
  },
  Rule("ABI-115", "No two interventions of a library have the same id or name.") { bench in
    var seen: [String: Int] = [:]
    for plugin in try bench.interventions() {
      if let other = seen[plugin.id] {
        throw Breach("plugins[\(other)] and plugins[\(plugin.index)] are both \"\(plugin.id)\".")
      }
      seen[plugin.id] = plugin.index
    }
    let names = Set(seen.keys.map { $0.split(separator: ".").last ?? "" })
    guard names.count == seen.count else {
      throw Breach("Two ids end in the same name; users could not tell them apart.")
    }
    return "\(seen.count) different ids."
  },
  Rule(
    "ABI-116",
    "Rows of 32-bit floats are served, and the promises do not contradict each other."
  ) { bench in
    for plugin in try bench.interventions() {
      let table = plugin.table.pointee
      guard table.dtypes & (1 << UInt64(REFT_F32)) != 0 else {
        throw Breach(
          "\(plugin.id) has dtypes 0x\(String(table.dtypes, radix: 16)), without bit \(REFT_F32) "
            + "(REFT_F32)."
        )
      }
      let unknown = table.capabilities & ~plugin.knownCapabilities
      if unknown != 0 {
        bench.warn(
          "\(plugin.id) sets capability bits that ABI 1.\(min(plugin.minor, REFT_ABI_MINOR)), the "
            + "version that it states, does not know: 0x\(String(unknown, radix: 16))."
        )
      }
      let needs: [(UInt64, String, Bool, String)] = [
        (
          REFT_CAP_SOURCE_GRADIENT, "SOURCE_GRADIENT", plugin.has(REFT_CAP_NEEDS_SOURCE),
          "NEEDS_SOURCE"
        ),
        (REFT_CAP_SOURCE_GRADIENT, "SOURCE_GRADIENT", plugin.hasBackward, "a backward"),
        (REFT_CAP_AUXILIARY_LOSS, "AUXILIARY_LOSS", plugin.hasBackward, "a backward"),
      ]
      for (bit, name, holds, other) in needs where plugin.has(bit) && !holds {
        throw Breach("\(plugin.id) promises \(name), which makes no sense without \(other).")
      }
    }
    return "Consistent."
  },
  Rule(
    "ABI-117",
    "Options have unique UTF-8 names, known types, and defaults that fit their range."
  ) { bench in
    var count = 0
    for plugin in try bench.interventions() {
      bench.doing("option_info of \(plugin.id)")
      var names: Set<String> = []
      for option in try plugin.options() {
        count += 1
        try checkSchema(option, of: plugin, bench)
        guard names.insert(option.name).inserted else {
          throw Breach("\(plugin.id) describes the option \"\(option.name)\" twice.")
        }
      }
    }
    return "\(count) options are in order."
  },
  Rule("ABI-118", "option_info answers the same every time and refuses an index past the end.") {
    bench in
    for plugin in try bench.interventions() {
      guard let describe = plugin.table.pointee.option_info else { continue }
      bench.doing("option_info of \(plugin.id)")
      let first = try plugin.options()
      let second = try plugin.options()
      guard first.count == second.count, first.count < 1000,
        zip(first, second).allSatisfy({ $0.name == $1.name && $0.type == $1.type })
      else {
        throw Breach(
          "\(plugin.id) described \(first.count) options, and \(second.count) or other ones when "
            + "asked again."
        )
      }
      let past = UInt32(first.count)
      for index: UInt32 in [past, past + 7, 0x8000_0000, UInt32.max] {
        let memory = try GuardedBuffer("option_info.out", byteCount: 104, alignment: 8)
        let out = memory.base.bindMemory(to: reft_option_info_t.self, capacity: 1)
        out.pointee.struct_size = 104
        bench.doing("option_info of \(plugin.id) at index \(index)")
        let status = describe(index, out)
        guard status == REFT_E_INVALID else {
          throw Breach(
            "option_info(\(index)) of \(plugin.id), past its \(first.count) options, returned "
              + "\(status); expected REFT_E_INVALID (\(REFT_E_INVALID))."
          )
        }
      }
    }
    return "Stable, and ends with REFT_E_INVALID."
  },
  Rule("ABI-119", "option_info writes nothing behind the struct_size that it is given.") { bench in
    for plugin in try bench.interventions() {
      guard let describe = plugin.table.pointee.option_info else { continue }
      for (index, _) in try plugin.options().enumerated() {
        let memory = try GuardedBuffer("option_info.out", byteCount: 104 + 64, alignment: 8)
        let out = memory.base.bindMemory(to: reft_option_info_t.self, capacity: 1)
        for size: UInt32 in [104, 168] {
          for at in 0..<168 { memory.base.storeBytes(of: 0xEE, toByteOffset: at, as: UInt8.self) }
          out.pointee.struct_size = size
          bench.doing("option_info of \(plugin.id) with struct_size \(size)")
          let status = describe(UInt32(index), out)
          guard status == REFT_OK else {
            throw Breach(
              "option_info(\(index)) of \(plugin.id) returned \(status) for struct_size \(size); a "
                + "longer struct is never refused."
            )
          }
          if size == 104,
            let at = (104..<168).first(where: {
              memory.base.load(fromByteOffset: $0, as: UInt8.self) != 0xEE
            })
          {
            throw Breach(
              "option_info of \(plugin.id) wrote byte \(at) of a struct of struct_size 104."
            )
          }
        }
      }
    }
    return "Stays inside."
  },
  Rule("ABI-120", "The entry accepts a host of a later minor version with longer arguments.") {
    bench in
    let library = try bench.library()
    bench.doing("reft_plugin_entry_v1 from a host of ABI 1.7")
    let old = try library.callEntry()
    let new = try library.callEntry(tail: 64, minor: 7)
    guard old.pointee.n_plugins == new.pointee.n_plugins else {
      throw Breach(
        "It offers \(old.pointee.n_plugins) interventions to a host of 1.0 and "
          + "\(new.pointee.n_plugins) to one of 1.7."
      )
    }
    return "Accepted."
  },
]

private func checkSchema(_ option: OptionSchema, of plugin: Intervention, _ bench: Bench) throws {
  let place = "Option \(option.index) of \(plugin.id)"
  guard option.nameIsText, option.helpIsText else {
    throw Breach("\(place) has a name or help that is not UTF-8 text.")
  }
  guard !option.name.isEmpty, !option.name.contains(where: { $0 == "=" || $0.isWhitespace }) else {
    throw Breach("\(place) has the name \"\(option.name)\"; a name without blanks is needed.")
  }
  let named = "Option \"\(option.name)\" of \(plugin.id)"
  guard !option.minimum.isNaN, !option.maximum.isNaN else {
    throw Breach("\(named) has a NaN as a bound; minimum > maximum means no range.")
  }
  switch option.type {
  case REFT_OPTION_INT:
    let value = Double(option.defaultInt)
    guard !option.hasRange || (option.minimum...option.maximum).contains(value) else {
      throw Breach(
        "\(named) has the default \(option.defaultInt) outside its range "
          + "\(brief(option.minimum)) to \(brief(option.maximum))."
      )
    }
  case REFT_OPTION_FLOAT:
    guard option.defaultFloat.isFinite else {
      throw Breach("\(named) has the default \(option.defaultFloat).")
    }
    guard !option.hasRange || (option.minimum...option.maximum).contains(option.defaultFloat) else {
      throw Breach(
        "\(named) has the default \(brief(option.defaultFloat)) outside its range "
          + "\(brief(option.minimum)) to \(brief(option.maximum))."
      )
    }
  case REFT_OPTION_STRING:
    guard let value = option.defaultString else {
      throw Breach("\(named) has a default that is not UTF-8 text.")
    }
    guard option.choices.isEmpty || option.choices.contains(value) else {
      throw Breach(
        "\(named) has the default \"\(value)\", which is none of its choices "
          + "\(option.choices.joined(separator: ", "))."
      )
    }
  case REFT_OPTION_FLAG:
    guard option.defaultInt == 0 || option.defaultInt == 1 else {
      throw Breach("\(named) is a flag with the default \(option.defaultInt); 0 or 1 is needed.")
    }
  default: throw Breach("\(named) has type \(option.type); ABI 1.0 knows 1 to 4.")
  }
}
