// SPDX-License-Identifier: Apache-2.0
// What a machine has of CUDA, for `reft doctor`: nothing is opened for work, and nothing throws.

package import ReFTTensor

/// The libraries and cards of a machine.
package struct CUDASurvey: Sendable {
  /// A library that was found, or why not.
  package struct Library: Sendable {
    /// What it is for.
    package var role: CUDARole
    /// Its release, as "13.2".
    package var version: String
    /// Where it lies.
    package var path: String
  }

  /// A card.
  package struct Card: Sendable {
    /// Its number for `--device cuda:NUMBER`.
    package var ordinal: Int
    /// Its name.
    package var name: String
    /// Its compute capability, as "9.0".
    package var capability: String
    /// Bytes of its memory.
    package var totalMemory: Int
    /// How many multiprocessors it has.
    package var multiprocessors: Int
  }

  /// The libraries that were found.
  package private(set) var libraries: [Library] = []
  /// The cards that the driver shows.
  package private(set) var cards: [Card] = []
  /// Why there is no driver or no card, or which library is missing beside one.
  package private(set) var problems: [ReFTError] = []

  /// Looks for libraries and cards.
  package init(_ libraries: CUDALibraries = .system) {
    do throws(ReFTError) {
      let (driver, version) = try libraries.loadDriver()
      add(.driver, "\(version / 1000).\(version % 1000 / 10)", driver.library.path)
      for ordinal in 0..<(try CardFacts.count(driver)) {
        add(ordinal, try CardFacts(driver, ordinal: ordinal))
      }
      lookForToolkit(libraries, version)
    } catch {
      problems.append(error)
    }
  }

  private mutating func lookForToolkit(_ libraries: CUDALibraries, _ driverVersion: Int) {
    do throws(ReFTError) {
      let compiler = try libraries.loadCompiler(driverVersion: driverVersion)
      let (major, minor) = compiler.version
      add(.compiler, "\(major).\(minor)", compiler.library.path)
    } catch {
      problems.append(error)
    }
    do throws(ReFTError) {
      let products = try libraries.loadProducts(driverVersion: driverVersion)
      let (major, minor, patch) = products.version
      add(.products, "\(major).\(minor).\(patch)", products.library.path)
    } catch {
      problems.append(error)
    }
  }

  private mutating func add(_ role: CUDARole, _ version: String, _ path: String) {
    libraries.append(Library(role: role, version: version, path: path))
  }

  private mutating func add(_ ordinal: Int, _ facts: CardFacts) {
    cards.append(
      Card(
        ordinal: ordinal,
        name: facts.name,
        capability: "\(facts.capability.major).\(facts.capability.minor)",
        totalMemory: facts.totalMemory,
        multiprocessors: facts.multiprocessors
      )
    )
  }
}
