// SPDX-License-Identifier: Apache-2.0
// Updates of low rank beside the products of a pass: where their rows lie, and what is kept for the way
// back. The arithmetic is in LowRankUpdate+Arithmetic.

package import ReFTTensor

/// A product of a block, wherever its rows lie.
struct ProductPlace {
  let block: Int
  let product: BlockProduct
  let inTail: Bool
}

extension Pass {
  /// Whether a product has updates.
  func isUpdated(_ place: ProductPlace) -> Bool { !updates(of: place).isEmpty }

  private func updates(of place: ProductPlace) -> [LowRankUpdate] {
    updates?.of(place.product, block: place.block) ?? []
  }

  /// Numbers in a row that a product reads.
  private func inputWidth(of product: BlockProduct) -> Int {
    switch product {
    case .queryKeyValue, .mlpInput: shape.hiddenSize
    case .attentionOutput: shape.queryWidth
    case .down: shape.feedForwardSize
    }
  }

  /// Numbers in a row that a product makes.
  private func outputWidth(of product: BlockProduct) -> Int {
    switch product {
    case .queryKeyValue: headsWidth
    case .attentionOutput, .down: shape.hiddenSize
    case .mlpInput: (hasGate ? 2 : 1) * shape.feedForwardSize
    }
  }

  /// Adds the updates of a product to what it made, y, from what it read, x.
  func addUpdates(
    _ place: ProductPlace,
    x: UnsafeMutablePointer<Float>,
    y: UnsafeMutablePointer<Float>
  ) {
    let updates = updates(of: place)
    guard !updates.isEmpty else { return }
    let input = RowMatrix(base: x, stride: inputWidth(of: place.product))
    let output = RowMatrix(base: y, stride: outputWidth(of: place.product))
    let keeps = keeps(place.block)
    if keeps {
      kept(place).base.update(from: x, count: rowCount(inTail: place.inTail) * input.stride)
    }
    for update in updates {
      let columns = shape.columns(of: update.projection)
      update.add(
        rows(of: update.tokens, inTail: place.inTail),
        x: input,
        y: output.from(column: columns.lowerBound),
        keeps: keeps,
        pool: pool
      )
    }
    clock?.lap(.projections)
  }

  /// Goes back through a product and its updates: adds the gradients of their matrices, and fills dx,
  /// where somebody below wants it.
  ///
  /// - Parameters:
  ///   - place: the product.
  ///   - dy: d loss / d (what the product made).
  ///   - dx: takes d loss / d (what it read).
  ///   - multiply: fills dx without the updates' part.
  func goBack(
    _ place: ProductPlace,
    dy: UnsafeMutablePointer<Float>,
    dx: UnsafeMutablePointer<Float>,
    _ multiply: () -> Void
  ) {
    let updates = updates(of: place)
    guard !updates.isEmpty else { return multiply() }
    let slopes = RowMatrix(base: dy, stride: outputWidth(of: place.product))
    let input = kept(place)
    for update in updates {
      let columns = shape.columns(of: update.projection)
      update.differentiate(
        rows(of: update.tokens, inTail: place.inTail),
        x: input,
        dy: slopes.from(column: columns.lowerBound),
        pool: pool
      )
    }
    clock?.lap(.projections)
    goalsLeft -= 1
    guard goalsLeft > 0 else { return }
    multiply()
    for update in updates {
      update.addInputGradient(
        rows(of: update.tokens, inTail: place.inTail),
        to: RowMatrix(base: dx, stride: input.stride),
        pool: pool
      )
    }
    clock?.lap(.projections)
  }

  /// What a product read, kept for the way back.
  private func kept(_ place: ProductPlace) -> RowMatrix {
    let width = inputWidth(of: place.product)
    let count = rowCount(inTail: place.inTail) * width
    let rows = block(place.block).sources[place.product.rawValue].floats(count)
    return RowMatrix(base: rows, stride: width)
  }

  /// The rows of some tokens; found once in a pass.
  private func rows(of tokens: UpdatedTokens, inTail: Bool) -> UpdatedRows {
    let name = ObjectIdentifier(tokens)
    if let known = inTail ? tailRows[name] : updatedRows[name] { return known }
    if inTail {
      let rows = UpdatedRows(tokens, rowOfToken: tail?.placeOfToken)
      tailRows[name] = rows
      return rows
    }
    let rows = UpdatedRows(tokens, rowOfToken: layout.rowOfToken)
    updatedRows[name] = rows
    return rows
  }
}

extension FrozenModel {
  /// Makes sure that updates are of this model's matrices.
  ///
  /// - Throws: `usage` for one that is not.
  package func check(_ updates: LowRankUpdates?) throws(ReFTError) {
    guard let updates else { return }
    for update in updates.all {
      let (name, shape) = (update.projection, configuration)
      let found = (update.inputs, update.outputs)
      let expected = (shape.inputWidth(of: name), shape.outputWidth(of: name))
      guard update.block < shape.layers, shape.projections.contains(name), found == expected else {
        throw .updateOfOtherModel(name, block: update.block, found: found, expected: expected)
      }
    }
  }
}
