// SPDX-License-Identifier: Apache-2.0
// Order and micro-batches: pure functions of seed, step and lengths.

import ReFTTraining
import Testing

extension DataOrder {
  fileprivate func batch(step: Int) -> [Int] {
    batch(step: step, of: order(epoch: step / stepsPerEpoch))
  }
}

struct BatchingTests {
  @Test("sees every example once in each epoch, in another order")
  func order() {
    let order = DataOrder(exampleCount: 10, batchSize: 4, seed: 3)
    #expect(order.stepsPerEpoch == 3)
    let epochs = (0..<2).map { epoch in (0..<3).flatMap { order.batch(step: epoch * 3 + $0) } }
    for epoch in epochs { #expect(epoch.sorted() == Array(0..<10)) }
    #expect(epochs[0] != epochs[1])
    #expect(order.batch(step: 2).count == 2)
    #expect(
      DataOrder(exampleCount: 10, batchSize: 4, seed: 3).batch(step: 4) == order.batch(step: 4)
    )
    #expect(
      DataOrder(exampleCount: 10, batchSize: 4, seed: 4).batch(step: 4) != order.batch(step: 4)
    )
  }

  @Test("keeps the file's order without a seed")
  func fileOrder() {
    let order = DataOrder(exampleCount: 5, batchSize: 2, seed: nil)
    #expect(
      (0..<6).map { order.batch(step: $0) } == [[0, 1], [2, 3], [4], [0, 1], [2, 3], [4]]
    )
  }

  @Test(
    "splits a batch into few passes of near equal length within the budget",
    arguments: [
      ([Int](), 10, [[Int]]()),
      ([3, 3, 3], 10, [[0, 1, 2]]),
      ([6, 1, 5, 2], 8, [[0, 1], [2, 3]]),
      ([20, 1, 1], 10, [[0], [1, 2]]),
      ([5, 5, 5], 5, [[0], [1], [2]]),
      ([4, 4, 4, 4], 10, [[0, 2], [1, 3]]),
    ]
  )
  func passes(lengths: [Int], budget: Int, expected: [[Int]]) {
    #expect(MicroBatches.split(lengths: lengths, budget: budget) == expected)
  }
}
