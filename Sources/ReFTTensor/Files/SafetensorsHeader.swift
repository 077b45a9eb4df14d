// SPDX-License-Identifier: Apache-2.0
// The JSON header of a safetensors file: eight bytes of length, then one flat object.

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
    let header = UnsafeRawBufferPointer(rebasing: file.bytes[8..<dataStart])
    let reader = HeaderReader(path: file.path)
    (metadata, tensors) = ([:], [])
    var entries: [Entry] = []
    for member in try reader.members(reader.root(header), of: "the header") {
      if member.key == "__metadata__" {
        metadata = try reader.texts(member.value)
      } else {
        entries.append(try Self.entry(member, reader))
      }
    }
    tensors = try Self.place(entries, in: file, from: dataStart)
  }

  private static func entry(
    _ member: JSONNode.Member,
    _ reader: HeaderReader
  ) throws(ReFTError) -> Entry {
    let name = member.key
    let shown = name.shown()
    var (type, shape, offsets): (SafetensorsType?, [Int]?, [Int]?) = (nil, nil, nil)
    for field in try reader.members(member.value, of: "tensor '\(shown)'") {
      switch field.key {
      case "dtype": type = try reader.type(field.value, of: shown)
      case "shape": shape = try reader.integers(field.value, "the shape of '\(shown)'")
      case "data_offsets":
        offsets = try reader.integers(field.value, "the offsets of '\(shown)'")
      default:
        throw reader.malformed(
          "tensor '\(shown)' has the field '\(field.key.shown())', not dtype, shape or data_offsets"
        )
      }
    }
    guard let type, let shape, let offsets, offsets.count == 2 else {
      throw reader.malformed("tensor '\(shown)' lacks its dtype, its shape or its two data_offsets")
    }
    var elements = 1
    for size in shape {
      let (product, overflow) = elements.multipliedReportingOverflow(by: size)
      guard !overflow else { throw reader.malformed("the size of tensor '\(shown)' overflows") }
      elements = product
    }
    let (byteCount, overflow) = elements.multipliedReportingOverflow(by: type.byteCount)
    guard !overflow, offsets[0] <= offsets[1], offsets[1] - offsets[0] == byteCount else {
      throw reader.malformed(
        "tensor '\(shown)' of shape \(shape.description.shown(80)) and type \(type.rawValue) does not "
          + "fit its data_offsets \(offsets)"
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
          "the data of tensor '\(entry.name.shown())' starts at \(entry.begin), not at \(position) where the"
            + " tensor before it ends"
        )
      }
      guard entry.end <= available else {
        throw ReFTError.malformed(
          "Safetensors",
          file.path,
          "the data of tensor '\(entry.name.shown())' ends at \(entry.end), and the file has \(available)"
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

/// The values of a header, with its faults in the words of a damaged file.
private struct HeaderReader {
  let path: String

  func malformed(_ detail: String) -> ReFTError {
    ReFTError.malformed("Safetensors", path, detail)
  }

  func root(_ header: UnsafeRawBufferPointer) throws(ReFTError) -> JSONNode {
    do throws(JSONFault) {
      return try JSONScanner.document(header)
    } catch {
      throw malformed("the header is no JSON at byte \(error.offset): \(error.message)")
    }
  }

  func wrong(_ node: JSONNode, _ what: String, expected: String) -> ReFTError {
    malformed("\(what) is \(node.shown) at \(node.place) of the header, not \(expected)")
  }

  func members(_ node: JSONNode, of what: String) throws(ReFTError) -> [JSONNode.Member] {
    guard case .object(let members) = node.content else {
      throw wrong(node, what, expected: "an object")
    }
    return members
  }

  func texts(_ node: JSONNode) throws(ReFTError) -> [String: String] {
    var result: [String: String] = [:]
    for member in try members(node, of: "'__metadata__'") {
      guard case .text(let text) = member.value.content else {
        let what = "the value of '\(member.key.shown())' in '__metadata__'"
        throw wrong(member.value, what, expected: "a text")
      }
      result[member.key] = text
    }
    return result
  }

  func type(_ node: JSONNode, of name: String) throws(ReFTError) -> SafetensorsType {
    guard let text = node.word, let type = SafetensorsType(rawValue: text) else {
      let known = SafetensorsType.allCases.map(\.rawValue).joined(separator: ", ")
      throw wrong(node, "the dtype of '\(name)'", expected: "one of \(known)")
    }
    return type
  }

  func integers(_ node: JSONNode, _ what: String) throws(ReFTError) -> [Int] {
    guard case .list(let items) = node.content else { throw wrong(node, what, expected: "a list") }
    var result: [Int] = []
    for item in items {
      guard case .integer(let number) = item.content, let value = Int(exactly: number), value >= 0
      else {
        let place = "item \(result.count) of \(what)"
        throw wrong(item, place, expected: "a whole number without sign")
      }
      result.append(value)
    }
    return result
  }
}

// MARK: - Writing

extension SafetensorsHeader {
  /// The length, the header and its padding, for tensors that are already in order.
  static func encode(
    _ tensors: [(name: String, type: SafetensorsType, shape: [Int], count: Int)],
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
    var names: Set<String> = ["__metadata__"]
    for tensor in tensors {
      guard names.insert(tensor.name).inserted else {
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
      guard !overflow, tensor.shape.allSatisfy({ $0 >= 0 }), elements == tensor.count else {
        throw ReFTError.cannotEncode(
          "safetensors",
          path,
          "tensor '\(tensor.name)' has \(tensor.count) values and the shape \(tensor.shape)"
        )
      }
      let end = position + elements * tensor.type.byteCount
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      fields.append(
        "\(quote(tensor.name)):{\"dtype\":\"\(tensor.type.rawValue)\",\"shape\":[\(shape)],"
          + "\"data_offsets\":[\(position),\(end)]}"
      )
      position = end
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
