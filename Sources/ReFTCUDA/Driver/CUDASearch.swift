// SPDX-License-Identifier: Apache-2.0
// Where the libraries of CUDA may lie: what the user says, the toolkit's folders, and those of the
// Python wheels that many machines have them from. The one reader of REFT_CUDA_LIBRARIES.

import Foundation

/// The folders that are searched beside the linker's own.
enum CUDASearch {
  /// The folders that the user names, before all others.
  static func chosen(environment: [String: String]) -> [String] {
    list(environment["REFT_CUDA_LIBRARIES"])
  }

  /// The usual folders that exist.
  ///
  /// - Parameters:
  ///   - role: the library that is looked for.
  ///   - environment: where variables are looked up.
  /// - Returns: paths in the order in which they are tried.
  static func folders(_ role: CUDARole, environment: [String: String]) -> [String] {
    let patterns = role == .driver ? driverPlaces : toolkitPlaces + wheelPlaces(environment)
    var seen: Set<String> = []
    return patterns.flatMap(matches).filter { seen.insert($0).inserted }
  }

  /// Folders of the driver that a linker may not know; machines of clouds mount them.
  private static let driverPlaces = [
    "/usr/local/nvidia/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib/wsl/lib",
  ]

  private static let toolkitPlaces = [
    "/usr/local/cuda/lib64", "/usr/local/cuda-1[0-9]*/lib64",
    "/usr/local/cuda/targets/x86_64-linux/lib", "/opt/cuda/lib64",
  ]

  /// `site-packages/nvidia/*/lib` of the environments of Python that are at hand.
  private static func wheelPlaces(_ environment: [String: String]) -> [String] {
    let active = ["VIRTUAL_ENV", "CONDA_PREFIX"].compactMap { environment[$0] }
    // The folder above that of each python3 of the path.
    let paths = list(environment["PATH"]).filter { access($0 + "/python3", X_OK) == 0 }
    let homes = environment["HOME"].map { [$0 + "/.local"] } ?? []
    let roots =
      active + paths.map { ($0 as NSString).deletingLastPathComponent } + homes
      + ["/usr/local", "/usr", "/opt/*/.venv", "/opt/venv"]
    return roots.filter { $0.hasPrefix("/") }.flatMap { root in
      ["site-packages", "dist-packages"].map { "\(root)/lib/python3*/\($0)/nvidia/*/lib" }
    }
  }

  private static func list(_ value: String?) -> [String] {
    (value ?? "").split(separator: ":").map(String.init).filter { $0.hasPrefix("/") }
  }

  /// The paths that fit a pattern of the shell, the greatest name first: the latest release.
  private static func matches(_ pattern: String) -> [String] {
    var found = glob_t()
    defer { globfree(&found) }
    guard glob(pattern, 0, nil, &found) == 0 else { return [] }
    let paths = (0..<Int(found.gl_pathc)).compactMap { index in
      found.gl_pathv[index].map { String(cString: $0) }
    }
    return paths.sorted(by: >)
  }
}
