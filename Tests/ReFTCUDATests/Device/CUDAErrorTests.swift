// SPDX-License-Identifier: Apache-2.0
// What goes wrong with a card or its libraries is told with the operation, the code and a remedy.

import Foundation
import ReFTCUDA
import ReFTTensor
import Testing
import _ReFTTestSupport

struct CUDAErrorTests {
  @Test("without a library it is told what was looked for, where, and what to do")
  func missing() {
    let text = message {
      _ = try CUDADevice.open(0, libraries: .emulated("/nonexistent/libcuda.so.1"), cache: nil)
    }
    #expect(
      text.hasPrefix("No CUDA driver library was found: looked for /nonexistent/libcuda.so.1")
    )
    #expect(text.contains("install the driver of the NVIDIA card, or compute on the processor"))
  }

  @Test("a file that is no library is named with the linker's reason")
  func notALibrary() throws {
    try withTemporaryDirectory { folder in
      let path = folder + "/libcuda.so.1"
      try Data("no library".utf8).write(to: URL(fileURLWithPath: path))
      let text = message { _ = try CUDADevice.open(0, libraries: .emulated(path), cache: nil) }
      #expect(text.contains("\(path): file too short") || text.contains("\(path): invalid ELF"))
    }
  }

  @Test("a library without the functions is told to be too old")
  func foreignLibrary() {
    let path = (BuiltPlugins.folder ?? "") + "/libLoReFT.so"
    let text = message { _ = try CUDADevice.open(0, libraries: .emulated(path), cache: nil) }
    #expect(
      text == "Library '\(path)' has no function 'cuInit', expected one of CUDA 12 or later; "
        + "install a newer driver and toolkit."
    )
  }

  @Test("the folders of REFT_CUDA_LIBRARIES are looked through")
  func chosenFolder() throws {
    try withTemporaryDirectory { folder in
      let libraries = CUDALibraries.system(environment: ["REFT_CUDA_LIBRARIES": folder])
      for name in ["libcuda.so.1", "libnvrtc.so.12", "libcublas.so.12"] {
        try FileManager.default.copyItem(atPath: EmulatedCard.path, toPath: folder + "/" + name)
      }
      let survey = CUDASurvey(libraries)
      #expect(survey.libraries.map(\.path).allSatisfy { $0.hasPrefix(folder + "/lib") })
      #expect(survey.libraries.map(\.version) == ["12.8", "12.8", "12.8.0"])
      #expect(survey.problems.isEmpty)
    }
  }

  @Test("a card number that is not there is told with those that are")
  func unknownCard() {
    let text = message { _ = try EmulatedCard.open(7) }
    #expect(text.hasPrefix("There is no card number 7; this machine shows numbers 0 to 1."))
  }

  @Test("a driver without a card says so")
  func noCard() throws {
    try EmulatedCard.fail("cuInit")
    let text = message { _ = try EmulatedCard.open() }
    #expect(text.hasPrefix("The CUDA driver finds no card here: CUDA_ERROR_NO_DEVICE (100)"))
    #expect(text.contains("CUDA_VISIBLE_DEVICES"))
  }

  struct Fault: CustomTestStringConvertible, Sendable {
    var function: String
    var expected: String
    var body: @Sendable (CUDADevice, DeviceMemory) throws -> Void
    var testDescription: String { function }

    static let all = [
      Fault(
        function: "cuMemcpyHtoDAsync_v2",
        expected: "The card failed at copying 2.0 kB to the card: CUDA_ERROR_INVALID_VALUE (1)"
      ) { card, _ in _ = try card.upload([Float](repeating: 1, count: 500)) },
      Fault(
        function: "cuMemcpyDtoHAsync_v2",
        expected: "The card failed at copying 400 bytes from the card: CUDA_ERROR_INVALID_VALUE"
      ) { card, memory in _ = try card.download(memory, 100, of: Float(0)) },
      Fault(
        function: "cuMemsetD8Async",
        expected: "The card failed at clearing 1.0 kB on the card: CUDA_ERROR_INVALID_VALUE"
      ) { card, memory in try card.zero(memory.pointer, 1000) },
      Fault(
        function: "cuStreamSynchronize",
        expected: "The card failed at waiting for the card: CUDA_ERROR_LAUNCH_FAILED (719)"
      ) { card, _ in try card.synchronise() },
      Fault(
        function: "cuMemAllocHost_v2",
        expected: "The card failed at pinning 5.0 kB: CUDA_ERROR_OUT_OF_MEMORY (2): out of memory"
      ) { card, _ in _ = try card.pinned(5000) },
      Fault(
        function: "cublasGemmEx",
        expected: "The card failed at the product [2, 3] × [4, 3]ᵀ: CUBLAS_STATUS_EXECUTION_FAILED"
      ) { card, memory in
        let place = memory.pointer
        try card.gemm(
          GEMM(
            rows: 2,
            n: 4,
            k: 3,
            x: place,
            weight: place,
            y: place,
            input: .float32,
            output: .float32
          )
        )
      },
      Fault(
        function: "cuLaunchKernel",
        expected: "The card failed at launching nothing: CUDA_ERROR_LAUNCH_FAILED (719)"
      ) { card, _ in
        let text = "extern \"C\" __global__ void nothing(int n) {}"
        let kernel = try card.module(KernelSource(name: "nothing", text: text)).kernel("nothing")
        var arguments = KernelArguments()
        arguments.add(1)
        try card.launch(kernel, grid: (1, 1, 1), block: 1, arguments)
      },
      Fault(
        function: "cuGraphInstantiateWithFlags",
        expected: "The card failed at recording a graph: CUDA_ERROR_OUT_OF_MEMORY (2)"
      ) { card, memory in
        _ = try card.capture { () throws(ReFTError) in try card.zero(memory.pointer, 100) }
      },
    ]
  }

  @Test("a failing call names what was being done, the code and a remedy", arguments: Fault.all)
  func injected(_ fault: Fault) throws {
    let card = try EmulatedCard.open()
    let memory = try card.allocate(2000, for: "a test")
    try EmulatedCard.fail(fault.function)
    let text = message { try fault.body(card, memory) }
    #expect(text.hasPrefix(fault.expected))
    #expect(text.hasSuffix("."))
    // The fault was one call's; the card goes on.
    try fault.body(card, memory)
  }

  @Test("a survey lists libraries and cards, or tells why there are none")
  func survey() {
    let survey = CUDASurvey(EmulatedCard.libraries)
    #expect(survey.libraries.map(\.role) == CUDARole.allCases)
    #expect(survey.cards.map(\.name) == ["emulated card 0", "emulated card 1"])
    #expect(survey.cards.map(\.capability) == ["9.0", "9.0"])
    #expect(survey.problems.isEmpty)
    let none = CUDASurvey(.emulated("/nonexistent"))
    #expect(none.cards.isEmpty && none.libraries.isEmpty)
    #expect(none.problems.map(\.message).first?.hasPrefix("No CUDA driver library") == true)
  }
}
