// SPDX-License-Identifier: Apache-2.0
// Sees what a plugin asks of the C library. The slots through which the loaded plugin calls malloc,
// pthread_mutex_lock, fork and their kin are pointed at counting functions that pass the call on.

import CReFTPlatform
import Glibc
import ReFTHost
import ReFTTensor
import Synchronization

private let allocations = Atomic<Int>(0)
private let locks = Atomic<Int>(0)
private let threads = Atomic<Int>(0)
private let processes = Atomic<Int>(0)

/// Counts what the plugin called since it was armed.
final class CallWatch {
  /// How often the plugin itself called the functions of each kind.
  struct Counts: Equatable {
    var allocations = 0
    var locks = 0
    var threads = 0
    var processes = 0
  }

  /// Points the plugin's slots at the counters.
  ///
  /// - Throws: when the file's relocations cannot be read.
  init(_ library: LoadedLibrary, _ specimen: Specimen) throws {
    let slots: [ELFImage.Slot]
    do throws(ReFTError) {
      slots = try ELFImage.slots(specimen.bytes.file.bytes, path: specimen.path)
    } catch {
      throw Breach(error.message + ".")
    }
    guard let base = CallWatch.loadAddress(library.entry) else {
      throw Breach("The loaded library is not in the loader's list.")
    }
    let page = UInt(GuardedBuffer.pageSize)
    for slot in slots {
      guard let (replacement, original) = CallWatch.replacement(slot.symbol) else { continue }
      let address = base &+ UInt(slot.offset)
      guard let target = UnsafeMutablePointer<UInt>(bitPattern: address),
        let start = UnsafeMutableRawPointer(bitPattern: address / page * page)
      else { continue }
      // With RELRO the page is read-only by now.
      guard mprotect(start, Int(page), PROT_READ | PROT_WRITE) == 0 else { continue }
      if original != 0 { target.pointee = replacement }
    }
  }

  /// What was called since the last reading.
  func take() -> Counts {
    Counts(
      allocations: allocations.exchange(0, ordering: .relaxed),
      locks: locks.exchange(0, ordering: .relaxed),
      threads: threads.exchange(0, ordering: .relaxed),
      processes: processes.exchange(0, ordering: .relaxed)
    )
  }

  private static func loadAddress(_ entry: LoadedLibrary.Entry) -> UInt? {
    let base = reft_probe_load_address(unsafeBitCast(entry, to: UnsafeRawPointer.self))
    return base == 0 ? nil : UInt(base)
  }

  // The address to put into a slot, and the function's own (0 when this process has none).
  private static func replacement(_ name: String) -> (UInt, UInt)? {
    let own = UInt(bitPattern: dlsym(nil, name))
    let counter =
      allocator(name) ?? placedAllocator(name) ?? runtimeAllocator(name, own)
      ?? threadFunction(name, own) ?? processFunction(name)
    return counter.map { ($0, own) }
  }

  private typealias OneSize = @convention(c) (Int) -> UnsafeMutableRawPointer?
  private typealias TwoSizes = @convention(c) (Int, Int) -> UnsafeMutableRawPointer?
  private typealias PointerAndSize =
    @convention(c) (UnsafeMutableRawPointer?, Int) -> UnsafeMutableRawPointer?
  private typealias PointerAndSizes =
    @convention(c) (UnsafeMutableRawPointer?, Int, Int) -> UnsafeMutableRawPointer?
  private typealias PlaceAndSizes =
    @convention(c) (UnsafeMutablePointer<UnsafeMutableRawPointer?>?, Int, Int) -> Int32

  /// Counters of the C library's allocations.
  private static func allocator(_ name: String) -> UInt? {
    switch name {
    case "malloc":
      let f: OneSize = { size in
        allocations.wrappingAdd(1, ordering: .relaxed)
        return malloc(size)
      }
      return unsafeBitCast(f, to: UInt.self)
    case "calloc":
      let f: TwoSizes = { count, size in
        allocations.wrappingAdd(1, ordering: .relaxed)
        return calloc(count, size)
      }
      return unsafeBitCast(f, to: UInt.self)
    case "aligned_alloc":
      let f: TwoSizes = { alignment, size in
        allocations.wrappingAdd(1, ordering: .relaxed)
        return aligned_alloc(alignment, size)
      }
      return unsafeBitCast(f, to: UInt.self)
    default: return nil
    }
  }

  /// Counters of those that are given a place.
  private static func placedAllocator(_ name: String) -> UInt? {
    switch name {
    case "realloc":
      let f: PointerAndSize = { old, size in
        allocations.wrappingAdd(1, ordering: .relaxed)
        return realloc(old, size)
      }
      return unsafeBitCast(f, to: UInt.self)
    case "posix_memalign":
      let f: PlaceAndSizes = { out, alignment, size in
        allocations.wrappingAdd(1, ordering: .relaxed)
        guard let out else { return EINVAL }
        return posix_memalign(out, alignment, size)
      }
      return unsafeBitCast(f, to: UInt.self)
    default: return nil
    }
  }

  /// Counters of what C++ and Swift allocate.
  private static func runtimeAllocator(_ name: String, _ own: UInt) -> UInt? {
    switch name {
    case "_Znwm", "_Znam":
      // C++ new throws where malloc fails; under the checker it does not get that far.
      let f: OneSize = { size in
        allocations.wrappingAdd(1, ordering: .relaxed)
        return malloc(max(1, size))
      }
      return unsafeBitCast(f, to: UInt.self)
    case "swift_slowAlloc":
      swiftSlowAlloc = own
      let f: TwoSizes = { size, mask in
        allocations.wrappingAdd(1, ordering: .relaxed)
        return unsafeBitCast(swiftSlowAlloc, to: TwoSizes.self)(size, mask)
      }
      return unsafeBitCast(f, to: UInt.self)
    case "swift_allocObject":
      swiftAllocObject = own
      let f: PointerAndSizes = { metadata, size, mask in
        allocations.wrappingAdd(1, ordering: .relaxed)
        return unsafeBitCast(swiftAllocObject, to: PointerAndSizes.self)(metadata, size, mask)
      }
      return unsafeBitCast(f, to: UInt.self)
    default: return nil
    }
  }

  private typealias OnePointer = @convention(c) (UnsafeMutableRawPointer?) -> Int32
  private typealias ThreadStart =
    @convention(c) (
      UnsafeMutableRawPointer?, UnsafeRawPointer?, UnsafeRawPointer?, UnsafeMutableRawPointer?
    ) -> Int32

  /// Counters of locks and threads.
  private static func threadFunction(_ name: String, _ own: UInt) -> UInt? {
    switch name {
    case "pthread_mutex_lock":
      let f: OnePointer = { lock in
        locks.wrappingAdd(1, ordering: .relaxed)
        guard let lock else { return EINVAL }
        return pthread_mutex_lock(lock.assumingMemoryBound(to: pthread_mutex_t.self))
      }
      return unsafeBitCast(f, to: UInt.self)
    case "pthread_create":
      pthreadCreate = own
      let f: ThreadStart = { thread, attributes, start, argument in
        threads.wrappingAdd(1, ordering: .relaxed)
        let create = unsafeBitCast(pthreadCreate, to: ThreadStart.self)
        return create(thread, attributes, start, argument)
      }
      return unsafeBitCast(f, to: UInt.self)
    default: return nil
    }
  }

  private typealias OneText = @convention(c) (UnsafePointer<CChar>?) -> Int32
  private typealias TwoTexts =
    @convention(c) (UnsafePointer<CChar>?, UnsafePointer<CChar>?) -> OpaquePointer?

  /// Counters of new processes, which the plugin learns that it cannot have: a second checker must not
  /// run on.
  private static func processFunction(_ name: String) -> UInt? {
    switch name {
    case "fork", "vfork":
      let f: @convention(c) () -> pid_t = {
        processes.wrappingAdd(1, ordering: .relaxed)
        errno = EAGAIN
        return -1
      }
      return unsafeBitCast(f, to: UInt.self)
    case "system":
      let f: OneText = { _ in
        processes.wrappingAdd(1, ordering: .relaxed)
        return -1
      }
      return unsafeBitCast(f, to: UInt.self)
    case "popen":
      let f: TwoTexts = { _, _ in
        processes.wrappingAdd(1, ordering: .relaxed)
        return nil
      }
      return unsafeBitCast(f, to: UInt.self)
    default: return nil
    }
  }
}

// Written while the slots are pointed, before the plugin runs; read by the counters.
nonisolated(unsafe) private var swiftSlowAlloc: UInt = 0
nonisolated(unsafe) private var swiftAllocObject: UInt = 0
nonisolated(unsafe) private var pthreadCreate: UInt = 0
