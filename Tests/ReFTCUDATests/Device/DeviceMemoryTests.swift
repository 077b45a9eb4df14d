// SPDX-License-Identifier: Apache-2.0
// Memory of a card: bytes go there and come back, blocks are used again, and too little is told.

import Foundation
import ReFTCUDA
import ReFTTensor
import Testing

struct DeviceMemoryTests {
  @Test("a card tells its name, capability, memory and size")
  func facts() throws {
    let card = try EmulatedCard.open(1)
    #expect(card.name == "emulated card 1")
    #expect(card.capability == (9, 0))
    #expect(card.totalMemory == 64 << 20)
    #expect(card.multiprocessors == 2)
    #expect(try card.freeMemory() <= 64 << 20)
  }

  @Test("bytes come back as they went, through memory of either kind and copies on the card")
  func copies() throws {
    let card = try EmulatedCard.open()
    let values = (0..<1000).map { Float($0) }
    let first = try card.upload(values)
    let second = try card.allocate(4000, for: "a copy")
    try card.copy(first.pointer, to: second.pointer, 4000)
    #expect(try card.download(second, 1000, of: Float(0)) == values)

    try card.zero(second.pointer.advanced(byBytes: 40), 80)
    let pinned = try card.pinned(4000)
    try card.copyOut(second.pointer, 4000, to: pinned.base)
    try card.synchronise()
    let back = UnsafeRawBufferPointer(start: pinned.base, count: 4000).bindMemory(to: Float.self)
    #expect(Array(back[0..<10]) == Array(values[0..<10]))
    #expect(back[10..<30].allSatisfy { $0 == 0 })
    #expect(Array(back[30...]) == Array(values[30...]))
  }

  @Test("memory is aligned to 256 bytes and of its own, whatever its size")
  func alignment() throws {
    let card = try EmulatedCard.open()
    let sizes = [0, 1, 255, 256, 257, 511, 513, 4095, 4097, 1_000_001]
    let blocks = try sizes.map { try card.allocate($0, for: "a block") }
    #expect(blocks.allSatisfy { $0.pointer.address % 256 == 0 })
    #expect(Set(blocks.map(\.pointer.address)).count == sizes.count)
    #expect(blocks.map(\.byteCount) == sizes)
  }

  @Test("a step that frees what it takes asks the driver for memory only the first time")
  func reuse() throws {
    let card = try EmulatedCard.open()
    func step() throws {
      let first = try card.allocate(10_000, for: "a step")
      let second = try card.allocate(10_001, for: "a step")
      #expect(first.pointer != second.pointer)
      _ = try card.allocate(700_000, for: "a step")
    }
    try step()
    let before = try EmulatedCard.calls("cuMemAlloc_v2")
    let peak = card.memoryUse.peak
    for _ in 0..<10 { try step() }
    #expect(try EmulatedCard.calls("cuMemAlloc_v2") == before)
    #expect(card.memoryUse.peak == peak)
  }

  @Test("too little memory is told with what was asked for, what for, and what is free")
  func shortage() throws {
    let card = try EmulatedCard.open()
    let text = message { _ = try card.allocate(1 << 50, for: "the weights of block 3") }
    #expect(text.hasPrefix("No memory on 'emulated card 0' for the weights of block 3: 1125.9 TB"))
    #expect(text.contains("are free; take a smaller batch or model"))
    // The card goes on.
    _ = try card.allocate(1000, for: "what fits")
  }

  @Test("memory that is kept for use again is given back before there is too little")
  func givesBack() throws {
    let card = try EmulatedCard.open()
    let size = 5_000_000
    do { _ = try card.allocate(size, for: "what is free again") }
    let frees = try EmulatedCard.calls("cuMemFree_v2")
    try EmulatedCard.fail("cuMemAlloc_v2")
    _ = try card.allocate(3 * size, for: "what needs room")
    #expect(try EmulatedCard.calls("cuMemFree_v2") > frees)
  }

  @Test("work beside the memory that was taken is refused")
  func beside() throws {
    let card = try EmulatedCard.open()
    let memory = try card.allocate(512, for: "a block")
    let text = message { try card.zero(memory.pointer, 600) }
    #expect(text.contains("clearing 600 bytes on the card"))
    #expect(text.contains("CUDA_ERROR_INVALID_VALUE (1): invalid argument"))
  }
}
