// SPDX-License-Identifier: Apache-2.0
// Reads the pickle of a file of tensors, and runs nothing: three functions and ten storage types have
// a meaning here, each as data; every other name, and every step beyond those that torch.save writes,
// is refused with its place.

/// A tensor as a pickle describes it.
struct PickledTensor {
  var element: TorchElement
  /// The name of the storage's entry.
  var storage: String
  /// The elements of the storage.
  var storageCount: Int
  var offset: Int
  var shape: [Int]
  var strides: [Int]
}

/// Takes the steps of one pickle.
struct PickleReader {
  /// The most bytes of a pickle: each step takes at least one of them, and less than a hundred bytes of
  /// memory.
  static let mostBytes = 4 << 20
  /// The longest text.
  static let longestText = 4096

  /// A value on the way.
  ///
  /// What has parts is an index into a list, so that nothing nests.
  enum Value {
    case none
    case flag(Bool)
    case int(Int)
    case text(String)
    case tuple(Int)
    case map(Int)
    case name(PickleName)
    case storage(element: TorchElement, key: String, count: Int)
    case tensor(Int)
  }

  let bytes: UnsafeRawBufferPointer
  let path: String
  private var offset = 0
  private var opcodeOffset = 0
  private var stack: [Value] = []
  private var marks: [Int] = []
  private var memo: [Int: Value] = [:]
  private var tuples: [[Value]] = []
  private var maps: [[(key: String, value: Value)]] = []
  private var tensors: [PickledTensor] = []

  init(_ bytes: UnsafeRawBufferPointer, path: String) throws(ReFTError) {
    (self.bytes, self.path) = (bytes, path)
    guard bytes.count <= Self.mostBytes else {
      throw malformed("data.pkl has \(bytes.count) bytes; at most \(Self.mostBytes) are read")
    }
  }

  /// The tensors of the map that the pickle ends with, in its order.
  mutating func read() throws(ReFTError) -> [(name: String, tensor: PickledTensor)] {
    while try step() {}
    guard offset == bytes.count else {
      throw fault("\(bytes.count - offset) more bytes follow its end")
    }
    guard stack.count == 1, marks.isEmpty, case .map(let root)? = stack.first else {
      throw fault("it does not end with one map of names and tensors")
    }
    var result: [(name: String, tensor: PickledTensor)] = []
    var names: Set<String> = []
    for (name, value) in maps[root] {
      guard case .tensor(let index) = value else {
        throw malformed(
          "'\(name.shown())' is \(kind(value)), not a tensor",
          remedy: "Give a file of tensors by name, as state_dict() has them."
        )
      }
      guard names.insert(name).inserted else { throw malformed("'\(name.shown())' is there twice") }
      result.append((name, tensors[index]))
    }
    return result
  }

  // MARK: - Steps

  /// Takes one step; false after the last.
  private mutating func step() throws(ReFTError) -> Bool {
    opcodeOffset = offset
    let byte = try take(UInt8.self)
    guard let opcode = PickleOpcode(rawValue: byte) else {
      throw fault("it has the step \(PickleOpcode.name(byte)), which no file of tensors needs")
    }
    switch opcode {
    case .stop: return false
    case .proto:
      let version = try take(UInt8.self)
      guard opcodeOffset == 0, version == 2 else {
        throw fault("it says protocol \(version); torch.save writes 2, once, at the start")
      }
    case .none, .newTrue, .newFalse, .int1, .int2, .int4, .long1, .text:
      stack.append(try constant(opcode))
    case .mark: marks.append(stack.count)
    case .emptyTuple, .tuple1, .tuple2, .tuple3, .tuple: try makeTuple(opcode)
    case .emptyMap: makeMap()
    case .setItem, .setItems: try setItems(opcode)
    case .put1, .put4, .get1, .get4: try remember(opcode)
    case .global: stack.append(.name(try readName()))
    case .persistent: try makeStorage()
    case .reduce: try call()
    case .build:
      // What follows a map of tensors are the versions of modules.
      guard case .map = try pop(), case .map? = stack.last else {
        throw fault("a state is set that is no map, or of what is none")
      }
    }
    return true
  }

  private mutating func constant(_ opcode: PickleOpcode) throws(ReFTError) -> Value {
    switch opcode {
    case .newTrue: return .flag(true)
    case .newFalse: return .flag(false)
    case .int1: return .int(Int(try take(UInt8.self)))
    case .int2: return .int(Int(try take(UInt16.self)))
    case .int4: return .int(Int(try take(Int32.self)))
    case .long1:
      let count = Int(try take(UInt8.self))
      guard count <= 8 else { throw fault("a number has \(count) bytes; at most 8 are read") }
      var value: UInt64 = 0
      var last: UInt8 = 0
      for place in 0..<count {
        last = try take(UInt8.self)
        value |= UInt64(last) << UInt64(8 * place)
      }
      if last & 0x80 != 0, count < 8 { value |= UInt64.max << UInt64(8 * count) }
      return .int(Int(Int64(bitPattern: value)))
    case .text:
      let count = Int(try take(UInt32.self))
      guard count <= Self.longestText, count <= bytes.count - offset else {
        throw fault("a text is said to have \(count) bytes; \(bytes.count - offset) are left")
      }
      let slice = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
      guard let text = String(validating: slice, as: UTF8.self), text.hasShortCharacters else {
        throw fault("a text is no UTF-8")
      }
      offset += count
      return .text(text)
    default: return .none
    }
  }

  private mutating func makeTuple(_ opcode: PickleOpcode) throws(ReFTError) {
    let parts: [Value]
    switch opcode {
    case .tuple1: parts = try pop(1)
    case .tuple2: parts = try pop(2)
    case .tuple3: parts = try pop(3)
    case .tuple: parts = try popToMark()
    default: parts = []
    }
    tuples.append(parts)
    stack.append(.tuple(tuples.count - 1))
  }

  private mutating func makeMap() {
    maps.append([])
    stack.append(.map(maps.count - 1))
  }

  private mutating func setItems(_ opcode: PickleOpcode) throws(ReFTError) {
    let items = opcode == .setItem ? try pop(2) : try popToMark()
    guard items.count.isMultiple(of: 2), case .map(let map)? = stack.last else {
      throw fault("\(items.count) keys and values are put into what is no map")
    }
    for place in stride(from: 0, to: items.count, by: 2) {
      guard case .text(let key) = items[place] else {
        throw fault("a key of a map is \(kind(items[place])), not a text")
      }
      maps[map].append((key, items[place + 1]))
    }
  }

  private mutating func remember(_ opcode: PickleOpcode) throws(ReFTError) {
    let isShort = opcode == .put1 || opcode == .get1
    let index = isShort ? Int(try take(UInt8.self)) : Int(try take(UInt32.self))
    if opcode == .put1 || opcode == .put4 {
      guard let value = stack.last else { throw fault("nothing is there to remember") }
      memo[index] = value
    } else {
      guard let value = memo[index] else { throw fault("value \(index) was never remembered") }
      stack.append(value)
    }
  }

  private mutating func readName() throws(ReFTError) -> PickleName {
    let module = try line()
    let name = module + "." + (try line())
    guard let known = PickleName(name) else {
      throw malformed(
        "data.pkl names '\(name.shown(120))' at byte \(opcodeOffset), which no file of tensors needs; "
          + "nothing of it was run",
        remedy: "Do not open this file with torch.load either, unless you trust its maker."
      )
    }
    return known
  }

  private mutating func line() throws(ReFTError) -> String {
    let rest = bytes[offset...].prefix(256)
    guard let end = rest.firstIndex(of: 0x0A) else { throw fault("a name has no end") }
    let slice = UnsafeRawBufferPointer(rebasing: bytes[offset..<end])
    guard let text = String(validating: slice, as: UTF8.self) else {
      throw fault("a name is no UTF-8")
    }
    offset = end + 1
    return text
  }

  // MARK: - What tensors are made of

  private mutating func makeStorage() throws(ReFTError) {
    guard case .tuple(let index) = try pop(), tuples[index].count == 5,
      case .text("storage") = tuples[index][0], case .name(.storage(let type)) = tuples[index][1],
      case .text(let key) = tuples[index][2], case .text = tuples[index][3],
      case .int(let count) = tuples[index][4], count >= 0
    else { throw fault("a storage is not described by its type, key, device and size") }
    stack.append(.storage(element: type, key: key, count: count))
  }

  private mutating func call() throws(ReFTError) {
    guard case .tuple(let arguments) = try pop(), case .name(let name) = try pop() else {
      throw fault("what is called has no name, or no arguments")
    }
    let values = tuples[arguments]
    switch name {
    case .orderedMap:
      guard values.isEmpty else { throw fault("an OrderedDict is made of \(values.count) values") }
      makeMap()
    case .rebuildTensor: stack.append(try makeTensor(values))
    case .rebuildParameter:
      guard values.count == 3, case .tensor = values[0] else {
        throw fault("a parameter is made of what is no tensor")
      }
      stack.append(values[0])
    case .storage(let element): throw fault("a \(element.storageName) is made without a file")
    }
  }

  private mutating func makeTensor(_ values: [Value]) throws(ReFTError) -> Value {
    guard (6...7).contains(values.count),
      case .storage(let element, let key, let count) = values[0],
      case .int(let start) = values[1], start >= 0, let shape = sizes(values[2]),
      let strides = sizes(values[3]), shape.count == strides.count
    else { throw fault("a tensor is not described by storage, offset, sizes and strides") }
    guard Self.fits(start: start, shape: shape, strides: strides, in: count) else {
      throw fault(
        "a tensor of shape \(shape.description.shown(80)) from element \(start) leaves its storage of "
          + "\(count), or repeats it"
      )
    }
    tensors.append(
      PickledTensor(
        element: element,
        storage: key,
        storageCount: count,
        offset: start,
        shape: shape,
        strides: strides
      )
    )
    return .tensor(tensors.count - 1)
  }

  private func sizes(_ value: Value) -> [Int]? {
    guard case .tuple(let index) = value, tuples[index].count <= 8 else { return nil }
    var result: [Int] = []
    for part in tuples[index] {
      guard case .int(let size) = part, size >= 0 else { return nil }
      result.append(size)
    }
    return result
  }

  /// Whether a tensor lies in a storage of so many elements, and has no more than those.
  private static func fits(start: Int, shape: [Int], strides: [Int], in limit: Int) -> Bool {
    if shape.contains(0) { return start <= limit }
    var (count, last) = (1, start)
    for (size, stride) in zip(shape, strides) {
      let (product, overflows) = count.multipliedReportingOverflow(by: size)
      let (reach, isFar) = (size - 1).multipliedReportingOverflow(by: stride)
      let (sum, isFarther) = last.addingReportingOverflow(reach)
      guard !overflows, !isFar, !isFarther, product <= limit, sum < limit else { return false }
      (count, last) = (product, sum)
    }
    return last < limit
  }

  // MARK: - Stack and bytes

  private mutating func pop() throws(ReFTError) -> Value {
    guard stack.count > (marks.last ?? 0), let value = stack.popLast() else {
      throw fault("a value is taken that is not there")
    }
    return value
  }

  private mutating func pop(_ count: Int) throws(ReFTError) -> [Value] {
    guard stack.count - (marks.last ?? 0) >= count else {
      throw fault("\(count) values are taken where fewer are")
    }
    defer { stack.removeLast(count) }
    return Array(stack.suffix(count))
  }

  private mutating func popToMark() throws(ReFTError) -> [Value] {
    guard let mark = marks.popLast() else { throw fault("a group ends that never began") }
    defer { stack.removeSubrange(mark...) }
    return Array(stack[mark...])
  }

  private mutating func take<Number: FixedWidthInteger>(
    _ type: Number.Type
  ) throws(ReFTError) -> Number {
    let width = MemoryLayout<Number>.size
    guard bytes.count - offset >= width else {
      throw fault("it ends at byte \(bytes.count), in the middle of a step")
    }
    defer { offset += width }
    return Number(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Number.self))
  }

  private func kind(_ value: Value) -> String {
    switch value {
    case .none: "nothing"
    case .flag: "true or false"
    case .int: "a number"
    case .text: "a text"
    case .tuple: "a tuple"
    case .map: "a map"
    case .name: "a name"
    case .storage: "a storage"
    case .tensor: "a tensor"
    }
  }

  private func fault(_ detail: String) -> ReFTError {
    malformed("data.pkl cannot be read at byte \(opcodeOffset): \(detail)")
  }

  private func malformed(
    _ detail: String,
    remedy: String = "Give a file of tensors that torch.save wrote."
  ) -> ReFTError {
    ReFTError.malformed("Torch", path, detail, remedy: remedy)
  }
}
