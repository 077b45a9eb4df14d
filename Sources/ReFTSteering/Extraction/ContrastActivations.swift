// SPDX-License-Identifier: Apache-2.0
// What the model's hidden states are for the texts of a contrast: one row for each text and site.

public import ReFTModel
import ReFTTensor

/// The rows of both classes at one site.
public struct SiteActivations: Sendable {
  /// The site.
  public let site: Site
  /// Rows of the positive texts, of those that directions are found from.
  public var positives: RowMatrix
  /// Rows of the negative texts.
  public var negatives: RowMatrix
  /// Rows of the positive texts that are held out.
  public var heldOutPositives: RowMatrix
  /// Rows of the negative texts that are held out.
  public var heldOutNegatives: RowMatrix
  /// The median length of a row of any token there, the first of each text aside.
  public let medianNorm: Float

  /// Joins them.
  public init(
    site: Site,
    positives: RowMatrix,
    negatives: RowMatrix,
    heldOutPositives: RowMatrix = RowMatrix(columns: 0),
    heldOutNegatives: RowMatrix = RowMatrix(columns: 0),
    medianNorm: Float
  ) {
    self.site = site
    self.positives = positives
    self.negatives = negatives
    self.heldOutPositives = heldOutPositives
    self.heldOutNegatives = heldOutNegatives
    self.medianNorm = medianNorm
  }
}

/// The rows of some texts at several sites.
final class TextActivations {
  let sites: [Site]
  let width: Int
  private let textCount: Int
  private let rows: FloatBuffer
  private var norms: [[Float]]

  /// Room for the rows of texts.
  ///
  /// - Throws: `inputOutput` when the system has no such memory.
  init(sites: [Site], width: Int, texts: Int) throws(ReFTError) {
    self.sites = sites
    self.width = width
    textCount = texts
    norms = [[Float]](repeating: [], count: sites.count)
    rows = try FloatBuffer(
      reserving: MemoryRoom.product(
        sites.count * texts,
        width,
        for: Self.purpose(texts, sites.count)
      ),
      for: Self.purpose(texts, sites.count)
    )
  }

  private static func purpose(_ texts: Int, _ sites: Int) -> MemoryPurpose {
    MemoryPurpose(
      "the hidden states of \(texts) texts at \(sites) layers",
      remedy: "take fewer texts with --limit, or fewer --layers"
    )
  }

  /// The row of a text.
  func row(site: Int, text: Int) -> UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(
      start: rows.base + (site * textCount + text) * width,
      count: width
    )
  }

  /// Adds a part of a row to the row of a text.
  func add(_ row: UnsafePointer<Float>, times factor: Float, site: Int, text: Int) {
    let target = self.row(site: site, text: text)
    for j in 0..<width { target[j] += factor * row[j] }
  }

  /// Notes the length of a row.
  func addNorm(of row: UnsafePointer<Float>, site: Int) {
    var square = 0.0
    for j in 0..<width { square += Double(row[j]) * Double(row[j]) }
    norms[site].append(Float(square.squareRoot()))
  }

  /// The median of the lengths at a site; the lower one of two.
  func medianNorm(site: Int) -> Float {
    let sorted = norms[site].sorted()
    return sorted.isEmpty ? 0 : sorted[(sorted.count - 1) / 2]
  }

  /// The rows of some texts at a site.
  func matrix(site: Int, texts: Range<Int>) -> RowMatrix {
    var matrix = RowMatrix(columns: width)
    for text in texts { matrix.append(row(site: site, text: text)) }
    return matrix
  }

  /// The first text that has a row with a number that is none.
  var firstNotFinite: Int? {
    (0..<textCount).first { text in
      sites.indices.contains { !row(site: $0, text: text).allSatisfy(\.isFinite) }
    }
  }
}
