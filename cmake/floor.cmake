# dbrx_floor(name LIBS ... [TEST_LIBS ...] [TEST_MAIN file] [PRECOMPILE ...]): the library dbrx_<name> of
# src/<name>/**.cc, its test binary test_<name> of *_test.cc and its benchmark binary bench_<name> of *_bench.cc. A
# floor's own name in LIBS means its library. TEST_MAIN has the main function of the tests, if it is not GoogleTest's
# own. PRECOMPILE are heavy headers that most files of the floor include. New files are found by name; the suffix of a
# kernel file is its compile flag.
# Without exceptions there is no reference to their personality routine, a weak symbol, in such an object.
set(DBRX_FLAGS_avx2 -fno-exceptions -mavx2 -mfma -mf16c)
set(DBRX_FLAGS_avx512 ${DBRX_FLAGS_avx2} -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # gcc 12's own AVX-512 header trips this warning (GCC bug 105593).
  list(APPEND DBRX_FLAGS_avx512 -Wno-maybe-uninitialized)
endif()
set(DBRX_FLAGS_amx ${DBRX_FLAGS_avx512} -mavx512bf16 -mamx-tile -mamx-int8 -mamx-bf16)

# dbrx_precompile(target headers...): those headers and the usual ones of the standard library are compiled once for the
# target. Its files still include what they use: the build with clang has no precompiled headers, and would not find it.
function(dbrx_precompile target)
  if(DBRX_PRECOMPILE)
    target_precompile_headers(${target} PRIVATE <algorithm> <chrono> <functional> <map> <memory> <mutex> <optional>
                              <set> <span> <string> <string_view> <utility> <variant> <vector> ${ARGN})
    if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
      # The times of headers would be part of what is compiled, and another checkout's are others.
      target_compile_options(${target} PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
    endif()
  endif()
endfunction()

if(DBRX_TESTS)
  enable_testing()
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()
if(DBRX_BENCH)
  find_package(benchmark REQUIRED)
endif()

function(dbrx_floor name)
  cmake_parse_arguments(arg "" "TEST_MAIN" "LIBS;TEST_LIBS;PRECOMPILE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cc)
  set(tests ${sources})
  set(benches ${sources})
  list(FILTER sources EXCLUDE REGEX "(_(test|bench|fuzz)|/test_main)\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER benches INCLUDE REGEX "_bench\\.cc$")

  add_library(dbrx_${name} STATIC ${sources})
  target_include_directories(dbrx_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  foreach(lib IN LISTS arg_LIBS)
    if(TARGET dbrx_${lib})
      target_link_libraries(dbrx_${name} PUBLIC dbrx_${lib})
    else()
      target_link_libraries(dbrx_${name} PUBLIC ${lib})
    endif()
  endforeach()
  if(arg_PRECOMPILE)
    dbrx_precompile(dbrx_${name} ${arg_PRECOMPILE})
  endif()
  foreach(isa avx2 avx512 amx)
    set(isa_sources ${sources})
    list(FILTER isa_sources INCLUDE REGEX "_${isa}\\.cc$")
    # Kernels keep -O2 in every build type: inlining is what keeps their objects free of weak symbols.
    set_source_files_properties(${isa_sources} PROPERTIES COMPILE_OPTIONS "${DBRX_FLAGS_${isa}};-O2")
  endforeach()

  if(DBRX_TESTS AND tests)
    add_executable(test_${name} ${tests} ${arg_TEST_MAIN})
    dbrx_precompile(test_${name} <gtest/gtest.h> ${arg_PRECOMPILE})
    # The tests' own code is half of what is compiled, and none of what is tested.
    target_compile_options(test_${name} PRIVATE $<$<CONFIG:Release>:-O1>)
    target_link_libraries(test_${name} PRIVATE dbrx_${name} ${arg_TEST_LIBS} GTest::gtest)
    if(NOT arg_TEST_MAIN)
      target_link_libraries(test_${name} PRIVATE GTest::gtest_main)
    endif()
    # Those of full size take gigabytes and all cores: one at a time.
    gtest_discover_tests(test_${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} TEST_PREFIX "${name}."
                         TEST_FILTER "-FullSize*" DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT 300)
    if(name STREQUAL "model")
      gtest_discover_tests(test_${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} TEST_PREFIX "${name}."
                           TEST_FILTER "FullSize*" DISCOVERY_MODE PRE_TEST
                           PROPERTIES TIMEOUT 300 RESOURCE_LOCK full_size)
    endif()
  endif()
  if(DBRX_BENCH AND benches)
    add_executable(bench_${name} ${benches})
    target_link_libraries(bench_${name} PRIVATE dbrx_${name} benchmark::benchmark_main)
  endif()
endfunction()

# dbrx_fuzz(floor name [COUNT n] SEEDS ...): the fuzz target src/<floor>/<name>_fuzz.cc. With clang and DBRX_FUZZ it
# is a libFuzzer binary to be run by hand; otherwise a test that tries a fixed number of mutations, 20000 or COUNT.
function(dbrx_fuzz floor name)
  cmake_parse_arguments(arg "" "COUNT" "SEEDS" ${ARGN})
  if(NOT arg_COUNT)
    set(arg_COUNT 20000)
  endif()
  if(NOT DBRX_TESTS)
    return()
  endif()
  add_executable(fuzz_${name} src/${floor}/${name}_fuzz.cc)
  target_link_libraries(fuzz_${name} PRIVATE dbrx_${floor})
  if(DBRX_FUZZ)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(fuzz_${name} PRIVATE cmake/fuzz_driver.cc)
    add_test(NAME ${floor}.fuzz_${name} COMMAND fuzz_${name} ${arg_COUNT} ${arg_SEEDS}
             WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  endif()
endfunction()
