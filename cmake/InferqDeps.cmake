# Third-party packages, each from Debian 12 or the npm registry. A missing one is named with its package.

function(inferq_missing what package)
  message(FATAL_ERROR "${what} was not found. Install the package ${package}, or run tools/setup.sh.")
endfunction()

macro(inferq_find name package)
  find_package(${name} ${ARGN} QUIET)
  if(NOT ${name}_FOUND)
    inferq_missing(${name} ${package})
  endif()
endmacro()

find_package(Threads REQUIRED)
inferq_find(fmt libfmt-dev)
inferq_find(GTest libgtest-dev)
inferq_find(simdjson libsimdjson-dev)
inferq_find(OpenSSL libssl-dev)
inferq_find(SQLite3 libsqlite3-dev)
inferq_find(CLI11 libcli11-dev)
inferq_find(rapidcheck librapidcheck-dev)
inferq_find(benchmark libbenchmark-dev)
set(Boost_NO_WARN_NEW_VERSIONS ON)
find_package(Boost 1.81 QUIET COMPONENTS json)
if(NOT Boost_FOUND)
  inferq_missing("Boost 1.81 (headers, json)" "libboost1.81-dev and libboost-json1.81-dev")
endif()
find_path(INFERQ_XXHASH_INCLUDE xxhash.h)
if(NOT INFERQ_XXHASH_INCLUDE)
  inferq_missing(xxhash libxxhash-dev)
endif()

# Owners link these names, so the owner rule (STYLE.md section 8) is visible in the CMake files.
add_library(inferq_asio INTERFACE)
target_link_libraries(inferq_asio INTERFACE Boost::headers Threads::Threads)
target_compile_definitions(inferq_asio INTERFACE
  BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION)
