# The Playground (web/), built once by npm into build/web for every preset, as the library dbrx_page: each of its
# files as it is and packed by gzip, in the table of apps/page_files.h.
set(web_dir ${CMAKE_SOURCE_DIR}/web)
set(page_dir ${CMAKE_SOURCE_DIR}/build/web)
file(GLOB_RECURSE web_sources CONFIGURE_DEPENDS ${web_dir}/src/*)
list(FILTER web_sources EXCLUDE REGEX "\\.test\\.ts$")
find_program(NPM npm REQUIRED)
find_program(NODE NAMES node nodejs REQUIRED)

add_custom_command(
  OUTPUT ${page_dir}/page_files.cc
  COMMAND ${CMAKE_COMMAND} -E env ${web_dir}/scripts/install.sh
  COMMAND ${NPM} run --silent build --prefix ${web_dir} -- --logLevel warn
  COMMAND ${NODE} ${web_dir}/scripts/embed.mjs ${page_dir}
  DEPENDS ${web_sources} ${web_dir}/index.html ${web_dir}/vite.config.ts ${web_dir}/tsconfig.json
          ${web_dir}/package.json ${web_dir}/package-lock.json ${web_dir}/scripts/install.sh
          ${web_dir}/scripts/embed.mjs
  COMMENT "npm run build: web"
  VERBATIM)
add_library(dbrx_page STATIC ${page_dir}/page_files.cc)
target_include_directories(dbrx_page PRIVATE ${CMAKE_SOURCE_DIR}/src)
