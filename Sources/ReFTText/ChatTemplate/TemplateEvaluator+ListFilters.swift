// SPDX-License-Identifier: Apache-2.0
// The filters of lists: choosing, mapping, sorting.

extension TemplateEvaluator {
  /// Applies a filter that takes a list.
  func listFilter(
    _ name: String,
    _ value: TemplateValue,
    _ values: TemplateCallValues
  ) throws(TemplateFault) -> TemplateValue {
    switch name {
    case "list": return try list(try items(of: value))
    case "first": return try items(of: value).first ?? .undefined("the first item of nothing")
    case "last": return try items(of: value).last ?? .undefined("the last item of nothing")
    case "reverse":
      let items = try items(of: value)
      try charge(items.count, times: TemplateLimits.itemCost)
      guard case .string = value else { return try list(items.reversed()) }
      return .string(try join(.list(TemplateList(items.reversed())), separator: ""))
    case "join":
      let attribute = values.value(1, "attribute")
      let list = TemplateList(try fields(attribute, of: try items(of: value)))
      return .string(try join(.list(list), separator: values.text(0, "d") ?? ""))
    case "map", "select", "reject", "selectattr", "rejectattr":
      return try name == "map" ? map(value, values) : select(name, value, values)
    case "sort":
      let keys = try keys(
        of: value,
        values.value(2, "attribute"),
        values.value(1, "case_sensitive")
      )
      let isReversed = values.value(0, "reverse")?.isTrue ?? false
      return try list(try sorted(keys, isReversed: isReversed))
    case "min", "max":
      let keys = try keys(
        of: value,
        values.value(1, "attribute"),
        values.value(0, "case_sensitive")
      )
      guard var best = keys.first else { return .undefined("the \(name) of nothing") }
      for pair in keys.dropFirst() {
        let isBetter =
          name == "min"
          ? try compare("<", pair.key, best.key) : try compare(">", pair.key, best.key)
        if isBetter { best = pair }
      }
      return best.item
    case "unique": return try unique(value, values)
    case "dictsort": return try dictsort(value, values)
    case "sum":
      var sum = values.value(1, "start") ?? .int(0)
      for item in try fields(values.value(0, "attribute"), of: try items(of: value)) {
        try charge(1, times: TemplateLimits.stepCost)
        sum = try self.sum(sum, item)
      }
      return sum
    case "batch": return try batch(value, values)
    default: throw fault("the filter '\(name)' is not supported")
    }
  }

  // MARK: Fields

  /// The field `a.b` of a value, as filters name it.
  private func field(
    _ attribute: TemplateValue,
    of value: TemplateValue
  ) throws(TemplateFault) -> TemplateValue {
    guard case .string(let path) = attribute else { return try item(attribute, of: value) }
    try charge(path.utf8.count, times: TemplateLimits.characterCost)
    guard path.utf8.contains(0x2E) else { return try item(attribute, of: value) }
    var value = value
    for part in path.split(separator: ".", omittingEmptySubsequences: false) {
      try charge(1, times: TemplateLimits.stepCost)
      value = try item(Int(part).map { .int($0) } ?? .string(String(part)), of: value)
    }
    return value
  }

  /// A field of each item; the items themselves without one.
  private func fields(
    _ attribute: TemplateValue?,
    of items: [TemplateValue],
    standard: TemplateValue? = nil
  ) throws(TemplateFault) -> [TemplateValue] {
    guard let attribute else { return items }
    var fields: [TemplateValue] = []
    for item in items {
      try charge(1, times: TemplateLimits.itemCost)
      let field = try field(attribute, of: item)
      fields.append(field.isUndefined ? standard ?? field : field)
    }
    return fields
  }

  /// The items of a value with what they are sorted by.
  private func keys(
    of value: TemplateValue,
    _ attribute: TemplateValue?,
    _ caseSensitive: TemplateValue?
  ) throws(TemplateFault) -> [(key: TemplateValue, item: TemplateValue)] {
    let items = try items(of: value)
    try charge(items.count, times: 2 * TemplateLimits.itemCost)
    var keys: [(key: TemplateValue, item: TemplateValue)] = []
    for (item, field) in zip(items, try fields(attribute, of: items)) {
      keys.append((try folded(field, caseSensitive), item))
    }
    return keys
  }

  /// A text in lower case, unless case counts; other values as they are.
  private func folded(
    _ value: TemplateValue,
    _ caseSensitive: TemplateValue?
  ) throws(TemplateFault) -> TemplateValue {
    guard case .string(let text) = value, caseSensitive?.isTrue != true else { return value }
    return .string(try recased("lower", text))
  }

  // MARK: Mapping and choosing

  /// `map(attribute='role')`, `map('upper')` and the like.
  private func map(
    _ value: TemplateValue,
    _ values: TemplateCallValues
  ) throws(TemplateFault) -> TemplateValue {
    let items = try items(of: value)
    if let attribute = values.named.first(where: { $0.key == "attribute" })?.value {
      let standard = values.named.first { $0.key == "default" }?.value
      return try list(try fields(attribute, of: items, standard: standard))
    }
    guard case .string(let name)? = values.positional.first else {
      throw fault("the filter 'map' takes the name of a filter, or an attribute")
    }
    let arguments = TemplateCallValues(
      positional: Array(values.positional.dropFirst()),
      named: values.named
    )
    var results: [TemplateValue] = []
    for item in items {
      try charge(1, times: TemplateLimits.itemCost + TemplateLimits.stepCost)
      results.append(try nested { () throws(TemplateFault) in try filter(name, item, arguments) })
    }
    return try list(results)
  }

  /// `select('string')`, `selectattr('role', 'equalto', 'user')` and the like.
  private func select(
    _ name: String,
    _ value: TemplateValue,
    _ values: TemplateCallValues
  ) throws(TemplateFault) -> TemplateValue {
    let hasAttribute = name.hasSuffix("attr")
    let attribute = hasAttribute ? values.positional.first : nil
    if hasAttribute, attribute == nil { throw fault("the filter '\(name)' takes an attribute") }
    let rest = Array(values.positional.dropFirst(hasAttribute ? 1 : 0))
    var chosen: [TemplateValue] = []
    for item in try items(of: value) {
      try charge(1, times: TemplateLimits.itemCost + TemplateLimits.stepCost)
      let part =
        try attribute.map { (key) throws(TemplateFault) in try field(key, of: item) } ?? item
      var isTrue = part.isTrue
      if let test = rest.first {
        guard case .string(let test) = test else {
          throw fault("the filter '\(name)' takes the name of a test, found \(test.kindName)")
        }
        isTrue = try self.test(test, part, Array(rest.dropFirst()))
      }
      if isTrue == name.hasPrefix("select") { chosen.append(item) }
    }
    return try list(chosen)
  }

  /// Runs something that may call filters one level deeper: `map('map', 'map', …)` nests too.
  private func nested<Result>(
    _ body: () throws(TemplateFault) -> Result
  ) throws(TemplateFault) -> Result {
    let before = line
    try enter(before)
    defer { leave(before) }
    return try body()
  }

  // MARK: Others

  private func sum(
    _ left: TemplateValue,
    _ right: TemplateValue
  ) throws(TemplateFault) -> TemplateValue {
    try operation(
      TemplateExpression(kind: .value(left), line: line),
      [("+", TemplateExpression(kind: .value(right), line: line))]
    )
  }

  private func unique(
    _ value: TemplateValue,
    _ values: TemplateCallValues
  ) throws(TemplateFault) -> TemplateValue {
    var kept: [(key: TemplateValue, item: TemplateValue)] = []
    for pair in try keys(of: value, values.value(1, "attribute"), values.value(0, "case_sensitive"))
    {
      var isNew = true
      for other in kept where isNew { isNew = try !equal(other.key, pair.key) }
      if isNew { kept.append(pair) }
    }
    return try list(kept.map(\.item))
  }

  private func dictsort(
    _ value: TemplateValue,
    _ values: TemplateCallValues
  ) throws(TemplateFault) -> TemplateValue {
    guard case .map(let map) = value else {
      throw fault("the filter 'dictsort' takes a dictionary, found \(value.kindName)")
    }
    let by = values.text(1, "by") ?? "key"
    guard by == "key" || by == "value" else { throw fault("dictsort sorts by 'key' or 'value'") }
    let pairs = try items(of: try pairs(of: map))
    var keys: [(key: TemplateValue, item: TemplateValue)] = []
    for (entry, pair) in zip(map.entries, pairs) {
      let key = by == "key" ? TemplateValue.string(entry.key) : entry.value
      keys.append((try folded(key, values.value(0, "case_sensitive")), pair))
    }
    return try list(try sorted(keys, isReversed: values.value(2, "reverse")?.isTrue ?? false))
  }

  private func batch(
    _ value: TemplateValue,
    _ values: TemplateCallValues
  ) throws(TemplateFault) -> TemplateValue {
    guard let size = values.wholeNumber(0, "linecount"), size > 0 else {
      throw fault("batch takes a whole number above 0")
    }
    let items = try items(of: value)
    try charge(items.count, times: 2 * TemplateLimits.itemCost)
    var batches: [TemplateValue] = []
    var start = 0
    while start < items.count {
      var part = Array(items[start..<min(items.count, start + min(size, items.count))])
      if let fill = values.value(1, "fill_with"), part.count < size {
        try charge(size - part.count, times: TemplateLimits.itemCost)
        part += repeatElement(fill, count: size - part.count)
      }
      batches.append(try list(part))
      start += min(size, items.count)
    }
    return try list(batches)
  }
}
