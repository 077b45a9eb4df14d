// SPDX-License-Identifier: Apache-2.0
// Walks the header of a GGUF file, version 2 or 3, and believes nothing it says: every count is
// checked against the bytes that are left before memory is taken for it.

/// A cursor over the bytes of a GGUF header.
struct GGUFReader {
  /// Lists of lists go no deeper than this.
  static let deepestList = 4
  /// The longest name of a key or tensor, as the format's text says.
  static let longestName = 65_535

  let file: MappedFile
  private(set) var offset = 0

  init(_ file: MappedFile) { self.file = file }

  var remaining: Int { file.bytes.count - offset }

  func malformed(_ detail: String) -> ReFTError { ReFTError.malformed("GGUF", file.path, detail) }

  mutating func integer<Value: FixedWidthInteger>(
    _ type: Value.Type,
    _ what: @autoclosure () -> String
  ) throws(ReFTError) -> Value {
    let width = MemoryLayout<Value>.size
    guard remaining >= width else {
      throw malformed(
        "ends at byte \(file.bytes.count), inside \(what()) at byte \(offset)"
      )
    }
    defer { offset += width }
    return Value(littleEndian: file.bytes.loadUnaligned(fromByteOffset: offset, as: Value.self))
  }

  /// Reads a count of things that take at least `leastByteCount` each.
  mutating func count(
    of leastByteCount: Int,
    _ what: @autoclosure () -> String
  ) throws(ReFTError) -> Int {
    let start = offset
    let value = try integer(UInt64.self, what())
    guard value <= UInt64(remaining / leastByteCount) else {
      throw malformed(
        "\(what()) at byte \(start) is \(value), more than the \(remaining) bytes left can hold"
      )
    }
    return Int(value)
  }

  mutating func string(_ what: @autoclosure () -> String) throws(ReFTError) -> String {
    let length = try count(of: 1, "the length of \(what())")
    let slice = UnsafeRawBufferPointer(rebasing: file.bytes[offset..<offset + length])
    guard let text = String(validating: slice, as: UTF8.self) else {
      throw malformed("\(what()) at byte \(offset) is not UTF-8 text")
    }
    offset += length
    return text
  }

  mutating func name(_ what: @autoclosure () -> String) throws(ReFTError) -> String {
    let start = offset
    let name = try string(what())
    guard !name.isEmpty, name.utf8.count <= Self.longestName else {
      throw malformed(
        "\(what()) at byte \(start) has \(name.utf8.count) bytes, not 1 to \(Self.longestName)"
      )
    }
    return name
  }

  mutating func valueType(of key: String) throws(ReFTError) -> GGUFValueType {
    let start = offset
    let number = try integer(UInt32.self, "the type of '\(key)'")
    guard let type = GGUFValueType(rawValue: number) else {
      throw malformed("the type of '\(key)' at byte \(start) is \(number), not 0 to 12")
    }
    return type
  }

  mutating func value(
    _ type: GGUFValueType,
    of key: String,
    depth: Int = 0
  ) throws(ReFTError) -> GGUFValue {
    switch type {
    case .uint8: return .int(Int64(try integer(UInt8.self, key)))
    case .int8: return .int(Int64(try integer(Int8.self, key)))
    case .uint16: return .int(Int64(try integer(UInt16.self, key)))
    case .int16: return .int(Int64(try integer(Int16.self, key)))
    case .uint32: return .int(Int64(try integer(UInt32.self, key)))
    case .int32: return .int(Int64(try integer(Int32.self, key)))
    case .int64: return .int(try integer(Int64.self, key))
    case .uint64:
      let value = try integer(UInt64.self, key)
      return Int64(exactly: value).map(GGUFValue.int) ?? .uint(value)
    case .float32: return .double(Double(Float(bitPattern: try integer(UInt32.self, key))))
    case .float64: return .double(Double(bitPattern: try integer(UInt64.self, key)))
    case .bool:
      let value = try integer(UInt8.self, key)
      guard value <= 1 else {
        throw malformed("the truth value of '\(key)' is \(value), not 0 or 1")
      }
      return .bool(value == 1)
    case .string: return .string(try string("the text of '\(key)'"))
    case .array: return try list(of: key, depth: depth)
    }
  }

  private mutating func list(of key: String, depth: Int) throws(ReFTError) -> GGUFValue {
    guard depth < Self.deepestList else {
      throw malformed(
        "the list '\(key)' nests lists more than \(Self.deepestList) deep",
      )
    }
    let type = try valueType(of: key)
    let count = try count(of: type.leastByteCount, "the length of the list '\(key)'")
    if type.isNumeric {
      let byteCount = count * type.leastByteCount
      let bytes = UnsafeRawBufferPointer(rebasing: file.bytes[offset..<offset + byteCount])
      if type == .bool, let index = bytes.firstIndex(where: { $0 > 1 }) {
        throw malformed("truth value \(index) of the list '\(key)' is \(bytes[index]), not 0 or 1")
      }
      offset += byteCount
      return .numbers(GGUFNumbers(type: type, count: count, bytes: bytes, file: file))
    }
    if type == .string {
      var strings: [String] = []
      strings.reserveCapacity(count)
      for index in 0..<count { strings.append(try string("text \(index) of the list '\(key)'")) }
      return .strings(strings)
    }
    var values: [GGUFValue] = []
    for _ in 0..<count { values.append(try list(of: key, depth: depth + 1)) }
    return .lists(values)
  }
}
