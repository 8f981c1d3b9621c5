# The one static library of all Rust crates, built once by cargo for every preset.
set(rust_dir ${CMAKE_SOURCE_DIR}/src/text/rust)
set(rust_library ${CMAKE_SOURCE_DIR}/build/rust/libdbrx_text.a)
file(GLOB_RECURSE rust_sources CONFIGURE_DEPENDS ${rust_dir}/src/*.rs)
find_program(CARGO cargo REQUIRED PATHS $ENV{HOME}/.cargo/bin)
cmake_path(GET CARGO PARENT_PATH cargo_folder)

add_custom_command(
  OUTPUT ${rust_library}
  COMMAND ${CMAKE_COMMAND} -E env "PATH=${cargo_folder}:$ENV{PATH}" ${rust_dir}/build.sh ${rust_library}
  DEPENDS ${rust_sources} ${rust_dir}/Cargo.toml ${rust_dir}/Cargo.lock ${rust_dir}/build.sh
  COMMENT "cargo build: src/text/rust"
  VERBATIM)
add_custom_target(rust_build DEPENDS ${rust_library})
add_library(dbrx_text_rust STATIC IMPORTED GLOBAL)
set_target_properties(dbrx_text_rust PROPERTIES IMPORTED_LOCATION ${rust_library})
target_link_libraries(dbrx_text_rust INTERFACE Threads::Threads ${CMAKE_DL_LIBS} m)
add_dependencies(dbrx_text_rust rust_build)
