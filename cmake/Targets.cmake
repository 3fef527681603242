# How a folder says what it builds.
#
#   eagle_library(blob SRCS a.cc DEPS eagle::base)  -> target eagle_blob, alias eagle::blob
#   eagle_program(plugin [STATIC] MAIN main.cc DEPS eagle::plugin_core)  -> binary eagle-plugin
#   eagle_test(digest_test SRCS digest_test.cc DEPS eagle::base [LABELS e2e])
#   eagle_fuzzer(announce SRCS announce_fuzz.cc DEPS ... CORPUS corpus)

set(eagle_warnings -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor
                   -Werror)
set(eagle_thread_safety $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>)

function(eagle_common target)
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_options(${target} PRIVATE ${eagle_warnings} ${eagle_thread_safety})
  if(EAGLE_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${EAGLE_SANITIZE} -fno-omit-frame-pointer)
    target_link_options(${target} PRIVATE -fsanitize=${EAGLE_SANITIZE})
  endif()
  if(EAGLE_FUZZ)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
endfunction()

function(eagle_library name)
  cmake_parse_arguments(arg "" "" "SRCS;DEPS" ${ARGN})
  add_library(eagle_${name} STATIC ${arg_SRCS})
  add_library(eagle::${name} ALIAS eagle_${name})
  target_link_libraries(eagle_${name} PUBLIC ${arg_DEPS})
  eagle_common(eagle_${name})
endfunction()

function(eagle_program name)
  cmake_parse_arguments(arg "STATIC" "MAIN" "DEPS" ${ARGN})
  add_executable(eagle-${name} ${arg_MAIN})
  target_link_libraries(eagle-${name} PRIVATE ${arg_DEPS})
  eagle_common(eagle-${name})
  if(arg_STATIC AND NOT EAGLE_SANITIZE)
    set_target_properties(eagle-${name} PROPERTIES EAGLE_STATIC ON)
    target_link_options(eagle-${name} PRIVATE -static)
  endif()
  set_target_properties(eagle-${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()

function(eagle_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SRCS;DEPS;LABELS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  add_executable(${name} ${arg_SRCS})
  target_link_libraries(${name} PRIVATE ${arg_DEPS} GTest::gmock GTest::gtest_main)
  eagle_common(${name})
  target_compile_definitions(${name} PRIVATE EAGLE_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
                                             EAGLE_BIN_DIR="${CMAKE_BINARY_DIR}/bin")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}")
endfunction()

# With EAGLE_FUZZ a libFuzzer binary; without, a test that runs the seed corpus through the same
# entry point, so that no parser loses its corpus unnoticed.
function(eagle_fuzzer name)
  cmake_parse_arguments(arg "" "CORPUS" "SRCS;DEPS" ${ARGN})
  if(EAGLE_FUZZ)
    add_executable(fuzz_${name} ${arg_SRCS})
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  else()
    add_executable(fuzz_${name} ${arg_SRCS} ${CMAKE_SOURCE_DIR}/lib/testing/corpus_main.cc)
    add_test(NAME fuzz_${name}_corpus
             COMMAND fuzz_${name} ${CMAKE_CURRENT_SOURCE_DIR}/${arg_CORPUS})
    set_tests_properties(fuzz_${name}_corpus PROPERTIES TIMEOUT 60 LABELS unit)
  endif()
  target_link_libraries(fuzz_${name} PRIVATE ${arg_DEPS})
  eagle_common(fuzz_${name})
endfunction()
