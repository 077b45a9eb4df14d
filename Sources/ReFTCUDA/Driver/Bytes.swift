// SPDX-License-Identifier: Apache-2.0
// A number of bytes in a sentence.

/// A number of bytes, shown as "12.3 MB".
struct Bytes: CustomStringConvertible {
  private let count: Int

  init(_ count: Int) { self.count = count }

  var description: String {
    let units = ["bytes", "kB", "MB", "GB", "TB"]
    var (number, unit) = (Double(count), 0)
    while number >= 1000, unit < units.count - 1 { (number, unit) = (number / 1000, unit + 1) }
    guard unit > 0 else { return "\(count) bytes" }
    let tenths = Int((number * 10).rounded())
    return "\(tenths / 10).\(tenths % 10) \(units[unit])"
  }
}
