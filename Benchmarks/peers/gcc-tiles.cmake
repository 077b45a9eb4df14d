# SPDX-License-Identifier: Apache-2.0
# Makes llama.cpp's AMX kernels work when GCC 12 compiles them.
#
# That GCC's _tile_loadconfig says that the instruction reads eight bytes of its operand; it reads 64. The
# stores of the rest, a local variable, look dead and go, and the first tileloadd is an illegal
# instruction. Here the one file that configures tiles keeps its stores. To be removed when
# the oldest GCC in use declares the whole operand.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND EXISTS "${CMAKE_SOURCE_DIR}/ggml/src/ggml-cpu/amx/mmq.cpp")
  cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL set_property
    SOURCE "${CMAKE_SOURCE_DIR}/ggml/src/ggml-cpu/amx/mmq.cpp"
    DIRECTORY "${CMAKE_SOURCE_DIR}/ggml/src"
    APPEND PROPERTY COMPILE_OPTIONS -fno-tree-dse -fno-dse)
endif()
