// SPDX-License-Identifier: Apache-2.0
// `reft doctor` about cards: those of the emulated libraries, and the sentence where there are none.

import Foundation
import ReFTTensor
import Testing
import _ReFTTestSupport

struct DoctorTests {
  @Test("doctor lists the libraries of CUDA with their places, and the cards")
  func cards() throws {
    try withTemporaryDirectory { folder in
      for name in ["libcuda.so.1", "libnvrtc.so.12", "libcublas.so.12"] {
        try FileManager.default.copyItem(
          atPath: Tool.products + "/libCUDAEmulator.so",
          toPath: folder + "/" + name
        )
      }
      let text = try Tool.reft(
        ["doctor"],
        environment: ["REFT_CUDA_LIBRARIES": folder, "REFT_EMULATED_CUDA_MEMORY": "24000000000"],
        folder: folder
      ).text
      #expect(
        text.contains("CUDA driver 12.8 (\(folder)/libcuda.so.1), NVRTC 12.8 (\(folder)/"),
        "\(text)"
      )
      #expect(
        text.contains("emulated card 0, capability 9.0, 24.0 GB, 2 multiprocessors"),
        "\(text)"
      )
      #expect(text.contains("cuda:1"), "\(text)")
    }
  }

  @Test("a machine whose driver shows no card is told so, and is in order")
  func noCards() throws {
    try withTemporaryDirectory { folder in
      try FileManager.default.copyItem(
        atPath: Tool.products + "/libCUDAEmulator.so",
        toPath: folder + "/libcuda.so.1"
      )
      let run = try Tool.reft(
        ["doctor", "--json"],
        environment: ["REFT_CUDA_LIBRARIES": folder, "REFT_EMULATED_CUDA_FAIL": "cuInit:1"],
        folder: folder
      )
      let checks = try JSONSerialization.jsonObject(with: Data(run.text.utf8)) as? [String: Any]
      let rows = checks?["checks"] as? [[String: Any]] ?? []
      let cuda = try #require(rows.first { $0["name"] as? String == "cuda" }, "\(run.text)")
      #expect(cuda["good"] as? Bool == true)
      let found = cuda["found"] as? String ?? ""
      #expect(found.hasPrefix("The CUDA driver finds no card here: CUDA_ERROR_NO_DEVICE (100)"))
    }
  }
}
