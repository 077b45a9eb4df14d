// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
//
// Who may import whom is a law of the house: see docs/architecture.md. Nothing here depends on a
// plugin; the host finds plugins at run time, beside the running executable among other places.

import PackageDescription

let swift: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .treatAllWarnings(as: .error),
]

// A test is compiled more often than it saves time: without optimising and without what a debugger reads,
// which takes a third as long. What tests share, where references compute, is optimised
// (docs/decisions/0002-tests-in-release.md).
let testing: [SwiftSetting] =
  swift + [.unsafeFlags(["-Onone", "-gnone"], .when(configuration: .release))]

let package = Package(
  name: "reft",
  products: [
    .executable(name: "reft", targets: ["reft"]),
    .executable(name: "reft-plugin-worker", targets: ["reft-plugin-worker"]),
    .library(name: "ReFTPluginKit", targets: ["ReFTPluginKit"]),
    // Each plugin is a shared library of its own that no target depends on: SwiftPM builds it next
    // to the executables, and two of them never meet in one link.
    .library(name: "LoReFT", type: .dynamic, targets: ["LoReFT"]),
    .library(name: "DiReFT", type: .dynamic, targets: ["DiReFT"]),
    .library(name: "AdditiveSteering", type: .dynamic, targets: ["AdditiveSteering"]),
    .library(name: "LowRankFamily", type: .dynamic, targets: ["LowRankFamily"]),
    .library(name: "ProjectionFamily", type: .dynamic, targets: ["ProjectionFamily"]),
    .library(name: "RED", type: .dynamic, targets: ["RED"]),
    .library(name: "Collect", type: .dynamic, targets: ["Collect"]),
    .library(name: "SAE", type: .dynamic, targets: ["SAE"]),
    .library(name: "GatedSteering", type: .dynamic, targets: ["GatedSteering"]),
    .library(name: "Interchange", type: .dynamic, targets: ["Interchange"]),
    // A card for tests, on the processor; opened at run time like a card's own libraries.
    .library(name: "CUDAEmulator", type: .dynamic, targets: ["CUDAEmulator"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    // The ABI and the machine.
    .target(name: "CReFTPlugin"),
    // Unoptimised kernels would make a debug build's tests take minutes where they take seconds.
    .target(
      name: "CReFTKernels",
      cSettings: [.unsafeFlags(["-O2"], .when(configuration: .debug))]
    ),
    // What Swift cannot say to Linux: sealed memory, futexes, seccomp, spawning a confined worker.
    .target(name: "CReFTPlatform"),
    .systemLibrary(name: "CFFI", pkgConfig: "libffi", providers: [.apt(["libffi-dev"])]),
    .systemLibrary(name: "CNettle", pkgConfig: "nettle", providers: [.apt(["nettle-dev"])]),

    // The rooms, from the bottom up.
    .target(
      name: "ReFTTensor",
      dependencies: ["CNettle", "CReFTKernels", "CReFTPlatform"],
      swiftSettings: swift
    ),
    .target(name: "ReFTText", dependencies: ["ReFTTensor"], swiftSettings: swift),
    .target(name: "ReFTModel", dependencies: ["ReFTTensor", "CReFTKernels"], swiftSettings: swift),
    // Another device behind the model's runtime. The texts of its kernels are embedded; the card's
    // libraries are opened at run time, and nothing of them is needed to build.
    .target(
      name: "ReFTCUDA",
      dependencies: ["ReFTModel", "ReFTTensor"],
      resources: [.embedInCode("Kernels")],
      swiftSettings: swift
    ),
    .target(
      name: "ReFTHost",
      dependencies: [
        "CReFTKernels", "CReFTPlugin", "CReFTPlatform", "CFFI", "ReFTModel", "ReFTTensor",
        "ReFTText", .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: swift
    ),
    // The two rooms that stand on the host and do not know each other.
    .target(
      name: "ReFTGeneration",
      dependencies: ["CReFTPlatform", "ReFTHost", "ReFTModel", "ReFTTensor", "ReFTText"],
      swiftSettings: swift
    ),
    .target(
      name: "ReFTTraining",
      dependencies: [
        "CReFTKernels", "ReFTHost", "ReFTModel", "ReFTTensor", "ReFTText",
        .product(name: "Yams", package: "Yams"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: swift
    ),
    // Directions of the residual stream: found, tried, reported.
    .target(
      name: "ReFTSteering",
      dependencies: [
        "ReFTGeneration", "ReFTHost", "ReFTModel", "ReFTTensor", "ReFTText", "ReFTTraining",
      ],
      swiftSettings: swift
    ),
    // Tasks and what a model is worth at them; the tasks that come along are embedded.
    .target(
      name: "ReFTEvaluation",
      dependencies: [
        "ReFTGeneration", "ReFTHost", "ReFTModel", "ReFTTensor", "ReFTText", "ReFTTraining",
      ],
      resources: [.embedInCode("Library")],
      swiftSettings: swift
    ),
    // The files of `reft plugin new`, embedded; among them links to the ABI's header and the kit.
    .target(
      name: "ReFTTemplates",
      dependencies: ["ReFTTensor"],
      path: "Templates",
      resources: [.embedInCode("files")],
      swiftSettings: swift
    ),
    // The files of `reft recipe`, embedded.
    .target(
      name: "ReFTRecipes",
      path: "Recipes",
      resources: [.embedInCode("files")],
      swiftSettings: swift
    ),
    .target(name: "ReFTPluginKit", dependencies: ["CReFTPlugin"], swiftSettings: swift),
    .target(
      name: "ReFTConformance",
      dependencies: [
        "CReFTPlugin", "CReFTPlatform", "ReFTCUDA", "ReFTHost", "ReFTModel", "ReFTTensor",
      ],
      swiftSettings: swift
    ),
    // The end of the rooms: what `reft bench` measures, with any of the libraries.
    .target(
      name: "ReFTBenchmark",
      dependencies: ["CReFTKernels", "ReFTHost", "ReFTModel", "ReFTTensor", "ReFTTraining"],
      swiftSettings: swift
    ),
    .executableTarget(
      name: "reft",
      dependencies: [
        "ReFTBenchmark", "ReFTCUDA", "ReFTConformance", "ReFTEvaluation", "ReFTGeneration",
        "ReFTHost", "ReFTModel", "ReFTRecipes", "ReFTSteering", "ReFTTemplates", "ReFTTensor",
        "ReFTText", "ReFTTraining",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: swift
    ),
    .executableTarget(
      name: "reft-plugin-worker",
      dependencies: ["ReFTHost", "ReFTTensor"],
      swiftSettings: swift
    ),

    // Plugins. SwiftPM's default folder of that name is for build plugins, hence the paths. What those
    // in C share are headers in Plugins/Shared, which belong to no target.
    .target(
      name: "LoReFT",
      dependencies: ["CReFTPlugin"],
      path: "Plugins/LoReFT",
      exclude: ["README.md"],
      linkerSettings: [.linkedLibrary("m")]
    ),
    .target(
      name: "DiReFT",
      dependencies: ["CReFTPlugin", "ReFTPluginKit"],
      path: "Plugins/DiReFT",
      exclude: ["README.md"],
      swiftSettings: swift
    ),
    .target(
      name: "AdditiveSteering",
      dependencies: ["CReFTPlugin", "ReFTPluginKit"],
      path: "Plugins/AdditiveSteering",
      exclude: ["README.md"],
      swiftSettings: swift
    ),
    .target(
      name: "LowRankFamily",
      dependencies: ["CReFTPlugin"],
      path: "Plugins/LowRankFamily",
      exclude: ["README.md"],
      linkerSettings: [.linkedLibrary("m")]
    ),
    .target(
      name: "ProjectionFamily",
      dependencies: ["CReFTPlugin"],
      path: "Plugins/ProjectionFamily",
      exclude: ["README.md"],
      linkerSettings: [.linkedLibrary("m")]
    ),
    .target(
      name: "RED",
      dependencies: ["CReFTPlugin"],
      path: "Plugins/RED",
      exclude: ["README.md"],
      linkerSettings: [.linkedLibrary("m")]
    ),
    .target(
      name: "Collect",
      dependencies: ["CReFTPlugin"],
      path: "Plugins/Collect",
      exclude: ["README.md"],
      linkerSettings: [.linkedLibrary("m")]
    ),
    .target(
      name: "SAE",
      dependencies: ["CReFTPlugin"],
      path: "Plugins/SAE",
      exclude: ["README.md"],
      linkerSettings: [.linkedLibrary("m")]
    ),
    .target(
      name: "GatedSteering",
      dependencies: ["CReFTPlugin"],
      path: "Plugins/GatedSteering",
      exclude: ["README.md"],
      linkerSettings: [.linkedLibrary("m")]
    ),
    .target(
      name: "Interchange",
      dependencies: ["CReFTPlugin"],
      path: "Plugins/Interchange",
      exclude: ["README.md"],
      linkerSettings: [.linkedLibrary("m")]
    ),

    // Tests: one folder per module, and the built tools as processes.
    .target(
      name: "_ReFTTestSupport",
      dependencies: ["ReFTTensor", "ReFTModel", "ReFTHost"],
      path: "Tests/_ReFTTestSupport",
      swiftSettings: swift
    ),
    // Seeded inputs for what reads files from outside: a few in the tests, many by `reft-fuzz`.
    .target(
      name: "_ReFTFuzz",
      dependencies: ["ReFTHost", "ReFTModel", "ReFTTensor", "ReFTText", "ReFTTraining"],
      path: "Tests/_ReFTFuzz",
      swiftSettings: swift
    ),
    .executableTarget(
      name: "reft-fuzz",
      dependencies: ["_ReFTFuzz"],
      path: "Tests/Fuzz",
      swiftSettings: swift
    ),
    .testTarget(
      name: "ReFTTensorTests",
      dependencies: ["ReFTTensor", "CReFTKernels", "_ReFTTestSupport"],
      swiftSettings: testing
    ),
    .testTarget(
      name: "ReFTTextTests",
      dependencies: ["ReFTText", "ReFTTensor", "_ReFTFuzz", "_ReFTTestSupport"],
      swiftSettings: testing
    ),
    .testTarget(
      name: "ReFTModelTests",
      dependencies: ["ReFTModel", "ReFTTensor", "ReFTText", "CReFTKernels", "_ReFTTestSupport"],
      swiftSettings: testing
    ),
    .target(
      name: "CUDAEmulator",
      path: "Tests/_CUDAEmulator",
      cSettings: [.unsafeFlags(["-O2"], .when(configuration: .debug))]
    ),
    .testTarget(
      name: "ReFTCUDATests",
      dependencies: [
        "ReFTCUDA", "ReFTEvaluation", "ReFTHost", "ReFTModel", "ReFTTensor", "CReFTKernels",
        "CUDAEmulator", "_ReFTTestSupport",
      ],
      swiftSettings: testing
    ),
    .testTarget(
      name: "ReFTHostTests",
      dependencies: [
        "ReFTHost", "ReFTModel", "ReFTTemplates", "ReFTTensor", "ReFTText", "CReFTPlugin",
        "CReFTPlatform", "_ReFTTestSupport",
      ],
      swiftSettings: testing
    ),
    .testTarget(
      name: "ReFTGenerationTests",
      dependencies: [
        "ReFTGeneration", "ReFTHost", "ReFTModel", "ReFTTensor", "ReFTText", "_ReFTTestSupport",
      ],
      swiftSettings: testing
    ),
    .testTarget(
      name: "ReFTTrainingTests",
      dependencies: [
        "ReFTTraining", "ReFTGeneration", "ReFTHost", "ReFTModel", "ReFTTensor", "ReFTText",
        "_ReFTFuzz",
        "_ReFTTestSupport",
      ],
      swiftSettings: testing
    ),
    .testTarget(
      name: "ReFTSteeringTests",
      dependencies: [
        "ReFTSteering", "ReFTCUDA", "ReFTHost", "ReFTModel", "ReFTTensor", "ReFTText",
        "ReFTTraining", "_ReFTTestSupport",
      ],
      swiftSettings: testing
    ),
    .testTarget(
      name: "ReFTEvaluationTests",
      dependencies: [
        "ReFTEvaluation", "ReFTHost", "ReFTModel", "ReFTTensor", "ReFTText", "ReFTTraining",
        "_ReFTTestSupport",
      ],
      swiftSettings: testing
    ),
    .testTarget(
      name: "ReFTConformanceTests",
      dependencies: ["ReFTConformance", "ReFTCUDA", "ReFTHost", "_ReFTTestSupport"],
      swiftSettings: testing
    ),
    .testTarget(
      name: "ReFTBenchmarkTests",
      dependencies: ["ReFTBenchmark", "ReFTHost", "ReFTModel", "ReFTTensor", "_ReFTTestSupport"],
      swiftSettings: testing
    ),
    .testTarget(
      name: "EndToEndTests",
      dependencies: ["ReFTTensor", "_ReFTTestSupport"],
      swiftSettings: testing
    ),
  ],
  cLanguageStandard: .c17
)
