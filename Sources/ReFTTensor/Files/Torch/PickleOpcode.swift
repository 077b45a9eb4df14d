// SPDX-License-Identifier: Apache-2.0
// The steps of a pickle that a file of tensors needs, and the names of those that are refused.

/// The steps of a pickle of protocol 2 that are taken.
enum PickleOpcode: UInt8 {
  case proto = 0x80
  case stop = 0x2E
  case mark = 0x28
  case none = 0x4E
  case newTrue = 0x88
  case newFalse = 0x89
  case int4 = 0x4A
  case int1 = 0x4B
  case int2 = 0x4D
  case long1 = 0x8A
  case text = 0x58
  case emptyTuple = 0x29
  case tuple1 = 0x85
  case tuple2 = 0x86
  case tuple3 = 0x87
  case tuple = 0x74
  case emptyMap = 0x7D
  case setItem = 0x73
  case setItems = 0x75
  case put1 = 0x71
  case put4 = 0x72
  case get1 = 0x68
  case get4 = 0x6A
  case global = 0x63
  case persistent = 0x51
  case reduce = 0x52
  case build = 0x62

  /// What a step is called that is not taken.
  static func name(_ byte: UInt8) -> String {
    let name = refused[byte].map { "\($0) (" } ?? "("
    return name + "0x" + String(byte, radix: 16) + ")"
  }

  private static let refused: [UInt8: String] = [
    0x30: "POP", 0x31: "POP_MARK", 0x32: "DUP", 0x46: "FLOAT", 0x47: "BINFLOAT", 0x49: "INT",
    0x4C: "LONG", 0x50: "PERSID", 0x53: "STRING", 0x54: "BINSTRING", 0x55: "SHORT_BINSTRING",
    0x56: "UNICODE", 0x5D: "EMPTY_LIST", 0x61: "APPEND", 0x64: "DICT", 0x65: "APPENDS",
    0x67: "GET", 0x69: "INST", 0x6C: "LIST", 0x6F: "OBJ", 0x70: "PUT", 0x81: "NEWOBJ",
    0x82: "EXT1", 0x83: "EXT2", 0x84: "EXT4", 0x8B: "LONG4", 0x42: "BINBYTES",
    0x43: "SHORT_BINBYTES", 0x8C: "SHORT_BINUNICODE", 0x8D: "BINUNICODE8", 0x8E: "BINBYTES8",
    0x8F: "EMPTY_SET", 0x90: "ADDITEMS", 0x91: "FROZENSET", 0x92: "NEWOBJ_EX",
    0x93: "STACK_GLOBAL", 0x94: "MEMOIZE", 0x95: "FRAME", 0x96: "BYTEARRAY8",
    0x97: "NEXT_BUFFER", 0x98: "READONLY_BUFFER",
  ]
}

/// The names that a pickle may ask for.
enum PickleName: Equatable {
  case orderedMap
  case rebuildTensor
  case rebuildParameter
  case storage(TorchElement)

  /// The meaning of a module and a name in it; nil for everything else there is.
  init?(_ name: String) {
    switch name {
    case "collections.OrderedDict": self = .orderedMap
    case "torch._utils._rebuild_tensor_v2": self = .rebuildTensor
    case "torch._utils._rebuild_parameter": self = .rebuildParameter
    default:
      guard let element = TorchElement.allCases.first(where: { $0.storageName == name }) else {
        return nil
      }
      self = .storage(element)
    }
  }
}

/// The number formats of tensors in torch's files.
public enum TorchElement: String, Sendable, CaseIterable {
  /// Floating-point numbers of 8, 4 and 2 bytes.
  case float64 = "Double"
  /// Single precision.
  case float32 = "Float"
  /// Half precision.
  case float16 = "Half"
  /// The upper half of single precision.
  case bfloat16 = "BFloat16"
  /// Signed integers of 8 bytes.
  case int64 = "Long"
  /// Signed integers of 4 bytes.
  case int32 = "Int"
  /// Signed integers of 2 bytes.
  case int16 = "Short"
  /// Signed integers of 1 byte.
  case int8 = "Char"
  /// Unsigned integers of 1 byte.
  case uint8 = "Byte"
  /// Truth values.
  case bool = "Bool"

  /// What a pickle calls a storage of such elements.
  var storageName: String { "torch.\(rawValue)Storage" }

  /// The bytes of one element.
  public var byteCount: Int {
    switch self {
    case .float64, .int64: 8
    case .float32, .int32: 4
    case .float16, .bfloat16, .int16: 2
    case .int8, .uint8, .bool: 1
    }
  }
}
