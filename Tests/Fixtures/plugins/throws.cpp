// SPDX-License-Identifier: Apache-2.0
// Linked into the kit for the fault THROWS: an exception that leaves the plugin.
extern "C" void fault_throw(void) {
  throw 1;
}
