// SPDX-License-Identifier: Apache-2.0
// The JSON header of a safetensors file: eight bytes of length, then one flat object. The grammar
// is read directly, so that a header can neither nest deeply nor say one thing twice.

/// The checked header: no tensor leaves the file, and together they cover its data exactly.
struct SafetensorsHeader {
  /// The longest header that the format allows.
  static let longest = 100_000_000

  private(set) var metadata: [String: String] = [:]
  private(set) var tensors: [SafetensorsTensor] = []

  private struct Entry {
    var name: String
    var type: SafetensorsType
    var shape: [Int]
    var begin: Int
    var end: Int
  }

  init(_ file: MappedFile) throws(ReFTError) {
    let size = file.bytes.count
    guard size >= 8 else {
      throw ReFTError.malformed("Safetensors", file.path, "has \(size) bytes, not at least 8")
    }
    let length = UInt64(littleEndian: file.bytes.loadUnaligned(as: UInt64.self))
    guard length <= UInt64(size - 8), length <= UInt64(Self.longest) else {
      throw ReFTError.malformed(
        "Safetensors",
        file.path,
        "announces a header of \(length) bytes, more than the \(min(size - 8, Self.longest)) possible"
      )
    }
    let dataStart = 8 + Int(length)
    var scanner = HeaderScanner(
      bytes: UnsafeRawBufferPointer(rebasing: file.bytes[8..<dataStart]),
      path: file.path
    )
    let entries = try Self.entries(&scanner, &metadata)
    tensors = try Self.place(entries, in: file, from: dataStart)
  }

  private static func entries(
    _ scanner: inout HeaderScanner,
    _ metadata: inout [String: String]
  ) throws(ReFTError) -> [Entry] {
    var entries: [Entry] = []
    var found: [String: String] = [:]
    var hasMetadata = false
    try scanner.object("the header") { scanner, key throws(ReFTError) in
      if key == "__metadata__" {
        hasMetadata = true
        try scanner.object("'__metadata__'") { scanner, key throws(ReFTError) in
          found[key] = try scanner.string("the value of '\(key)' in '__metadata__'")
        }
      } else {
        entries.append(try entry(key, &scanner))
      }
    }
    try scanner.end()
    if hasMetadata { metadata = found }
    return entries
  }

  private static func entry(
    _ name: String,
    _ scanner: inout HeaderScanner
  ) throws(ReFTError) -> Entry {
    var type: SafetensorsType?
    var shape: [Int]?
    var offsets: [Int]?
    try scanner.object("tensor '\(name)'") { scanner, key throws(ReFTError) in
      switch key {
      case "dtype":
        let text = try scanner.string("the dtype of '\(name)'")
        type = SafetensorsType(rawValue: text)
        guard type != nil else {
          let known = SafetensorsType.allCases.map(\.rawValue).joined(separator: ", ")
          throw scanner.malformed("tensor '\(name)' has the dtype '\(text)', not one of \(known)")
        }
      case "shape": shape = try scanner.integers("the shape of '\(name)'")
      case "data_offsets": offsets = try scanner.integers("the offsets of '\(name)'")
      default:
        throw scanner.malformed(
          "tensor '\(name)' has the field '\(key)', not dtype, shape or data_offsets"
        )
      }
    }
    guard let type, let shape, let offsets, offsets.count == 2 else {
      throw scanner.malformed(
        "tensor '\(name)' lacks its dtype, its shape or its two data_offsets"
      )
    }
    var elements = 1
    for size in shape {
      let (product, overflow) = elements.multipliedReportingOverflow(by: size)
      guard !overflow else { throw scanner.malformed("the size of tensor '\(name)' overflows") }
      elements = product
    }
    let (byteCount, overflow) = elements.multipliedReportingOverflow(by: type.byteCount)
    guard !overflow, offsets[0] <= offsets[1], offsets[1] - offsets[0] == byteCount else {
      throw scanner.malformed(
        "tensor '\(name)' of shape \(shape) and type \(type.rawValue) does not fit its data_offsets"
          + " \(offsets)"
      )
    }
    return Entry(name: name, type: type, shape: shape, begin: offsets[0], end: offsets[1])
  }

  private static func place(
    _ entries: [Entry],
    in file: MappedFile,
    from dataStart: Int
  ) throws(ReFTError) -> [SafetensorsTensor] {
    let available = file.bytes.count - dataStart
    // Empty tensors come before the one that starts at the same place.
    let sorted = entries.sorted {
      ($0.begin, $0.end, $0.name) < ($1.begin, $1.end, $1.name)
    }
    var position = 0
    var tensors: [SafetensorsTensor] = []
    tensors.reserveCapacity(sorted.count)
    for entry in sorted {
      guard entry.begin == position else {
        throw ReFTError.malformed(
          "Safetensors",
          file.path,
          "the data of tensor '\(entry.name)' starts at \(entry.begin), not at \(position) where the"
            + " tensor before it ends"
        )
      }
      guard entry.end <= available else {
        throw ReFTError.malformed(
          "Safetensors",
          file.path,
          "the data of tensor '\(entry.name)' ends at \(entry.end), and the file has \(available)"
            + " bytes of data"
        )
      }
      position = entry.end
      let range = dataStart + entry.begin..<dataStart + entry.end
      tensors.append(
        SafetensorsTensor(
          name: entry.name,
          type: entry.type,
          shape: entry.shape,
          bytes: UnsafeRawBufferPointer(rebasing: file.bytes[range]),
          file: file
        )
      )
    }
    guard position == available else {
      throw ReFTError.malformed(
        "Safetensors",
        file.path,
        "has \(available) bytes of data, and its tensors take \(position) of them"
      )
    }
    return tensors
  }
}

// MARK: - Writing

extension SafetensorsHeader {
  /// The length, the header and its padding, for tensors that are already in order.
  static func encode(
    _ tensors: [NamedTensor],
    _ metadata: [String: String],
    _ path: String
  ) throws(ReFTError) -> [UInt8] {
    var fields: [String] = []
    if !metadata.isEmpty {
      let pairs = metadata.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        .map { "\(quote($0.key)):\(quote($0.value))" }
      fields.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
    }
    var position = 0
    var previous: String?
    for tensor in tensors {
      guard tensor.name != previous, tensor.name != "__metadata__" else {
        throw ReFTError.cannotEncode(
          "safetensors",
          path,
          "the tensor name '\(tensor.name)' is taken"
        )
      }
      var elements = 1
      var overflow = false
      for size in tensor.shape where !overflow {
        (elements, overflow) = elements.multipliedReportingOverflow(by: size)
      }
      guard !overflow, tensor.shape.allSatisfy({ $0 >= 0 }), elements == tensor.values.count else {
        throw ReFTError.cannotEncode(
          "safetensors",
          path,
          "tensor '\(tensor.name)' has \(tensor.values.count) values and the shape \(tensor.shape)"
        )
      }
      let end = position + elements * 4
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      fields.append(
        "\(quote(tensor.name)):{\"dtype\":\"F32\",\"shape\":[\(shape)],"
          + "\"data_offsets\":[\(position),\(end)]}"
      )
      position = end
      previous = tensor.name
    }
    var header = Array("{\(fields.joined(separator: ","))}".utf8)
    // Spaces, so that the data starts at a multiple of eight.
    header.append(contentsOf: repeatElement(0x20, count: (8 - header.count % 8) % 8))
    guard header.count <= longest else {
      throw ReFTError.cannotEncode(
        "safetensors",
        path,
        "the header has \(header.count) bytes, more than \(longest)"
      )
    }
    let length = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) }
    return length + header
  }

  private static func quote(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case "\0"..<" ":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
