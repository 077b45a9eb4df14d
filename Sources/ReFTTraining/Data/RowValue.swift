// SPDX-License-Identifier: Apache-2.0
// JSON values as data files hold them. Reading them is in `JSONScanner`.

/// A JSON value whose objects keep the order of their keys.
indirect enum RowValue: Equatable {
  case null
  case flag(Bool)
  case integer(Int64)
  case number(Double)
  case text(String)
  case list([RowValue])
  case object([Member])

  struct Member: Equatable {
    var key: String
    var value: RowValue
  }

  /// What stands here, in words, without the data itself.
  var kind: String {
    switch self {
    case .null: "null"
    case .flag: "true or false"
    case .integer, .number: "a number"
    case .text: "a text"
    case .list: "a list"
    case .object: "an object"
    }
  }
}
