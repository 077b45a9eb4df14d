// SPDX-License-Identifier: Apache-2.0
// What the frozen blocks below the lowest edit compute is the same in every epoch: kept here.

import Foundation
package import ReFTModel
import ReFTTensor

/// The unedited residual stream entering one block, for each example that was seen.
///
/// The rows are float32 as the model computed them, so a run with the cache has the bits of a run
/// without. What exceeds the memory goes to a file of the run folder that is unlinked at once: it
/// needs no cleaning up after a kill. When the disk is full, examples are computed again.
package final class ActivationCache {
  /// The block whose input is kept.
  let block: Int
  private let width: Int
  /// The memory that is taken.
  let room: CacheRoom
  private let folder: String
  private var buffers: [Int: FloatBuffer] = [:]
  private var fileOffsets: [Int: Int] = [:]
  private var descriptor: Int32 = -1
  private var fileEnd = 0
  private var fileIsUsable = true

  /// An empty cache.
  ///
  /// - Parameters:
  ///   - block: at least 1.
  ///   - width: values of a row.
  ///   - room: the memory that may be taken; the rest goes to a file.
  ///   - folder: where that file is made.
  package init(block: Int, width: Int, room: CacheRoom, folder: String) {
    (self.block, self.width) = (block, width)
    (self.room, self.folder) = (room, folder)
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// The block input of a batch, from the cache where it has it, computed and kept where not.
  ///
  /// - Parameters:
  ///   - keys: names each sequence of the batch, the same in every epoch.
  ///   - batch: the sequences.
  ///   - pass: computes what is missing.
  /// - Returns: the rows of all tokens of the batch.
  /// - Throws: what the model throws.
  package func input(
    keys: [Int],
    batch: PackedBatch,
    pass: any DeviceRuntime
  ) throws -> BlockInput {
    let missing = keys.indices.filter { buffers[keys[$0]] == nil && fileOffsets[keys[$0]] == nil }
    if missing.count == keys.count {
      let input = try pass.blockInput(block, of: batch)
      for index in keys.indices { keep(keys[index], batch.segments[index], of: input.rows) }
      return input
    }
    let rows = try FloatBuffer(
      reserving: batch.tokens.count * width,
      for: MemoryPurpose(
        "the kept activations of a batch",
        remedy: "lower 'train.cache_megabytes' or 'train.micro_batch_tokens'"
      )
    )
    var computed: BlockInput?
    var part = PackedBatch()
    if !missing.isEmpty {
      for index in missing {
        let segment = batch.segments[index]
        let ids = Array(batch.tokens[segment.start..<segment.start + segment.count])
        part.append(ids: ids, labels: [Int32](repeating: Example.noLabel, count: ids.count))
      }
      computed = try pass.blockInput(block, of: part)
    }
    for (index, key) in keys.enumerated() {
      let segment = batch.segments[index]
      let target = rows.base + segment.start * width
      let count = segment.count * width
      if let place = missing.firstIndex(of: index), let computed {
        target.update(from: computed.rows.base + part.segments[place].start * width, count: count)
        keep(key, segment, of: rows)
      } else if let buffer = buffers[key] {
        target.update(from: buffer.base, count: count)
      } else if let offset = fileOffsets[key] {
        try load(offset: offset, into: target, count: count)
      }
    }
    return BlockInput(block: block, rows: rows)
  }

  private func keep(_ key: Int, _ segment: PackedBatch.Segment, of rows: FloatBuffer) {
    let count = segment.count * width
    let source = rows.base + segment.start * width
    let purpose = MemoryPurpose("kept activations", remedy: "lower 'train.cache_megabytes'")
    // Where memory ends before its limit, the file goes on.
    if room.has(count * 4), let buffer = try? FloatBuffer(reserving: count, for: purpose) {
      buffer.base.update(from: source, count: count)
      buffers[key] = buffer
      room.take(count * 4)
    } else if fileIsUsable, openFile(), store(source, count: count) {
      fileOffsets[key] = fileEnd
      fileEnd += count * 4
    }
  }

  private func openFile() -> Bool {
    if descriptor >= 0 { return true }
    let path = folder + "/.activations-\(getpid())"
    descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    unlink(path)
    fileIsUsable = descriptor >= 0
    return fileIsUsable
  }

  /// Writes rows at the end of the file; false when the disk will not take them.
  private func store(_ source: UnsafePointer<Float>, count: Int) -> Bool {
    var done = 0
    while done < count * 4 {
      let written = pwrite(
        descriptor,
        UnsafeRawPointer(source) + done,
        count * 4 - done,
        off_t(fileEnd + done)
      )
      if written < 0, errno == EINTR { continue }
      guard written > 0 else {
        fileIsUsable = false
        return false
      }
      done += written
    }
    return true
  }

  private func load(
    offset: Int,
    into target: UnsafeMutablePointer<Float>,
    count: Int
  ) throws(ReFTError) {
    var done = 0
    while done < count * 4 {
      let read = pread(
        descriptor,
        UnsafeMutableRawPointer(target) + done,
        count * 4 - done,
        off_t(offset + done)
      )
      if read < 0, errno == EINTR { continue }
      guard read > 0 else { throw .cacheLost(folder, errno: read == 0 ? EIO : errno) }
      done += read
    }
  }
}
