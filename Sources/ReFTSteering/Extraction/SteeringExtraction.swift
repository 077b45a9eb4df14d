// SPDX-License-Identifier: Apache-2.0
// From texts to directions: what `reft steer extract` does between reading its data and writing an
// adapter.

public import ReFTHost
public import ReFTModel
import ReFTTensor

/// How directions are found.
public struct ExtractionPlan: Sendable, Equatable {
  /// The method.
  public var method: DirectionMethod
  /// The hidden tensor.
  public var component: Component
  /// The blocks.
  public var layers: [Int]
  /// The tokens that stand for a text.
  public var position: ReadPosition
  /// The part of the texts that is held out.
  public var heldOut: Double
  /// Decides which texts are held out.
  public var seed: UInt64
  /// The L2 penalty of the probe.
  public var penalty: Double

  /// Plans an extraction.
  public init(
    method: DirectionMethod = .meanDifference,
    component: Component = .blockOutput,
    layers: [Int],
    position: ReadPosition = .last,
    heldOut: Double = 0.2,
    seed: UInt64 = 0,
    penalty: Double = 0.01
  ) {
    self.method = method
    self.component = component
    self.layers = layers
    self.position = position
    self.heldOut = heldOut
    self.seed = seed
    self.penalty = penalty
  }
}

/// The directions of a contrast.
public struct SteeringExtraction: Sendable {
  /// How they were found.
  public let plan: ExtractionPlan
  /// One for each layer of the plan, in its order.
  public let vectors: [SteeringVector]
  /// Texts that they were found from.
  public let trainingTexts: Int
  /// Texts that they were tried on.
  public let heldOutTexts: Int
  /// Whether texts are in pairs.
  public let isPaired: Bool
  /// All tokens that the model read.
  public let tokens: Int

  /// Finds directions.
  ///
  /// - Parameters:
  ///   - contrast: the texts.
  ///   - plan: how.
  ///   - encoder: turns texts into tokens.
  ///   - model: the frozen model.
  ///   - microBatchTokens: the most tokens of one pass.
  ///   - device: where the model runs.
  ///   - progress: receives the number of texts that were read.
  /// - Throws: what reading and the methods throw.
  public init(
    of contrast: ContrastSet,
    plan: ExtractionPlan,
    encoder: ContrastEncoder,
    model: LoadedModel,
    microBatchTokens: Int = 1024,
    device: any ComputeDevice = ProcessorDevice.shared,
    progress: (Int) -> Void = { _ in }
  ) throws {
    let (training, heldOut) = try contrast.split(heldOut: plan.heldOut, seed: plan.seed)
    let known = (
      positives: try encoder.encode(training.positives),
      negatives: try encoder.encode(training.negatives)
    )
    let unseen = (
      positives: try encoder.encode(heldOut.positives),
      negatives: try encoder.encode(heldOut.negatives)
    )
    let reader = ActivationReader(
      model: model,
      position: plan.position,
      microBatchTokens: microBatchTokens,
      device: device
    )
    let activations = try reader.read(
      plan.component,
      layers: plan.layers,
      training: known,
      heldOut: unseen,
      progress: progress
    )
    self.plan = plan
    trainingTexts = training.count
    heldOutTexts = heldOut.count
    isPaired = contrast.isPaired
    tokens = [known.positives, known.negatives, unseen.positives, unseen.negatives].joined()
      .reduce(0) { $0 + $1.ids.count }
    vectors = try Self.vectors(activations, plan, isPaired: contrast.isPaired)
  }

  /// The layers are looked at side by side.
  private static func vectors(
    _ activations: [SiteActivations],
    _ plan: ExtractionPlan,
    isPaired: Bool
  ) throws(ReFTError) -> [SteeringVector] {
    var results = [Result<SteeringVector, ReFTError>?](repeating: nil, count: activations.count)
    results.withUnsafeMutableBufferPointer { results in
      // Each piece writes its own element.
      nonisolated(unsafe) let results = results
      ThreadPool.shared.run(activations.count) { index in
        do throws(ReFTError) {
          results[index] = .success(
            try SteeringVector(
              activations[index],
              method: plan.method,
              isPaired: isPaired,
              penalty: plan.penalty
            )
          )
        } catch {
          results[index] = .failure(error)
        }
      }
    }
    var vectors: [SteeringVector] = []
    for result in results {
      if let result { vectors.append(try result.get()) }
    }
    return vectors
  }

  /// The layer that separates best; of equal ones the one whose means are farthest apart, in units
  /// of the median row.
  public var bestLayer: Int? {
    vectors.max { one, other in
      (one.separation.auroc, one.gap / one.medianNorm)
        < (other.separation.auroc, other.gap / other.medianNorm)
    }?.layer
  }
}
