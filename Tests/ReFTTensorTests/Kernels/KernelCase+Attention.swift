// SPDX-License-Identifier: Apache-2.0
// The cache of keys and values and attention of one row over it, in every format.

import CReFTKernels
import Testing
import _ReFTTestSupport

extension KernelCase {
  static let attention: [KernelCase] = [
    REFT_CACHE_FLOAT32, REFT_CACHE_FLOAT16, REFT_CACHE_INT8,
  ].flatMap { format in
    [
      KernelCase(
        name: "attend, format \(format)",
        family: .attention,
        sizes: combinations(
          [0, 1, 2, 3, 4, 7],
          [2, 10, 40, 64, 136],
          [1, 3, 8, 15, 17, 33, 64, 70, 130],
          [0, 1, 9, 63]
        ).filter { $0[3] < $0[2] },
        // Queries and weights meet numbers of eight bits as two digits.
        warn: format == REFT_CACHE_INT8 ? 1e-3 : 1e-5,
        fail: format == REFT_CACHE_INT8 ? 3e-3 : 5e-5
      ) { size, offset, random in
        let (group, headSize, count) = (size[0], size[1], size[2])
        let cache = CacheMemory(format, headSize, count, offset: offset, &random)
        let q = KernelMemory(group * headSize, offset: offset, &random)
        let room = reft_attend_scratch(headSize, count)
        let scratch = KernelMemory(room, offset: offset, &random)
        let out = KernelMemory(group * (headSize + 2), offset: offset, &random)
        reft_attend(
          format,
          group,
          headSize,
          size[3],
          count,
          0.4,
          count % 3 == 1 ? 2 : 0,
          q.base,
          cache.keys.base,
          cache.values.base,
          cache.keys.base,
          scratch.base,
          out.base
        )
        return out.contents + scratch.contents.dropFirst(room)
      },
      // What goes in comes out, rounded, whatever was stored when.
      KernelCase(
        name: "cache, format \(format)",
        family: .attention,
        sizes: combinations([2, 8, 10, 40, 64], [1, 2, 15, 16, 17, 64, 65, 130]),
        warn: 0,
        fail: 0
      ) { size, offset, random in
        let (headSize, count) = (size[0], size[1])
        let cache = CacheMemory(format, headSize, count, offset: offset, &random)
        let panels = KernelMemory(cache.places * headSize, offset: offset, &random)
        let rows = KernelMemory(count * headSize, offset: offset, &random)
        reft_cache_key_panels(format, headSize, count, cache.keys.base, panels.base)
        reft_cache_value_rows(format, headSize, count, cache.values.base, rows.base)
        for key in 0..<count {
          for j in 0..<headSize {
            let panel = panels.base[(key / 16 * headSize + j) * 16 + key % 16]
            expectClose(panel, cache.key, key * headSize + j, format, headSize, "key \(key)")
            expectClose(
              rows.base[key * headSize + j],
              cache.value,
              key * headSize + j,
              format,
              headSize,
              "value \(key)"
            )
          }
        }
        return panels.contents + rows.contents + cache.keys.contents
          + cache.values.contents
      },
    ]
  }

  private static func expectClose(
    _ actual: Float,
    _ row: [Float],
    _ place: Int,
    _ format: UInt32,
    _ headSize: Int,
    _ note: Comment
  ) {
    let expected = row[place]
    let first = place / headSize * headSize
    let error: Float =
      switch format {
      // Half precision has fixed steps below its smallest normal number.
      case REFT_CACHE_FLOAT16: max(abs(expected), 6.2e-5) / 2048
      // Half a step of the row's largest number, of a scale that is rounded to half precision.
      case REFT_CACHE_INT8:
        row[first..<first + headSize].reduce(0) { max($0, abs($1)) } / 127 * 0.57
      default: 0
      }
    if !(abs(actual - expected) <= error) {
      Issue.record("\(actual) is not \(expected): \(note)")
    }
  }
}

/// One head's cache, filled by two calls.
private struct CacheMemory {
  let keys: KernelMemory
  let values: KernelMemory
  let key: [Float]
  let value: [Float]
  /// Keys of whole panels.
  let places: Int

  init(
    _ format: UInt32,
    _ headSize: Int,
    _ count: Int,
    offset: Int,
    _ random: inout SeededGenerator
  ) {
    let panel = Int(REFT_CACHE_PANEL)
    places = (count + panel - 1) / panel * panel
    key = random.normals(count * headSize)
    value = random.normals(count * headSize)
    // Behind numbers of eight bits nothing may be touched either.
    let bytes = (
      places * reft_cache_key_bytes(format, headSize),
      places * reft_cache_value_bytes(format, headSize)
    )
    keys = KernelMemory(bytes.0 / 4, offset: offset, &random)
    values = KernelMemory(bytes.1 / 4, offset: offset, &random)
    let first = count / 3
    for range in [0..<first, first..<count] {
      key.withUnsafeBufferPointer { key in
        value.withUnsafeBufferPointer { value in
          guard let key = key.baseAddress, let value = value.baseAddress else { return }
          reft_cache_store(
            format,
            headSize,
            range.lowerBound,
            range.count,
            key + range.lowerBound * headSize,
            value + range.lowerBound * headSize,
            headSize,
            keys.base,
            values.base
          )
        }
      }
    }
  }
}
