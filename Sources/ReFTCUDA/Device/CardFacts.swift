// SPDX-License-Identifier: Apache-2.0
// What the driver tells about a card, without opening it.

import ReFTTensor

/// The facts of one card.
struct CardFacts: Sendable {
  let device: Int32
  let name: String
  let capability: (major: Int, minor: Int)
  let totalMemory: Int
  let multiprocessors: Int
  let sharedBytesPerBlock: Int

  /// How many cards the driver shows.
  static func count(_ driver: CUDADriver) throws(ReFTError) -> Int {
    var count: Int32 = 0
    let status = driver.cuDeviceGetCount(&count)
    guard status == 0 else { throw .cudaFailed("counting cards", driver.failure(status)) }
    return Int(count)
  }

  /// Asks for a card's facts.
  ///
  /// - Throws: `usage` when there is no such card, `inputOutput` when the driver fails.
  init(_ driver: CUDADriver, ordinal: Int) throws(ReFTError) {
    let count = try Self.count(driver)
    guard ordinal >= 0, ordinal < count else { throw .cardUnknown(ordinal, count: count) }
    var device: Int32 = 0
    var text = [CChar](repeating: 0, count: 256)
    var bytes = 0
    var status = driver.cuDeviceGet(&device, Int32(ordinal))
    if status == 0 { status = driver.cuDeviceGetName(&text, Int32(text.count - 1), device) }
    if status == 0 { status = driver.cuDeviceTotalMem(&bytes, device) }
    guard status == 0 else {
      throw .cudaFailed("asking for card number \(ordinal)", driver.failure(status))
    }
    self.device = device
    name = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    totalMemory = bytes
    capability = (
      try Self.attribute(driver, CUDeviceAttribute.capabilityMajor, device),
      try Self.attribute(driver, CUDeviceAttribute.capabilityMinor, device)
    )
    multiprocessors = try Self.attribute(driver, CUDeviceAttribute.multiprocessorCount, device)
    sharedBytesPerBlock = try Self.attribute(driver, CUDeviceAttribute.sharedBytesPerBlock, device)
  }

  private static func attribute(
    _ driver: CUDADriver,
    _ attribute: Int32,
    _ device: Int32
  ) throws(ReFTError) -> Int {
    var value: Int32 = 0
    let status = driver.cuDeviceGetAttribute(&value, attribute, device)
    guard status == 0 else {
      throw .cudaFailed("asking a card for attribute \(attribute)", driver.failure(status))
    }
    return Int(value)
  }
}
