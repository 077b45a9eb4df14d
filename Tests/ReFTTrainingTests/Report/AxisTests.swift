// SPDX-License-Identifier: Apache-2.0
// The ticks of a chart: round numbers that cover what is shown.

import Foundation
import ReFTTraining
import Testing
import _ReFTTestSupport

@Suite("Axes of the report")
struct AxisTests {
  @Test(
    "have ticks at multiples of 1, 2 or 5 times a power of ten",
    arguments: [
      ([0.9832, 2.156], ["0.5", "1.0", "1.5", "2.0", "2.5"]),
      ([0, 9e-4], ["0.0000", "0.0002", "0.0004", "0.0006", "0.0008", "0.0010"]),
      ([5e-5, 2e-5], ["2e-5", "3e-5", "4e-5", "5e-5"]),
      ([0.0123, 0.0456, .nan, .infinity], ["0.01", "0.02", "0.03", "0.04", "0.05"]),
      ([-3, 12], ["-5", "0", "5", "10", "15"]), ([0, 0], ["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
      ([1.5e6, 7e6], ["0", "2e6", "4e6", "6e6", "8e6"]),
    ]
  )
  func ticks(_ values: [Double], _ labels: [String]) throws {
    let axis = try #require(Axis(values))
    #expect(axis.labels == labels)
    let finite = values.filter(\.isFinite)
    #expect(finite.allSatisfy { (axis.lower...axis.upper).contains($0) })
    #expect(axis.ticks.first == axis.lower && axis.ticks.last == axis.upper)
  }

  @Test(
    "of steps have whole numbers, and end where the run ends",
    arguments: [
      ([1.0, 124], ["20", "40", "60", "80", "100", "120"]), ([1, 4], ["1", "2", "3", "4"]),
      ([1, 1], ["0", "1", "2"]),
      ([1, 1_000_000], ["200000", "400000", "600000", "800000", "1000000"]),
      ([2, 3], ["2", "3"]),
    ]
  )
  func steps(_ values: [Double], _ labels: [String]) throws {
    let axis = try #require(Axis(values, most: 8, isWhole: true, endsAtTicks: false))
    #expect(axis.labels == labels)
  }

  @Test("never have more ticks than asked for, whatever the numbers, and none without any")
  func bounded() throws {
    var random = SeededGenerator(seed: 5)
    for scale in -280...280 {
      for _ in 0..<4 {
        let values = random.normals(3).map { Double($0) * pow(10, Double(scale)) }
        let axis = try #require(Axis(values))
        #expect((2...8).contains(axis.ticks.count), "\(values)")
        #expect(zip(axis.ticks, axis.ticks.dropFirst()).allSatisfy { $0 < $1 }, "\(values)")
        #expect(Set(axis.labels).count == axis.labels.count, "\(values)")
      }
    }
    #expect(Axis([]) == nil && Axis([.nan, .infinity]) == nil)
  }
}
