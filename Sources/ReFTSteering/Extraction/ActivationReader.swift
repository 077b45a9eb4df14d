// SPDX-License-Identifier: Apache-2.0
// Runs texts through the frozen model and keeps the hidden states of chosen tokens at chosen sites:
// one pass for all sites.

public import ReFTHost
public import ReFTModel
import ReFTTensor
import ReFTTraining

/// Reads hidden states of texts.
public struct ActivationReader {
  private let model: LoadedModel
  private let runtime: LazyRuntime
  private let budget: Int
  private let position: ReadPosition

  /// Texts whose every token counts in the median length of a row.
  private static let measuredTexts = 64
  /// Texts between two reports of progress.
  private static let chunk = 64

  /// Prepares reading.
  ///
  /// - Parameters:
  ///   - model: the frozen model.
  ///   - position: the tokens that stand for a text.
  ///   - microBatchTokens: the most tokens of one pass; a longer text has a pass of its own.
  ///   - device: where the model runs.
  public init(
    model: LoadedModel,
    position: ReadPosition,
    microBatchTokens: Int = 1024,
    device: any ComputeDevice = ProcessorDevice.shared
  ) {
    self.model = model
    self.position = position
    budget = microBatchTokens
    runtime = LazyRuntime(device, model.frozen, precision: .int16)
  }

  /// Reads the texts of a contrast.
  ///
  /// - Parameters:
  ///   - component: the hidden tensor.
  ///   - layers: the blocks.
  ///   - training: positive and negative texts that directions are found from.
  ///   - heldOut: positive and negative texts that they are tried on.
  ///   - progress: receives the number of texts done.
  /// - Returns: the rows of each layer, in their order.
  /// - Throws: what the model throws; `badData` for a text where the position selects no token, and
  ///   for states that are no numbers.
  public func read(
    _ component: Component,
    layers: [Int],
    training: (positives: [EncodedContrast], negatives: [EncodedContrast]),
    heldOut: (positives: [EncodedContrast], negatives: [EncodedContrast]) = ([], []),
    progress: (Int) -> Void = { _ in }
  ) throws -> [SiteActivations] {
    let groups = [training.positives, training.negatives, heldOut.positives, heldOut.negatives]
    let texts = groups.flatMap(\.self)
    let sites = layers.map { Site(block: $0, component: component) }
    let rows = try read(texts, at: sites, width: model.frozen.width(of: component), progress)
    if let text = rows.firstNotFinite {
      throw model.frozen.explainNotFinite() ?? ReFTError.stateNotFinite(texts[text].place)
    }
    var ranges: [Range<Int>] = []
    for group in groups {
      let start = ranges.last?.upperBound ?? 0
      ranges.append(start..<start + group.count)
    }
    return sites.indices.map { site in
      let parts = ranges.map { rows.matrix(site: site, texts: $0) }
      return SiteActivations(
        site: sites[site],
        positives: parts[0],
        negatives: parts[1],
        heldOutPositives: parts[2],
        heldOutNegatives: parts[3],
        medianNorm: rows.medianNorm(site: site)
      )
    }
  }

  private func read(
    _ texts: [EncodedContrast],
    at sites: [Site],
    width: Int,
    _ progress: (Int) -> Void
  ) throws -> TextActivations {
    let rows = try TextActivations(sites: sites, width: width, texts: texts.count)
    // Measured ones are spread over both classes.
    let stride = max(1, texts.count / Self.measuredTexts)
    for first in Swift.stride(from: 0, to: texts.count, by: Self.chunk) {
      let chunk = Array(first..<min(first + Self.chunk, texts.count))
      let lengths = chunk.map { texts[$0].ids.count }
      for places in MicroBatches.split(lengths: lengths, budget: budget) {
        var batch = ReadingBatch()
        for place in places {
          let (number, text) = (chunk[place], texts[chunk[place]])
          batch.append(
            text.ids,
            number: number,
            read: try position.tokens(of: text, tokenizer: model.tokenizer),
            isMeasured: number % stride == 0 && number / stride < Self.measuredTexts
          )
        }
        try batch.run(runtime.get(), sites: sites, into: rows)
      }
      progress(first + chunk.count)
    }
    return rows
  }
}

/// Some texts in one pass, and what is read of each of their tokens.
private struct ReadingBatch {
  private struct Reading {
    var text: Int
    /// The part of the text's row that this token is; 0 for one that is measured alone.
    var weight: Float
    var isMeasured: Bool
  }

  private var packed = PackedBatch()
  private var tokens: [Int32] = []
  private var readings: [Reading] = []

  mutating func append(_ ids: [Int32], number: Int, read: [Int], isMeasured: Bool) {
    let start = packed.tokens.count
    packed.append(ids: ids)
    let chosen = Set(read)
    for token in ids.indices {
      let isRead = chosen.contains(token)
      let counts = isMeasured && (token > 0 || ids.count == 1)
      guard isRead || counts else { continue }
      tokens.append(Int32(start + token))
      readings.append(
        Reading(
          text: number,
          weight: isRead ? 1 / Float(read.count) : 0,
          isMeasured: counts
        )
      )
    }
  }

  func run(
    _ runtime: any DeviceRuntime,
    sites: [Site],
    into rows: TextActivations
  ) throws {
    let editor = ReadingEditor(sites, tokens: tokens) { site, place, row, _ in
      let reading = readings[place]
      if reading.weight > 0 {
        rows.add(row, times: reading.weight, site: site, text: reading.text)
      }
      if reading.isMeasured { rows.addNorm(of: row, site: site) }
    }
    try runtime.hiddenStates(of: packed, at: tokens, editor: editor, from: nil) { _ in }
  }
}

extension ReFTError {
  fileprivate static func stateNotFinite(_ place: String) -> ReFTError {
    ReFTError(
      .badData,
      "\(place): a hidden state of this text is no number, though all weights of the model are "
        + "finite; convert the model anew"
    )
  }
}
