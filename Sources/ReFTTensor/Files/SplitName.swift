// SPDX-License-Identifier: Apache-2.0
// The names of the parts of a split model: NAME-00002-of-00005.gguf.

/// The path of one part of a split model in GGUF, taken apart.
public struct SplitName: Sendable, Equatable {
  /// What stands before the number, its folder included.
  public let stem: String
  /// Which part it is, from 1.
  public let number: Int
  /// How many there are.
  public let count: Int

  /// The most parts that a name can count.
  private static let most = 99_999

  /// Takes a path apart; nil when it is not that of a part.
  public init?(path: String) {
    let tail = "-00001-of-00001.gguf"
    let bytes = Array(path.utf8)
    guard bytes.count > tail.utf8.count, path.hasSuffix(".gguf") else { return nil }
    let end = Array(bytes.suffix(tail.utf8.count))
    func digits(_ range: Range<Int>) -> Int? {
      let digits = end[range]
      guard digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
        return nil
      }
      return digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
    }
    guard end[0] == UInt8(ascii: "-"), end[6..<10].elementsEqual("-of-".utf8),
      let number = digits(1..<6), let count = digits(10..<15), count > 0,
      (1...count).contains(number)
    else { return nil }
    stem = String(decoding: bytes.dropLast(tail.utf8.count), as: UTF8.self)
    (self.number, self.count) = (number, count)
  }

  /// The path of another part of the same model.
  public func path(of number: Int) -> String {
    "\(stem)-\(Self.padded(number))-of-\(Self.padded(count)).gguf"
  }

  private static func padded(_ number: Int) -> String {
    let digits = String(min(max(number, 0), most))
    return String(repeating: "0", count: 5 - digits.count) + digits
  }
}

extension ReFTError {
  static func splitNameWrong(index: Int?, count: Int, _ path: String) -> ReFTError {
    let part = index.map { "part \($0 + 1)" } ?? "one part"
    return ReFTError(
      .badData,
      "Model '\(path)' is \(part) of \(count) of a split model; expected a name that ends so, such as "
        + "NAME-00001-of-\(String("0000\(count)".suffix(5))).gguf, beside the other parts. Give the "
        + "parts their own names again, or join them with 'llama-gguf-split --merge'."
    )
  }

  static func splitPartMissing(_ path: String, number: Int, count: Int) -> ReFTError {
    ReFTError(
      .inputMissing,
      "Part \(number) of \(count) of a split model, '\(path)', does not exist; fetch it, and put it "
        + "beside the others."
    )
  }

  static func splitPartWrong(
    _ path: String,
    index: Int?,
    partCount: Int,
    number: Int,
    count: Int
  ) -> ReFTError {
    let found = index.map { "part \($0 + 1) of \(partCount)" } ?? "one part of \(partCount)"
    return ReFTError(
      .badData,
      "File '\(path)' says that it is \(found), expected part \(number) of \(count); fetch the part "
        + "anew."
    )
  }

  static func tensorInTwoParts(_ name: String, _ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "File '\(path)' holds the tensor '\(name)', which another part of the split model holds too; "
        + "fetch the parts anew, all of one model."
    )
  }

  static func splitTensorCount(_ count: Int64, found: Int, _ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "The parts of '\(path)' hold \(found) tensors, expected the \(count) that it names; fetch the "
        + "parts anew, all of one model."
    )
  }
}
