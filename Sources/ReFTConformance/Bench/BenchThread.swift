// SPDX-License-Identifier: Apache-2.0
// A thread of the checker itself, so that calls can come from elsewhere and at once.

import Glibc

/// Runs a closure on a new thread; `join` waits for it.
final class BenchThread {
  private var thread = pthread_t()
  private let isRunning: Bool

  init(_ body: @escaping () -> Void) {
    let box = Unmanaged.passRetained(Body(body))
    isRunning =
      pthread_create(
        &thread,
        nil,
        { pointer in
          guard let pointer else { return nil }
          Unmanaged<Body>.fromOpaque(pointer).takeRetainedValue().run()
          return nil
        },
        box.toOpaque()
      ) == 0
    if !isRunning { box.takeRetainedValue().run() }
  }

  func join() {
    if isRunning { pthread_join(thread, nil) }
  }

  private final class Body {
    let run: () -> Void
    init(_ run: @escaping () -> Void) { self.run = run }
  }
}
