# The compiler and the flags that every target shares. Presets (CMakePresets.json) pick the sanitizer.

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  message(FATAL_ERROR
    "g++ ${CMAKE_CXX_COMPILER_VERSION} miscompiles coroutines: it destroys a braced struct or a capturing "
    "lambda made inside a co_await expression twice. Use clang 19 (tools/setup.sh installs it; the presets "
    "choose it) or g++ >= 13.")
endif()

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_SCAN_FOR_MODULES OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

option(INFERQ_WERROR "Treat warnings as errors" ON)
set(INFERQ_SANITIZE "" CACHE STRING "Sanitizers to build with: address,undefined or thread")

add_library(inferq_options INTERFACE)
target_include_directories(inferq_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(inferq_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Woverloaded-virtual
  $<$<BOOL:${INFERQ_WERROR}>:-Werror>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(inferq_options INTERFACE -Wthread-safety -Werror=thread-safety)
endif()
if(INFERQ_SANITIZE)
  target_compile_options(inferq_options INTERFACE
    -fsanitize=${INFERQ_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  target_link_options(inferq_options INTERFACE -fsanitize=${INFERQ_SANITIZE})
endif()

find_program(INFERQ_LLD NAMES ld.lld-19 ld.lld)
if(INFERQ_LLD)
  target_link_options(inferq_options INTERFACE --ld-path=${INFERQ_LLD})
endif()

find_program(INFERQ_CCACHE ccache)
if(INFERQ_CCACHE)
  # Precompiled headers need the sloppiness; base_dir lets several checkouts share one cache.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
    CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_NOHASHDIR=1
    CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} ${INFERQ_CCACHE})
endif()
