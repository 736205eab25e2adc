# inferq_module(NAME LAYER n [SOURCES ...] [TESTS ...] [BENCHMARKS ...] [DEPS modules...]
#               [LIBS third-party...] [TEST_DEPS modules...])
#   A module is a folder, a namespace and a link target inferq::NAME. A dependency must lie on a lower
#   layer; the configure step fails otherwise. TESTS become one executable NAME_test, label `unit`.
#
# inferq_test(NAME SOURCES ... [DEPS ...] [LABELS ...])   a test that spans modules
# inferq_binary(NAME SOURCES ... [DEPS ...] [LIBS ...])

include(GoogleTest)

# One precompiled header for everyone who sees coroutines and one for the pure code below them.
function(inferq_make_pch name)
  cmake_parse_arguments(A "" "" "HEADERS;LIBS" ${ARGN})
  file(WRITE ${CMAKE_BINARY_DIR}/${name}.cc "")
  add_library(${name} OBJECT ${CMAKE_BINARY_DIR}/${name}.cc)
  target_link_libraries(${name} PRIVATE inferq_options ${A_LIBS})
  target_precompile_headers(${name} PRIVATE ${A_HEADERS})
  target_compile_options(${name} PRIVATE $<$<CXX_COMPILER_ID:Clang>:-Xclang -fno-pch-timestamp>)
endfunction()

set(INFERQ_STD_HEADERS <algorithm> <chrono> <cstdint> <expected> <functional> <map> <memory> <optional>
  <set> <span> <string> <string_view> <unordered_map> <vector> <fmt/format.h>)
set(INFERQ_ASIO_HEADERS <boost/asio/awaitable.hpp> <boost/asio/co_spawn.hpp> <boost/asio/detached.hpp>
  <boost/asio/io_context.hpp> <boost/asio/use_awaitable.hpp> <boost/asio/steady_timer.hpp>)
inferq_make_pch(inferq_pch HEADERS ${INFERQ_STD_HEADERS} LIBS fmt::fmt)
inferq_make_pch(inferq_pch_asio HEADERS ${INFERQ_STD_HEADERS} ${INFERQ_ASIO_HEADERS}
  LIBS fmt::fmt inferq_asio)

# Uses the coroutine header where the target (through its dependencies) sees Asio.
function(inferq_use_pch target with_asio)
  if(with_asio)
    target_precompile_headers(${target} REUSE_FROM inferq_pch_asio)
    target_link_libraries(${target} PRIVATE inferq_asio)
  else()
    target_precompile_headers(${target} REUSE_FROM inferq_pch)
  endif()
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:Clang>:-Xclang -fno-pch-timestamp>)
endfunction()

# Sets `out` when one of the modules in ARGN is built with coroutines.
function(inferq_any_asio out)
  set(${out} FALSE PARENT_SCOPE)
  foreach(dep IN LISTS ARGN)
    set(asio TRUE)  # `testing` is made after those that it tests
    if(TARGET inferq_${dep})
      get_target_property(asio inferq_${dep} INFERQ_ASIO)
    endif()
    if(asio)
      set(${out} TRUE PARENT_SCOPE)
    endif()
  endforeach()
endfunction()

# Labels go on after discovery: gtest_discover_tests() keeps only the first of a list. tools/CMakeLists.txt
# makes a target LABEL_tests out of each global list. Tests that load the prebuilt llama.cpp, which no sanitizer
# has instrumented, are no part of sanitized builds' lists: there they are built and run by hand.
function(inferq_register_tests target labels)
  if(INFERQ_SANITIZE AND "llama" IN_LIST labels)
    set_target_properties(${target} PROPERTIES EXCLUDE_FROM_ALL TRUE)
    return()
  endif()
  gtest_discover_tests(${target} DISCOVERY_MODE PRE_TEST
    PROPERTIES TIMEOUT 300
    WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set(script ${CMAKE_CURRENT_BINARY_DIR}/${target}_labels.cmake)
  file(WRITE ${script} "foreach(test IN LISTS ${target}_TESTS)
  set_tests_properties(\"\${test}\" PROPERTIES LABELS \"${labels}\")
endforeach()
")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${script})
  foreach(label IN LISTS labels)
    set_property(GLOBAL APPEND PROPERTY INFERQ_TESTS_${label} ${target})
  endforeach()
  set_property(GLOBAL APPEND PROPERTY INFERQ_TEST_LABELS ${labels})
endfunction()

function(inferq_module name)
  cmake_parse_arguments(A "ASIO" "LAYER" "SOURCES;TESTS;BENCHMARKS;DEPS;LIBS;TEST_DEPS" ${ARGN})
  set(target inferq_${name})
  set(asio ${A_ASIO})
  foreach(dep IN LISTS A_DEPS)
    if(NOT TARGET inferq_${dep})
      message(FATAL_ERROR "module ${name}: unknown module '${dep}' (is it below ${name}?)")
    endif()
    get_target_property(dep_layer inferq_${dep} INFERQ_LAYER)
    if(NOT dep_layer LESS A_LAYER)
      message(FATAL_ERROR "module ${name} (layer ${A_LAYER}) may not use ${dep} (layer ${dep_layer}): "
        "includes point down only. What both need moves to a lower layer (STYLE.md section 1).")
    endif()
    list(APPEND deps inferq::${dep})
  endforeach()
  inferq_any_asio(asio_below ${A_DEPS})
  if(asio_below)
    set(asio TRUE)
  endif()
  add_library(${target} STATIC ${A_SOURCES})
  add_library(inferq::${name} ALIAS ${target})
  set_property(GLOBAL APPEND PROPERTY INFERQ_MODULES ${target})
  set_target_properties(${target} PROPERTIES INFERQ_LAYER ${A_LAYER} INFERQ_ASIO "${asio}")
  target_link_libraries(${target} PUBLIC ${deps} fmt::fmt ${A_LIBS} PRIVATE inferq_options)
  inferq_use_pch(${target} "${asio}")
  if(A_TESTS)
    inferq_test(${name}_test SOURCES ${A_TESTS} DEPS ${name} ${A_TEST_DEPS} LABELS unit)
  endif()
  if(A_BENCHMARKS)
    inferq_binary(${name}_benchmark SOURCES ${A_BENCHMARKS} DEPS ${name} ${A_TEST_DEPS}
      LIBS benchmark::benchmark_main)
  endif()
endfunction()

function(inferq_test name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS;LIBS;LABELS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  inferq_any_asio(asio ${A_DEPS})
  list(TRANSFORM A_DEPS PREPEND inferq::)
  target_link_libraries(${name} PRIVATE inferq_options ${A_DEPS} ${A_LIBS} GTest::gmock GTest::gtest_main)
  inferq_use_pch(${name} "${asio}")
  inferq_register_tests(${name} "${A_LABELS}")
endfunction()

function(inferq_binary name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS;LIBS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  inferq_any_asio(asio ${A_DEPS})
  list(TRANSFORM A_DEPS PREPEND inferq::)
  target_link_libraries(${name} PRIVATE inferq_options ${A_DEPS} ${A_LIBS})
  inferq_use_pch(${name} "${asio}")
endfunction()
