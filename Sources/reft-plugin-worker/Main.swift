// SPDX-License-Identifier: Apache-2.0
// The process in which a plugin runs that is not trusted; `reft` starts it.

import Foundation
import ReFTHost

@main
struct Main {
  static func main() {
    exit(PluginWorker.run(arguments: CommandLine.arguments))
  }
}
