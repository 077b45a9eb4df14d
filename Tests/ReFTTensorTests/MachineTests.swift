// SPDX-License-Identifier: Apache-2.0
// What the process says of its own memory.

import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Memory of the process")
struct MachineTests {
  @Test("a mapped file counts with what of it was read")
  func mapped() throws {
    try withTemporaryDirectory { folder in
      let (path, count) = (folder + "/some numbers.bin", 8 << 20)
      try AtomicFile.write(to: path) { writer throws(ReFTError) in
        try writer.write([UInt8](repeating: 7, count: count))
      }
      let file = try MappedFile(path: path)
      #expect(Machine.residentByteCount(of: [path]) < count)
      let sum = stride(from: 0, to: count, by: 512).reduce(0) { $0 + Int(file.bytes[$1]) }
      #expect(sum == 7 * count / 512)
      withExtendedLifetime(file) {
        #expect(Machine.residentByteCount(of: [path]) == count)
        #expect(Machine.residentByteCount(of: [folder + "/other.bin"]) == 0)
        #expect(Machine.residentByteCount > count)
      }
    }
  }
}
