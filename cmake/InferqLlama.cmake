# llama.cpp for the engine child, the model writer and the benchmarks: headers, shared libraries, run-time path.
#
#   -DINFERQ_LLAMA_ROOT=DIR   a llama.cpp source tree with its shared libraries built in DIR/build (any GPU
#                             backend); otherwise the npm packages that package-lock.json pins, fetched by
#                             tools/fetch_llama.sh (x86-64 Linux, CPU only)
#   -DINFERQ_LLAMA=OFF        builds without a local engine; the targets that need llama.cpp are left out
#   -DINFERQ_NODE_MODULES=DIR where the npm packages are, when not in node_modules/ (checkouts may share them)
#
# inferq_use_llama(target)   compiles and links `target` with llama.cpp. The libraries lie in
#                            <build>/lib/inferq and are found relative to the executable, so that bin/ and
#                            lib/ can be moved together. Guard it with if(INFERQ_LLAMA).

option(INFERQ_LLAMA "Build the local engine (needs llama.cpp)" ON)
set(INFERQ_LLAMA_ROOT "" CACHE PATH "llama.cpp source and build tree; empty: the pinned npm packages")
set(INFERQ_NODE_MODULES "${CMAKE_SOURCE_DIR}/node_modules" CACHE PATH "Where the npm packages are installed")
set(INFERQ_LLAMA_LIBRARIES llama-common llama ggml ggml-base)

set(INFERQ_LLAMA_ADVICE
  "Run tools/fetch_llama.sh (npm packages, x86-64 Linux), or set -DINFERQ_LLAMA_ROOT=<llama.cpp tree built \
with -DBUILD_SHARED_LIBS=ON>, or build without a local engine: -DINFERQ_LLAMA=OFF.")

# Reads the string at `key` of a JSON file of a package into `out`.
function(inferq_read_json out path key)
  if(NOT EXISTS ${path})
    message(FATAL_ERROR "llama.cpp: ${path} is missing: the npm package is incomplete or another version. "
      "${INFERQ_LLAMA_ADVICE}")
  endif()
  set_property(DIRECTORY ${CMAKE_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
  file(READ ${path} text)
  string(JSON value ERROR_VARIABLE error GET "${text}" ${key})
  if(error)
    message(FATAL_ERROR "llama.cpp: ${path}: ${error}. ${INFERQ_LLAMA_ADVICE}")
  endif()
  set(${out} "${value}" PARENT_SCOPE)
endfunction()

# Unpacks the headers of the release bundle into the build tree, once per package version.
function(inferq_unpack_llama_headers bundle version destination)
  set(stamp ${destination}/.complete-${version})
  if(EXISTS ${stamp} AND NOT ${bundle} IS_NEWER_THAN ${stamp})
    return()
  endif()
  find_program(INFERQ_GIT git REQUIRED)
  message(STATUS "llama.cpp: unpacking the headers of ${version}")
  set(repository ${destination}.git)
  file(REMOVE_RECURSE ${destination} ${repository})
  file(MAKE_DIRECTORY ${destination})
  foreach(command IN ITEMS
      "init --quiet --bare ${repository}"
      "--git-dir=${repository} fetch --quiet ${bundle} HEAD"
      "--git-dir=${repository} archive --output=${destination}/headers.tar FETCH_HEAD include ggml/include common vendor/nlohmann LICENSE")
    separate_arguments(arguments UNIX_COMMAND "${command}")
    execute_process(COMMAND ${INFERQ_GIT} ${arguments} RESULT_VARIABLE status ERROR_VARIABLE error)
    if(NOT status EQUAL 0)
      message(FATAL_ERROR "llama.cpp: git ${command} failed (${status}): ${error}${INFERQ_LLAMA_ADVICE}")
    endif()
  endforeach()
  file(ARCHIVE_EXTRACT INPUT ${destination}/headers.tar DESTINATION ${destination})
  file(REMOVE_RECURSE ${repository} ${destination}/headers.tar)
  file(TOUCH ${stamp})
endfunction()

# Sets INFERQ_LLAMA_SOURCE and INFERQ_LLAMA_BIN from the npm packages, after checking that they are one release.
function(inferq_llama_from_npm)
  if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$" OR NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
    message(FATAL_ERROR "llama.cpp: no pinned libraries for ${CMAKE_SYSTEM_NAME} on ${CMAKE_SYSTEM_PROCESSOR}. "
      "Build llama.cpp with -DBUILD_SHARED_LIBS=ON and set -DINFERQ_LLAMA_ROOT to its tree, or build without a "
      "local engine: -DINFERQ_LLAMA=OFF.")
  endif()
  set(headers ${INFERQ_NODE_MODULES}/node-llama-cpp/llama)
  set(libraries ${INFERQ_NODE_MODULES}/@node-llama-cpp/linux-x64/bins/linux-x64)
  if(NOT EXISTS ${headers} OR NOT EXISTS ${libraries})
    message(FATAL_ERROR "llama.cpp: ${INFERQ_NODE_MODULES} has no node-llama-cpp or @node-llama-cpp/linux-x64. "
      "${INFERQ_LLAMA_ADVICE}")
  endif()
  inferq_read_json(header_version ${headers}/llama.cpp.info.json tag)
  inferq_read_json(bundle_version ${headers}/binariesGithubRelease.json release)
  file(READ ${libraries}/_nlcBuildMetadata.json metadata)
  string(JSON library_version ERROR_VARIABLE error GET "${metadata}" buildOptions llamaCpp release)
  if(NOT header_version STREQUAL library_version OR NOT bundle_version STREQUAL library_version
      OR NOT EXISTS ${libraries}/libllama.${header_version}.so)
    file(GLOB found RELATIVE ${libraries} ${libraries}/libllama.*)
    message(FATAL_ERROR "llama.cpp: the headers are of ${header_version} (bundle: ${bundle_version}), the libraries "
      "of ${library_version} (${found}). They must be one release: remove that folder and run "
      "tools/fetch_llama.sh.")
  endif()
  set(source ${CMAKE_BINARY_DIR}/llama.cpp-headers)
  inferq_unpack_llama_headers(${headers}/gitRelease.bundle ${header_version} ${source})
  message(STATUS "llama.cpp: ${header_version} from npm")
  set(INFERQ_LLAMA_SOURCE ${source} PARENT_SCOPE)
  set(INFERQ_LLAMA_BIN ${libraries} PARENT_SCOPE)
endfunction()

# The same from the user's tree.
function(inferq_llama_from_root)
  foreach(header IN ITEMS include/llama.h ggml/include/ggml.h common/chat.h vendor/nlohmann/json.hpp)
    if(NOT EXISTS ${INFERQ_LLAMA_ROOT}/${header})
      message(FATAL_ERROR "llama.cpp: INFERQ_LLAMA_ROOT=${INFERQ_LLAMA_ROOT} has no ${header}: set it to the root "
        "of a llama.cpp source tree (v0.5.0 or near).")
    endif()
  endforeach()
  foreach(folder IN ITEMS build/bin build/lib bin lib)
    if(EXISTS ${INFERQ_LLAMA_ROOT}/${folder}/libllama.so)
      message(STATUS "llama.cpp: ${INFERQ_LLAMA_ROOT}, libraries in ${folder}")
      set(INFERQ_LLAMA_SOURCE ${INFERQ_LLAMA_ROOT} PARENT_SCOPE)
      set(INFERQ_LLAMA_BIN ${INFERQ_LLAMA_ROOT}/${folder} PARENT_SCOPE)
      return()
    endif()
  endforeach()
  message(FATAL_ERROR "llama.cpp: no libllama.so in build/bin, build/lib, bin or lib of ${INFERQ_LLAMA_ROOT}. "
    "Build it: cmake -S . -B build -DBUILD_SHARED_LIBS=ON && cmake --build build.")
endfunction()

# Puts the shared libraries (with the backends that libllama picks at run time) into <build>/lib/inferq. Hard
# links where the file systems allow it. Does nothing when they are there already.
function(inferq_stage_llama_libraries destination)
  file(GLOB libraries ${INFERQ_LLAMA_BIN}/lib*.so*)
  set(contents "")
  foreach(library IN LISTS libraries)
    file(SIZE ${library} size)
    file(TIMESTAMP ${library} time "%s" UTC)
    string(APPEND contents "${library} ${size} ${time}\n")
  endforeach()
  set(stamp ${destination}/.contents)
  if(EXISTS ${stamp})
    file(READ ${stamp} staged)
    if(staged STREQUAL contents)
      return()
    endif()
  endif()
  file(REMOVE_RECURSE ${destination})
  file(MAKE_DIRECTORY ${destination})
  foreach(library IN LISTS libraries)
    get_filename_component(name ${library} NAME)
    if(IS_SYMLINK ${library})
      file(COPY ${library} DESTINATION ${destination})
    else()
      file(CREATE_LINK ${library} ${destination}/${name} COPY_ON_ERROR)
    endif()
  endforeach()
  file(WRITE ${stamp} "${contents}")
endfunction()

# The file that holds library `name` (npm's names carry the release: libllama.v0.5.0.so).
function(inferq_find_staged_library out directory name)
  set(candidates ${directory}/lib${name}.so)
  if(NOT EXISTS ${candidates})
    file(GLOB candidates ${directory}/lib${name}.v*.so)
  endif()
  list(LENGTH candidates count)
  if(NOT count EQUAL 1)
    message(FATAL_ERROR "llama.cpp: expected one lib${name}.so in ${INFERQ_LLAMA_BIN}, found ${count}. "
      "inferq needs ${INFERQ_LLAMA_LIBRARIES} as shared libraries of one build. ${INFERQ_LLAMA_ADVICE}")
  endif()
  set(${out} ${candidates} PARENT_SCOPE)
endfunction()

# Links one call into llama.h and one into common/chat.h, whose C++ signatures differ between releases.
function(inferq_check_llama_root)
  get_target_property(includes inferq_llama INTERFACE_INCLUDE_DIRECTORIES)
  get_target_property(libraries inferq_llama INTERFACE_LINK_LIBRARIES)
  file(READ ${INFERQ_LLAMA_LIB_DIR}/.contents key)
  foreach(header IN ITEMS include/llama.h common/chat.h)
    file(SHA1 ${INFERQ_LLAMA_SOURCE}/${header} hash)
    string(APPEND key ${hash})
  endforeach()
  string(SHA1 key "${key}")
  if(INFERQ_LLAMA_CHECKED STREQUAL key)
    return()
  endif()
  file(WRITE ${CMAKE_BINARY_DIR}/llama_check.cc [[
#include "chat.h"
#include "llama.h"
int main() {
  llama_model_params params = llama_model_default_params();
  llama_model* model = llama_model_load_from_file("", params);
  common_chat_templates_inputs inputs;
  return common_chat_templates_apply(common_chat_templates_init(model, "").get(), inputs).prompt.empty();
}
]])
  try_compile(INFERQ_LLAMA_LINKS ${CMAKE_BINARY_DIR}/llama_check ${CMAKE_BINARY_DIR}/llama_check.cc
    CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${includes}" LINK_LIBRARIES ${libraries}
    CXX_STANDARD 23 OUTPUT_VARIABLE output)
  if(NOT INFERQ_LLAMA_LINKS)
    message(FATAL_ERROR "llama.cpp: headers and libraries of ${INFERQ_LLAMA_ROOT} do not fit each other or inferq "
      "(written for v0.5.0). Build that tree anew, or check out v0.5.0 in it.\n${output}")
  endif()
  set(INFERQ_LLAMA_CHECKED ${key} CACHE INTERNAL "")
endfunction()

function(inferq_use_llama target)
  target_link_libraries(${target} PRIVATE inferq_llama)
endfunction()

set(CMAKE_BUILD_RPATH_USE_ORIGIN ON)  # executables find lib/inferq beside their bin/

if(NOT INFERQ_LLAMA)
  message(STATUS "llama.cpp: off, no local engine")
  return()
endif()

if(INFERQ_LLAMA_ROOT)
  inferq_llama_from_root()
else()
  inferq_llama_from_npm()
endif()
set(INFERQ_LLAMA_LIB_DIR ${CMAKE_BINARY_DIR}/lib/inferq)
inferq_stage_llama_libraries(${INFERQ_LLAMA_LIB_DIR})

add_library(inferq_llama INTERFACE)
target_include_directories(inferq_llama SYSTEM INTERFACE
  ${INFERQ_LLAMA_SOURCE}/include ${INFERQ_LLAMA_SOURCE}/ggml/include
  ${INFERQ_LLAMA_SOURCE}/common ${INFERQ_LLAMA_SOURCE}/vendor)
foreach(name IN LISTS INFERQ_LLAMA_LIBRARIES)
  inferq_find_staged_library(file ${INFERQ_LLAMA_LIB_DIR} ${name})
  target_link_libraries(inferq_llama INTERFACE ${file})
endforeach()
target_link_libraries(inferq_llama INTERFACE Threads::Threads)
if(INFERQ_LLAMA_ROOT)
  inferq_check_llama_root()
endif()
