/* SPDX-License-Identifier: Apache-2.0
 * fault.h: how one plugin becomes a kit of broken ones. Compiled as it is, kit.c is a correct
 * plugin; compiled with -DFAULT_<NAME>=1 it has that one fault, and FAULTY(NAME) is 1. faults.txt
 * names the rule that must catch each.
 */
#ifndef FAULT_H
#define FAULT_H

#define FAULT_SHIFT_1 0,
#define FAULT_SECOND(ignored, value, ...) value
#define FAULT_PICK(shift) FAULT_SECOND(shift 1, 0, 0)
#define FAULT_TEST(value) FAULT_PICK(FAULT_SHIFT_##value)
#define FAULT_EXPAND(value) FAULT_TEST(value)
#define FAULTY(name) FAULT_EXPAND(FAULT_##name)

#endif
