// SPDX-License-Identifier: Apache-2.0
// Kernels that follow each other overlap where the host allows it: the next
// begins while this one runs, fetches what nobody writes, and waits.

// The next kernel may begin; it waits by itself for what this one writes.
__device__ __forceinline__ void let_next_begin() {
#if !defined(REFT_EMULATED) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// Until here a kernel may read nothing that the kernels before it write, and
// write nothing.
__device__ __forceinline__ void wait_for_previous() {
#if !defined(REFT_EMULATED) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
