// SPDX-License-Identifier: Apache-2.0
// Steps of generation with edits on the card: recorded ones give what single launches give, and
// numbers that are not finite are told.

import ReFTCUDA
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Edits of decoded tokens on a card")
struct RecordedEditTests {
  /// Adds one number to each row, on the card or here.
  private final class Shift: DeviceRowEdit {
    let tokens: [Int32]
    let amount: Float
    let parameters: any DeviceParameters
    let isOnDevice: Bool
    let isTraining = false
    let parameterOffsets = [0]
    let gradients: UnsafeMutableBufferPointer<Float>? = nil

    init(rows: Int, by amount: Float, _ parameters: any DeviceParameters, isOnDevice: Bool) {
      tokens = Array(0..<Int32(rows))
      (self.amount, self.parameters, self.isOnDevice) = (amount, parameters, isOnDevice)
    }

    var origins: DeviceOrigins {
      DeviceOrigins(
        examples: [],
        positions: [],
        lengths: [],
        locations: [],
        subspaces: [],
        adapters: []
      )
    }

    func deviceProgram() -> DeviceProgram? {
      guard isOnDevice else { return nil }
      let source = """
        extern "C" __global__ void shift(reft_cuda_call_t call) {
          for (int j = threadIdx.x; j < call.d; j += blockDim.x) {
            call.y[blockIdx.x * call.d + j] = call.x[blockIdx.x * call.d + j] + call.floats[0];
          }
        }
        """
      let kernel = DeviceProgram.Kernel(name: "shift", share: .rows, threads: 32)
      return DeviceProgram(plugin: "shift", source: source, forward: [kernel], floats: [amount])
    }

    func notFinite(in call: String) -> ReFTError { ReFTError(.misbehaved, "not finite in \(call)") }

    func edit(_ rows: GatheredRows) {
      for index in 0..<rows.count * rows.width { rows.rows[index] += amount }
    }

    func differentiate(_ gradient: GatheredRows) {}
  }

  private final class Parameters: DeviceParameters, @unchecked Sendable {
    // Sendable: nobody writes to it.
    private let buffer = FloatBuffer(count: 16)
    let revision = 1
    var deviceValues: UnsafeBufferPointer<Float> {
      UnsafeBufferPointer(start: buffer.base, count: buffer.count)
    }
  }

  private final class Editor: HiddenStateEditor {
    let sites: Set<Site>
    let needsAllRows = false
    let sharedPrefixLimit = Int.max
    private let edit: Shift

    init(_ edit: Shift, _ sites: Set<Site>) { (self.edit, self.sites) = (edit, sites) }

    func edits(at site: Site) -> [any RowEdit] { [edit] }
  }

  private let sites: Set<Site> = [
    Site(block: 0, component: .blockOutput), Site(block: 1, component: .mlpInput),
  ]

  /// The logits of some steps of two sequences.
  private func logits(_ amounts: [Float], isOnDevice: Bool, isExact: Bool) throws -> [[Float]] {
    let fixture = try FamilyFixture("llama")
    let model = try FrozenModel(path: fixture.folder)
    let runtime = try CUDARuntime(model: model, device: EmulatedCard.open(), isExact: isExact)
    let parameters = Parameters()
    let caches = try (0..<2).map { _ in try runtime.makeSequenceCache(capacity: 16) }
    func step(_ token: Int32, _ editor: Editor?) throws -> [Float] {
      let sequences = caches.map { SequenceStep(cache: $0, tokens: [token]) }
      return Array(try runtime.step(sequences: sequences, editor: editor))
    }
    _ = try step(3, nil)
    return try amounts.enumerated().map { index, amount in
      let edit = Shift(rows: 2, by: amount, parameters, isOnDevice: isOnDevice)
      return try step(Int32(4 + index), Editor(edit, sites))
    }
  }

  @Test("recorded with the kernels of plugins they give what the host's edits give")
  func recorded() throws {
    let before = try EmulatedCard.calls("cuGraphLaunch")
    let onDevice = try logits([0.5, 0.5, 0.5, -1], isOnDevice: true, isExact: true)
    #expect(try EmulatedCard.calls("cuGraphLaunch") == before + 4)
    let onHost = try logits([0.5, 0.5, 0.5, -1], isOnDevice: false, isExact: true)
    for (one, other) in zip(onDevice, onHost) { expectClose(one, other, tolerance: 1e-5) }
    let rounded = try logits([0.5, 0.5, 0.5, -1], isOnDevice: true, isExact: false)
    for (one, other) in zip(rounded, onHost) { expectClose(one, other, tolerance: 5e-2) }
  }

  @Test("numbers that are not finite are told with the site")
  func notFinite() throws {
    let text = message { _ = try logits([.infinity], isOnDevice: true, isExact: true) }
    #expect(text.contains("not finite in forward on the card at"), "\(text)")
  }
}
