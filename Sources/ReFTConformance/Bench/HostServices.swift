// SPDX-License-Identifier: Apache-2.0
// A host table for the plugin under test. It counts what is asked of it, can run `parallel_for` in
// several ways, and can pretend to come from a future minor version.

import CReFTPlugin
import Glibc
import ReFTTensor
import Synchronization

/// The services that the plugin under test receives.
final class HostServices {
  /// How `parallel_for` runs its pieces.
  enum Order: Int { case ascending, descending, threads }

  let table: UnsafeMutablePointer<reft_host_t>
  private let memory: GuardedBuffer
  private let names: GuardedBuffer
  private let state: HostState

  /// Makes a table; `isFuture` makes it longer than this ABI knows and says minor 7.
  init(isFuture: Bool = false) throws {
    let tail = isFuture ? 64 : 0
    let size = MemoryLayout<reft_host_t>.size
    memory = try GuardedBuffer("host", byteCount: size + tail, alignment: 8, fill: 0xFF)
    let words = Array("reft\(ProgramVersion.text)".utf8)
    names = try GuardedBuffer("host.name", byteCount: words.count, alignment: 1)
    names.base.copyMemory(from: words, byteCount: words.count)
    state = HostState()
    table = memory.base.bindMemory(to: reft_host_t.self, capacity: 1)
    var host = reft_host_t()
    host.struct_size = UInt32(size + tail)
    host.abi_major = 1
    host.abi_minor = isFuture ? 7 : REFT_ABI_MINOR
    host.context = Unmanaged.passUnretained(state).toOpaque()
    let text = UnsafePointer(names.base.assumingMemoryBound(to: CChar.self))
    host.name = reft_str_t(ptr: text, len: 4)
    host.version = reft_str_t(ptr: text + 4, len: UInt64(words.count - 4))
    host.log = { context, _, text, length in
      HostState.of(context)?.log(text, length)
    }
    host.set_error = { context, _, code, text, length in
      HostState.of(context)?.setError(code, text, length)
    }
    host.alloc = { context, bytes in HostState.of(context)?.allocate(bytes) }
    host.free = { context, pointer in HostState.of(context)?.release(pointer) }
    host.parallel_for = { context, _, n, grain, body, argument in
      guard let body else { return }
      HostState.of(context)?.parallel(n, grain, body, argument)
    }
    host.gemm_f32 = { _, _, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc in
      guard let c, m > 0, n > 0 else { return }
      for row in 0..<Int(m) {
        for column in 0..<Int(n) {
          var sum: Float = 0
          if let a, let b {
            for inner in 0..<Int(k) {
              let left = ta == 1 ? a[inner * Int(lda) + row] : a[row * Int(lda) + inner]
              let right = tb == 1 ? b[column * Int(ldb) + inner] : b[inner * Int(ldb) + column]
              sum += left * right
            }
          }
          let at = row * Int(ldc) + column
          c[at] = beta == 0 ? alpha * sum : alpha * sum + beta * c[at]
        }
      }
    }
    host.rng_normal = { _, key, step, offset, out, n in
      guard let out, n > 0 else { return }
      for index in 0..<Int(n) {
        out[index] = BenchRandom.streamNormal(key, step, offset &+ UInt64(index))
      }
    }
    host.rng_uniform = { _, key, step, offset, out, n in
      guard let out, n > 0 else { return }
      for index in 0..<Int(n) {
        out[index] = BenchRandom.streamUniform(key, step, offset &+ UInt64(index))
      }
    }
    host.cancelled = { _, _ in 0 }
    host.extension = { _, _ in nil }
    host.input_info = { context, index, out in
      HostState.of(context)?.describe(index, out) ?? REFT_E_INVALID
    }
    table.initialize(to: host)
    memory.makeReadOnly()
    names.makeReadOnly()
  }

  /// The index by which the plugin asks for an input, which lies in read-only memory from now on.
  func index(of input: BenchInput) throws -> Int64 { try state.index(of: input) }

  var order: Order {
    get { Order(rawValue: state.order.load(ordering: .relaxed)) ?? .ascending }
    set { state.order.store(newValue.rawValue, ordering: .relaxed) }
  }

  /// Blocks given out by `alloc` and not given back.
  var liveBlocks: Int { state.live.load(ordering: .relaxed) }

  /// The sentence of the last `set_error`, and forgets it.
  func takeError() -> String? { state.takeError() }
}

/// What the callbacks change; several threads may call at once.
private final class HostState: Sendable {
  let order = Atomic<Int>(0)
  let live = Atomic<Int>(0)
  private let lastError = Mutex<String?>(nil)
  private let inputs = Mutex<[Input]>([])

  /// An input in guarded memory.
  private struct Input: @unchecked Sendable {
    // Sendable: the memory is read alone.
    let input: BenchInput
    let memory: GuardedBuffer
  }

  func index(of input: BenchInput) throws -> Int64 {
    try inputs.withLock { inputs in
      if let known = inputs.firstIndex(where: { $0.input == input }) { return Int64(known) }
      let memory: GuardedBuffer
      if let bytes = input.bytes {
        memory = try GuardedBuffer("input", byteCount: bytes.count, alignment: 1)
        memory.base.copyMemory(from: bytes, byteCount: bytes.count)
      } else {
        memory = try GuardedBuffer("input", floats: input.values)
      }
      memory.makeReadOnly()
      inputs.append(Input(input: input, memory: memory))
      return Int64(inputs.count - 1)
    }
  }

  func describe(_ index: Int64, _ out: UnsafeMutablePointer<reft_tensor_t>?) -> reft_status_t {
    inputs.withLock { inputs in
      guard let out, index >= 0, index < Int64(inputs.count) else { return REFT_E_INVALID }
      let (input, memory) = (inputs[Int(index)].input, inputs[Int(index)].memory)
      var answer = reft_tensor_t()
      answer.struct_size = out.pointee.struct_size
      answer.dtype = input.bytes == nil ? REFT_F32 : REFT_U8
      answer.rank = UInt32(input.shape.count)
      let sizes = input.shape.map(Int64.init) + [0, 0, 0, 0]
      answer.dims = (sizes[0], sizes[1], sizes[2], sizes[3])
      answer.data = UnsafeRawPointer(memory.base)
      let size = min(Int(answer.struct_size), MemoryLayout<reft_tensor_t>.size)
      withUnsafePointer(to: answer) {
        UnsafeMutableRawPointer(out).copyMemory(from: $0, byteCount: size)
      }
      return REFT_OK
    }
  }

  static func of(_ context: UnsafeMutableRawPointer?) -> HostState? {
    context.map { Unmanaged<HostState>.fromOpaque($0).takeUnretainedValue() }
  }

  func log(_ text: UnsafePointer<CChar>?, _ length: UInt64) {
    // Reads the whole text, so that a wrong length traps here and not in the host.
    guard let text, length > 0 else { return }
    _ = String(decoding: UnsafeRawBufferPointer(start: text, count: Int(length)), as: UTF8.self)
  }

  func setError(_ code: Int32, _ text: UnsafePointer<CChar>?, _ length: UInt64) {
    guard let text else { return }
    let bytes = UnsafeRawBufferPointer(start: text, count: Int(min(length, 1 << 16)))
    let sentence = String(decoding: bytes, as: UTF8.self)
    lastError.withLock { $0 = sentence }
  }

  func takeError() -> String? {
    lastError.withLock { error in
      defer { error = nil }
      return error
    }
  }

  func allocate(_ bytes: UInt64) -> UnsafeMutableRawPointer? {
    guard bytes < 1 << 33 else { return nil }
    let pointer = aligned_alloc(64, (Int(bytes) + 63) / 64 * 64)
    if pointer != nil { live.wrappingAdd(1, ordering: .relaxed) }
    return pointer
  }

  func release(_ pointer: UnsafeMutableRawPointer?) {
    if pointer != nil { live.wrappingSubtract(1, ordering: .relaxed) }
    free(pointer)
  }

  func parallel(
    _ n: Int64,
    _ grain: Int64,
    _ body: @escaping reft_body_t,
    _ argument: UnsafeMutableRawPointer?
  ) {
    let step = max(1, grain)
    let count = n > 0 ? (n + step - 1) / step : 0
    let run: (Int64) -> Void = { body(argument, $0 * step, min(n, ($0 + 1) * step)) }
    switch HostServices.Order(rawValue: order.load(ordering: .relaxed)) ?? .ascending {
    case .ascending: for piece in 0..<count { run(piece) }
    case .descending: for piece in (0..<count).reversed() { run(piece) }
    case .threads:
      let threads = (0..<2).map { lane in
        BenchThread { for piece in stride(from: Int64(lane), to: count, by: 2) { run(piece) } }
      }
      for thread in threads { thread.join() }
    }
  }
}
